/** POSIX ACLs: the codec, and what a volume does with them. The kernel's part is in test/mount/acl.test.ts. */
import fc from 'fast-check';
import t from 'tap';
import { errno } from '../../src/errno.js';
import type { CreateReply, EntryReply } from '../../src/fuse/operations.js';
import {
  ACL_ACCESS,
  ACL_DEFAULT,
  type Acl,
  formatAcl,
  inheritedBy,
  isMinimal,
  parseAcl,
  permissionsOf,
  tag,
  UNDEFINED_ID,
  withMode,
} from '../../src/vfs/acl.js';
import { decodeAttributes } from '../../src/vfs/attribute.js';
import { code, ctx, ok, type TestVolume, withVolume } from './volume-fixture.js';

/** `u::rw- u:5:r-- g::r-- m::r-- o::---`, as setfacl writes it, in numbers. */
function acl(text: string): Acl {
  const tags: Record<string, [number, number]> = {
    u: [tag.USER_OBJ, tag.USER],
    g: [tag.GROUP_OBJ, tag.GROUP],
    m: [tag.MASK, tag.MASK],
    o: [tag.OTHER, tag.OTHER],
  };
  return text.split(' ').map((entry) => {
    const [who, id, rwx] = entry.split(':');
    const perm = (rwx.includes('r') ? 4 : 0) | (rwx.includes('w') ? 2 : 0) | (rwx.includes('x') ? 1 : 0);
    return { tag: tags[who][id === '' ? 0 : 1], perm, id: id === '' ? UNDEFINED_ID : Number(id) };
  });
}

const value = (text: string): Buffer => formatAcl(acl(text));

const perm = fc.integer({ min: 0, max: 7 });
const one = (which: number) => perm.map((bits) => ({ tag: which, perm: bits, id: UNDEFINED_ID }));
const named = (which: number) =>
  fc.array(
    fc.tuple(perm, fc.integer({ min: 0, max: UNDEFINED_ID - 1 })).map(([bits, id]) => ({ tag: which, perm: bits, id })),
    { maxLength: 4 },
  );
/** Every list that the kernel takes. */
const lists: fc.Arbitrary<Acl> = fc
  .tuple(
    one(tag.USER_OBJ),
    named(tag.USER),
    one(tag.GROUP_OBJ),
    named(tag.GROUP),
    fc.option(one(tag.MASK)),
    one(tag.OTHER),
  )
  .chain(([owner, users, group, groups, mask, other]) => {
    const rest = (masks: Acl): Acl => [owner, ...users, group, ...groups, ...masks, other];
    if (mask !== null) return fc.constant(rest([mask]));
    return users.length + groups.length === 0 ? fc.constant(rest([])) : one(tag.MASK).map((one) => rest([one]));
  });
const modes = fc.integer({ min: 0, max: 0o7777 });

t.test('a list is the bytes of posix_acl_xattr.h', async (t) => {
  const bytes = Buffer.from(
    '0200000001000600ffffffff0200040005000000040004 00ffffffff10000400ffffffff20000000ffffffff'.replace(' ', ''),
    'hex',
  );
  t.same(parseAcl(bytes), acl('u::rw- u:5:r-- g::r-- m::r-- o::---'));
  t.same(value('u::rw- u:5:r-- g::r-- m::r-- o::---'), bytes);
  t.same(parseAcl(Buffer.from('02000000', 'hex')), [], 'without entries: to be removed');
  fc.assert(fc.property(lists, (list) => t.strictSame(parseAcl(formatAcl(list)), list)));
});

