/** Fifos, sockets, device nodes, birth times, locks and renames that must not replace, through the kernel. */
import t from 'tap';
import { withBucket } from './bucket.js';
import { writesBack } from './driver-choice.js';
import { noKernelMounts } from './harness.js';
import { without } from './s3-place.js';

const skip = noKernelMounts;
t.setTimeout(120_000);

t.test('fifos and sockets work, and are there after a remount', { skip }, async (t) => {
  await withBucket(t, async ({ py, sh, store, remount }) => {
    t.equal(await sh('mkfifo -m 640 pipe; (echo through > pipe &) ; cat pipe'), 'through\n');
    await py(`
import socket
s = socket.socket(socket.AF_UNIX); s.bind("sock"); s.listen(1)
c = socket.socket(socket.AF_UNIX); c.connect("sock"); a, _ = s.accept(); c.send(b"hi"); assert a.recv(2) == b"hi"`);
    t.match((await store.get('pipe'))?.metadata, { mode: String(0o010640) });
    t.match((await store.get('sock'))?.metadata, { mode: String(0o140755) });
    await remount({ fresh: true });
    t.equal(await sh("stat -c '%F %s' pipe sock"), 'fifo 0\nsocket 0\n');
    t.equal(await sh('(echo again > pipe &) ; cat pipe; rm pipe sock; ls'), 'again\n');
    t.same(await store.keys(), []);
  });
});

t.test('device nodes keep their numbers, and a mount without dev does not open them', { skip }, async (t) => {
  await withBucket(t, async ({ py, sh, store, remount }) => {
    await sh('mknod null c 1 3; mknod big b 259 70000; mknod low c 5 1');
    t.match((await store.get('null'))?.metadata, { mode: String(0o020644), rdev: String(0x103) });
    await remount({ fresh: true });
    t.equal(await sh("stat -c '%F %Hr %Lr' null big"), 'character special file 1 3\nblock special file 259 70000\n');
    await py(`
try: os.open("null", os.O_RDONLY); assert False
except PermissionError: pass
pid = os.fork()
if pid == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
    try: os.mknod("mine", 0o020600, os.makedev(1, 3)); os._exit(1)
    except PermissionError: os._exit(0)
assert os.waitpid(pid, 0)[1] == 0`);
  });
});

t.test('statx tells the birth time, which is the date of the object', { skip }, async (t) => {
  await withBucket(t, async ({ sh, store }) => {
    await store.put('f', 'data', { Metadata: { mtime: '5.000000000' } });
    const [born, modified] = (await sh("stat -c '%W %Y' f")).trim().split(' ').map(Number);
    t.equal(modified, 5);
    const age = Date.now() / 1000 - born;
    t.ok(age > -2 && age < 60, `born ${age} s ago`);
  });
});

t.test('fcntl and flock locks exclude each other between processes', { skip }, async (t) => {
  await withBucket(t, async ({ py }) => {
    await py(`
import fcntl, struct
open("f", "w").write("0123456789")
def elsewhere(work):
    pid = os.fork()
    if pid == 0:
        try: work(os.open("f", os.O_RDWR)); os._exit(0)
        except BlockingIOError: os._exit(11)
        except BaseException: os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
flock = lambda fd: fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
fd = os.open("f", os.O_RDWR)
flock(fd); assert elsewhere(flock) == 11, "flock"
fcntl.flock(fd, fcntl.LOCK_UN); assert elsewhere(flock) == 0
region = lambda start, length: lambda fd: fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, length, start)
region(2, 3)(fd)
assert elsewhere(region(4, 1)) == 11, "POSIX, overlapping"
assert elsewhere(region(5, 1)) == 0, "POSIX, beside"
r, w = os.pipe(); pid = os.fork()
if pid == 0:
    fd2 = os.open("f", os.O_RDWR); os.write(w, b"x"); fcntl.lockf(fd2, fcntl.LOCK_EX, 1, 2); os._exit(7)
os.read(r, 1); fcntl.lockf(fd, fcntl.LOCK_UN, 3, 2)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7, "the waiter gets it"`);
  });
});

t.test('RENAME_NOREPLACE and RENAME_EXCHANGE', { skip }, async (t) => {
  await withBucket(t, async ({ py, store }) => {
    await py(`
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
def rename(a, b, flags):
    if libc.renameat2(-100, a, -100, b, flags) == 0: return 0
    return ctypes.get_errno()
open("a", "w").write("a"); open("b", "w").write("b")
assert rename(b"a", b"b", 1) == errno.EEXIST
if ${writesBack ? 'True' : 'False'}:
    assert rename(b"a", b"b", 2) == 0 and open("a").read() == "b"
    assert rename(b"b", b"a", 2) == 0 and open("a").read() == "a"
else: assert rename(b"a", b"b", 2) == errno.EINVAL
assert rename(b"a", b"c", 1) == 0 and open("c").read() == "a" and open("b").read() == "b"`);
    t.same(await store.keys(), ['b', 'c']);
    // Between hosts it is the condition on the copy's destination that excludes.
    // With write-back that is found out when the copy is made, and both are kept.
    if (without('conditionalCopyDestination') || writesBack) return;
    await store.put('late', 'theirs');
    await py(`
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
assert libc.renameat2(-100, b"c", -100, b"late", 1) == -1 and ctypes.get_errno() == errno.EEXIST`);
    t.equal(await store.text('late'), 'theirs');
  });
});
