# Makes a tree, and shows one: what a program sees of it through any mount. Called by tree.ts, with JSON both ways.
#   tree.py make ROOT < entries     prints what could not be done, by path
#   tree.py show ROOT               prints what is there, by path
import errno, hashlib, json, os, stat, sys

how, root = sys.argv[1], os.fsencode(sys.argv[2])
at = lambda path: os.path.join(root, os.fsencode(path))
failed = {}


def attempt(path, work):
    try:
        work()
        return True
    except OSError as error:
        failed[path] = errno.errorcode.get(error.errno, str(error.errno))
        return False


def write(path, text):
    with open(at(path), 'wb') as file:
        file.write(text.encode())


def create(entry):
    path, kind = entry['path'], entry['kind']
    if kind == 'dir':
        os.mkdir(at(path))
    elif kind == 'link':
        os.symlink(entry['target'], at(path))
    elif kind == 'fifo':
        os.mkfifo(at(path))
    else:
        write(path, entry['content'])


def dress(entry):
    path = entry['path']
    if 'xattr' in entry:
        attempt(path, lambda: os.setxattr(at(path), 'user.colour', entry['xattr'].encode()))
    if entry['kind'] == 'link':
        return
    if 'mode' in entry:
        attempt(path, lambda: os.chmod(at(path), entry['mode']))
    if 'uid' in entry:
        attempt(path, lambda: os.chown(at(path), entry['uid'], entry['gid']))
    if 'mtime' in entry:
        attempt(path, lambda: os.utime(at(path), ns=(int(entry['mtime']), int(entry['mtime']))))


def make(entries):
    made = [entry for entry in entries if attempt(entry['path'], lambda: create(entry))]
    # What is made in a directory changes its time.
    for entry in reversed(made):
        dress(entry)
    return failed


def describe(path):
    found = os.lstat(path)
    kinds = {stat.S_IFREG: 'file', stat.S_IFDIR: 'dir', stat.S_IFLNK: 'link', stat.S_IFIFO: 'fifo'}
    kind = kinds.get(stat.S_IFMT(found.st_mode), 'other')
    told = {'kind': kind, 'mode': stat.S_IMODE(found.st_mode), 'uid': found.st_uid, 'gid': found.st_gid}
    told['mtime'] = str(found.st_mtime_ns)
    if kind == 'link':
        told['target'] = os.fsdecode(os.readlink(path))
    if kind == 'file':
        with open(path, 'rb') as file:
            body = file.read()
        told['size'] = found.st_size
        told['content'] = body.decode() if len(body) < 100 else 'sha256:' + hashlib.sha256(body).hexdigest()
        try:
            told['xattr'] = os.getxattr(path, 'user.colour').decode()
        except OSError:
            pass
    return told


def show():
    shown = {}

    def walk(directory, prefix):
        for name in sorted(os.listdir(directory)):
            path = os.path.join(directory, name)
            try:
                told = shown[os.fsdecode(prefix + name)] = describe(path)
            except OSError as error:
                shown[os.fsdecode(prefix + name)] = {'error': errno.errorcode.get(error.errno)}
                continue
            if told['kind'] == 'dir':
                try:
                    walk(path, prefix + name + b'/')
                except OSError as error:
                    told['error'] = errno.errorcode.get(error.errno)

    walk(root, b'')
    return shown


os.umask(0o022)
print(json.dumps(make(json.load(sys.stdin)) if how == 'make' else show()))