t.test('what is no list is refused', async (t) => {
  const good = value('u::rw- u:5:r-- g::r-- g:6:rwx m::r-- o::---');
  const bad = (what: string, change: (bytes: Buffer) => Buffer | void): void => {
    const bytes = Buffer.from(good);
    t.equal(parseAcl(change(bytes) ?? bytes), undefined, what);
  };
  bad('no version', () => Buffer.alloc(3));
  bad('another version', (bytes) => void bytes.writeUInt32LE(1, 0));
  bad('half an entry', (bytes) => bytes.subarray(0, bytes.length - 4));
  bad('an unknown tag', (bytes) => void bytes.writeUInt16LE(3, 4));
  bad('permissions beyond rwx', (bytes) => void bytes.writeUInt16LE(8, 6));
  bad('a user that is none', (bytes) => void bytes.writeUInt32LE(UNDEFINED_ID, 4 + 8 + 4));
  for (const text of [
    'u::rw-',
    'u::rw- g::r--',
    'g::r-- u::rw- o::---',
    'u::rw- u::rw- g::r-- o::---',
    'u::rw- g::r-- o::--- o::---',
    'u::rw- u:5:r-- g::r-- o::---',
    'u::rw- g::r-- g:5:r-- o::---',
    'u::rw- g::r-- u:5:r-- m::r-- o::---',
    'u::rw- g:5:r-- g::r-- m::r-- o::---',
    'u::rw- g::r-- m::r-- m::r-- o::---',
    'u::rw- g::r-- o::--- m::r--',
  ])
    t.equal(parseAcl(value(text)), undefined, text);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
      const list = parseAcl(bytes);
      return list === undefined || formatAcl(list).length === bytes.length;
    }),
  );
});

t.test('mode and list say the same of the owner, the group class and the others', async (t) => {
  t.equal(permissionsOf(acl('u::rw- g::r-x o::--x')), 0o651);
  t.equal(permissionsOf(acl('u::rwx u:5:rwx g::r-x m::-w- o::---')), 0o720, 'of the group class the mask');
  t.same(withMode(acl('u::rwx u:5:rwx g::r-x m::-w- o::---'), 0o641), acl('u::rw- u:5:rwx g::r-x m::r-- o::--x'));
  t.same(withMode(acl('u::rwx g::rwx o::rwx'), 0o640), acl('u::rw- g::r-- o::---'));
  fc.assert(
    fc.property(lists, modes, (list, mode) => {
      const after = withMode(list, mode);
      return (
        permissionsOf(after) === (mode & 0o777) &&
        after.every((entry, at) => entry.tag === list[at].tag && entry.id === list[at].id) &&
        (list.length === 3) === isMinimal(after)
      );
    }),
  );
});

t.test('what is inherited is what both the default list and the program allow', async (t) => {
  t.same(inheritedBy(acl('u::rwx u:5:rwx g::r-x m::rwx o::r-x'), 0o640), acl('u::rw- u:5:rwx g::r-x m::r-- o::---'));
  t.same(inheritedBy(acl('u::rwx g::r-x o::r-x'), 0o666), acl('u::rw- g::r-- o::r--'));
  fc.assert(
    fc.property(lists, modes, (list, mode) => permissionsOf(inheritedBy(list, mode)) === (permissionsOf(list) & mode)),
  );
});

const get = (volume: TestVolume, path: string, name: string): Promise<string> =>
  volume.with(path, async (nodeid) => {
    const answer = await volume.fs.getxattr(ctx, nodeid, name);
    return typeof answer === 'number' ? `-${-answer}` : Buffer.from(answer).toString('hex');
  });
const set = (volume: TestVolume, path: string, name: string, bytes: Uint8Array, kill = false): Promise<string> =>
  volume.with(path, (nodeid) => code(ok(volume.fs.setxattr(ctx, nodeid, name, bytes, 0, kill))));
const remove = (volume: TestVolume, path: string, name: string): Promise<string> =>
  volume.with(path, (nodeid) => code(ok(volume.fs.removexattr(ctx, nodeid, name))));
const names = (volume: TestVolume, path: string): Promise<string[]> =>
  volume.with(path, async (nodeid) => ok<string[]>(volume.fs.listxattr(ctx, nodeid)));
const chmod = (volume: TestVolume, path: string, mode: number): Promise<unknown> =>
  volume.with(path, (nodeid) => ok(volume.fs.setattr(ctx, nodeid, { mode, killSuidgid: false })));
const modeOf = async (volume: TestVolume, path: string): Promise<string> =>
  (await volume.with(path, async (_nodeid, entry) => entry.attributes.mode)).toString(8);
