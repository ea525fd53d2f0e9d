/**
 * What calls answer and change, with a plain directory of this machine as the oracle: every combination of open flags, which
 * times a call changes, what clears setuid, sticky directories, what open files go on doing.
 */
import t from 'tap';
import { type Bucket, withBucket } from './bucket.js';
import { noKernelMounts } from './harness.js';
import { compareWithPlain } from './oracle.js';
import { onlyEmbedded } from './s3-place.js';

t.setTimeout(400_000);
const skip = noKernelMounts || onlyEmbedded;

const sameAsPlain = async (tap: Pick<typeof t, 'same' | 'ok'>, bucket: Bucket, script: string, atLeast: number) => {
  const { cases, differences } = await compareWithPlain(bucket, script, 180_000);
  tap.same(differences, []);
  tap.ok(cases >= atLeast, `${cases} cases`);
};

t.test('every combination of open flags, on everything there can be', { skip }, async (t) => {
  await withBucket(t, (bucket) =>
    sameAsPlain(
      t,
      bucket,
      `
import itertools
flags = ["CREAT", "EXCL", "TRUNC", "APPEND", "DIRECTORY", "NOFOLLOW"]
more = ["CREAT", "TRUNC", "APPEND", "SYNC", "NONBLOCK", "NOATIME"]
def make(kind):
    if kind == "file": open("it", "w").write("content")
    if kind == "directory": os.mkdir("it")
    if kind == "link": open("target", "w").write("content"); os.symlink("target", "it")
    if kind == "dangling": os.symlink("target", "it")
    if kind == "fifo": os.mkfifo("it")
def use(flag):
    fd = os.open("it", flag, 0o640)
    try:
        answers = [attempt(lambda: os.pwrite(fd, b"abc", 2)), attempt(lambda: os.write(fd, b"xyz"))] if kind != "fifo" else []
        answers += [attempt(lambda: os.pread(fd, 99, 0).decode())] if kind != "fifo" else []
        s = os.fstat(fd)
        return answers + [stat.filemode(s.st_mode), s.st_size if stat.S_ISREG(s.st_mode) else 0]
    finally: os.close(fd)
def content():
    shown = {}
    for name in sorted(os.listdir(".")):
        mode = os.lstat(name).st_mode
        shown[name] = [stat.filemode(mode), open(name).read() if stat.S_ISREG(mode) else ""]
    return shown
number = 0
everything = ("nothing", "file", "directory", "link", "dangling", "fifo")
for kinds, accesses, these in (everything, ("RDONLY", "WRONLY", "RDWR", "PATH"), flags), (everything[:2], ("RDONLY", "RDWR"), more):
    for kind, access in itertools.product(kinds, accesses):
        for chosen in itertools.chain.from_iterable(itertools.combinations(these, n) for n in range(len(these) + 1)):
            number += 1; os.mkdir(str(number)); os.chdir(str(number)); make(kind)
            flag = getattr(os, "O_" + access)
            for one in chosen: flag |= getattr(os, "O_" + one)
            if kind == "fifo": flag |= os.O_NONBLOCK
            tell(" ".join((kind, access) + chosen), [attempt(lambda: use(flag)), content()])
            os.chdir("..")
`,
      1536 + 224,
    ),
  );
});

t.test('open flags against modes, for the owner and for others', { skip }, async (t) => {
  await withBucket(t, (bucket) =>
    sameAsPlain(
      t,
      bucket,
      `
for mode in (0o000, 0o400, 0o200, 0o600, 0o044, 0o022, 0o066, 0o666):
    for above in (0o700, 0o1777):
        where = f"{mode:o}-{above:o}"; os.mkdir(where); path = where + "/it"
        for access in ("RDONLY", "WRONLY", "RDWR"):
            for more in (0, os.O_TRUNC, os.O_CREAT, os.O_CREAT | os.O_TRUNC):
                for uid in (1, 2):
                    open(path, "w").write("content"); os.chown(path, 1, 1); os.chmod(path, mode); os.chmod(where, above)
                    def use():
                        fd = os.open(path, getattr(os, "O_" + access) | more); os.close(fd); return "ok"
                    tell(f"{where} {access} {more} {uid}", [as_user(uid, use), os.stat(path).st_size])
                    os.unlink(path)
        tell(where + " new", as_user(2, lambda: os.close(os.open(where + "/new", os.O_CREAT | os.O_WRONLY))))
`,
      384,
    ),
  );
});

