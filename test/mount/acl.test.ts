/**
 * POSIX ACLs through the real kernel, which checks permissions by them. What a script of setfacl, chmod and umask makes, and
 * who is let in then, has to be the same here and on a tmpfs.
 */
import { chmodSync } from 'node:fs';
import { dirname } from 'node:path';
import t, { type Test } from 'tap';
import { decodeAttributes } from '../../src/vfs/attribute.js';
import { type Bucket, type BucketOptions, withBucket } from './bucket.js';
import { check } from './harness.js';
import { without } from './s3-place.js';

const skip = without('markerMetadata', 'ownLastModified');
t.setTimeout(200_000);

/** `as USER GROUPS SCRIPT`: what becomes of a script of another user; nobody but 4700 is in group 4800 by chance. */
const HEAD = `
as() { echo "$1: $(setpriv --reuid="$1" --regid="$1" --groups="$2" sh -c "umask 022; $3" 2>&1 | sed 's/^[^:]*: *//')"; }
show() { for path; do stat -c '%n %A %u %g' "$path"; getfacl -cpn "$path"; done; }
`;

type Work = (bucket: Bucket) => Promise<void>;

/** Other users reach the mount, and the local directory, which is a tmpfs. */
function withAcls(t: Test, work: Work, options: BucketOptions = {}): Promise<void> {
  const volume = { acl: true, ...options.volume };
  return withBucket(
    t,
    async (bucket) => {
      chmodSync(dirname(bucket.dir), 0o755);
      await check(`mount -t tmpfs -o mode=755 tmpfs ${bucket.local}`);
      try {
        await work(bucket);
      } finally {
        await check(`umount ${bucket.local}`);
      }
    },
    { driver: 'kernel', ...options, volume },
  );
}

/** Runs a script in both places; answers what it said in the mount. */
async function inBoth(t: Test, { sh, local }: Bucket, script: string): Promise<string> {
  const here = await sh(HEAD + script);
  t.equal(here, await check(`cd ${local}\n${HEAD}${script}`), 'as on a tmpfs');
  return here;
}

t.test('an ACL grants, a mask takes away, and chmod is the mask', { skip }, async (t) => {
  await withAcls(t, async (bucket) => {
    const said = await inBoth(
      t,
      bucket,
      `
echo secret > f; chmod 600 f; as 4711 0 'cat f'
setfacl -m u:4711:r f; show f
as 4711 4711 'cat f; echo more >> f'; as 4712 4712 'cat f'
setfacl -m g:4800:rw f; show f
as 4712 4800 'echo more >> f'; as 4712 4712 'cat f'
setfacl -m m::--- f; show f; as 4711 4711 'cat f'; as 4712 4800 'cat f'
chmod g=r f; show f; as 4711 4711 'cat f'; as 4712 4800 'cat f; echo more >> f'
chmod 604 f; show f; as 4711 4711 'cat f'; as 4712 4712 'cat f'
setfacl -m u:4711:- f; as 4711 4711 'cat f'
setfacl -x u:4711,g:4800 f; show f
setfacl -b f; show f
setfacl --set u::rwx,g::rx,o::- f; show f; getfattr -m - f
setfacl -m u:4711:r f; getfattr -m - f; setfattr -x system.posix_acl_access f; show f; as 4711 4711 'cat f'`,
    );
    t.match(said, /^4711: .*Permission denied$/m);
    t.match(said, /^4711: secret$/m);
    t.equal(await bucket.sh('cat f'), 'secret\nmore\n');
  });
});

t.test('ACLs of directories say who may look, pass and make', { skip }, async (t) => {
  await withAcls(t, async (bucket) => {
    await inBoth(
      t,
      bucket,
      `
mkdir -m 700 d; echo inside > d/f; as 4711 0 'ls d'
setfacl -m u:4711:x d; as 4711 4711 'cat d/f; ls d; touch d/new'
setfacl -m u:4711:rx d; as 4711 4711 'ls d; touch d/new; rm -f d/f'
setfacl -m u:4711:rwx d; as 4711 4711 'touch d/new; ls d; rm d/f; ls d'
show d d/new`,
    );
  });
});