const hex = (text: string): string => value(text).toString('hex');
const NONE = `-${errno.ENODATA}`;
const rich = 'u::rw- u:5:rw- g::r-- m::rw- o::---';

t.test('a list is set, shown, changed by chmod and removed', (t) =>
  withVolume(
    async (volume) => {
      await volume.write('f', 'data');
      t.equal(await get(volume, 'f', ACL_ACCESS), NONE);
      t.same(await names(volume, 'f'), []);
      t.equal(await set(volume, 'f', ACL_ACCESS, value(rich)), 'ok');
      t.equal(await modeOf(volume, 'f'), '100660');
      t.equal(await get(volume, 'f', ACL_ACCESS), hex(rich));
      t.same(await names(volume, 'f'), [ACL_ACCESS]);
      await chmod(volume, 'f', 0o4604);
      t.equal(await get(volume, 'f', ACL_ACCESS), hex('u::rw- u:5:rw- g::r-- m::--- o::r--'));
      await volume.fs.flushAll();
      const kept = decodeAttributes(volume.memory.objects.get('f')!.metadata);
      t.equal(Buffer.from(kept.xattrs!.get(ACL_ACCESS)!).toString('hex'), hex('u::rw- u:5:rw- g::r-- m::--- o::r--'));
      t.equal(await set(volume, 'f', ACL_ACCESS, value('u::rwx g::r-x o::---')), 'ok', 'no more than a mode');
      t.equal(await modeOf(volume, 'f'), '104750', 'the setuid bit is not its concern');
      t.equal(await get(volume, 'f', ACL_ACCESS), NONE);
      await set(volume, 'f', ACL_ACCESS, value(rich));
      t.equal(await remove(volume, 'f', ACL_ACCESS), 'ok');
      t.equal(await modeOf(volume, 'f'), '104660', 'the mode stays');
      t.equal(await remove(volume, 'f', ACL_ACCESS), 'ok', 'as on a local disk');
      t.equal(await set(volume, 'f', ACL_ACCESS, Buffer.from('02000000', 'hex')), 'ok');
      t.equal(await set(volume, 'f', ACL_ACCESS, Buffer.from('0200000001', 'hex')), 'EINVAL');
      t.equal(await set(volume, 'f', ACL_DEFAULT, value(rich)), 'EACCES', 'only of a directory');
      await volume.fs.flushAll();
      t.equal(volume.memory.objects.get('f')!.metadata.xattr, undefined);
    },
    { acl: true },
  ),
);

t.test('the setgid bit goes with the list of somebody who is not in the group', (t) =>
  withVolume(
    async (volume) => {
      await volume.write('f', 'data');
      await chmod(volume, 'f', 0o2770);
      await set(volume, 'f', ACL_ACCESS, value(rich));
      t.equal(await modeOf(volume, 'f'), '102660');
      await set(volume, 'f', ACL_ACCESS, value(rich), true);
      t.equal(await modeOf(volume, 'f'), '100660');
      // Before Linux 5.13 the kernel does not tell.
      const untold = async (uid: number, gid: number): Promise<string> => {
        await chmod(volume, 'f', 0o2770);
        const { attributes } = await volume.entry('f');
        const who = { ...ctx, uid, gid: gid < 0 ? attributes.gid : gid };
        await volume.with('f', (nodeid) => ok(volume.fs.setxattr(who, nodeid, ACL_ACCESS, value(rich), 0)));
        return modeOf(volume, 'f');
      };
      t.equal(await untold(0, 77), '102660', 'root');
      t.equal(await untold(5, -1), '102660', 'in the group');
      t.equal(await untold(5, 77), '100660');
    },
    { acl: true },
  ),
);

