/** Files, directories and attributes through the kernel, and what an independent S3 client sees of them. */
import { setTimeout } from 'node:timers/promises';
import t from 'tap';
import { type Bucket, withBucket } from './bucket.js';
import { isRecent, keepsTimes } from './driver-choice.js';
import { noKernelMounts, until } from './harness.js';
import { without } from './s3-place.js';

const skip = noKernelMounts;
t.setTimeout(120_000);

t.test('what is written is an object as soon as it is closed', { skip: without('markerMetadata') }, async (t) => {
  await withBucket(t, async ({ dir, sh, store, place }) => {
    await sh(`umask 022; mkdir d; printf hello > d/a.txt; chmod 640 d/a.txt; touch -d @1234567890.123456789 d/a.txt`);
    const object = (await store.get('d/a.txt'))!;
    t.equal(object.body.toString(), 'hello');
    t.equal(object.contentType, 'text/plain');
    const { mtime } = object.metadata;
    t.match(object.metadata, { mode: String(0o100640), uid: '0', gid: '0' });
    if (keepsTimes) t.equal(mtime, '1234567890.123456789');
    else t.ok(isRecent(mtime), mtime);
    const marker = (await store.get('d/'))!;
    t.equal(marker.body.length, 0);
    t.equal(marker.contentType, 'application/x-directory');
    t.match(marker.metadata, { mode: String(0o40755) });
    await sh('cp d/a.txt b; printf 1 > b; printf 23 >> b; cat b');
    t.equal(await store.text('b'), '123');
    t.same(await store.keys(), ['b', 'd/', 'd/a.txt']);
    place.embedded?.requests.reset();
    t.equal(await sh(`stat -c '%a %s %Y %n' d/a.txt; ls ${dir}`), `640 5 ${mtime.split('.')[0]} d/a.txt\nb\nd\n`);
    if (place.embedded) t.same(place.embedded.requests.byOperation, { ListObjectsV2: 1 }, 'ls of the root');
  });
});

t.test('writing anywhere, truncating, sparse files', { skip }, async (t) => {
  await withBucket(t, async ({ py, store, remount }) => {
    await py(
      `
model = bytearray(os.urandom(300000)); open("f", "wb").write(model)
import random; random.seed(7)
for i in range(60):
    fd = os.open("f", os.O_RDWR)
    for j in range(3):
        at = random.randrange(400000); data = os.urandom(random.randrange(1, 20000))
        os.pwrite(fd, data, at)
        if at > len(model): model.extend(bytes(at - len(model)))
        model[at:at+len(data)] = data
    if i % 4 == 0:
        size = random.randrange(1, 500000); os.ftruncate(fd, size)
        model = model[:size] + bytes(max(0, size - len(model)))
    got = os.pread(fd, 1000000, 0)
    assert got == model, f"round {i}: {len(got)} {len(model)}"
    os.close(fd)
    if i % 10 == 0: assert open("f", "rb").read() == model
open(sys.argv[2] + "/model", "wb").write(model)
os.truncate("f", len(model) // 2); os.truncate("f", len(model))
want = model[:len(model)//2] + bytes(len(model) - len(model)//2)
assert open("f", "rb").read() == want
with open("sparse", "wb") as f: f.seek(5000000); f.write(b"end")
assert os.stat("sparse").st_size == 5000003
data = open("sparse", "rb").read(); assert data[:5000000] == bytes(5000000) and data[5000000:] == b"end"`,
      { timeout: 60_000 },
    );
    t.equal((await store.get('sparse'))?.body.length, 5_000_003);
    const kept = (await store.get('f'))!.body;
    await remount({ fresh: true });
    t.same(Number(await py('print(len(open("f","rb").read()))')), kept.length);
  });
});

t.test('O_APPEND by eight processes loses no line', { skip }, async (t) => {
  await withBucket(t, async ({ sh, store }) => {
    const writer = `import os,sys
fd = os.open(sys.argv[1], os.O_WRONLY|os.O_APPEND|os.O_CREAT)
for i in range(200): os.write(fd, (sys.argv[2] + " " + str(i) + "\\n").encode())
os.close(fd)`;
    await sh(`for p in a b c d e f g h; do python3 -c '${writer}' log $p & done; wait`);
    const lines = (await store.text('log'))!.trimEnd().split('\n');
    t.equal(lines.length, 1600);
    for (const p of 'abcdefgh') {
      const own = lines.filter((line) => line.startsWith(p));
      t.same(
        own,
        Array.from({ length: 200 }, (_, i) => `${p} ${i}`),
      );
    }
  });
});

