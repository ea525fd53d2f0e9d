/**
 * Passthrough: the kernel reads whole, checked files of the cache by itself, and whatever else happens to such a file
 * meanwhile (writes, mappings, another version, removal, a lost cache) is what it would be without.
 */
import { createHash } from 'node:crypto';
import { readdirSync, rmSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { type Bucket, type BucketOptions, withBucket } from './bucket.js';
import { quiet } from './daemon.js';
import { testDriver, writesBack } from './driver-choice.js';
import { noKernelMounts, run, start, until } from './harness.js';

t.setTimeout(120_000);
const MiB = 1 << 20;
const SIZE = 3 * MiB + 1234;

/** Bytes that differ from page to page. */
function content(): Buffer {
  const bytes = Buffer.alloc(SIZE);
  for (let at = 0; at + 4 <= SIZE; at += 4) bytes.writeUInt32LE(Math.imul(at + 1, 2654435761) >>> 0, at);
  return bytes;
}

const bytes = content();
const shaOf = (data: Uint8Array): string => createHash('sha256').update(data).digest('hex');

const counted = ({ daemon }: Bucket, name: string): number => daemon.mounted.stats().operations[name].count;
const backings = ({ daemon }: Bucket): number => daemon.mounted.stats().session.backings;

/** READs that a script costs. */
async function reads(bucket: Bucket, script: string): Promise<number> {
  const before = counted(bucket, 'read');
  await bucket.sh(script);
  return counted(bucket, 'read') - before;
}

/** Why this kernel, driver or disk does not do it, or false. */
async function refusal(): Promise<string | false> {
  if (noKernelMounts) return noKernelMounts;
  if (testDriver !== 'kernel') return 'fuse-native has none';
  let found: string | undefined;
  await withBucket(t, async ({ daemon }) => {
    found = daemon.filesystem.status().passthroughRefusal;
  });
  return found ?? false;
}

const skip = await refusal();

/** `f` in the bucket and wholly cached, so that its next reader needs nobody. */
function withCached(name: string, body: (bucket: Bucket, t: Test) => Promise<void>, options: BucketOptions = {}): void {
  t.test(name, { skip }, async (t) => {
    const cached = async (bucket: Bucket): Promise<void> => {
      await bucket.sh('cat f > /dev/null');
      await until('all of it is on the disk', () => bucket.daemon.filesystem.status().cache.diskBytes >= SIZE);
      await until('it is closed', () => bucket.daemon.filesystem.status().openFiles === 0);
      await body(bucket, t);
    };
    const before: BucketOptions['before'] = (store) => store.put('f', bytes);
    await withBucket(t, cached, { before, ...options });
  });
}

/** Opens `f` for reading in a Python program, which then goes on; `same(x)` asserts what its reader has. */
const READER = `
import ctypes, mmap, time
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
# A shared mapping without a descriptor of its own, which Python's have.
def mapped(fd, prot):
    size = os.fstat(fd).st_size
    at = libc.mmap(None, ctypes.c_size_t(size), prot, 1, fd, ctypes.c_long(0))
    assert at != ctypes.c_void_p(-1).value, ctypes.get_errno()
    return memoryview((ctypes.c_char * size).from_address(at)).cast("B")
r = os.open("f", os.O_RDONLY)
def same(want, at=0):
    got = os.pread(r, len(want) + 1 if at + len(want) >= os.fstat(r).st_size else len(want), at)
    assert got == want, (len(got), len(want), got[:20], want[:20])
`;

withCached('what is wholly cached is read without a request', async (bucket, t) => {
  t.equal(await reads(bucket, `test "$(sha256sum < f)" = "${shaOf(bytes)}  -"; tail -c 99 f > /dev/null`), 0);
  const seen = await bucket.py(`
import hashlib, mmap
fd = os.open("f", os.O_RDONLY)
m = mmap.mmap(fd, 0, prot=mmap.PROT_READ)
os.close(fd)
print(hashlib.sha256(m).hexdigest())`);
  t.equal(seen, `${shaOf(bytes)}\n`);
  t.ok(counted(bucket, 'open') >= 4);
  await until('all is closed', () => backings(bucket) === 0);
});

withCached('while it is open it has one backing file, whoever opens it', async (bucket, t) => {
  const before = counted(bucket, 'read');
  await bucket.py(`${READER}
more = [os.open("f", os.O_RDONLY) for _ in range(5)]
assert all(os.pread(fd, 100000, 2000000) == os.pread(r, 100000, 2000000) for fd in more)`);
  t.equal(counted(bucket, 'read') - before, 0);
  await until('all is closed', () => backings(bucket) === 0);
});

t.test('after a restart it is read by the daemon first, which checks it', { skip }, async (t) => {
  const before: BucketOptions['before'] = (store) => store.put('f', bytes);
  await withBucket(
    t,
    async (bucket) => {
      await bucket.sh('cat f > /dev/null');
      await bucket.remount();
      const check = `test "$(sha256sum < f)" = "${shaOf(bytes)}  -"`;
      t.ok((await reads(bucket, check)) > 0);
      t.equal(await reads(bucket, check), 0);
      await bucket.remount();
      const blocks = join(bucket.local, '..', 'cache-0', 'blocks');
      const [shelf] = readdirSync(blocks);
      const file = await open(join(blocks, shelf, readdirSync(join(blocks, shelf))[0]), 'r+');
      await file.write(Buffer.from('damaged'), 0, 7, 2 * MiB + 77);
      await file.close();
      const gets = bucket.daemon.client.counters.requests.GetObject ?? 0;
      t.ok((await reads(bucket, check)) > 0);
      t.ok((bucket.daemon.client.counters.requests.GetObject ?? 0) > gets, 'the damaged block is fetched again');
      t.equal(await reads(bucket, check), 0);
    },
    { before },
  );
});

withCached('a reader sees what is written, appended, cut, punched and set to zero meanwhile', async (bucket, t) => {
  await bucket.py(`${READER}
size = ${SIZE}
w = os.open("f", os.O_WRONLY)
os.pwrite(w, b"written", 1000000); same(b"written", 1000000)
os.pwrite(w, b"L" * 2000000, 100); same(b"L" * 2000000, 100)
a = os.open("f", os.O_WRONLY | os.O_APPEND)
os.write(a, b"appended"); same(b"appended", size); assert os.fstat(r).st_size == size + 8
os.ftruncate(w, size + 100000); same(bytes(99992), size + 8)
os.ftruncate(w, 1500000); assert os.fstat(r).st_size == 1500000; same(b"L" * 10, 1499990)
os.ftruncate(w, 2500000); same(bytes(1000000), 1500000)
def allocate(mode, at, length): assert libc.fallocate(w, mode, ctypes.c_long(at), ctypes.c_long(length)) == 0, ctypes.get_errno()
allocate(3, 50000, 100000); same(b"L" + bytes(100000) + b"L", 49999)
allocate(16, 2400000, 200000); same(bytes(200000), 2400000); assert os.fstat(r).st_size == 2600000
allocate(0, 0, 3000000); assert os.fstat(r).st_size == 3000000; same(bytes(400000), 2600000)
s = os.open("f", os.O_WRONLY | os.O_SYNC)
os.pwrite(s, b"synced", 10); same(b"synced", 10)
n = os.open("f", os.O_RDONLY); assert os.pread(n, 6, 10) == b"synced"
b = os.open("f", os.O_RDWR); assert os.pread(b, 6, 10) == b"synced"
os.pwrite(b, b"both", 20); same(b"both", 20); assert os.pread(b, 4, 20) == b"both"
open(sys.argv[2] + "/seen", "wb").write(os.pread(r, 4000000, 0))`);
  await until('all is closed', () => backings(bucket) === 0);
  const { local, store, sh } = bucket;
  await sh(`cmp f ${local}/seen`);
  t.equal(shaOf((await store.get('f'))!.body), (await sh(`sha256sum < ${local}/seen`)).slice(0, 64));
  await sh(`cmp f ${local}/seen`);
});

withCached('a synced write is in the store when it answers', async ({ dir, store, daemon }, t) => {
  // Nothing may be brought over for the asking.
  store.settle = async () => undefined;
  const script = `import os
r = os.open("${dir}/f", os.O_RDONLY)
w = os.open("${dir}/f", os.O_WRONLY | os.O_DSYNC)
os.pwrite(w, b"kept", 5); print("written", flush=True)
import time
time.sleep(30)`;
  const program = start('python3', ['-c', script]);
  let said = '';
  program.child.stdout!.on('data', (text) => {
    said += text;
  });
  await until('it has written', () => said === 'written\n');
  t.equal((await store.get('f'))?.body.subarray(5, 9).toString(), 'kept');
  program.child.kill();
  await program.result;
  await quiet(daemon);
});

withCached('O_TRUNC, and a reader that stays', async ({ py, store }, t) => {
  await py(`${READER}
w = os.open("f", os.O_WRONLY | os.O_TRUNC)
same(b""); os.write(w, b"new"); same(b"new")
b = os.open("f", os.O_RDWR | os.O_TRUNC); same(b"")
os.write(b, b"newer"); same(b"newer"); assert os.pread(b, 9, 0) == b"newer"
os.close(os.open("f", os.O_RDONLY | os.O_TRUNC)); same(b"")
os.write(w, b"x"); same(b"\\0\\0\\0x")`);
  t.same((await store.get('f'))?.body, Buffer.from('\0\0\0x'));
});

withCached('what is stored in a mapping is found at the close', async (bucket, t) => {
  const { py, store } = bucket;
  await py(`${READER}
b = os.open("f", os.O_RDWR)
m = mmap.mmap(b, 0)
m[2000000:2000007] = b"stored1"; same(b"stored1", 2000000); assert os.pread(b, 7, 2000000) == b"stored1"
os.pwrite(b, b"between", 2000100); assert m[2000100:2000107] == b"between"
os.fsync(b)
m[5:12] = b"stored2"`);
  await until('all is closed', () => backings(bucket) === 0);
  const wanted = Buffer.from(bytes);
  wanted.write('stored1', 2000000);
  wanted.write('between', 2000100);
  wanted.write('stored2', 5);
  t.ok((await store.get('f'))?.body.equals(wanted));
  t.equal((await bucket.sh('sha256sum < f')).slice(0, 64), shaOf(wanted));
});

withCached('a mapping outlives every descriptor', async (bucket, t) => {
  const { py, store, sh } = bucket;
  await py(`${READER}
b = os.open("f", os.O_RDWR)
m = mapped(b, 3)
os.close(b); os.close(r)
time.sleep(0.3)
m[3000000:3000004] = b"late"`);
  await until('it was let go of', () => bucket.daemon.filesystem.status().inodes <= 2 && backings(bucket) === 0);
  const wanted = Buffer.from(bytes);
  wanted.write('late', 3000000);
  await until('the store has it', () => bucket.daemon.filesystem.status().dirty.length === 0 || writesBack);
  t.equal((await sh('sha256sum < f')).slice(0, 64), shaOf(wanted));
  t.ok((await store.get('f'))?.body.equals(wanted));
});

withCached('a mapping whose descriptor was closed sees what is written', async (bucket, t) => {
  await bucket.py(`${READER}
m = mapped(r, 1)
os.close(r); time.sleep(0.3)
w = os.open("f", os.O_WRONLY); os.pwrite(w, b"seen", 2500000)
assert m[2500000:2500004] == b"seen"
os.close(w); time.sleep(0.3)
w = os.open("f", os.O_RDWR); os.pwrite(w, b"too", 2500004)
assert m[2500000:2500007] == b"seentoo"`);
  const wanted = Buffer.from(bytes);
  wanted.write('seentoo', 2500000);
  t.ok((await bucket.store.get('f'))?.body.equals(wanted));
});

withCached('an open for reading and writing that changes nothing uploads nothing', async (bucket, t) => {
  const version = (await bucket.store.get('f'))?.etag;
  const puts = (): number => bucket.daemon.client.counters.requests.PutObject ?? 0;
  const before = puts();
  await bucket.py(`${READER}
b = os.open("f", os.O_RDWR)
m = mmap.mmap(b, 0)
assert m[:100] == os.pread(r, 100, 0)
m.close(); os.close(b)`);
  await bucket.daemon.filesystem.flushAll();
  t.equal(puts(), before);
  t.equal((await bucket.store.get('f'))?.etag, version);
  t.equal((await bucket.sh('sha256sum < f')).slice(0, 64), shaOf(bytes));
});

withCached(
  'another version: the reader keeps its own, the next open has the new one',
  async ({ dir, local, store, sh, daemon }, t) => {
    const script = `import os, time
r = os.open("${dir}/f", os.O_RDONLY); print("open", flush=True)
while not os.path.exists("${local}/go"): time.sleep(0.01)
open("${local}/seen", "wb").write(os.pread(r, ${SIZE + 1}, 0))`;
    const program = start('python3', ['-c', script]);
    let said = '';
    program.child.stdout!.on('data', (text) => {
      said += text;
    });
    await until('it is open', () => said === 'open\n');
    await store.put('f', 'new version');
    t.equal(await sh('cat f'), 'new version');
    await sh(`touch ${local}/go`);
    t.match(await program.result, { code: 0 });
    t.equal((await sh(`sha256sum < ${local}/seen`)).slice(0, 64), shaOf(bytes));
    await quiet(daemon);
  },
  { volume: { openTtlMs: 0, metadataTtlMs: 300 } },
);

withCached('removed, renamed over, and the cache removed under a reader', async (bucket, t) => {
  const { py, local, sh } = bucket;
  rmSync(join(local, '..', 'cache-0', 'blocks'), { recursive: true });
  t.equal(
    await py(`${READER}
import hashlib
os.rename("f", "g"); whole = os.pread(r, ${SIZE}, 0)
open("other", "w").write("other"); os.rename("other", "g")
assert os.pread(r, ${SIZE}, 0) == whole and open("g").read() == "other"
r2 = os.open("g", os.O_RDONLY); os.unlink("g"); assert os.pread(r2, 9, 0) == b"other"
print(hashlib.sha256(os.pread(r, ${SIZE + 5}, 0)).hexdigest(), os.fstat(r).st_nlink)`),
    `${shaOf(bytes)} 0\n`,
  );
  t.equal(await sh('ls'), '');
});

withCached('a removed file goes on being written by those who have it', async ({ py, store, daemon }, t) => {
  await py(`${READER}
w = os.open("f", os.O_RDWR); os.unlink("f")
os.pwrite(w, b"nobody", 7); same(b"nobody", 7); assert os.pread(w, 6, 7) == b"nobody"
os.fsync(w)`);
  await until('it was let go of', () => daemon.filesystem.status().inodes === 1);
  t.same(await store.keys(), []);
});

withCached('direct I/O, one byte aside, first and in between', async (bucket, t) => {
  t.equal(
    await bucket.py(`
import mmap, hashlib
d = os.open("f", os.O_RDONLY | os.O_DIRECT)
b = mmap.mmap(-1, 8192)
assert os.preadv(d, [memoryview(b)[:4097]], 1) == 4097
os.close(d); import time; time.sleep(0.1)
${READER}
d = os.open("f", os.O_RDONLY | os.O_DIRECT)
assert os.preadv(d, [memoryview(b)[:4097]], 1) == 4097
same(b[:4097], 1)
print("ok")`),
    'ok\n',
  );
  await until('all is closed', () => backings(bucket) === 0);
});

withCached('a range is copied from it and into it', async ({ py, sh, store, daemon }, t) => {
  await sh(`head -c 100000 /dev/zero | tr '\\0' z > z`);
  await daemon.filesystem.flushAll();
  await py(`${READER}
z = os.open("z", os.O_RDONLY); w = os.open("f", os.O_WRONLY)
done = 0
while done < 100000: done += os.copy_file_range(z, w, 100000 - done, done, 1000000 + done)
same(b"z" * 100000, 1000000)
n = os.open("n", os.O_RDWR | os.O_CREAT)
assert os.copy_file_range(r, n, 1000000, 0, 0) == 1000000
w = os.open("f", os.O_WRONLY)
done = 0
while done < 500000: done += os.copy_file_range(n, w, 500000 - done, 100000 + done, 2000000 + done)
same(os.pread(n, 500000, 100000), 2000000)`);
  const wanted = Buffer.from(bytes);
  bytes.copy(wanted, 2000000, 100000, 600000);
  wanted.fill('z', 1000000, 1100000);
  t.ok((await store.get('f'))?.body.equals(wanted));
  t.ok((await store.get('n'))?.body.equals(bytes.subarray(0, 1000000)));
});

withCached('what it is not begun for', async (bucket, t) => {
  // Never the same pages twice: the kernel keeps those that it was once given.
  let at = 0;
  const read = (): string => {
    at += 500_000;
    return `os.pread(os.open('f', os.O_RDONLY), 100, ${at})`;
  };
  const during = async (script: string): Promise<boolean> => {
    const before = counted(bucket, 'read');
    await bucket.py(script);
    await until('all is closed', () => bucket.daemon.filesystem.status().openFiles === 0);
    return counted(bucket, 'read') === before;
  };
  t.ok(await during(read()), 'it is begun here');
  t.notOk(await during(`w = os.open("f", os.O_WRONLY); ${read()}`), 'not while it is open the usual way');
  await bucket.sh('chmod 4755 f');
  t.notOk(await during(read()), 'not for setuid files');
  await bucket.sh('chmod 0644 f');
  t.ok(await during(read()));
  await bucket.py(
    'w = os.open("f", os.O_WRONLY); os.pwrite(w, b"x", 0); r = os.open("f", os.O_RDONLY); assert os.pread(r, 1, 0) == b"x"',
  );
  t.same((await bucket.store.get('f'))?.body.subarray(0, 1), Buffer.from('x'));
});

t.test('what was written here is read without a request once it is in the store', { skip }, async (t) => {
  await withBucket(t, async (bucket) => {
    await bucket.sh(`head -c 5000000 /dev/urandom > ${bucket.local}/n; cp ${bucket.local}/n n`);
    await bucket.daemon.filesystem.flushAll();
    t.equal(await reads(bucket, `cmp n ${bucket.local}/n`), 0);
  });
});

t.test('programs and their libraries run from it', { skip }, async (t) => {
  await withBucket(t, async (bucket) => {
    const { sh } = bucket;
    await sh('cp /bin/bash p; chmod 755 p');
    await bucket.daemon.filesystem.flushAll();
    const before = counted(bucket, 'read');
    t.equal(await sh('./p -c "echo $((6 * 7))"'), '42\n');
    t.equal(counted(bucket, 'read') - before, 0);
    t.match(
      await run('sh', [
        '-c',
        `cd ${bucket.dir}; ./p -c "read -t 2 < /dev/zero || sleep 2; true" & sleep 0.5; echo x >> p`,
      ]),
      {
        stderr: /busy/,
      },
    );
    await until('it has ended', () => bucket.daemon.filesystem.status().openFiles === 0);
  });
});

t.test('off', { skip }, async (t) => {
  const before: BucketOptions['before'] = (store) => store.put('f', bytes);
  const look = async (bucket: Bucket): Promise<void> => {
    await bucket.sh('cat f > /dev/null');
    await bucket.sh('python3 -c "import os, time; r = os.open(\'f\', 0); os.posix_fadvise(r, 0, 0, 4)"');
    t.match(bucket.daemon.filesystem.status().passthroughRefusal, /not offered/);
    t.equal(backings(bucket), 0);
  };
  await withBucket(t, look, { before, passthrough: false });
});
