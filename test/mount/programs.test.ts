/** Everyday programs in a mount: what they leave is what they leave on a local disk. */
import { spawnSync } from 'node:child_process';
import t from 'tap';
import { type Bucket, withBucket } from './bucket.js';
import { keepsTimes } from './driver-choice.js';
import { check, noKernelMounts, sh as outside, run } from './harness.js';
import { without } from './s3-place.js';

const skip = noKernelMounts;
t.setTimeout(180_000);

const has = (program: string): boolean => spawnSync('sh', ['-c', `command -v ${program}`]).status === 0;
const missing = (program: string): string | false => skip || (has(program) ? false : `${program} is not installed`);

/** A tree of small files of many sizes in the local directory. */
async function makeTree({ local }: Bucket): Promise<void> {
  const script = `mkdir -p ${local}/tree/a/b/c ${local}/tree/d; cd ${local}/tree
    for i in $(seq 60); do head -c $((i * i * 13)) /dev/urandom > a/f$i; echo "line $i needle" > a/b/t$i.txt; done
    head -c 9000000 /dev/urandom > d/large; ln -s a/f1 link; chmod 700 d; touch -d 2020-02-02 a/b/c`;
  await check(script);
}

t.test('tar, find, grep, dd', { skip: noKernelMounts }, async (t) => {
  await withBucket(t, async (bucket) => {
    const { local, dir, sh } = bucket;
    await makeTree(bucket);
    await sh(`tar cf - -C ${local} tree | tar xf -; diff -r --no-dereference ${local}/tree tree`);
    await sh(
      `tar cf ${local}/back.tar tree; mkdir ${local}/back; tar xf ${local}/back.tar -C ${local}/back; diff -r ${local}/tree ${local}/back/tree`,
    );
    t.equal(
      await sh('find tree -name "t*.txt" | wc -l; grep -rl "line 7 needle" tree; find tree -type l'),
      '60\ntree/a/b/t7.txt\ntree/link\n',
    );
    const patch = `import random, subprocess
random.seed(11)
for i in range(25):
    size, at = random.randrange(1, 70000), random.randrange(0, 9500000)
    for target in ("${dir}/tree/d/large", "${local}/tree/d/large"):
        subprocess.run(["dd", "if=${local}/tree/a/f60", "of=" + target, "bs=" + str(size), "count=1", "seek=" + str(at), "oflag=seek_bytes", "conv=notrunc", "status=none"], check=True)
    if i % 8 == 0: subprocess.run(["cmp", "${dir}/tree/d/large", "${local}/tree/d/large"], check=True)`;
    t.match(await run('python3', ['-c', patch], { timeout: 60_000 }), { code: 0 });
    await sh(`cmp tree/d/large ${local}/tree/d/large`);
    const direct = (await bucket.store.get('tree/d/large'))!.body;
    await sh(
      `dd if=tree/d/large of=${local}/out bs=123457 status=none; cmp ${local}/out ${local}/tree/d/large; rm -r tree; ls -A`,
    );
    t.ok(direct.length >= 9_000_000);
    t.same(await bucket.store.keys(), []);
  });
});

t.test(
  'rsync: the second run transfers nothing',
  { skip: missing('rsync') || without('markerMetadata') },
  async (t) => {
    await withBucket(t, async (bucket) => {
      const { local, dir } = bucket;
      await makeTree(bucket);
      // Where times are lost, rsync takes every file for another one, unless told that size is what counts.
      const options = keepsTimes ? '-ai' : '-rlpgoDi --size-only';
      const sync = `rsync ${options} ${local}/tree/ ${dir}/tree/`;
      t.match(await outside(sync), { code: 0, stdout: /f60/ });
      t.match(await outside(sync), { code: 0, stdout: '' }, 'second run');
      await outside(`echo changed > ${local}/tree/a/f5`);
      t.match(await outside(sync), { code: 0, stdout: /^>f\S+ a\/f5\n$/ });
      await bucket.remount({ fresh: true });
      t.match(await outside(sync), { code: 0, stdout: '' }, 'after a remount');
      t.match(
        await outside(`rsync ${keepsTimes ? '-aci' : '-rlpgoDci'} ${dir}/tree/ ${local}/tree/`),
        { code: 0, stdout: '' },
        'back, by checksum',
      );
    });
  },
);

