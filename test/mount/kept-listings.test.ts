/**
 * Listings that the kernel keeps: what a second look costs the daemon, counted, and that whatever changes a directory is
 * seen at the next look, also when the kernel had no part in it.
 */
import t from 'tap';
import { type Bucket, type Store, withBucket } from './bucket.js';
import { testDriver } from './driver-choice.js';
import { BUCKET, onlyEmbedded } from './s3-place.js';

const skip = onlyEmbedded || (testDriver !== 'kernel' && 'a driver that keeps no listings');
t.setTimeout(120_000);

const many =
  (count: number) =>
  async ({ server }: Store): Promise<void> => {
    for (let i = 0; i < count; i++)
      server.putSparse(BUCKET, `many/file-${10_000 + i}`, 4, [{ offset: 0, data: Buffer.from('text') }]);
  };

/** Operations that the daemon answered while `work` ran, but for FORGET and those of the mount's root. */
async function operations({ daemon }: Bucket, work: () => Promise<unknown>): Promise<Record<string, number>> {
  const counts = (): Record<string, number> =>
    Object.fromEntries(Object.entries(daemon.mounted.stats().operations).map(([name, { count }]) => [name, count]));
  const before = counts();
  await work();
  const after = Object.entries(counts()).map(([name, count]) => [name, count - before[name]] as const);
  return Object.fromEntries(after.filter(([name, count]) => count > 0 && name !== 'forget'));
}

const sum = (counts: Record<string, number>): number => Object.values(counts).reduce((a, b) => a + b, 0);

t.test('a second ls -l, ls -U and find of 10,000 files cost the daemon a few operations', { skip }, async (t) => {
  await withBucket(
    t,
    async (bucket) => {
      const { sh, server } = bucket;
      const first = await operations(bucket, () => sh('ls -l many | wc -l'));
      t.comment(JSON.stringify(first));
      t.ok(first.readdir >= 10, `${first.readdir} READDIRPLUS`);
      server.requests.reset();
      for (const command of ['ls -l many', 'ls -U many', 'find many -type f', 'du -a many']) {
        const again = await operations(bucket, async () => {
          t.ok(Number((await sh(`${command} | wc -l`)).trim()) >= 10_000, command);
        });
        t.comment(command, JSON.stringify(again));
        t.notOk(again.readdir, `${command}: no READDIR`);
        t.ok(sum(again) <= 12, `${command}: ${JSON.stringify(again)}`);
      }
      t.equal(server.requests.total, 0);
      // What this mount changes the kernel knows.
      await sh('touch many/new; rm many/file-10007; mv many/file-10008 many/moved');
      t.equal((await sh('ls many | grep -cE "new|file-10007|file-10008|moved"')).trim(), '2');
    },
    { before: many(10_000) },
  );
});

t.test('what another client changed is seen as soon as a listing tells', { skip }, async (t) => {
  await withBucket(
    t,
    async (bucket) => {
      const { sh, store } = bucket;
      const count = async (): Promise<number> => Number((await sh('ls many | wc -l')).trim());
      t.equal(await count(), 100);
      t.equal(await count(), 100);
      await store.put('many/theirs', 'x');
      await store.remove('many/file-10003');
      await store.remove('many/file-10004');
      await sh('sleep 2.1');
      t.equal(await count(), 99);
      t.equal(await count(), 99);
    },
    { before: many(100), volume: { metadataTtlMs: 2_000 } },
  );
});

t.test('once the attributes have aged the listing is shown anew, not looked up one by one', { skip }, async (t) => {
  await withBucket(
    t,
    async (bucket) => {
      const { sh } = bucket;
      // The kernel's copy counts for 9 s; 0.9 s are left for the attributes to be looked at.
      await sh('ls -l many > /dev/null; ls -l many > /dev/null; sleep 9.1');
      const late = await operations(bucket, () => sh('ls -l many > /dev/null'));
      t.comment(JSON.stringify(late));
      t.ok((late.readdir ?? 0) > 0 && (late.lookup ?? 0) + (late.getattr ?? 0) < 10, JSON.stringify(late));
    },
    { before: many(1_000), volume: { metadataTtlMs: 10_000 } },
  );
});

