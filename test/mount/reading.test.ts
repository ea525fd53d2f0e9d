/**
 * Reading through the kernel while other clients change the bucket, and from a server that misbehaves: what a program
 * gets is the bytes of one version or an error, never anything else.
 */
import { writeFileSync } from 'node:fs';
import t from 'tap';
import type { FaultAction } from '../../src/embedded/api.js';
import { type BucketOptions, withBucket } from './bucket.js';
import { testDriver, writesBack } from './driver-choice.js';
import { noKernelMounts, sh as outside, start, until } from './harness.js';
import { BUCKET, onlyEmbedded, without } from './s3-place.js';

const skip = noKernelMounts;
t.setTimeout(120_000);
const MiB = 1 << 20;
const puts =
  (objects: Record<string, string | Uint8Array>): NonNullable<BucketOptions['before']> =>
  async (store) => {
    for (const [key, body] of Object.entries(objects)) await store.put(key, body);
  };

/** Opens a file in another program, reads its first bytes, and goes on when told. */
function reader(dir: string, name: string, script: string) {
  const head = `import os, sys, errno
fd = os.open("${dir}/${name}", os.O_RDONLY); print(os.pread(fd, 5, 0).decode(), flush=True)
while not os.path.exists(sys.argv[1]): pass
`;
  return (go: string) => start('python3', ['-c', head + script, go]);
}

t.test('a version that another client writes', { skip }, async (t) => {
  const volume = { openTtlMs: 0, metadataTtlMs: 300 };
  const before = puts({ f: 'first version', gone: 'here', d: 'x'.repeat(100) });
  await withBucket(
    t,
    async ({ sh, store, dir, py }) => {
      t.equal(await sh('cat f; cat gone; stat -c %s d'), 'first versionhere100\n');
      await store.put('f', 'the second version, longer');
      await store.put('d', 'y');
      await store.remove('gone');
      t.equal(await sh('cat f'), 'the second version, longer', 'open asks');
      t.match(await outside(`cat ${dir}/gone`), { code: 1, stderr: /No such file/ });
      await py(`
import time
end = time.time() + 5
while os.stat("d").st_size != 1: assert time.time() < end
while "gone" in os.listdir("."): assert time.time() < end`);
      t.equal(await sh('cat d'), 'y');
    },
    { volume, before },
  );
});

t.test('an open handle keeps its version, or gets ESTALE', { skip }, async (t) => {
  const volume = { openTtlMs: 0, metadataTtlMs: 0, negativeTtlMs: 0 };
  const size = 20 * MiB;
  const before = puts({ small: 'A'.repeat(50_000), big: Buffer.alloc(size, 'A') });
  await withBucket(
    t,
    async ({ dir, local, store, sh, daemon }) => {
      const check = `
at = 0; seen = set()
while at < ${size}:
    try: data = os.pread(fd, 300000, at)
    except OSError as e: assert e.errno == errno.ESTALE, e; seen.add("ESTALE"); break
    if not data: break
    assert data == b"A" * len(data), "another version's bytes"
    at += len(data); seen.add("old")
print(*sorted(seen))`;
      for (const name of ['small', 'big']) {
        const program = reader(dir, name, check)(`${local}/go-${name}`);
        let said = '';
        program.child.stdout!.on('data', (text) => {
          said += text;
        });
        await until('it has read', () => said.includes('\n'));
        await store.put(name, Buffer.alloc(name === 'small' ? 60_000 : size, 'B'));
        const sizes = name === 'small' ? [50_000, 60_000] : [size, size];
        if (testDriver === 'kernel') t.equal(await sh(`head -c 3 ${name}; stat -c %s ${name}`), `BBB${sizes[1]}\n`);
        else {
          // One version of a path at a time: the new one is refused, rather than mixed with the old one.
          t.match(await outside(`head -c 3 ${dir}/${name}`), { code: 1, stdout: '', stderr: /Stale file handle/ });
          t.equal(await sh(`stat -c %s ${name}`), `${sizes[0]}\n`);
        }
        await outside(`touch ${local}/go-${name}`);
        const { code, stdout, stderr } = await program.result;
        t.equal(code, 0, stderr);
        t.match(stdout, name === 'small' ? /old\n$/ : /ESTALE/, name);
        await until('closed', () => daemon.filesystem.status().openFiles === 0);
        t.equal(await sh(`head -c 3 ${name}; stat -c %s ${name}`), `BBB${sizes[1]}\n`, 'after the last close');
      }
    },
    { volume, before },
  );
});