t.test('which times a call changes', { skip }, async (t) => {
  await withBucket(t, (bucket) =>
    sameAsPlain(
      t,
      bucket,
      `
def times(path):
    try: s = os.lstat(path)
    except FileNotFoundError: return None
    return (s.st_atime_ns, s.st_mtime_ns, s.st_ctime_ns)
def case(name, call, make=lambda: open("d/f", "w").write("content"), watch=("d", "d/f", "d/g", "e")):
    os.mkdir("d"); os.mkdir("e"); make()
    # The times of last access as after a read: relatime leaves them alone then, so that only the rest is looked at.
    for path in watch[:2]: attempt(lambda: os.utime(path, ns=(4 * 10**18, 10**18), follow_symlinks=False))
    time.sleep(0.02); before = [times(path) for path in watch]
    answer = attempt(call)
    after = [times(path) for path in watch]
    changed = [None if b is None or a is None else ["mc"[at - 1] for at in (1, 2) if a[at] != b[at]] for b, a in zip(before, after)]
    tell(name, [answer if isinstance(answer, str) else None, changed])
    os.system("rm -rf d e")
def fd(flags, work):
    def go():
        it = os.open("d/f", flags)
        try: work(it)
        finally: os.close(it)
    return go
link = lambda: os.symlink("x", "d/f")
directory = lambda: os.mkdir("d/f")
case("write", fd(os.O_WRONLY, lambda it: os.write(it, b"x")))
case("write nothing", fd(os.O_WRONLY, lambda it: os.write(it, b"")))
case("open for writing", fd(os.O_WRONLY, lambda it: None))
case("O_TRUNC", fd(os.O_WRONLY | os.O_TRUNC, lambda it: None))
case("O_CREAT of what is there", fd(os.O_WRONLY | os.O_CREAT, lambda it: None))
case("truncate", lambda: os.truncate("d/f", 3))
case("truncate to the same", lambda: os.truncate("d/f", 7))
case("ftruncate to the same", fd(os.O_WRONLY, lambda it: os.ftruncate(it, 7)))
case("fallocate", fd(os.O_WRONLY, lambda it: os.posix_fallocate(it, 0, 100)))
case("chmod", lambda: os.chmod("d/f", 0o600))
case("chmod to the same", lambda: os.chmod("d/f", 0o644))
case("chown", lambda: os.chown("d/f", 1, 1))
case("chown of nothing", lambda: os.chown("d/f", 0, 0))
case("utime", lambda: os.utime("d/f", ns=(2 * 10**18, 3 * 10**18)))
case("utime now", lambda: os.utime("d/f"))
case("setxattr", lambda: os.setxattr("d/f", "user.a", b"1"))
case("read", fd(os.O_RDONLY, lambda it: os.read(it, 9)))
case("fsync", fd(os.O_WRONLY, lambda it: os.fsync(it)))
case("create", lambda: open("d/g", "w").close())
case("mkdir", lambda: os.mkdir("d/g"))
case("symlink", lambda: os.symlink("x", "d/g"))
case("mkfifo", lambda: os.mkfifo("d/g"))
case("mkdir of what is there", lambda: os.mkdir("d/f"))
case("rename", lambda: os.rename("d/f", "d/g"))
case("rename of a directory", lambda: os.rename("d/f", "d/g"), directory)
case("rename to another directory", lambda: os.rename("d/f", "e/f"))
case("rename of what is not there", lambda: os.rename("d/x", "d/g"))
case("unlink", lambda: os.unlink("d/f"))
case("unlink of what is not there", lambda: os.unlink("d/x"))
case("rmdir", lambda: os.rmdir("d/f"), directory)
case("rmdir of a file", lambda: os.rmdir("d/f"))
case("lchown of a link", lambda: os.lchown("d/f", 1, 1), link)
case("readlink", lambda: os.readlink("d/f") and None, link)
case("readdir", lambda: os.listdir("d") and None)
def through_rename():
    it = os.open("d/f", os.O_WRONLY); os.rename("d/f", "d/g"); time.sleep(0.02); last = times("d/g")
    os.fchmod(it, 0o600); now = times("d/g"); os.close(it); return str([a != b for a, b in zip(last, now)])
case("fchmod after rename", through_rename)
`,
      35,
    ),
  );
});

