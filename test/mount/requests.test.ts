/** How many requests everyday commands cost, counted on the server. */
import t from 'tap';
import type { EmbeddedServer } from '../../src/embedded/api.js';
import { type Bucket, type Store, withBucket } from './bucket.js';
import { keepsTimes, testDriver } from './driver-choice.js';
import { sh as outside } from './harness.js';
import { BUCKET, onlyEmbedded } from './s3-place.js';

const skip = onlyEmbedded;
t.setTimeout(120_000);

/** What the store is asked while `work` runs, by operation. */
async function cost(server: EmbeddedServer, work: () => Promise<unknown>): Promise<Readonly<Record<string, number>>> {
  server.requests.reset();
  await work();
  return server.requests.byOperation;
}

/** Objects without metadata. */
async function fill({ server }: Store, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    const data = Buffer.from(`content ${i}`);
    server.putSparse(BUCKET, `many/file-${i}`, data.length, [{ offset: 0, data }]);
  }
}

t.test('ls -l of 10,000 entries', { skip }, async (t) => {
  await withBucket(
    t,
    async ({ server, sh }) => {
      await sh('ls > /dev/null');
      server.requests.reset();
      t.equal((await sh('ls -l many | wc -l')).trim(), '10001');
      t.ok(server.requests.total <= 11, `${server.requests.total} requests`);
      t.comment(JSON.stringify(server.requests.byOperation));
      t.same(await cost(server, () => sh('ls -l many > /dev/null')), {}, 'again within the TTL');
      t.same(await cost(server, () => sh('cat many/file-77')), { GetObject: 1 }, 'cat of a listed file');
      const second = await cost(server, () => sh('cat many/file-77; sleep 1.1; cat many/file-77'));
      t.ok((second.GetObject ?? 0) <= 1 && Object.keys(second).length <= 1, JSON.stringify(second));
      t.same(server.requests.log.at(-1)?.status ?? 304, 304, 'conditional');
    },
    { before: (store) => fill(store, 10_000) },
  );
});

t.test('one file: create, read, change, move, remove', { skip }, async (t) => {
  await withBucket(
    t,
    async ({ server, sh, local }) => {
      await outside(`printf small > ${local}/small`);
      await sh('ls -l many > /dev/null');
      t.same(await cost(server, () => sh(`cp ${local}/small many/new`)), { PutObject: 1 }, 'cp');
      t.same(await cost(server, () => sh('cat many/new')), {}, 'our own upload is known');
      t.same(await cost(server, () => sh('chmod 600 many/new')), { CopyObject: 1 }, 'chmod');
      const touched = await cost(server, () => sh('touch -d 2001-01-01 many/new'));
      t.same(touched, keepsTimes ? { CopyObject: 1 } : {}, 'touch');
      t.same(await cost(server, () => sh('mv many/new many/moved')), { CopyObject: 1, DeleteObject: 1 }, 'mv');
      t.same(await cost(server, () => sh('stat many/moved; ls many > /dev/null; cat many/moved')), {}, 'look');
      t.same(await cost(server, () => sh('rm many/moved')), { DeleteObject: 1 }, 'rm');
      t.same(await cost(server, () => sh('rm many/file-3')), { DeleteObject: 1 }, 'rm of a listed file');
      t.same(await cost(server, () => sh(`cp -p ${local}/small many/p`)), { PutObject: 1 }, 'cp -p');
      t.same(await cost(server, () => sh('mkdir many/d')), { PutObject: 1 }, 'mkdir');
      t.same(
        await cost(server, () => sh('cp many/p many/d/a; cp many/p many/d/b')),
        testDriver === 'kernel' ? { CopyObject: 2 } : { PutObject: 2 },
        'new directory',
      );
      t.same(await cost(server, () => sh('chmod 600 many/d/a; chown 0:0 many/d')), { CopyObject: 1 }, 'no change');
    },
    { before: (store) => fill(store, 20) },
  );
});

