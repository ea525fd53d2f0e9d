"""Makes a tree that has some of everything: tree.py DIRECTORY FILES. As root with owners and devices too."""
import os
import random
import socket
import stat
import sys

root, files = os.fsencode(sys.argv[1]), int(sys.argv[2])
random = random.Random(7)
is_root = os.geteuid() == 0
NS = 10**9


def at(path):
    return os.path.join(root, path)


def write(path, data):
    with open(at(path), 'wb') as file:
        file.write(data)


for directory in (b'', b'a', b'a/b', b'a/b/c', b'empty', b'sticky', b'set-gid', b'names'):
    os.mkdir(at(directory))
for i in range(files):
    write(b'a/file-%d' % i, random.randbytes(i * i * 13))
    write(b'a/b/text-%d.txt' % i, b'line %d of many\n' % i * i)
write(b'a/b/c/large', random.randbytes(6_000_000))
write(b'empty-file', b'')
names = [b' blank ', b'-dash', b'back\\slash', b'new\nline', b'quote\'"', b'%41', 'umlaut-\u00e4'.encode(), b'latin-\xe4', b'n' * 255]
for name in names:
    write(b'names/' + name, name)
with open(at(b'sparse'), 'wb') as file:
    file.seek(3 << 20)
    file.write(b'in the middle')
    file.truncate(8 << 20)

os.symlink(b'a/file-1', at(b'link'))
os.symlink(b'no/where' * 20, at(b'dangling'))
os.symlink(b'..', at(b'a/b/up'))
os.mkfifo(at(b'fifo'))
with socket.socket(socket.AF_UNIX) as server:
    os.chdir(root)
    server.bind('socket')
if is_root:
    os.mknod(at(b'character'), stat.S_IFCHR | 0o640, os.makedev(1, 3))
    os.mknod(at(b'block'), stat.S_IFBLK | 0o640, os.makedev(259, 700))
    for i in range(0, files, 3):
        os.chown(at(b'a/file-%d' % i), 1000 + i, 2000 + i)
    os.chown(at(b'link'), 1234, 4321, follow_symlinks=False)
    os.chown(at(b'a/b'), 70_000, 80_000)

for i in range(0, files, 4):
    os.setxattr(at(b'a/file-%d' % i), 'user.number', b'%d' % i)
os.setxattr(at(b'a/file-2'), 'user.binary', bytes(range(256)))
os.setxattr(at(b'a/file-2'), 'user.empty', b'')
os.setxattr(at(b'a/b'), 'user.of-a-directory', 'W\u00f6rter'.encode())

modes = {b'a/file-1': 0o400, b'a/file-2': 0o777, b'a/file-3': 0o4755, b'a/file-4': 0o2711, b'sticky': 0o1777, b'set-gid': 0o2770}
for path, mode in modes.items():
    os.chmod(at(path), mode)

times = {
    b'a/file-5': 1,
    b'a/file-6': 981_173_106 * NS + 123_456_789,
    b'a/file-7': 4_000_000_000 * NS + 999_999_999,
    b'a/file-8': -NS // 2,
    b'link': 1_000_000_000 * NS + 1,
    b'fifo': 1_100_000_000 * NS + 20,
    b'empty': 1_200_000_000 * NS + 300,
    b'a/b/c': 1_300_000_000 * NS + 4_000,
}
for path, time in times.items():
    os.utime(at(path), ns=(time, time), follow_symlinks=False)