t.test('what is made in a directory has its default list, and no umask', (t) =>
  withVolume(
    async (volume) => {
      const byDefault = 'u::rwx u:5:rwx g::rwx m::rwx o::---';
      await volume.mkdir('d');
      t.equal(await set(volume, 'd', ACL_DEFAULT, value(byDefault)), 'ok');
      t.equal(await modeOf(volume, 'd'), '40755', 'its own mode is another matter');
      const { nodeid } = await volume.entry('d');
      const made: Record<string, () => Promise<unknown>> = {
        create: () => ok<CreateReply>(volume.fs.create(ctx, nodeid, 'create', 0o664, 0o077, 0)),
        mknod: () => ok<EntryReply>(volume.fs.mknod!(ctx, nodeid, 'mknod', 0o010664, 0, 0o077)),
        mkdir: () => ok<EntryReply>(volume.fs.mkdir(ctx, nodeid, 'mkdir', 0o775, 0o077)),
        symlink: () => ok<EntryReply>(volume.fs.symlink(ctx, nodeid, 'symlink', Buffer.from('x'))),
      };
      for (const make of Object.values(made)) await make();
      t.equal(await modeOf(volume, 'd/create'), '100660');
      t.equal(await modeOf(volume, 'd/mknod'), '10660');
      t.equal(await get(volume, 'd/create', ACL_ACCESS), hex('u::rw- u:5:rwx g::rwx m::rw- o::---'));
      t.equal(await get(volume, 'd/mknod', ACL_ACCESS), hex('u::rw- u:5:rwx g::rwx m::rw- o::---'));
      t.equal(await modeOf(volume, 'd/mkdir'), '40770');
      t.equal(await get(volume, 'd/mkdir', ACL_ACCESS), hex(byDefault));
      t.equal(await get(volume, 'd/mkdir', ACL_DEFAULT), hex(byDefault), 'handed on');
      t.equal(await get(volume, 'd/create', ACL_DEFAULT), NONE);
      t.equal(await modeOf(volume, 'd/symlink'), '120777');
      t.equal(await get(volume, 'd/symlink', ACL_ACCESS), NONE);
      t.equal(await set(volume, 'd/symlink', ACL_ACCESS, value(rich)), 'EOPNOTSUPP');
      const unnamed = await ok<CreateReply>(volume.fs.tmpfile!(ctx, nodeid, 0o600, 0o077, 0));
      t.equal(unnamed.entry.attributes.mode, 0o100600);
      const shown = Buffer.from(await ok<Uint8Array>(volume.fs.getxattr(ctx, unnamed.entry.nodeid, ACL_ACCESS)));
      t.equal(shown.toString('hex'), hex('u::rw- u:5:rwx g::rwx m::--- o::---'));
      t.equal(await set(volume, 'd', ACL_DEFAULT, value('u::rwx g::r-x o::r-x')), 'ok');
      await ok<CreateReply>(volume.fs.create(ctx, nodeid, 'plain', 0o666, 0o077, 0));
      t.equal(await modeOf(volume, 'd/plain'), '100644', 'no umask, and a list that is no more than a mode');
      t.same(await names(volume, 'd/plain'), []);
      t.equal(await remove(volume, 'd', ACL_DEFAULT), 'ok');
      await ok<CreateReply>(volume.fs.create(ctx, nodeid, 'masked', 0o666, 0o077, 0));
      t.equal(await modeOf(volume, 'd/masked'), '100600');
    },
    { acl: true },
  ),
);

t.test('lists are in the store, for a mount that knows nothing yet', (t) =>
  withVolume(
    async (volume) => {
      await volume.mkdir('d');
      await set(volume, 'd', ACL_DEFAULT, value('u::rwx u:7:rwx g::r-x m::rwx o::---'));
      await set(volume, 'd', ACL_ACCESS, value('u::rwx u:6:r-x g::r-x m::r-x o::---'));
      await volume.write('d/f', 'one');
      await volume.rename('d/f', 'd/g');
      await volume.write('d/g', 'two');
      await chmod(volume, 'd/g', 0o640);
      await volume.fs.flushAll();
      // What is only listed is asked for when a list is wanted.
      await volume.remount(true, { acl: true, attributes: 'listing' });
      t.same(await volume.list('d'), ['g']);
      await volume.list('');
      t.equal(await get(volume, 'd/g', ACL_ACCESS), hex('u::rw- u:7:rwx g::r-x m::r-- o::---'));
      t.equal(await get(volume, 'd', ACL_ACCESS), hex('u::rwx u:6:r-x g::r-x m::r-x o::---'));
      const { nodeid } = await volume.entry('d');
      const { entry } = await ok<CreateReply>(volume.fs.create(ctx, nodeid, 'h', 0o666, 0o022, 0));
      t.equal(entry.attributes.mode, 0o100660);
      t.equal(await get(volume, 'd', ACL_DEFAULT), hex('u::rwx u:7:rwx g::r-x m::rwx o::---'));
    },
    { acl: true },
  ),
);