t.test(
  'a second writer while a file is open for writing: theirs stands, ours is kept beside it',
  { skip },
  async (t) => {
    await withBucket(
      t,
      async ({ dir, local, store, daemon, sh }) => {
        const writer = (name: string, flags: string, size: number) =>
          start('python3', [
            '-c',
            `import os, sys, errno
fd = os.open("${dir}/${name}", ${flags}); os.pwrite(fd, b"m" * ${size}, 0); print("written", flush=True)
while not os.path.exists("${local}/go-${name}"): pass
try: ${writesBack ? 'os.fsync(fd)' : 'os.close(fd)'}; print("none")
except OSError as e: print(errno.errorcode[e.errno])`,
          ]);
        for (const [name, flags, size] of [
          ['f', 'os.O_RDWR', 10],
          ['fresh', 'os.O_RDWR | os.O_CREAT', 10],
          ['large', 'os.O_RDWR', 9 * MiB],
        ] as const) {
          if (size > MiB && without('conditionalComplete')) continue;
          const program = writer(name, flags, size);
          let said = '';
          program.child.stdout!.on('data', (text) => {
            said += text;
          });
          await until('it has written', () => said.includes('written'));
          await store.put(name, `theirs in ${name}`);
          await outside(`touch ${local}/go-${name}`);
          const { stdout, stderr } = await program.result;
          t.equal(stdout, 'written\nESTALE\n', `${name} ${stderr}`);
          t.equal(await store.text(name), `theirs in ${name}`);
          const copies = await store.keys(`${name}.conflict-`);
          t.equal(copies.length, 1, `ours is kept: ${copies}`);
          t.ok((await store.get(copies[0]))?.body.equals(Buffer.alloc(size, 'm')));
          t.equal(await sh(`cat ${name}`), `theirs in ${name}`);
        }
        t.ok(daemon.filesystem.status().conflicts.length >= 2);
      },
      { before: puts({ f: 'base', large: 'base' }) },
    );
  },
);

t.test('archived objects', { skip: onlyEmbedded }, async (t) => {
  await withBucket(
    t,
    async ({ sh, dir, server, py, log }) => {
      server.archive(BUCKET, 'cold');
      t.equal(await sh('stat -c %s cold'), '4\n');
      await py(`
try: open("cold"); assert False
except OSError as e: assert e.errno == errno.EREMOTEIO, e`);
      t.ok(
        log.some(({ msg }) => /restore-object --bucket mounted --key "cold"/.test(String(msg))),
        'the log names the command',
      );
      t.match(await outside(`ls -l ${dir}`), { code: 0, stdout: /cold/ });
      t.equal(server.requests.byOperation.RestoreObject ?? 0, 0);
    },
    { before: puts({ cold: 'data' }) },
  );
});

t.test('what is denied is EACCES; without ListBucket files can still be made', { skip: onlyEmbedded }, async (t) => {
  const before = puts({ f: 'data', g: 'data' });
  await withBucket(
    t,
    async ({ py, server, sh }) => {
      const says = (what: string, want: string) =>
        py(`\ntry: ${what}; assert False\nexcept OSError as e: assert e.errno == errno.${want}, e`);
      await sh('ls');
      server.denied.add('GetObject');
      await says('open("f").read()', 'EACCES');
      server.denied.add('HeadObject');
      await says('open("g", "a")', 'EACCES');
      server.denied.clear();
      server.faults.add({ match: { operation: 'GetObject' }, action: { kind: 'error', status: 418, code: 'Teapot' } });
      await says('open("f").read()', 'EIO');
      server.faults.clear();
      t.equal(await sh('cat f'), 'data');
    },
    { before },
  );
  const blind = async ({ sh, store, server, dir }: Parameters<Parameters<typeof withBucket>[1]>[0]) => {
    server.denied.add('ListObjectsV2');
    // What S3 answers for an absent key where listing is denied.
    const forbidden: FaultAction = { kind: 'error', status: 403, code: 'AccessDenied' };
    server.faults.add({
      match: { operation: ['HeadObject', 'GetObject'], key: /new|dir/ },
      action: forbidden,
      times: 8,
    });
    t.equal(await sh('cat f; echo 1 > new'), 'data');
    server.faults.clear();
    await sh('mkdir dir; cp new dir/copy; cat dir/copy');
    t.equal(await store.text('new'), '1\n');
    t.match(await outside(`ls ${dir}`), { code: 2, stderr: /Permission denied/ });
    server.denied.clear();
  };
  await withBucket(t, blind, { before, volume: { canList: false } });
});