t.test('setuid and setgid go with a write and a chown; sticky directories', { skip }, async (t) => {
  await withBucket(t, (bucket) =>
    sameAsPlain(
      t,
      bucket,
      `
def opened(flags, work):
    it = os.open("f", flags)
    try: work(it)
    finally: os.close(it)
def copy(it):
    other = os.open("g", os.O_RDONLY); os.copy_file_range(other, it, 4, 0, 0); os.close(other)
def store(it):
    import mmap
    m = mmap.mmap(it, 4); m[0:1] = b"y"; m.flush(); m.close()
calls = {
    "write": lambda: opened(os.O_WRONLY, lambda it: os.write(it, b"x")),
    "append": lambda: opened(os.O_WRONLY | os.O_APPEND, lambda it: os.write(it, b"x")),
    "truncate": lambda: os.truncate("f", 1),
    "O_TRUNC": lambda: opened(os.O_WRONLY | os.O_TRUNC, lambda it: None),
    "fallocate": lambda: opened(os.O_WRONLY, lambda it: os.posix_fallocate(it, 0, 100)),
    "copy_file_range": lambda: opened(os.O_WRONLY, copy),
    "chown to the same": lambda: os.chown("f", -1, os.getgid()),
    "chmod": lambda: os.chmod("f", 0o6755),
    "read": lambda: opened(os.O_RDONLY, lambda it: os.read(it, 1)),
}
for mode in (0o4777, 0o2777, 0o6777, 0o2767, 0o6767, 0o0777):
    for owner in (1, 2):
        for uid in (0, 1):
            for name, call in calls.items():
                for it in "fg": open(it, "w").write("data")
                os.chown("f", owner, 1); os.chmod("f", mode); os.chmod("g", 0o644); os.chmod(".", 0o777)
                answer = as_user(uid, call) if uid else attempt(call)
                tell(f"{name} {mode:o} {owner} {uid}", [answer if isinstance(answer, str) else None, oct(os.stat("f").st_mode)])
                os.unlink("f"); os.unlink("g")
for above in (0o777, 0o1777):
    for keeper in (0, 1, 2):
        for owner in (0, 1, 2):
            def fresh():
                os.system("rm -rf s"); os.mkdir("s"); os.mkdir("s/d"); open("s/f", "w").write("f"); open("s/mine", "w").write("m")
                for one in ("s/f", "s/d"): os.chown(one, owner, owner)
                os.chown("s/mine", 1, 1); os.chown("s", keeper, keeper); os.chmod("s", above)
            for name, call in {
                "unlink": lambda: os.unlink("s/f"), "rmdir": lambda: os.rmdir("s/d"), "rename": lambda: os.rename("s/f", "s/g"),
                "rename over": lambda: os.rename("s/mine", "s/f"), "rename of a directory": lambda: os.rename("s/d", "s/e"),
            }.items():
                fresh(); tell(f"sticky {name} {above:o} {keeper} {owner}", [as_user(1, call), sorted(os.listdir("s"))])
os.mkdir("g"); os.chown("g", 0, 2); os.chmod("g", 0o2777)
def inside():
    open("g/f", "w").close(); os.mkdir("g/d"); return [(os.stat(one).st_gid, oct(os.stat(one).st_mode)) for one in ("g/f", "g/d")]
tell("setgid directory", as_user(1, inside))
`,
      300,
    ),
  );
});

t.test('open files go on after unlink, rename, chmod and a rename over them', { skip }, async (t) => {
  await withBucket(t, (bucket) =>
    sameAsPlain(
      t,
      bucket,
      `
happenings = {
    "unlink": lambda: os.unlink("f"), "rename": lambda: os.rename("f", "moved"), "chmod": lambda: os.chmod("f", 0),
    "rename over": lambda: os.rename("other", "f"), "away and back": lambda: (os.rename("f", "x"), os.rename("x", "f")),
    "directory": lambda: os.rename("d", "e"), "replaced": lambda: (os.unlink("f"), open("f", "w").write("new") and None),
    "truncated": lambda: os.truncate("f", 2), "chown": lambda: os.chown("f", 2, 2),
}
def look(top):
    return sorted((path[len(top):], name, open(os.path.join(path, name)).read()) for path, _, names in os.walk(top) for name in names)
for state in ("fresh", "closed", "written"):
    for name, happen in happenings.items():
        for access in (os.O_RDONLY, os.O_WRONLY, os.O_RDWR, os.O_RDWR | os.O_APPEND):
            where = f"{state} {name} {access}"; os.mkdir(where); os.chdir(where); os.mkdir("d")
            path = "d/f" if name == "directory" else "f"
            with open(path, "w") as f: f.write("content")
            open("other", "w").write("another")
            if state == "fresh": keep = os.open(path, os.O_RDWR); os.write(keep, b"C")
            it = os.open(path, access)
            if state == "written": attempt(lambda: os.pwrite(it, b"W", 1))
            happen()
            answers = [attempt(lambda: os.pread(it, 99, 0).decode()), attempt(lambda: os.pwrite(it, b"later", 3))]
            answers += [attempt(lambda: os.ftruncate(it, 6)), attempt(lambda: os.fchmod(it, 0o640)), attempt(lambda: os.fsync(it))]
            s = os.fstat(it); answers += [s.st_size, s.st_nlink, oct(s.st_mode), attempt(lambda: os.pread(it, 99, 0).decode())]
            os.close(it)
            if state == "fresh": os.close(keep)
            os.chdir(".."); tell(where, [answers, look(where)])
`,
      108,
    ),
  );
});

t.test('df and installers find room', { skip: noKernelMounts }, async (t) => {
  await withBucket(t, async ({ py, sh }) => {
    await py(`
s = os.statvfs(".")
assert s.f_namemax == 255 and s.f_bavail == s.f_bfree > 0 and s.f_blocks >= s.f_bfree and s.f_files >= s.f_ffree > 1 << 20, s
assert s.f_frsize * s.f_bavail > 1 << 40, s`);
    t.match(await sh('df --output=avail,iavail,pcent . | tail -n 1'), /^ *\d{9,} +\d{6,} +0% *$/m);
  });
});
