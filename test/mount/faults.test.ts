/** A store in trouble, seen by programs: work goes on where it can, and what fails fails with its own error and in time. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import type { FaultAction } from '../../src/embedded/api.js';
import { type Bucket, withBucket } from './bucket.js';
import { check, noKernelMounts, sh as outside, run, start, until } from './harness.js';
import { onlyEmbedded } from './s3-place.js';

const skip = onlyEmbedded;
t.setTimeout(120_000);
const MiB = 1 << 20;

/** What a piece of Python fails with, by errno name; 'none' when it succeeds. */
const failureOf = async ({ py }: Bucket, script: string): Promise<string> => {
  const indented = script.trim().replaceAll('\n', '\n  ');
  return (
    await py(`\ntry:\n  ${indented}\n  print("none")\nexcept OSError as e: print(errno.errorcode[e.errno])`)
  ).trim();
};

t.test('storms and resets: everything arrives', { skip }, async (t) => {
  await withBucket(t, async ({ server, sh, local }) => {
    await check(`mkdir ${local}/tree; cd ${local}/tree; for i in $(seq 25); do head -c $((i * 3000)) /dev/urandom > f$i; done
      head -c ${20 * MiB} /dev/urandom > large`);
    const trouble: FaultAction[] = [
      { kind: 'error', status: 503, code: 'SlowDown' },
      { kind: 'error', status: 500, code: 'InternalError' },
      { kind: 'reset' },
      { kind: 'reset', afterCommit: true },
      { kind: 'reset', afterHeaders: true },
      { kind: 'error', status: 500, code: 'InternalError', afterCommit: true },
    ];
    for (const action of trouble) server.faults.add({ match: {}, action, probability: 0.04, times: 15 });
    server.faults.add({
      match: { operation: 'GetObject' },
      action: { kind: 'reset', afterBytes: 3000 },
      probability: 0.2,
      times: 20,
    });
    await sh(`cp -r ${local}/tree tree; mv tree moved; mv moved/f3 moved/g3; chmod 600 moved/f4; rm moved/f5`, {
      timeout: 60_000,
    });
    await sh(`for f in moved/*; do cat $f > ${local}/one; done`, { timeout: 60_000 });
    server.faults.clear();
    await sh(`mv moved/g3 moved/f3; cp ${local}/tree/f5 moved/f5; diff -r ${local}/tree moved; ls -A | grep -c .`);
  });
});

t.test('a lost answer of our own success is no conflict', { skip }, async (t) => {
  await withBucket(t, async (bucket) => {
    const { server, sh, store, daemon } = bucket;
    for (const operation of ['PutObject', 'CompleteMultipartUpload', 'CopyObject']) {
      server.faults.add({ match: { operation }, action: { kind: 'reset', afterCommit: true }, times: 1 });
    }
    await sh(`echo one > f; head -c ${9 * MiB} /dev/zero > big; mv f g; cat g`);
    t.equal(await store.text('g'), 'one\n');
    t.same(await store.keys(), ['big', 'g']);
    t.equal(daemon.filesystem.status().conflicts.length, 0);
  });
});

t.test('a second writer between open and close', { skip }, async (t) => {
  await withBucket(t, async (bucket) => {
    const { server, store, daemon, sh } = bucket;
    await store.put('f', 'base');
    for (const [name, size] of [
      ['f', 10],
      ['fresh', 10],
      ['large', 9 * MiB],
    ] as const) {
      const operation = size > MiB ? 'CompleteMultipartUpload' : 'PutObject';
      const theirs = `theirs in ${name}`;
      // Written through the server's own door, so that it does not meet the rule itself.
      let landed = false;
      const before = async () => {
        if (landed) return;
        landed = true;
        await store.put(name, theirs);
      };
      server.faults.add({ match: { operation, key: name }, action: { kind: 'call', before } });
      const failure = await failureOf(
        bucket,
        `fd = os.open("${name}", os.O_RDWR | os.O_CREAT); os.pwrite(fd, b"m" * ${size}, 0); os.close(fd)`,
      );
      server.faults.clear();
      t.equal(failure, 'ESTALE', name);
      t.equal(await store.text(name), theirs, 'theirs stands');
      const copies = await store.keys(`${name}.conflict-`);
      t.equal(copies.length, 1, `ours is kept: ${copies}`);
      t.ok((await store.get(copies[0]))!.body.equals(Buffer.alloc(size, 'm')));
      t.equal(await sh(`cat ${name}`), theirs);
      t.equal((await sh(`cat ${name}.conflict-* | wc -c`)).trim(), String(size));
    }
    t.equal(daemon.filesystem.status().conflicts.length, 3);
  });
});

t.test('an object that is deleted under its writer is written anew', { skip }, async (t) => {
  await withBucket(t, async ({ server, store, py }) => {
    const base = Buffer.alloc(12 * MiB, 'b');
    await store.put('small', 'base bytes');
    await store.put('large', base);
    await py(`open("small").read(); open("large", "rb").read()`);
    for (const name of ['small', 'large']) {
      let gone = false;
      const before = async () => {
        if (!gone) await store.remove(name);
        gone = true;
      };
      const operation = ['PutObject', 'CreateMultipartUpload'];
      server.faults.add({ match: { operation, key: name }, action: { kind: 'call', before } });
      await py(`fd = os.open("${name}", os.O_RDWR); os.pwrite(fd, b"NEW", 2); os.close(fd)`);
      server.faults.clear();
    }
    t.equal(await store.text('small'), 'baNEWbytes');
    base.write('NEW', 2);
    t.ok((await store.get('large'))!.body.equals(base));
  });
});