t.test('a name that is given behind the kernel is there at the next look', { skip }, async (t) => {
  await withBucket(t, async (bucket) => {
    const { sh, py, store, daemon } = bucket;
    await sh('echo ours > f; ls > /dev/null; ls > /dev/null');
    t.equal((await sh('ls')).trim(), 'f');
    await daemon.filesystem.flushAll();
    const script = `
import time
f = open('f', 'r+'); f.write('mine'); f.flush(); os.listdir('.'); os.listdir('.')
open(sys.argv[2] + '/ready', 'w').close()
while not os.path.exists(sys.argv[2] + '/go'): time.sleep(0.02)
try: f.close()
except OSError as e: print(errno.errorcode[e.errno])
`;
    const running = py(script);
    await sh(`while [ ! -e ${bucket.local}/ready ]; do sleep 0.05; done`);
    await store.put('f', 'theirs, and longer');
    await sh(`touch ${bucket.local}/go`);
    await running;
    await daemon.filesystem.flushAll();
    const names = (await sh('ls')).trim().split('\n');
    t.equal(names.length, 2, names.join());
    t.ok(names.some((name) => name.startsWith('f.conflict-')));
  });
});

t.test('an open directory that is rewound is shown anew within the time that a listing counts', { skip }, async (t) => {
  await withBucket(
    t,
    async ({ py, store, local, sh }) => {
      const running = py(`
import time
fd = os.open('many', os.O_RDONLY)
print(len(os.listdir(fd)), len(os.listdir(fd)))
open(sys.argv[2] + '/ready', 'w').close()
while not os.path.exists(sys.argv[2] + '/go'): time.sleep(0.02)
time.sleep(2.5)
print(len(os.listdir(fd)))
`);
      await sh(`while [ ! -e ${local}/ready ]; do sleep 0.05; done`);
      await store.put('many/theirs', 'x');
      await sh(`touch ${local}/go`);
      t.equal((await running).trim(), '50 50\n51');
    },
    { before: many(50), volume: { metadataTtlMs: 1_000 } },
  );
});

t.test(
  'each name comes once to each reader, while the kernel loses its copy and files come and go',
  { skip },
  async (t) => {
    await withBucket(
      t,
      async ({ py, store }) => {
        const foreign = (async () => {
          for (let i = 0; i < 60; i++) {
            await store.put(`many/theirs-${i % 7}`, 'x');
            await store.remove(`many/theirs-${(i + 3) % 7}`);
          }
        })();
        const out = await py(
          `
import threading, time, random
end = time.time() + 8
problems = []
stay = set('file-%d' % (10000 + i) for i in range(3000))
def reader(slow):
    while time.time() < end:
        names = []
        with os.scandir('many') as it:
            for i, e in enumerate(it):
                names.append(e.name)
                if slow and i % 500 == 0: time.sleep(0.05)
        if len(set(names)) != len(names): problems.append('twice: %d %d' % (len(names), len(set(names))))
        if not stay <= set(names): problems.append('missing: %s' % sorted(stay - set(names))[:3])
def writer(n):
    i = 0
    while time.time() < end:
        i += 1
        p = 'many/ours-%d-%d' % (n, i % 5)
        open(p, 'w').close()
        os.rename(p, p + 'x')
        os.unlink(p + 'x')
        time.sleep(0.2)
ts = [threading.Thread(target=reader, args=(i % 2 == 0,)) for i in range(6)] + [threading.Thread(target=writer, args=(i,)) for i in range(2)]
for th in ts: th.start()
for th in ts: th.join()
print(problems[:5])
`,
          { timeout: 60_000 },
        );
        await foreign;
        t.equal(out.trim(), '[]');
      },
      { before: many(3_000), volume: { metadataTtlMs: 700 } },
    );
  },
);
