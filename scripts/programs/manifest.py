"""Prints a line for every name below a directory, itself included: kind and mode, owner, group, time of last change (ns),
size, device or target, xattrs (ACLs are among them), and a digest of the content. Sorted; names are escaped.
"""
import hashlib
import os
import stat
import sys

os.chdir(sys.argv[1])


def content(path, st):
    if stat.S_ISREG(st.st_mode):
        digest = hashlib.sha256()
        with open(path, 'rb') as file:
            while block := file.read(1 << 20):
                digest.update(block)
        return '%d %s' % (st.st_size, digest.hexdigest()[:24])
    if stat.S_ISLNK(st.st_mode):
        return '-> %r' % os.readlink(path)
    if stat.S_ISCHR(st.st_mode) or stat.S_ISBLK(st.st_mode):
        return 'device %d,%d' % (os.major(st.st_rdev), os.minor(st.st_rdev))
    return ''


def attributes(path):
    # What a disk makes up by itself (the label of its kernel's security module) is none of the tree's.
    names = sorted(n for n in os.listxattr(path, follow_symlinks=False) if n != 'security.selinux')
    return ['%s=%s' % (n, os.getxattr(path, n, follow_symlinks=False).hex()) for n in names]


def line(path):
    st = os.lstat(path)
    time = '%d.%09d' % divmod(st.st_mtime_ns, 10**9)
    return ' '.join([repr(path), oct(st.st_mode), str(st.st_uid), str(st.st_gid), time, content(path, st), *attributes(path)])


def walk(path):
    print(line(path))
    for entry in sorted(os.listdir(path)):
        below = os.path.join(path, entry)
        if stat.S_ISDIR(os.lstat(below).st_mode):
            walk(below)
        else:
            print(line(below))


walk(b'.')
