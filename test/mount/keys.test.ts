/**
 * Every key of a bucket through the kernel: a plain S3 client fills it, and programs list, read, overwrite, rename and
 * delete all of it. Each object holds its own key, so that a file that stands for another key shows at once.
 */
import t from 'tap';
import { type Bucket, type Store, withBucket } from './bucket.js';
import { noKernelMounts } from './harness.js';
import { without } from './s3-place.js';

const skip = noKernelMounts;
/** The bucket holds every kind of key. */
const noSuchKeys = without('dotKeys', 'emptyComponents', 'longComponents', 'objectBesidePrefix', 'slashContent');
t.setTimeout(120_000);

const long = 'l'.repeat(300);
const keys = [
  'plain',
  'dir/plain',
  'photos/mygarden.jpg',
  '/photos/mygarden.jpg',
  '/',
  '//',
  'a//b',
  'a///b',
  'a/b//',
  '.',
  '..',
  './x',
  '../x',
  'dots/.',
  'dots/..',
  'dots/./y',
  'dots/../y',
  'dots/.../y',
  'n',
  'n/x',
  'n-',
  'deep/n',
  'deep/n/x/y',
  'marker/',
  'marker/below',
  'alone/',
  '=pailfs=',
  '=pailfs=x',
  '=pailfs=%FF',
  '=pailfs=%ff',
  '=pailfs=%25',
  '=pailfs-object=n',
  '=pailfs-long=x/=pailfs=y',
  '=pailfs-object=',
  'percent%2Fslash',
  'percent%',
  '%2e%2e/x',
  'plus+and space',
  'tab\tnew\nline\rand\x01\x1f\x7f',
  'quotes"\'<&>\\*?[]{}|~`$#;:',
  'é',
  'e\u0301',
  '\u{1f600}',
  '\ufffe\uffff',
  long,
  `${long}/in`,
  `${long.slice(0, 299)}m`,
  `dir/${'é'.repeat(200)}`,
  `dir/${'%'.repeat(120)}\u{1f600}`,
  'y'.repeat(250),
  `${'y'.repeat(250)}/beside`,
  'z'.repeat(255),
  'z'.repeat(256),
  `=pailfs=${'w'.repeat(240)}`,
  `${'k'.repeat(200)}/${'k'.repeat(200)}/${'k'.repeat(200)}/${'k'.repeat(200)}/${'k'.repeat(220)}`,
  'k'.repeat(1024),
];

async function fill(store: Store): Promise<void> {
  for (const key of keys) await store.put(key, key);
}

async function contents({ store }: Bucket): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const key of await store.keys()) found[key] = (await store.text(key))!;
  return found;
}

const WALK = `
def files(top=b"."):
    for d, subs, names in os.walk(top):
        for name in names: yield os.path.join(d, name)
def read(path):
    with open(path, "rb") as f: return f.read()
`;

t.test('each key has exactly one path', { skip: noSuchKeys }, async (t) => {
  await withBucket(
    t,
    async (bucket) => {
      const shown = await bucket.py(`${WALK}
import json
print(json.dumps(sorted([read(path).decode() for path in files()])))`);
      t.same(JSON.parse(shown), [...keys].sort(byCodePoint));
      await bucket.remount({ fresh: true });
      const looked = await bucket.py(`${WALK}
import json
print(json.dumps(sorted([path.decode("utf8", "surrogateescape") for path in files()])))`);
      // The same names when nothing was listed before: each is looked up on its own.
      await bucket.remount({ fresh: true });
      const one = await bucket.py(
        `${WALK}
import json
paths = json.loads(sys.stdin.read())
print(json.dumps(sorted([read(path.encode("utf8", "surrogateescape")).decode() for path in paths])))`,
        { input: looked },
      );
      t.same(JSON.parse(one), [...keys].sort(byCodePoint));
    },
    { before: fill },
  );
});

/** As Python sorts text. */
function byCodePoint(a: string, b: string): number {
  const x = [...a];
  const y = [...b];
  for (let i = 0; i < Math.min(x.length, y.length); i++)
    if (x[i] !== y[i]) return x[i].codePointAt(0)! - y[i].codePointAt(0)!;
  return x.length - y.length;
}

t.test('each key is overwritten, and nothing else is', { skip: noSuchKeys }, async (t) => {
  await withBucket(
    t,
    async (bucket) => {
      await bucket.py(`${WALK}
for path in list(files()):
    with open(path, "ab") as f: f.write(b" appended")
for path in list(files()):
    old = read(path)
    with open(path, "wb") as f: f.write(b"rewritten " + old)`);
      t.same(await contents(bucket), Object.fromEntries(keys.map((key) => [key, `rewritten ${key} appended`])));
      t.equal((await bucket.py(`${WALK}\nprint(len(list(files())))`)).trim(), String(keys.length));
    },
    { before: fill },
  );
});

t.test('each key is renamed away and back, and nothing else is touched', { skip: noSuchKeys }, async (t) => {
  await withBucket(
    t,
    async (bucket) => {
      await bucket.py(`${WALK}
os.mkdir("away")
for path in list(files()):
    if path.endswith(b"/=pailfs-object="): continue
    was = read(path)
    os.rename(path, b"away/x")
    assert not os.path.lexists(path) and read(b"away/x") == was, path
    os.rename(b"away/x", path)
    assert os.listdir(b"away") == [] and read(path) == was, path`);
      const untouched = Object.fromEntries(keys.map((key) => [key, key]));
      // A directory whose only file went away for a moment has a marker now.
      const emptied = Object.keys(await contents(bucket)).filter((key) => key.endsWith('/') && !keys.includes(key));
      for (const key of emptied) t.ok(key === 'away/' || keys.some((one) => one.startsWith(key)), key);
      const markers = Object.fromEntries(emptied.map((key) => [key, '']));
      t.same(await contents(bucket), { ...untouched, ...markers });
      await bucket.py(`
os.rename("alone/=pailfs-object=", "away/content"); os.rename("marker/=pailfs-object=", "away/other")
assert os.listdir("alone") == [] and os.listdir("marker") == ["below"]`);
      const moved = { 'alone/': '', 'marker/': '', 'away/': '', 'away/content': 'alone/', 'away/other': 'marker/' };
      t.same(await contents(bucket), { ...untouched, ...markers, ...moved });
    },
    { before: fill },
  );
});