t.test('mmap: shared stores reach the object, also after the descriptor is closed', { skip }, async (t) => {
  await withBucket(t, async ({ daemon, py, store }) => {
    await store.put('m', Buffer.alloc(100_000, 'x'));
    await py(`
import mmap
fd = os.open("m", os.O_RDWR); m = mmap.mmap(fd, 100000); m[50000:50005] = b"hello"; m.flush(); os.close(fd)
assert open("m", "rb").read()[49999:50006] == b"xhellox"
m[70000:70002] = b"by"; m.close()`);
    await until('the file is clean', () => daemon.filesystem.status().dirty.length === 0);
    const { body } = (await store.get('m'))!;
    t.equal(body.length, 100_000);
    t.equal(body.toString('latin1', 49_999, 50_006), 'xhellox');
    t.equal(body.toString('latin1', 69_999, 70_003), 'xbyx');
  });
});

t.test('a file that is removed while open is readable to its last close', { skip }, async (t) => {
  const size = 12 << 20;
  const before = (store: { put(key: string, body: Buffer): Promise<void> }) =>
    store.put('big', Buffer.alloc(size, 'q'));
  await withBucket(
    t,
    async ({ py, store, sh, daemon }) => {
      await py(`
fd = os.open("big", os.O_RDONLY); assert os.pread(fd, 4, 0) == b"qqqq"
os.unlink("big"); assert not os.path.exists("big"); assert os.listdir(".") == []
assert os.fstat(fd).st_nlink == 0
rest = b"".join(os.pread(fd, 1 << 20, at) for at in range(0, ${size}, 1 << 20))
assert rest == b"q" * ${size}
fd2 = os.open("new", os.O_RDWR | os.O_CREAT); os.write(fd2, b"never"); os.unlink("new")
os.write(fd2, b" seen"); assert os.pread(fd2, 99, 0) == b"never seen"; os.close(fd2)`);
      await until('closed', () => daemon.filesystem.status().openFiles === 0);
      await until('no upload', () => daemon.mounted.stats().session.pending === 0);
      t.same(await store.keys(), []);
      await sh('echo again > big; cat big');
      t.equal(await store.text('big'), 'again\n');
    },
    { before },
  );
});

t.test('open flags', { skip }, async (t) => {
  await withBucket(t, async ({ py, store }) => {
    await py(`
fd = os.open("x", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600); os.write(fd, b"first"); os.close(fd)
try: os.open("x", os.O_CREAT | os.O_EXCL | os.O_WRONLY); assert False
except FileExistsError: pass
fd = os.open("x", os.O_WRONLY | os.O_TRUNC); os.close(fd); assert os.stat("x").st_size == 0
fd = os.open("x", os.O_WRONLY); os.write(fd, b"abc"); os.close(fd)
for name, flags, want in (("none", os.O_RDONLY, errno.ENOENT), (".", os.O_WRONLY, errno.EISDIR), ("x/y", os.O_RDONLY, errno.ENOTDIR), ("n" * 256, os.O_CREAT|os.O_WRONLY, errno.ENAMETOOLONG)):
    try: os.open(name, flags); assert False, name
    except OSError as e: assert e.errno == want, (name, e)
deep = "/".join(["d" * 200] * 6)
try: os.makedirs(deep); assert False
except OSError as e: assert e.errno == errno.ENAMETOOLONG, e
try: os.link("x", "y"); assert False
except PermissionError: pass`);
    t.match(await store.get('x'), { metadata: { mode: String(0o100600) } });
    t.equal(await store.text('x'), 'abc');
  });
});

t.test('attributes survive a remount with nothing kept', { skip: without('markerMetadata') }, async (t) => {
  await withBucket(t, async ({ py, remount, store }) => {
    await py(`
os.mkdir("d", 0o700); open("d/f", "w").write("data"); os.symlink("../else/ä", "d/link")
os.chown("d/f", 12, 34); os.chmod("d/f", 0o4751); os.utime("d/f", ns=(1_500_000_000_000_000_001, -1_500_000_001))
os.chmod("d", 0o2711); os.chown("d", 5, 6); os.utime("d", ns=(7_000_000_001, 8_000_000_002))`);
    const look = `
for name in ("d", "d/f", "d/link"):
    s = os.lstat(name); print(name, oct(s.st_mode), s.st_uid, s.st_gid, s.st_size, s.st_mtime_ns if name != "d/link" else os.readlink(name))`;
    const before = await py(look);
    const want = ['d 0o42711 5 6 0 8000000002', 'd/f 0o104751 12 34 4 -1500000001', 'd/link 0o120777 0 0 10 ../else/ä'];
    const shown = before.trimEnd().split('\n');
    if (!keepsTimes) {
      for (const at of [0, 1]) {
        const mtime = shown[at].split(' ').at(-1)!;
        t.ok(isRecent(Number(mtime) / 1e9), shown[at]);
        want[at] = want[at].replace(/\S+$/, mtime);
      }
    }
    t.same(shown, want);
    const inodes = await py('print(os.stat("d/f").st_ino)');
    await remount({ fresh: true });
    t.equal(await py(look), before, 'looked up');
    t.equal(await py('print(os.stat("d/f").st_ino)'), inodes, 'st_ino');
    await remount({ fresh: true });
    t.equal(await py(`os.listdir("d")${look}`), before, 'listed');
    t.equal(await store.text('d/link'), '../else/ä', 'the target is the body, as s3fs has it');
  });
});