t.test('an error inside a 200 is an error', { skip }, async (t) => {
  await withBucket(t, async ({ server, store, sh, py }) => {
    for (const operation of ['CompleteMultipartUpload', 'CopyObject']) {
      server.faults.add({ match: { operation }, action: { kind: 'error-in-200', code: 'InternalError' }, times: 2 });
    }
    await py(`open("big", "wb").write(b"k" * ${9 * MiB}); os.chmod("big", 0o600)`);
    await sh('mv big moved');
    t.equal((await store.get('moved'))!.body.length, 9 * MiB);
    t.match((await store.get('moved'))!.metadata, { mode: String(0o100600) });
    t.same(await store.keys(), ['moved']);
  });
});

t.test('an upload that is denied: close says so, and nothing is half there', { skip }, async (t) => {
  await withBucket(t, async (bucket) => {
    const { server, store, sh, daemon } = bucket;
    await store.put('old', 'before');
    server.denied.add('PutObject').add('UploadPart');
    const write = (name: string, size: number) =>
      failureOf(
        bucket,
        `fd = os.open("${name}", os.O_RDWR | os.O_CREAT | os.O_TRUNC); os.write(fd, b"x" * ${size}); os.close(fd)`,
      );
    t.equal(await write('new', 5), 'EACCES');
    t.equal(await write('old', 5), 'EACCES');
    t.equal(await write('big', 9 * MiB), 'EACCES');
    t.equal(await failureOf(bucket, 'os.mkdir("d")'), 'EACCES');
    t.same(await store.keys(), ['old']);
    t.equal(await store.text('old'), 'before');
    t.match(daemon.filesystem.status().dirty.length, 3, 'status names what is not saved');
    server.denied.clear();
    await until('all is released', () => daemon.filesystem.status().openFiles === 0);
    t.same(await daemon.filesystem.flushAll(), []);
    t.same(await store.keys(), ['big', 'new', 'old']);
    t.equal(await sh('cat old new'), 'xxxxxxxxxx');
  });
});

t.test('a full disk below the staged files is ENOSPC', { skip: noKernelMounts }, async (t) => {
  const stateDirectory = mkdtempSync(join(tmpdir(), 'pailfs-small-'));
  await check(`mount -t tmpfs -o size=4m tmpfs ${stateDirectory}`);
  try {
    await withBucket(
      t,
      async (bucket) => {
        const failure = await failureOf(
          bucket,
          `
fd = os.open("f", os.O_WRONLY | os.O_CREAT)
try:
  for i in range(200): os.write(fd, b"d" * 65536)
finally: os.ftruncate(fd, 65536); os.close(fd)`,
        );
        t.equal(failure, 'ENOSPC');
        t.equal((await bucket.store.get('f'))!.body.length, 65_536, 'what fits is saved');
        t.equal(await failureOf(bucket, 'open("g", "wb").write(b"e" * 1000000)'), 'none');
      },
      { stateDirectory },
    );
  } finally {
    await run('umount', [stateDirectory]);
    rmSync(stateDirectory, { recursive: true });
  }
});

t.test('the server is gone: an error in time, and waiting programs can be killed', { skip }, async (t) => {
  const body = async (bucket: Bucket) => {
    const { server, dir, daemon, sh } = bucket;
    await sh('ls -l > /dev/null');
    server.faults.add({ match: {}, action: { kind: 'delay', ms: 8_000 } });
    for (const script of ['cat f', 'ls d', 'echo x > new', 'stat absent', 'mv g h', 'rm g']) {
      const waiting = start('/bin/sh', [
        '-c',
        `cd ${dir}; exec ${script.includes('>') ? `sh -c '${script}'` : script}`,
      ]);
      const before = server.requests.total;
      await until(`${script} asks`, () => server.requests.total > before);
      const killed = performance.now();
      waiting.child.kill('SIGKILL');
      const { timedOut } = await waiting.result;
      t.notOk(timedOut, `${script} can be killed`);
      const ms = performance.now() - killed;
      t.ok(ms < 1500, `${script}: ${Math.round(ms)} ms`);
    }
    server.faults.clear();
    await until('all are answered', () => daemon.mounted.stats().session.pending === 0, 15_000);
    await server.close();
    const begun = performance.now();
    t.match(await outside(`cat ${dir}/large`, { timeout: 15_000 }), { code: 1, stderr: /Input\/output error/ });
    const seconds = (performance.now() - begun) / 1000;
    t.ok(seconds < 2.5 * 2, `${seconds.toFixed(1)} s`);
  };
  const before = async (store: Bucket['store']) => {
    for (const name of ['f', 'g', 'd/x', 'large']) await store.put(name, name.repeat(10));
  };
  await withBucket(t, body, { before, ioTimeoutMs: 2_500, mayLeave: ['dirty', 'inodes', 'staged'] });
});