t.test('rm -r leaves nothing, and takes nothing else', { skip: noSuchKeys }, async (t) => {
  await withBucket(
    t,
    async (bucket) => {
      await bucket.sh('mkdir keep; echo kept > keep/file; ls -lRA > /dev/null');
      await bucket.py(`
import shutil
for name in os.listdir(b"."):
    if name == b"keep": continue
    shutil.rmtree(name) if os.path.isdir(name) and not os.path.islink(name) else os.unlink(name)
assert os.listdir(b".") == [b"keep"], os.listdir(b".")`);
      t.same(await bucket.store.keys(), ['keep/', 'keep/file']);
      await bucket.remount({ fresh: true });
      t.equal(await bucket.sh('ls -A'), 'keep\n');
    },
    { before: fill },
  );
});

t.test('names that are not UTF-8 are kept, and come back', { skip }, async (t) => {
  await withBucket(t, async (bucket) => {
    const check = `
assert sorted(os.listdir(b".")) == sorted([b"\\xff", b"a%\\x80b", b"dir\\xe9", b"=pailfs=\\xc3"]), os.listdir(b".")
assert open(b"dir\\xe9/x\\xfe", "rb").read() == b"x" and os.stat(b"\\xff").st_size == 2`;
    await bucket.py(`
open(b"\\xff", "wb").write(b"ff"); open(b"a%\\x80b", "wb").close(); os.mkdir(b"dir\\xe9"); open(b"=pailfs=\\xc3", "wb").close()
open(b"dir\\xe9/y", "wb").write(b"x"); os.rename(b"dir\\xe9/y", b"dir\\xe9/x\\xfe")
open(b"\\xf0", "wb").close(); os.unlink(b"\\xf0")
assert os.getxattr(b"\\xff", "s3.key") == b"=pailfs=%FF"${check}`);
    t.same(await bucket.store.keys(), [
      '=pailfs=%FF',
      '=pailfs==pailfs=%C3',
      '=pailfs=a%25%80b',
      '=pailfs=dir%E9/',
      '=pailfs=dir%E9/=pailfs=x%FE',
    ]);
    await bucket.remount({ fresh: true });
    await bucket.py(check);
  });
});

t.test(
  'names that are reserved can be made where they mean something, and nowhere else',
  { skip: noSuchKeys },
  async (t) => {
    await withBucket(
      t,
      async (bucket) => {
        await bucket.py(`
def fails(want, call, *args):
    try: call(*args)
    except OSError as e: assert e.errno == want, (args, e); return
    assert False, args
def make(name): os.close(os.open(name, os.O_CREAT | os.O_WRONLY))
make("=pailfs=.."); os.mkdir("=pailfs="); make("=pailfs=/in")
for name in ["=pailfs=x", "=pailfs-object=x", "=pailfs-object=", "=pailfs-long=x", "=pailfs=%41"]:
    fails(errno.EINVAL, make, name); fails(errno.EINVAL, os.mkdir, name); fails(errno.EINVAL, os.rename, "n", name)
    fails(errno.ENOENT, os.stat, name); fails(errno.ENOENT, os.unlink, name)
fails(errno.EINVAL, make, "n/=pailfs="); fails(errno.ENAMETOOLONG, make, "x" * 256); fails(errno.EINVAL, os.mkdir, "=pailfs-long=" + "q" * 240)
open("=pailfs-object=n", "w").write("beside")
os.rename("=pailfs-object=n", "file"); os.rename("file", "=pailfs-object=n")
fails(errno.EEXIST, os.mkdir, "n"); os.unlink("n/x"); os.rmdir("n")
assert open("n").read() == "beside", "the directory is gone: the object has the name"
import time
for _ in range(100):
    if not os.path.exists("=pailfs-object=n"): break
    time.sleep(0.02)
fails(errno.ENOENT, os.stat, "=pailfs-object=n")`);
        t.same(await bucket.store.keys(), ['..', '/', '/in', 'n']);
      },
      { before: (store) => store.put('n/x', 'x') },
    );
  },
);

t.test('what Hadoop wrote: NAME_$folder$ is a directory, and goes with it', { skip }, async (t) => {
  const before = async (store: Store): Promise<void> => {
    for (const key of ['empty_$folder$', 'full_$folder$', 'full/x', 'old_$folder$', 'sub/in_$folder$'])
      await store.put(key, '');
    await store.put('file_$folder$', 'content');
  };
  await withBucket(
    t,
    async (bucket) => {
      t.equal(
        await bucket.sh('stat -c %F empty; ls empty; echo x > empty/new; ls'),
        'directory\nempty\nfile_$folder$\nfull\nold\nsub\n',
      );
      await bucket.sh('rm empty/new; rmdir empty; rm -r full sub; mv old new; ls new; cat "file_\\$folder\\$"');
      t.same(await bucket.store.keys(), ['file_$folder$', 'new/']);
    },
    { before },
  );
});