t.test('a misbehaving server is never believed', { skip: onlyEmbedded }, async (t) => {
  const body = Buffer.from(Array.from({ length: 3 * MiB }, (_, i) => (i * 7 + (i >> 8)) & 255));
  const faults: Array<[string, FaultAction, number]> = [
    ['ignores ranges', { kind: 'ignore-range' }, 3],
    ['ends early', { kind: 'truncate', bytes: 1000 }, 3],
    ['resets in the body', { kind: 'reset', afterBytes: 70_000 }, 3],
    ['resets behind the headers', { kind: 'reset', afterHeaders: true }, 2],
    ['tells another ETag', { kind: 'wrong-etag', etag: '"00000000000000000000000000000000"' }, 2],
    ['stalls', { kind: 'stall', afterBytes: 5000 }, 1],
    ['is in trouble', { kind: 'error', status: 503, code: 'SlowDown' }, 3],
  ];
  const objects = Object.fromEntries(faults.map((_, i) => [`f${i}`, body]));
  // A flipped bit in a range over plain HTTP carries no checksum and cannot be noticed; it is no case here.
  await withBucket(
    t,
    async ({ server, dir, local }) => {
      writeFileSync(`${local}/want`, body);
      for (const [i, [what, action, times]] of faults.entries()) {
        server.faults.add({ match: { operation: 'GetObject', key: `f${i}` }, action, times });
        const first = await outside(`cmp ${dir}/f${i} ${local}/want`, { timeout: 15_000 });
        t.notOk(first.timedOut, `${what}: answered`);
        t.notMatch(first.stdout, /differ/, `${what}: no wrong byte`);
        server.faults.clear();
        t.match(await outside(`cmp ${dir}/f${i} ${local}/want`), { code: 0 }, `${what}: right afterwards`);
      }
    },
    { before: puts(objects), ioTimeoutMs: 3_000 },
  );
});

t.test('an empty object; two readers of one block', { skip: onlyEmbedded }, async (t) => {
  const before = puts({ empty: '', one: Buffer.alloc(100_000, 'z') });
  await withBucket(
    t,
    async ({ server, sh }) => {
      t.equal(await sh('ls -l > /dev/null; cat empty; stat -c %s empty; tail -c 10 empty'), '0\n');
      server.requests.reset();
      server.faults.add({ match: { operation: 'GetObject', key: 'one' }, action: { kind: 'delay', ms: 300 } });
      await sh('for i in 1 2 3 4; do wc -c < one & done; wait; cat one one | cksum > /dev/null');
      t.same(server.requests.byOperation, { GetObject: 1 });
    },
    { before },
  );
});

t.test('sequential reads are large ranges, random reads fetch little', { skip: onlyEmbedded }, async (t) => {
  const size = 256 * MiB;
  await withBucket(
    t,
    async ({ server, sh, py, remount }) => {
      server.requests.reset();
      const begun = performance.now();
      t.equal(await sh('cat large | wc -c', { timeout: 60_000 }), `${size}\n`);
      const seconds = (performance.now() - begun) / 1000;
      const { GetObject = 0 } = server.requests.byOperation;
      t.comment(`256 MiB in ${seconds.toFixed(2)} s (${Math.round(256 / seconds)} MiB/s), ${GetObject} GET`);
      t.ok(size / GetObject >= MiB, `${Math.round(size / GetObject)} bytes a GET`);
      t.ok(server.requests.bytesSent < size * 1.05, `${server.requests.bytesSent} bytes`);
      await remount({ fresh: true });
      server.requests.reset();
      await py(`
import random
random.seed(3); fd = os.open("large", os.O_RDONLY); os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
for i in range(300): assert os.pread(fd, 4096, random.randrange(${size} // 4096) * 4096) == bytes(4096)`);
      const ratio = server.requests.bytesSent / (300 * 4096);
      t.comment(`random reads moved ${ratio.toFixed(2)} times what was asked`);
      t.ok(ratio <= 8, `${ratio}`);
    },
    { before: async ({ server }) => server.putSparse(BUCKET, 'large', size) },
  );
});