t.test('extended attributes', { skip: without('markerMetadata') }, async (t) => {
  await withBucket(t, async ({ py, remount, store, sh }) => {
    await sh('printf data > f.json; mkdir d');
    await py(`
os.setxattr("f.json", "user.one", b"\\x00\\xff"); os.setxattr("f.json", "user.two", "zwei".encode()); os.setxattr("d", "user.dir", b"yes")
os.removexattr("f.json", "user.two")
def fails(want, call, *args):
    try: call(*args)
    except OSError as e: assert e.errno == want, (args[:2], e); return
    assert False, args
fails(errno.ENODATA, os.getxattr, "f.json", "user.two"); fails(errno.ENODATA, os.removexattr, "f.json", "user.two")
fails(errno.ENOSPC, os.setxattr, "f.json", "user.big", b"x" * 2048)
fails(errno.EEXIST, os.setxattr, "f.json", "user.one", b"", os.XATTR_CREATE)
fails(errno.ENODATA, os.setxattr, "f.json", "user.none", b"", os.XATTR_REPLACE)
fails(errno.EPERM, os.setxattr, "f.json", "s3.etag", b"x"); fails(errno.EOPNOTSUPP, os.setxattr, "f.json", "trusted.x", b"x")
fails(errno.ERANGE, os.getxattr, "f.json", "user.one") if False else None`);
    const look = `
print(os.listxattr("f.json"), os.getxattr("f.json", "user.one"), os.listxattr("d"), os.getxattr("d", "user.dir"))
print(os.getxattr("f.json", "s3.etag").decode(), os.getxattr("f.json", "s3.content-type").decode(), os.getxattr("f.json", "s3.storage-class").decode(), os.getxattr("f.json", "s3.meta.mode").decode())
print(os.getxattr("f.json", "s3.url").decode().startswith("http"))`;
    const { etag } = (await store.get('f.json'))!;
    const want = [
      `['user.one'] b'\\x00\\xff' ['user.dir'] b'yes'`,
      `${etag.replaceAll('"', '')} application/json STANDARD ${0o100644}`,
      'True',
      '',
    ];
    t.equal((await py(look)).replaceAll('"', ''), want.join('\n'));
    await remount({ fresh: true });
    t.equal((await py(look)).replaceAll('"', ''), want.join('\n'), 'after a remount');
    await sh('printf more >> f.json; touch f.json');
    t.match(await py('print(os.listxattr("f.json"))'), 'user.one', 'kept by a rewrite');
  });
});

t.test('more than may wait for its upload is refused when it is written', { skip }, async (t) => {
  const body = async (bucket: Bucket) => {
    await bucket.py(`
fd = os.open("big", os.O_RDWR | os.O_CREAT); done = 0
try:
    while True: done += os.pwrite(fd, b"x" * 65536, done)
except OSError as e: assert e.errno == errno.ENOSPC, e
assert done == 1 << 20, done
os.pwrite(fd, b"y" * 65536, 0)
os.ftruncate(fd, 1 << 19); other = os.open("other", os.O_WRONLY | os.O_CREAT); os.write(other, b"z" * (1 << 19)); os.close(other)
os.close(fd); fd = os.open("more", os.O_WRONLY | os.O_CREAT); os.write(fd, b"z" * (1 << 20)); os.close(fd)
assert os.stat("big").st_size == 1 << 19 and open("big").read(2) == "yy"`);
    t.equal((await bucket.store.get('more'))?.body.length, 2 ** 20);
  };
  await withBucket(t, body, { volume: { stagingBytes: 2 ** 20 } });
});

t.test(
  'a directory goes while a file that was removed from it is open, and nothing of it stays',
  { skip },
  async (t) => {
    // Where libfuse has a name for the open file, the directory is not empty (docs/drivers.md).
    const body = async (bucket: Bucket) => {
      await bucket.py(`
fd = os.open("d/big", os.O_RDONLY); os.unlink("d/big")
try: os.rmdir("d")
except OSError as e: assert e.errno == errno.ENOTEMPTY and ${keepsTimes ? 'False' : 'True'}, e
assert ${keepsTimes ? 'os.listdir(".") == []' : 'True'} and len(os.pread(fd, 1 << 20, 7 << 20)) == 1 << 20; os.close(fd)
if os.path.exists("d"): os.rmdir("d")
assert os.listdir(".") == []`);
      for (let round = 0; (await bucket.store.keys()).length > 0 && round < 100; round++) await setTimeout(50);
      t.same(await bucket.store.keys(), []);
    };
    await withBucket(t, body, { before: (store) => store.put('d/big', Buffer.alloc(8 * 2 ** 20)) });
  },
);