t.test('the journal has lists that wait for the store', (t) =>
  withVolume(
    async (volume) => {
      const again = { acl: true, writeBack: true };
      await volume.write('f', 'data');
      await volume.mkdir('d');
      await volume.fs.flushAll();
      await set(volume, 'f', ACL_ACCESS, value(rich));
      await set(volume, 'd', ACL_DEFAULT, value(rich));
      await volume.write('d/new', 'by default');
      t.equal(volume.memory.objects.get('f')?.metadata.xattr, undefined, 'the store does not have it yet');
      await volume.remount(false, again);
      t.equal(await get(volume, 'f', ACL_ACCESS), hex(rich));
      t.equal(await get(volume, 'd', ACL_DEFAULT), hex(rich));
      t.equal(await get(volume, 'd/new', ACL_ACCESS), hex('u::rw- u:5:rw- g::r-- m::r-- o::---'));
      await volume.fs.flushAll();
      await volume.remount(true, again);
      t.equal(await get(volume, 'f', ACL_ACCESS), hex(rich));
      t.equal(await get(volume, 'd', ACL_DEFAULT), hex(rich));
      t.equal(await get(volume, 'd/new', ACL_ACCESS), hex('u::rw- u:5:rw- g::r-- m::r-- o::---'));
    },
    { acl: true, writeBack: true },
  ),
);

t.test('a mode that another tool set counts, and what it made of a list is refused', (t) =>
  withVolume(
    async (volume) => {
      const xattr = (bytes: Uint8Array, name = ACL_ACCESS) =>
        encodeURIComponent(JSON.stringify({ [name]: Buffer.from(bytes).toString('base64') }));
      await volume.put('f', 'data', { mode: String(0o100640), xattr: xattr(value(rich)) });
      t.equal(await get(volume, 'f', ACL_ACCESS), hex('u::rw- u:5:rw- g::r-- m::r-- o::---'));
      await volume.put('bad', 'data', { mode: String(0o100640), xattr: xattr(Buffer.from('garbage')) });
      t.equal(await get(volume, 'bad', ACL_ACCESS), `-${errno.EIO}`, 'who is not the owner gets nowhere');
      await chmod(volume, 'bad', 0o600);
      t.equal(await remove(volume, 'bad', ACL_ACCESS), 'ok');
      t.equal(await get(volume, 'bad', ACL_ACCESS), NONE);
      await volume.put('d/', '', { mode: String(0o040755), xattr: xattr(Buffer.from('garbage'), ACL_DEFAULT) });
      const { nodeid } = await volume.entry('d');
      t.equal(await code(ok(volume.fs.create(ctx, nodeid, 'f', 0o666, 0, 0))), 'EIO');
    },
    { acl: true },
  ),
);

t.test('a list beyond the 2 KB of metadata is ENOSPC, and what is there stays', (t) =>
  withVolume(
    async (volume) => {
      const users = (count: number) =>
        Array.from({ length: count }, (_, at) => `u:${4_000_000_000 + at}:rw-`).join(' ');
      const long = (count: number) => value(`u::rw- ${users(count)} g::r-- m::rw- o::---`);
      await volume.write('f', 'data');
      t.equal(await set(volume, 'f', ACL_ACCESS, long(100)), 'ok', 'a hundred users fit');
      t.equal(await set(volume, 'f', ACL_ACCESS, long(200)), 'ENOSPC');
      t.equal(await get(volume, 'f', ACL_ACCESS), long(100).toString('hex'));
      t.equal(await modeOf(volume, 'f'), '100660');
      await volume.mkdir('d');
      t.equal(await set(volume, 'd', ACL_DEFAULT, long(100)), 'ok');
      const { nodeid } = await volume.entry('d');
      t.equal(
        await code(ok(volume.fs.mkdir(ctx, nodeid, 'both', 0o777, 0))),
        'ENOSPC',
        'it would carry the list twice',
      );
      t.same(await volume.list('d'), []);
      t.equal(await code(ok(volume.fs.create(ctx, nodeid, 'once', 0o666, 0, 0))), 'ok');
      await volume.fs.flushAll();
      t.equal(volume.body('f'), 'data');
    },
    { acl: true },
  ),
);

