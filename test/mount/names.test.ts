/** Renames, removals and copies of trees through the kernel, and the keys that they leave in the bucket. */
import t from 'tap';
import { type Bucket, withBucket } from './bucket.js';
import { keepsTimes } from './driver-choice.js';
import { noKernelMounts, sh } from './harness.js';
import { without } from './s3-place.js';

const skip = noKernelMounts;
t.setTimeout(120_000);

const FAILS = `
def fails(want, call, *args):
    try: call(*args)
    except OSError as e: assert e.errno == want, (args, e); return
    assert False, args
`;

/** Names and contents below a prefix, by key. */
async function contents({ store }: Bucket, prefix = ''): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const key of await store.keys(prefix)) if (!key.endsWith('/')) found[key] = (await store.text(key))!;
  return found;
}

t.test('files are renamed, also over others and while open', { skip }, async (t) => {
  await withBucket(t, async (bucket) => {
    await bucket.py(`${FAILS}
for name in "abcdef": open(name, "w").write(name)
os.mkdir("dir"); os.rename("a", "dir/a2")
assert not os.path.exists("a") and open("dir/a2").read() == "a"
ino = os.stat("b").st_ino; os.rename("b", "c"); assert open("c").read() == "b"; assert os.stat("c").st_ino == ino
fails(errno.ENOENT, os.rename, "b", "x"); fails(errno.EISDIR, os.rename, "c", "dir"); fails(errno.ENOTDIR, os.rename, "dir", "c")
old = os.open("d", os.O_RDONLY); new = os.open("e", os.O_RDWR)
os.write(new, b"E"); os.rename("e", "d"); os.write(new, b"more")
assert os.pread(old, 9, 0) == b"d", "the replaced file reads on"; os.close(new); os.close(old)
assert open("d").read() == "Emore"
fd = os.open("fresh", os.O_WRONLY | os.O_CREAT); os.write(fd, b"unsaved"); os.rename("fresh", "f"); os.write(fd, b"!"); os.close(fd)
fails(errno.EPERM, os.link, "c", "hard"); fails(errno.EEXIST, os.mkdir, "c")
assert sorted(os.listdir(".")) == ["c", "d", "dir", "f"]`);
    t.same(await contents(bucket), { c: 'b', d: 'Emore', 'dir/a2': 'a', f: 'unsaved!' });
    await bucket.remount({ fresh: true });
    t.equal(await bucket.sh('cat c d dir/a2 f'), 'bEmoreaunsaved!');
  });
});

t.test(
  'directories are renamed with everything in them',
  { skip: without('markerMetadata', 'ownLastModified') },
  async (t) => {
    await withBucket(t, async (bucket) => {
      await bucket.py(`${FAILS}
os.makedirs("old/sub/deep"); os.mkdir("empty"); os.makedirs("full/x"); os.chmod("old/sub", 0o700)
for i in range(30): open(f"old/sub/f{i}", "w").write(str(i))
open("old/sub/deep/g", "w").write("g"); os.symlink("g", "old/sub/deep/l")
fd = os.open("old/sub/f0", os.O_RDWR); os.pwrite(fd, b"changed", 0)
fails(errno.ENOTEMPTY, os.rename, "old", "full"); fails(errno.EINVAL, os.rename, "old", "old/sub/x")
ino = [os.stat(f"old/{name}").st_ino for name in ("", "sub", "sub/f1")]
os.rename("old", "empty"); os.pwrite(fd, b" on", 7); os.close(fd)
fails(errno.ENOENT, os.stat, "old"); fails(errno.ENOENT, os.stat, "old/sub/f1")
assert ino == [os.stat(f"empty/{name}").st_ino for name in ("", "sub", "sub/f1")]
assert open("empty/sub/f0").read() == "changed on" and os.readlink("empty/sub/deep/l") == "g"
assert os.stat("empty/sub").st_mode & 0o7777 == 0o700
os.rename("empty/sub", "moved"); open("moved/late", "w").write("late")
assert sorted(os.listdir("moved")) == sorted([f"f{i}" for i in range(30)] + ["deep", "late"])
assert os.listdir("empty") == []`);
      const found = await contents(bucket);
      t.equal(Object.keys(found).length, 33);
      t.match(found, { 'moved/f0': 'changed on', 'moved/f29': '29', 'moved/deep/g': 'g', 'moved/late': 'late' });
      t.same(await bucket.store.keys('old'), []);
      t.same(await bucket.store.keys('empty'), ['empty/']);
      const numbers = "find . -printf '%i %P\\n' | sort -k2";
      const before = await bucket.sh(numbers);
      await bucket.remount();
      t.equal(await bucket.sh(numbers), before, 'each keeps its inode number over a remount');
      await bucket.remount({ fresh: true });
      t.equal(
        (await bucket.sh('find . -type f | wc -l; stat -c %a moved; readlink moved/deep/l')).trim(),
        '32\n700\ng',
      );
    });
  },
);