t.test('git: clone, commit, fsck', { skip: missing('git') || noKernelMounts }, async (t) => {
  await withBucket(t, async (bucket) => {
    const { local, sh } = bucket;
    await makeTree(bucket);
    const who = '-c user.name=A -c user.email=a@example.invalid -c init.defaultBranch=main';
    t.match(await outside(`cd ${local}/tree; git ${who} init -q; git add .; git ${who} commit -qm one`), { code: 0 });
    await sh(
      `git clone -q ${local}/tree clone 2>&1; cd clone; echo more >> a/b/t1.txt; rm a/f2; git mv a/f3 moved
      git ${who} add -A; git ${who} commit -qm two; git fsck --full --strict; git gc -q; git fsck --full; git status --porcelain`,
      { timeout: 60_000 },
    );
    t.equal((await sh('cd clone; git log --oneline | wc -l; git status --porcelain')).trim(), '2');
  });
});

t.test('sqlite', { skip }, async (t) => {
  await withBucket(t, async ({ py, remount }) => {
    await py(`
import sqlite3
db = sqlite3.connect("base.db"); db.execute("create table n (id integer primary key, text text)"); db.commit()
for round in range(8):
    with db: db.executemany("insert into n (text) values (?)", [("row %d %d" % (round, i) * 9,) for i in range(300)])
with db: db.execute("delete from n where id % 3 = 0")
try:
    with db: db.execute("delete from n"); raise KeyError
except KeyError: pass
assert db.execute("select count(*) from n").fetchone() == (1600,)
assert db.execute("pragma integrity_check").fetchone() == ("ok",); db.close()`);
    await remount({ fresh: true });
    await py(`
import sqlite3
db = sqlite3.connect("base.db"); assert db.execute("select count(*) from n").fetchone() == (1600,)
assert db.execute("pragma integrity_check").fetchone() == ("ok",)`);
  });
});

t.test('the AWS CLI sees the same bytes, both ways', { skip: missing('aws') }, async (t) => {
  await withBucket(
    t,
    async (bucket) => {
      const { local, dir, place, sh } = bucket;
      await makeTree(bucket);
      const env = {
        PATH: process.env.PATH,
        AWS_ACCESS_KEY_ID: place.credentials.accessKeyId,
        AWS_SECRET_ACCESS_KEY: place.credentials.secretAccessKey,
        AWS_DEFAULT_REGION: place.region,
        AWS_CONFIG_FILE: '/dev/null',
        AWS_EC2_METADATA_DISABLED: 'true',
      };
      const aws = async (words: string) => {
        await bucket.store.settle();
        const result = await outside(`aws --endpoint-url ${place.endpoint} s3 ${words}`, { env, timeout: 60_000 });
        t.equal(result.code, 0, `${words}: ${result.stderr}`);
        return result.stdout;
      };
      await aws(`sync --no-follow-symlinks ${local}/tree s3://${place.bucket}/up --only-show-errors`);
      await sh(`rm ${local}/tree/link; rmdir ${local}/tree/a/b/c; diff -r ${local}/tree up`);
      await sh(`cp -r up mine; printf 'written here' > mine/new.txt`);
      t.match(await aws(`ls s3://${place.bucket}/mine/`), / 12 new\.txt/);
      t.equal(await aws(`cp s3://${place.bucket}/mine/new.txt -`), 'written here');
      await aws(`sync s3://${place.bucket}/mine ${local}/down --only-show-errors`);
      t.match(await outside(`diff -r ${dir}/mine ${local}/down`), { code: 0, stdout: '' });
      await aws(`cp ${local}/tree/d/large s3://${place.bucket}/up/again --only-show-errors`);
      await sh(`cmp up/again ${local}/tree/d/large`);
    },
    { volume: { metadataTtlMs: 500 } },
  );
});
