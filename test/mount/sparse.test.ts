/** fallocate and the holes of files through the kernel, with the programs that use them. */
import t from 'tap';
import { withBucket } from './bucket.js';
import { noKernelMounts } from './harness.js';

const skip = noKernelMounts;
t.setTimeout(120_000);

t.test('fallocate(1) extends, punches and zeroes', { skip }, async (t) => {
  await withBucket(t, async ({ sh, py, store }) => {
    await store.put('f', Buffer.alloc(100_000, 'x'));
    await sh('fallocate -p -o 10000 -l 20000 f; fallocate -z -o 90000 -l 20000 f; fallocate -o 0 -l 150000 f');
    const body = (await store.get('f'))!.body;
    const want = Buffer.alloc(150_000);
    want.fill('x', 0, 10_000);
    want.fill('x', 30_000, 90_000);
    t.ok(body.equals(want));
    t.equal(await sh('fallocate -n -l 900000 f; stat -c %s f'), '150000\n', 'the size is kept');
    await py(`
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
fd = os.open("f", os.O_RDWR)
def fallocate(mode, offset, length):
    libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
    return 0 if libc.fallocate(fd, mode, offset, length) == 0 else ctypes.get_errno()
assert fallocate(8, 0, 4096) == errno.EOPNOTSUPP, "collapse"
assert fallocate(0, 0, 1 << 44) == errno.ENOSPC
assert os.pread(fd, 4, 0) == b"xxxx"
assert fallocate(3, 0, 4) == 0 and os.pread(fd, 8, 0) == bytes(4) + b"xxxx", "the page cache of it goes"
os.posix_fallocate(fd, 0, 200000); assert os.fstat(fd).st_size == 200000
os.close(fd)`);
    t.equal((await store.get('f'))?.body.length, 200_000);
  });
});

t.test('SEEK_DATA and SEEK_HOLE, and cp of a file that is still being written', { skip }, async (t) => {
  await withBucket(t, async ({ py, store }) => {
    await py(`
fd = os.open("sparse", os.O_RDWR | os.O_CREAT)
os.pwrite(fd, b"a" * 4096, 1 << 20); os.pwrite(fd, b"b" * 4096, 3 << 20); os.ftruncate(fd, 8 << 20)
def runs(fd):
    at, found = 0, []
    while True:
        try: data = os.lseek(fd, at, os.SEEK_DATA)
        except OSError as e: assert e.errno == errno.ENXIO; return found
        at = os.lseek(fd, data, os.SEEK_HOLE); found.append((data, at))
want = [(1 << 20, (1 << 20) + 4096), (3 << 20, (3 << 20) + 4096)]
assert runs(fd) == want, runs(fd)
s = os.fstat(fd); assert s.st_blocks * 512 == 8192, s.st_blocks
os.system("cp --sparse=auto sparse " + sys.argv[2] + "/copy")
copy = os.open(sys.argv[2] + "/copy", os.O_RDONLY)
assert os.fstat(copy).st_blocks * 512 < 1 << 20, "cp saw the holes"
assert os.pread(copy, 8 << 20, 0) == os.pread(fd, 8 << 20, 0) and os.fstat(copy).st_size == 8 << 20
assert os.lseek(fd, 0, os.SEEK_END) == 8 << 20 and os.lseek(fd, -5, os.SEEK_CUR) == (8 << 20) - 5
os.close(fd)
assert os.stat("sparse").st_size == 8 << 20`);
    t.equal((await store.get('sparse'))?.body.length, 8 << 20);
    // In the store it has none.
    await py(`
fd = os.open("sparse", os.O_RDONLY)
assert os.lseek(fd, 0, os.SEEK_DATA) == 0 and os.lseek(fd, 0, os.SEEK_HOLE) == 8 << 20`);
  });
});