t.test('a default ACL is inherited by all that is made, and no umask takes from it', { skip }, async (t) => {
  await withAcls(t, async (bucket) => {
    const tmpfile = `python3 -c '
import os
os.umask(0o077)
fd = os.open("d", os.O_TMPFILE | os.O_RDWR, 0o664)
here = os.open(".", os.O_RDONLY)
os.link(f"/proc/self/fd/{fd}", "d/linked", src_dir_fd=here, follow_symlinks=True)'`;
    await inBoth(
      t,
      bucket,
      `
mkdir d; setfacl -d -m u:4711:rwx,g:4800:rx,o::- d; show d
umask 077
echo data > d/file; mkdir d/sub; mkfifo d/fifo; ln -s file d/link; echo data > d/sub/deeper; cp /bin/true d/program
mkdir -m 700 d/closed; ${tmpfile}
show d/file d/sub d/fifo d/sub/deeper d/program d/closed d/linked; stat -c %A d/link
chmod 775 d; as 4711 4711 'echo more >> d/file; cat d/file; touch d/sub/mine; touch d/closed/mine'; show d/sub/mine
as 4712 4800 'cat d/file; echo more >> d/file; ls d/sub'; as 4713 4713 'cat d/file'
setfacl -d --set u::rwx,g::rx,o::rx d; touch d/plain; show d/plain
setfacl -k d; show d; touch d/after; show d/after`,
    );
  });
});

t.test(
  'who owns a file sets its ACL, and loses its setgid bit where they are not in the group',
  { skip },
  async (t) => {
    await withAcls(t, async (bucket) => {
      await inBoth(
        t,
        bucket,
        `
touch f; chown 4711:4800 f; chmod 2755 f
as 4712 4712 'setfacl -m u:4712:rwx f'; show f
as 4711 4800 'setfacl -m u:4712:rwx f'; show f
as 4711 4711 'setfacl -m u:4712:rx f'; show f
chmod 2755 f; setfacl -m u:4712:r f; show f
setfacl -d -m u:4712:r f || echo refused
mkdir -m 2775 d; chown :4800 d; setfacl -d -m g:4800:rwx d; mkdir d/sub; touch d/f; show d/sub d/f`,
      );
    });
  },
);

t.test('cp -a and rsync -A keep ACLs, both ways', { skip }, async (t) => {
  await withAcls(t, async ({ dir, local, sh }) => {
    const show = `find . | sort | while read -r path; do stat -c '%n %A' "$path"; getfacl -cpn "$path"; done`;
    await check(
      `cd ${local}; mkdir tree; cd tree; setfacl -d -m u:4711:rw,g:4800:r . ; mkdir sub; echo a > a; echo b > sub/b
       chmod 640 sub/b; setfacl -b a; setfacl -m u:4712:rwx sub; ln -s a link`,
    );
    const before = await check(`cd ${local}/tree; ${show}`);
    t.match(before, /user:4711:rw-[\s\S]*default:group:4800:r--/);
    await sh(`cp -a ${local}/tree copied; rsync -aA ${local}/tree/ synced/`);
    for (const copy of ['copied', 'synced']) t.equal(await sh(`cd ${copy}; ${show}`), before, copy);
    await check(`cd ${local}; cp -a ${dir}/copied copied; rsync -aA ${dir}/synced/ synced/`);
    for (const copy of ['copied', 'synced'])
      t.equal(await check(`cd ${local}/${copy}; ${show}`), before, `${copy} back`);
    t.equal(await sh(`rsync -aAin ${local}/tree/ synced/`), '', 'nothing is left to do');
  });
});

