/** O_TMPFILE and linkat through the kernel. */
import t from 'tap';
import { withBucket } from './bucket.js';
import { noKernelMounts } from './harness.js';
import { onlyEmbedded } from './s3-place.js';

const skip = noKernelMounts;
t.setTimeout(120_000);

t.test('a file made with O_TMPFILE has no object until linkat gives it a name', { skip: onlyEmbedded }, async (t) => {
  await withBucket(t, async ({ py, store, server, remount }) => {
    server.requests.reset();
    await py(`
fd = os.open(".", os.O_TMPFILE | os.O_RDWR, 0o600)
os.write(fd, b"never seen"); os.fsync(fd); assert os.pread(fd, 99, 0) == b"never seen"
assert os.fstat(fd).st_nlink == 0 and os.listdir(".") == []
import mmap; m = mmap.mmap(fd, 10); m[0:5] = b"NEVER"; m.flush(); m.close(); assert os.pread(fd, 5, 0) == b"NEVER"
os.close(fd)
fd = os.open(".", os.O_TMPFILE | os.O_EXCL | os.O_WRONLY); os.write(fd, b"x")
try: os.link(f"/proc/self/fd/{fd}", "excl", src_dir_fd=os.open(".", os.O_RDONLY), follow_symlinks=True); assert False
except FileNotFoundError: pass
os.close(fd)`);
    t.notOk(server.requests.byOperation.PutObject, 'nothing was uploaded');
    t.same(await store.keys(), []);
    await py(`
os.mkdir("d"); here = os.open(".", os.O_RDONLY)
fd = os.open("d", os.O_TMPFILE | os.O_RDWR, 0o640); os.write(fd, b"all or nothing")
ino = os.fstat(fd).st_ino
link = lambda name: os.link(f"/proc/self/fd/{fd}", name, src_dir_fd=here, follow_symlinks=True)
open("there", "w").close()
try: link("there"); assert False
except FileExistsError: pass
link("d/named")
s = os.stat("d/named"); assert s.st_ino == ino and s.st_size == 14 and s.st_nlink == 1 and s.st_mode == 0o100640
assert os.fstat(fd).st_nlink == 1
try: link("second"); assert False
except PermissionError: pass
open(sys.argv[2] + "/linked", "w").close()
os.write(fd, b"!"); os.close(fd); assert open("d/named").read() == "all or nothing!"`);
    t.equal(await store.text('d/named'), 'all or nothing!');
    t.match((await store.get('d/named'))?.metadata, { mode: String(0o100640) });
    t.same(await store.keys(), ['d/', 'd/named', 'there']);
    const ino = await py('print(os.stat("d/named").st_ino)');
    await remount();
    t.equal(await py('print(os.stat("d/named").st_ino)'), ino, 'st_ino is kept');
  });
});

t.test('AT_EMPTY_PATH, and rename of what got its name so', { skip }, async (t) => {
  await withBucket(t, async ({ py, store }) => {
    await py(`
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
fd = os.open(".", os.O_TMPFILE | os.O_RDWR); os.write(fd, b"bytes")
assert libc.linkat(fd, b"", -100, b"new", 0x1000) == 0, ctypes.get_errno()
os.rename("new", "moved"); os.close(fd)`);
    t.same(await store.keys(), ['moved']);
    t.equal(await store.text('moved'), 'bytes');
  });
});