t.test(
  'a directory lives until rmdir, whatever made it',
  { skip: without('onlyWhatWasWritten', 'ownLastModified') },
  async (t) => {
    const before: NonNullable<Parameters<typeof withBucket>[2]>['before'] = async (store) => {
      await store.put('implied/only', 'x');
      await store.put('implied2/sub/only', 'x');
    };
    await withBucket(
      t,
      async (bucket) => {
        await bucket.py(`${FAILS}
fails(errno.ENOTEMPTY, os.rmdir, "implied"); fails(errno.ENOTEMPTY, os.rmdir, "implied2")
os.unlink("implied/only"); assert os.listdir("implied") == []
os.rename("implied2/sub/only", "elsewhere"); assert os.listdir("implied2/sub") == []
fails(errno.ENOTDIR, os.rmdir, "elsewhere"); fails(errno.EISDIR, os.unlink, "implied"); fails(errno.EEXIST, os.mkdir, "implied")`);
        t.same(await bucket.store.keys(), ['elsewhere', 'implied/', 'implied2/sub/']);
        await bucket.remount({ fresh: true });
        await bucket.sh('rmdir implied implied2/sub; ls implied2; rmdir implied2; ls');
        t.same(await bucket.store.keys(), ['elsewhere']);
        await bucket.sh('mkdir -p a/b/c/d; touch a/b/f; rm -r a; mkdir a; rmdir a; touch a; rm a');
        t.same(await bucket.store.keys(), ['elsewhere']);
      },
      { before },
    );
  },
);

t.test(
  'a tree copied in and out again is the same tree',
  { skip: without('markerMetadata', 'ownLastModified') },
  async (t) => {
    const look = `find . -printf '%P %y %m${keepsTimes ? ' %T@' : ''} %l\\n' | grep -v '^ ' | LC_ALL=C sort`;
    await withBucket(t, async ({ dir, local, remount, sh: inside }) => {
      const tree = `mkdir -p ${local}/tree/a/b ${local}/tree/empty; cd ${local}/tree
      for i in $(seq 40); do head -c $((i * 997)) /dev/urandom > a/f$i; done; cp a/f1 'a/b/name with  spaces'; ln -s ../f1 a/b/link
      printf x > 'umläut ☃'; printf y > 'plus+and%20&?#'; chmod 751 a/b; chmod 4755 a/f3; touch -d '2001-02-03 04:05:06.789' a/f2 a/b
      ${look} > ${local}/want`;
      t.match(await sh(tree), { code: 0 });
      await inside(`cp -a ${local}/tree .`);
      const same = `diff -r --no-dereference ${local}/tree ${dir}/tree; cd ${dir}/tree
      ${look} | diff ${local}/want -`;
      t.match(await sh(same), { code: 0, stdout: '' });
      await remount({ fresh: true });
      t.match(await sh(same), { code: 0, stdout: '' }, 'after a remount');
      t.match(await sh(`cp -a ${dir}/tree ${local}/back; diff -r ${local}/tree ${local}/back`), {
        code: 0,
        stdout: '',
      });
    });
  },
);

t.test('two hundred names in one directory come and go while it is read', { skip }, async (t) => {
  await withBucket(t, async ({ py }) => {
    await py(`
import threading
os.mkdir("d")
for i in range(100): open(f"d/stay{i:03}", "w").write("s")
stop = False; errors = []
def churn(k):
    i = 0
    while not stop:
        name = f"d/churn{k}-{i % 5}"; open(name, "w").write("c"); os.rename(name, name + "x"); os.unlink(name + "x"); i += 1
threads = [threading.Thread(target=churn, args=(k,)) for k in range(3)]
for thread in threads: thread.start()
for _ in range(40):
    names = os.listdir("d")
    stay = [name for name in names if name.startswith("stay")]
    if len(stay) != 100 or len(set(names)) != len(names): errors.append((len(stay), len(names)))
stop = True
for thread in threads: thread.join()
assert not errors, errors
assert len(os.listdir("d")) == 100`);
  });
});