t.test('ACLs outlive rename, rewrite, chmod and two mounts that know nothing', { skip }, async (t) => {
  await withAcls(t, async ({ sh, remount, store }) => {
    await sh('mkdir d; setfacl -d -m u:4711:rw d; echo one > d/f; setfacl -m u:4712:x d; setfacl -d -m g:4800:rx .');
    await remount({ fresh: true });
    const show = 'getfacl -cpn d d/*';
    const first = await sh(show);
    t.match(first, /user:4712:--x[\s\S]*default:user:4711:rw-[\s\S]*user:4711:rw-/);
    await sh('mv d/f d/g; echo two > d/g; echo three >> d/g; chmod 640 d/g; mv d e; mkdir d; setfacl -m u:4711:- d');
    await remount({ fresh: true });
    const masked = 'user:4711:rw-\t#effective:r--\ngroup::r-x\t#effective:r--\nmask::r--\nother::---';
    t.equal(
      await sh('getfacl -cpn e e/*'),
      first.replace('user:4711:rw-\ngroup::r-x\t#effective:r--\nmask::rw-\nother::r--', masked),
    );
    t.equal(await sh('cat e/g'), 'two\nthree\n');
    t.match(await sh('getfacl -cpn d'), 'user:4711:---\n');
    const { xattrs } = decodeAttributes((await store.get('e/g'))!.metadata);
    t.same([...xattrs!.keys()], ['system.posix_acl_access']);
  });
});

t.test('an ACL of another tool counts, from the first look on and after it changes', { skip }, async (t) => {
  const put = (store: Bucket['store'], key: string, mode: number, hex: string) => {
    const xattr = { 'system.posix_acl_access': Buffer.from(hex, 'hex').toString('base64') };
    const Metadata = { mode: String(mode), uid: '0', gid: '0', xattr: encodeURIComponent(JSON.stringify(xattr)) };
    return store.put(key, key.endsWith('/') ? '' : 'data', { Metadata });
  };
  /** u::rw- u:4711:perm g::--- m::perm o::--- */
  const list = (perm: number) =>
    `0200000001000600ffffffff02000${perm}0067120000040000 00ffffffff10000${perm}00ffffffff20000000ffffffff`.replace(
      ' ',
      '',
    );
  await withAcls(
    t,
    async ({ sh, store }) => {
      t.equal(
        await sh(`${HEAD} as 4711 4711 'cat d/f'; as 4712 4712 'cat d/f'`),
        '4711: data\n4712: d/f: Permission denied\n',
      );
      await put(store, 'd/f', 0o100600, list(0));
      t.equal(await sh(`${HEAD} sleep 1.1; as 4711 4711 'cat d/f'`), '4711: d/f: Permission denied\n');
    },
    {
      volume: { metadataTtlMs: 1000, openTtlMs: 0 },
      before: async (store) => {
        await put(store, 'd/', 0o040750, list(5));
        await put(store, 'd/f', 0o100640, list(4));
      },
    },
  );
});

t.test('what S3 cannot hold is ENOSPC, and the file stays as it was', { skip }, async (t) => {
  await withAcls(t, async ({ sh }) => {
    const said = await sh(`
echo data > f; setfacl -m u:4711:r f
setfacl -m "$(seq -f 'u:%.0f:r' -s , 4000000000 4000000299)" f 2>&1 || getfacl -cpn f; cat f`);
    t.match(said, /No space left on device/);
    t.match(said, /user:4711:r--\n(?!user)/);
    t.match(said, /data\n$/);
  });
});

t.test('without the option they are not there', { skip }, async (t) => {
  await withAcls(
    t,
    async ({ sh, py, remount }) => {
      t.match(
        await sh('touch f; setfacl -m u:4711:r f 2>&1 || getfacl -cpn f'),
        /not supported\nuser::rw-\ngroup::r--\nother::r--/,
      );
      await py(`
for name in ("system.posix_acl_access", "system.posix_acl_default"):
    for call in (lambda: os.getxattr(".", name), lambda: os.removexattr(".", name)):
        try: call(); assert False
        except OSError as error: assert error.errno == errno.EOPNOTSUPP, error`);
      await remount({ volume: { acl: true } });
      await sh('setfacl -m u:4711:r f');
      await remount({ volume: { acl: false } });
      await sh('chmod 600 f; echo new > f; mv f g');
      await remount({ fresh: true, volume: { acl: true } });
      t.match(await sh('getfacl -cEpn g'), 'user::rw-\nuser:4711:r--\ngroup::r--\nmask::---\nother::---\n');
    },
    { volume: { acl: false } },
  );
});