t.test('tar x of a tree into a new directory: one PUT for each file and directory', { skip }, async (t) => {
  const volume = { openTtlMs: 60_000 };
  const body = async ({ server, sh, local }: Bucket) => {
    await outside(`mkdir -p ${local}/tree; cd ${local}/tree; for d in 1 2 3 4 5; do mkdir $d; for f in $(seq 20); do
      echo $f > $d/$f; done; done; cd ..; tar cf tree.tar tree`);
    const extracted = await cost(server, () => sh(`mkdir new; tar xf ${local}/tree.tar -C new`));
    t.comment(JSON.stringify(extracted));
    // tar makes its six directories for itself only, and sets mode and times when it is through with them.
    t.ok(extracted.PutObject <= 100 + 7 + 6 * 2, `${extracted.PutObject} PUT`);
    t.same(extracted, { HeadObject: 2, ListObjectsV2: 1, PutObject: extracted.PutObject }, 'and one look');
    const walked = await cost(server, () => sh('find new -type f | wc -l; grep -r 7 new > /dev/null'));
    t.same(walked, {}, 'our own tree is known');
    const removed = await cost(server, () => sh('rm -r new'));
    t.comment(JSON.stringify(removed));
    t.ok((removed.DeleteObject ?? 0) === 107, 'one DELETE each');
  };
  await withBucket(t, body, { volume });
});

t.test('find, du, ls -R and grep -r over 10,000 files in 1,000 directories, cold', { skip }, async (t) => {
  const least = 10;
  const before = async ({ server }: Store): Promise<void> => {
    for (let d = 0; d < 1_000; d++)
      for (let f = 0; f < 10; f++)
        server.putSparse(BUCKET, `tree/d${1_000 + d}/f${f}`, 4, [{ offset: 0, data: Buffer.from('text') }]);
  };
  const commands = {
    find: 'find tree -type f | wc -l',
    du: 'du -a tree | grep -c /f',
    'ls -R': 'ls -R tree | grep -c ^f',
  };
  const body = async ({ server, sh, remount }: Bucket): Promise<void> => {
    for (const [name, command] of Object.entries(commands)) {
      const asked = await cost(server, async () => t.equal((await sh(command)).trim(), '10000', name));
      t.comment(name, JSON.stringify(asked));
      t.ok(asked.ListObjectsV2 <= least * 1.2 + 4, `${name}: ${asked.ListObjectsV2} LISTs`);
      t.ok((asked.HeadObject ?? 0) <= 3, `${name}: ${asked.HeadObject} HEADs`);
      const again = await cost(server, () => sh(command));
      // Through libfuse the nodes of directories, and their listings with them, are forgotten soon.
      if (testDriver === 'kernel') t.same(again, {}, `${name} again`);
      else t.ok((again.ListObjectsV2 ?? 0) <= least * 1.2 + 4, `${name} again: ${again.ListObjectsV2} LISTs`);
      await remount({ fresh: true });
    }
    const removed = await cost(server, () => sh('rm -r tree/d19*'));
    t.comment(JSON.stringify(removed));
    // Each directory is asked whether it keeps existing when its last file goes, and whether it is empty.
    t.ok(removed.ListObjectsV2 <= 2 * 100 + 5, `${removed.ListObjectsV2} LISTs`);
    t.equal((await sh('find tree -type f | wc -l')).trim(), '9000');
  };
  // However long the first takes: what is counted of the second is what it asks while all of it counts.
  await withBucket(t, body, { before, volume: { metadataTtlMs: 600_000 } });
});

// Through libfuse the reader is slower than LIST: nothing is listed ahead of it there.
if (testDriver === 'kernel')
  t.test(
    'ls of 50,000 files with 20 ms to each answer: several pages at one time, few in vain',
    { skip },
    async (t) => {
      const count = 50_000;
      let [running, most] = [0, 0];
      const body = async ({ server, store, sh }: Bucket): Promise<void> => {
        const match = { operation: 'ListObjectsV2' };
        const before = async (): Promise<void> => {
          most = Math.max(most, ++running);
          await new Promise((resolve) => setTimeout(resolve, 20));
          running--;
        };
        server.faults.add({ match, action: { kind: 'call', before } });
        let begun = performance.now();
        t.equal((await store.keys('many/')).length, count);
        const serial = performance.now() - begun;
        most = 0;
        begun = performance.now();
        const asked = await cost(server, async () => t.equal((await sh('ls -U many | wc -l')).trim(), String(count)));
        const took = performance.now() - begun;
        t.comment(`${(took / serial).toFixed(2)} of a serial walk, ${most} at one time`, JSON.stringify(asked));
        // One more looks whether the name is that of a directory.
        t.ok(asked.ListObjectsV2 <= 1 + (count / 1_000) * 1.2, `${asked.ListObjectsV2} LISTs`);
        t.ok((asked.HeadObject ?? 0) <= 8, `${asked.HeadObject} HEADs`);
        t.ok(most > 2, `${most} at one time`);
      };
      await withBucket(t, body, { before: (store) => fill(store, count) });
    },
  );
