"""Does operations to the mount and to a plain directory, one after the other, and tells where the two differ.

usage: driver.py MOUNT PLAIN. On standard input, one JSON document a line: {"ops": [...]} does them below both, answered by
{"done": N} or {"index": I, "mount": ..., "plain": ...} at the first that differs, {"compare": PATH} compares the trees,
{"read": PATH} tells what the plain tree holds. Handles live until the end of a batch. What an operation answers is its
errno, or what it saw. A time counts as such where utimes set it (before 2015); any later one is "recent".
"""
import ctypes
import errno
import hashlib
import json
import mmap
import os
import random
import stat
import sys

libc = ctypes.CDLL(None, use_errno=True)
AT_FDCWD = -100
RECENT = 1_420_000_000


def data(op):
    return random.Random(op['seed']).randbytes(op['size'])


def digest(content):
    return '%d bytes %s' % (len(content), hashlib.sha1(content).hexdigest()[:12])


def time_of(st):
    return st.st_mtime_ns if st.st_mtime_ns < RECENT * 10**9 else 'recent'


def attributes(st):
    kind = stat.S_IFMT(st.st_mode)
    if kind == stat.S_IFREG:
        return ['file', oct(st.st_mode & 0o7777), st.st_size, time_of(st)]
    if kind == stat.S_IFDIR:
        return ['directory', oct(st.st_mode & 0o7777)]
    return ['link' if kind == stat.S_IFLNK else 'other']


def write_all(fd, content, offset=None, piece=131_072):
    for at in range(0, len(content), piece):
        part = content[at:at + piece]
        if offset is None:
            os.write(fd, part)
        else:
            os.pwrite(fd, part, offset + at)


class Side:
    """One of the two directories."""

    def __init__(self, root):
        self.root = root
        self.handles = {}

    def at(self, path):
        return os.path.join(self.root, path)

    def opened(self, op, flags, work):
        fd = os.open(self.at(op['path']), flags, op.get('mode', 0o644))
        try:
            return work(fd)
        finally:
            os.close(fd)

    def close_all(self):
        for fd in self.handles.values():
            os.close(fd)
        self.handles.clear()

    def do(self, op):
        try:
            return getattr(self, 'do_' + op['op'])(op)
        except OSError as error:
            return errno.errorcode.get(error.errno, str(error))

    def do_create(self, op):
        self.opened(op, os.O_CREAT | os.O_EXCL | os.O_WRONLY, lambda fd: write_all(fd, data(op)))

    def do_write(self, op):
        self.opened(op, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, lambda fd: write_all(fd, data(op), piece=op['piece']))

    def do_append(self, op):
        self.opened(op, os.O_APPEND | os.O_WRONLY, lambda fd: write_all(fd, data(op)))

    def do_pwrite(self, op):
        self.opened(op, os.O_RDWR, lambda fd: write_all(fd, data(op), op['offset']))

    def do_fsync(self, op):
        def work(fd):
            write_all(fd, data(op), op['offset'])
            os.fsync(fd)
            write_all(fd, data(op)[::-1], op['offset'] + 100)
        self.opened(op, os.O_RDWR, work)

    def do_mmap(self, op):
        def work(fd):
            size = os.fstat(fd).st_size
            if size == 0:
                return 'empty'
            content = data(op)
            begin = op['offset'] % size
            content = content[:size - begin]
            with mmap.mmap(fd, size) as mapped:
                before = digest(mapped[:])
                mapped[begin:begin + len(content)] = content
                mapped.flush()
                return [before, digest(mapped[:])]
        return self.opened(op, os.O_RDWR, work)

    def do_truncate(self, op):
        os.truncate(self.at(op['path']), op['length'])

    def do_rename(self, op):
        names = [os.fsencode(self.at(op[name])) for name in ('path', 'to')]
        if libc.renameat2(AT_FDCWD, names[0], AT_FDCWD, names[1], op['flags']) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))

    def do_unlink(self, op):
        os.unlink(self.at(op['path']))

    def do_rmdir(self, op):
        os.rmdir(self.at(op['path']))

    def do_mkdir(self, op):
        os.mkdir(self.at(op['path']), op['mode'])

    def do_symlink(self, op):
        os.symlink(op['target'], self.at(op['path']))

    def do_readlink(self, op):
        return os.readlink(self.at(op['path']))

    def do_chmod(self, op):
        os.chmod(self.at(op['path']), op['mode'])

    def do_utimes(self, op):
        os.utime(self.at(op['path']), ns=(op['ns'], op['ns']))

    def do_stat(self, op):
        return attributes(os.lstat(self.at(op['path'])))

    def do_read(self, op):
        return self.opened(op, os.O_RDONLY, lambda fd: digest(os.pread(fd, op['length'], op['offset'])))

    def do_readdir(self, op):
        return sorted(os.listdir(self.at(op['path'])))

    def do_hopen(self, op):
        if op['handle'] in self.handles:
            os.close(self.handles.pop(op['handle']))
        flags = {'r': os.O_RDONLY, 'rw': os.O_RDWR, 'new': os.O_RDWR | os.O_CREAT, 'a': os.O_RDWR | os.O_APPEND}
        self.handles[op['handle']] = os.open(self.at(op['path']), flags[op['how']], 0o644)

    def handle(self, op):
        fd = self.handles.get(op['handle'])
        if fd is None:
            raise OSError(errno.ENXIO, 'no such handle')
        return fd

    def do_hread(self, op):
        return digest(os.pread(self.handle(op), op['length'], op['offset']))

    def do_hwrite(self, op):
        os.pwrite(self.handle(op), data(op), op['offset'])

    def do_htruncate(self, op):
        os.ftruncate(self.handle(op), op['length'])

    def do_hstat(self, op):
        return attributes(os.fstat(self.handle(op)))

    def do_hclose(self, op):
        fd = self.handle(op)
        del self.handles[op['handle']]
        os.close(fd)

    def tree(self, path):
        found = {}

        def visit(name):
            real = self.at(name)
            st = os.lstat(real)
            entry = attributes(st)
            if stat.S_ISREG(st.st_mode):
                with open(real, 'rb') as file:
                    entry.append(digest(file.read()))
            elif stat.S_ISLNK(st.st_mode):
                entry.append(os.readlink(real))
            found[name] = entry
            if stat.S_ISDIR(st.st_mode):
                for child in sorted(os.listdir(real)):
                    visit(child if name == '.' else name + '/' + child)

        visit(path)
        return found


def batch(mount, plain, ops):
    try:
        for index, op in enumerate(ops):
            there, here = mount.do(op), plain.do(op)
            if there != here:
                return {'index': index, 'mount': there, 'plain': here}
        return {'done': len(ops)}
    finally:
        plain.close_all()
        try:
            mount.close_all()
        except OSError as error:
            return {'index': len(ops) - 1, 'mount': 'close at the end: %s' % error, 'plain': None}


def compare(mount, plain, path):
    try:
        there, here = mount.tree(path), plain.tree(path)
    except OSError as error:
        return {'differ': [['the walk', str(error), None]]}
    names = sorted(set(there) | set(here))
    return {'differ': [[name, there.get(name), here.get(name)] for name in names if there.get(name) != here.get(name)]}


def answer(mount, plain, asked):
    if 'ops' in asked:
        return batch(mount, plain, asked['ops'])
    if 'compare' in asked:
        return compare(mount, plain, asked['compare'])
    return plain.tree(asked['read'])


os.umask(0o022)
sides = [Side(root) for root in sys.argv[1:3]]
for line in sys.stdin:
    print(json.dumps(answer(*sides, json.loads(line))), flush=True)