t.test('the root has lists too: of a whole bucket on this machine, under a prefix in its marker', async (t) => {
  const byDefault = 'u::rwx u:5:r-x g::r-x m::r-x o::---';
  await withVolume(
    async (volume) => {
      t.equal(await get(volume, '', ACL_ACCESS), NONE);
      t.equal(await set(volume, '', ACL_DEFAULT, value(byDefault)), 'ok');
      t.equal(await set(volume, '', 'user.a', Buffer.from('x')), 'EOPNOTSUPP');
      await volume.remount(false, { acl: true });
      t.equal(await get(volume, '', ACL_DEFAULT), hex(byDefault));
      const { entry } = await ok<CreateReply>(volume.fs.create(ctx, 1, 'f', 0o666, 0o022, 0));
      t.equal(entry.attributes.mode, 0o100640);
    },
    { acl: true },
  );
  await withVolume(
    async (volume) => {
      t.equal(await set(volume, '', ACL_DEFAULT, value(byDefault)), 'ok');
      await volume.fs.flushAll();
      await volume.remount(true, { acl: true, prefix: 'p/' });
      t.equal(await get(volume, '', ACL_DEFAULT), hex(byDefault));
    },
    { acl: true, prefix: 'p/' },
  );
});

t.test('without the option nothing answers, and what an object carries survives', (t) =>
  withVolume(
    async (volume) => {
      const metadata = (mode: number) => ({
        mode: String(mode),
        uid: '7',
        xattr: encodeURIComponent(
          JSON.stringify({
            [ACL_ACCESS]: value(rich).toString('base64'),
            'user.a': Buffer.from('1').toString('base64'),
          }),
        ),
      });
      await volume.put('f', 'data', metadata(0o100660));
      await volume.put('d/', '', metadata(0o040770));
      await volume.put('d/x', '');
      // Known from a listing only: what its marker carries has to be learnt before it is changed.
      await volume.list('');
      await volume.list('d');
      for (const path of ['f', 'd', '']) {
        for (const name of [ACL_ACCESS, ACL_DEFAULT]) {
          t.equal(await get(volume, path, name), `-${errno.EOPNOTSUPP}`);
          t.equal(await set(volume, path, name, value(rich)), 'EOPNOTSUPP');
          t.equal(await remove(volume, path, name), 'EOPNOTSUPP');
        }
      }
      await chmod(volume, 'd', 0o700);
      await chmod(volume, 'f', 0o600);
      t.same(await names(volume, 'f'), ['user.a'], 'nothing is listed that does not answer');
      await volume.write('f', 'anew');
      await volume.rename('f', 'g');
      t.equal(await set(volume, 'g', 'user.b', Buffer.from('2')), 'ok');
      await ok<CreateReply>(volume.fs.create(ctx, (await volume.entry('d')).nodeid, 'made', 0o666, 0o022, 0));
      t.equal(await modeOf(volume, 'd/made'), '100644');
      await volume.fs.flushAll();
      for (const [key, list] of [
        ['g', 'u::rw- u:5:rw- g::r-- m::--- o::---'],
        ['d/', 'u::rwx u:5:rw- g::r-- m::--- o::---'],
      ]) {
        const { xattrs, uid } = decodeAttributes(volume.memory.objects.get(key)!.metadata);
        t.equal(Buffer.from(xattrs!.get(ACL_ACCESS)!).toString('hex'), hex(list), key);
        t.equal(Buffer.from(xattrs!.get('user.a')!).toString(), '1', key);
        t.equal(uid, 7, key);
      }
    },
    { attributes: 'listing' },
  ),
);
