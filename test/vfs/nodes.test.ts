/** Names that are no regular files, birth times, and renames that must not replace: calls without a kernel. */
import t from 'tap';
import { errno } from '../../src/errno.js';
import type { EntryReply } from '../../src/fuse/operations.js';
import { code, ctx, O_RDWR, ok, TestVolume, withVolume } from './volume-fixture.js';

const mknod = (volume: TestVolume, name: string, mode: number, rdev = 0): Promise<EntryReply> =>
  ok<EntryReply>(volume.fs.mknod!(ctx, 1, name, mode, rdev, 0o022));

t.test('fifos, sockets and devices are empty objects whose metadata says what they are', (t) =>
  withVolume(async (volume) => {
    const made = [
      ['fifo', 0o010666, 0, 0o010644],
      ['socket', 0o140777, 0, 0o140755],
      ['char', 0o020600, 0x103, 0o020600],
      ['block', 0o060660, 0x12300e0f, 0o060640],
      ['plain', 0o100666, 7, 0o100644],
    ] as const;
    for (const [name, mode, rdev] of made) await mknod(volume, name, mode, rdev);
    const numbers: Record<string, string | undefined> = { char: '259', block: String(0x12300e0f) };
    for (const [name, , , mode] of made) {
      const object = volume.memory.objects.get(name);
      t.equal(object?.body.length, 0, name);
      t.equal(object?.metadata.mode, String(mode), name);
      t.equal(object?.metadata.rdev, numbers[name], name);
    }
    await volume.remount(true);
    for (const [name, , rdev, mode] of made) {
      const { attributes } = await volume.entry(name);
      t.equal(attributes.mode, mode, `${name}: type and mode after a remount`);
      t.equal(attributes.rdev, name === 'plain' ? 0 : rdev, `${name}: device number after a remount`);
    }
    t.equal(await code(mknod(volume, 'fifo', 0o010666)), 'EEXIST');
    t.equal(await code(mknod(volume, 'bad', 0o150666)), 'EINVAL');
    await volume.rename('char', 'moved');
    t.match(volume.memory.objects.get('moved')?.metadata, { mode: String(0o020600), rdev: '259' });
  }),
);

t.test('a device node as geesefs writes it: octal mode, decimal rdev', (t) =>
  withVolume(async (volume) => {
    await volume.put('dev', '', { mode: '020640', rdev: '1283', uid: '0', gid: '6' });
    const { attributes } = await volume.entry('dev');
    t.match(attributes, { mode: 0o020640, rdev: 1283, uid: 0, gid: 6 });
    const change = { mode: 0o600, killSuidgid: false };
    await volume.with('dev', (nodeid) => ok(volume.fs.setattr(ctx, nodeid, change)));
    t.match(volume.memory.objects.get('dev')?.metadata, { mode: String(0o020600), rdev: '1283' });
  }),
);

t.test('the birth of a file is the date of its object', (t) =>
  withVolume(async (volume) => {
    await volume.put('f', 'data', { mtime: '5.000000000' });
    const written = volume.clock.now();
    volume.clock.advance(5_000);
    t.match((await volume.entry('f')).attributes, { mtime: { sec: 5 }, btime: { sec: Math.floor(written / 1000) } });
    const file = await volume.create('new', O_RDWR);
    t.equal((await volume.entry('new')).attributes.btime, undefined, 'nothing in the store yet');
    await volume.closeFile(file);
    t.match((await volume.entry('new')).attributes.btime, { sec: Math.floor(volume.clock.now() / 1000) });
  }),
);

const NOREPLACE = 1;
const rename = (volume: TestVolume, from: string, to: string): Promise<number> =>
  ok<number>(volume.fs.rename(ctx, 1, from, 1, to, NOREPLACE));

t.test('RENAME_NOREPLACE does not replace what another client wrote since', (t) =>
  withVolume(async (volume) => {
    await volume.put('a', 'ours');
    await volume.put('dir/x', 'below');
    await volume.list('');
    t.equal(await code(rename(volume, 'a', 'dir')), 'EEXIST');
    await volume.put('b', 'theirs');
    t.equal(await code(rename(volume, 'a', 'b')), 'EEXIST', 'a listing from before does not know it');
    await volume.put('c/y', 'theirs');
    t.equal(await code(rename(volume, 'dir', 'c')), 'EEXIST');
    t.same([volume.body('a'), volume.body('b'), volume.body('dir/x')], ['ours', 'theirs', 'below']);
    const before = (): Promise<void> => volume.put('d', 'just now');
    volume.client.add({ method: 'copy', times: 1, action: { kind: 'call', before } });
    t.equal(await code(rename(volume, 'a', 'd')), 'EEXIST', 'between the question and the copy');
    t.equal(volume.body('d'), 'just now');
    t.equal(await code(rename(volume, 'a', 'e')), 'ok');
    t.equal(await code(rename(volume, 'dir', 'f')), 'ok');
    t.same([volume.body('a'), volume.body('e'), volume.body('f/x')], [undefined, 'ours', 'below']);
  }),
);

t.test('RENAME_NOREPLACE to the name of a file that is removed and still open here', (t) =>
  withVolume(async (volume) => {
    await volume.put('old', 'x'.repeat(300_000));
    await volume.put('a', 'ours');
    const file = await volume.open('old');
    await volume.unlink('old');
    t.equal(await code(rename(volume, 'a', 'old')), 'ok');
    await volume.closeFile(file);
    t.equal(volume.body('old'), 'ours');
  }),
);

t.test('a read-only mount answers EROFS to whatever would change something, and asks the store for nothing', (t) =>
  withVolume(
    async (volume) => {
      await volume.put('f', 'bytes');
      await volume.put('d/x', 'bytes');
      await volume.list('');
      await volume.list('d');
      const { fs } = volume;
      const { nodeid } = await volume.entry('f');
      const bytes = Buffer.from('x');
      const calls: Record<string, () => unknown> = {
        'open for writing': () => fs.open(ctx, nodeid, 1, false),
        'open to truncate': () => fs.open(ctx, nodeid, 0o1000, false),
        create: () => fs.create(ctx, 1, 'new', 0o644, 0o22, 1),
        mkdir: () => fs.mkdir(ctx, 1, 'new', 0o755, 0o22),
        mknod: () => fs.mknod!(ctx, 1, 'new', 0o010644, 0, 0),
        symlink: () => fs.symlink(ctx, 1, 'new', bytes),
        tmpfile: () => fs.tmpfile!(ctx, 1, 0o644, 0o22, 2),
        unlink: () => fs.unlink(ctx, 1, 'f'),
        rmdir: () => fs.rmdir(ctx, 1, 'd'),
        rename: () => fs.rename(ctx, 1, 'f', 1, 'g', 0),
        chmod: () => fs.setattr(ctx, nodeid, { mode: 0o600, killSuidgid: false }),
        truncate: () => fs.setattr(ctx, nodeid, { size: 1, killSuidgid: false }),
        setxattr: () => fs.setxattr(ctx, nodeid, 'user.a', bytes, 0),
        removexattr: () => fs.removexattr(ctx, nodeid, 'user.a'),
      };
      volume.requests();
      for (const [what, call] of Object.entries(calls))
        t.equal(await code(ok((await call()) as number)), 'EROFS', what);
      t.same(volume.requests(), {});
      t.equal(await volume.read('f'), 'bytes');
    },
    { readOnly: true },
  ),
);

t.test('there is one link to everything, whatever a directory holds', (t) =>
  withVolume(async (volume) => {
    await volume.write('f', 'data');
    for (const name of ['d', 'd/one', 'd/two']) await volume.mkdir(name);
    for (const path of ['', 'f', 'd', 'd/one']) t.equal((await volume.entry(path)).attributes.nlink, 1, path);
  }),
);

t.test('the root of a whole bucket keeps its attributes on this machine', (t) =>
  withVolume(async (volume) => {
    const change = { mode: 0o701, uid: 12, mtime: { sec: 5, nsec: 6 }, killSuidgid: false };
    await ok(volume.fs.setattr(ctx, 1, change));
    await volume.fs.flushAll();
    t.equal(volume.memory.objects.size, 0);
    await volume.remount(false);
    t.match((await volume.entry('')).attributes, { mode: 0o040701, uid: 12, mtime: { sec: 5, nsec: 6 } });
  }),
);

t.test('a key has at most 1,024 bytes, the prefix of the mount included', (t) =>
  withVolume(
    async (volume) => {
      let path = '';
      for (const letter of 'abcd') {
        path += `${letter.repeat(200)}/`;
        await volume.mkdir(path.slice(0, -1));
      }
      const fits = path + 'y'.repeat(1024 - 'p/'.length - path.length);
      t.equal(await code(volume.write(`${fits}z`, '')), 'ENAMETOOLONG');
      t.equal(await code(volume.write(fits, 'data')), 'ok');
      await volume.fs.flushAll();
      t.equal(volume.body(`p/${fits}`), 'data');
      t.equal(await code(volume.rename(fits, `${fits}z`)), 'ENAMETOOLONG');
    },
    { prefix: 'p/' },
  ),
);

t.test('s3.* tells what the store knows, when asked by name', async (t) => {
  const told = new TestVolume();
  const presigned: Array<readonly [string, number]> = [];
  const client = new Proxy(told.client, {
    get(target, name) {
      if (name === 'presign')
        return async (key: string, seconds: number) => {
          presigned.push([key, seconds]);
          return `https://store/${key}?signed`;
        };
      const value = Reflect.get(target, name, target);
      if (name !== 'head') return typeof value === 'function' ? value.bind(target) : value;
      return async (...args: Parameters<typeof target.head>) => ({ ...(await target.head(...args)), versionId: 'v1' });
    },
  });
  await told.mount({ client });
  try {
    const headers = { contentType: 'text/x', storageClass: 'STANDARD_IA' };
    await told.memory.put('d/f', Buffer.from('data'), { headers, metadata: { colour: 'green' } });
    const get = (name: string): Promise<string> =>
      told.with('d/f', async (nodeid) => {
        const answer = await told.fs.getxattr(ctx, nodeid, name);
        return typeof answer === 'number' ? String(answer) : Buffer.from(answer).toString();
      });
    t.equal(await get('s3.etag'), told.memory.objects.get('d/f')?.etag);
    t.equal(await get('s3.content-type'), 'text/x');
    t.equal(await get('s3.storage-class'), 'STANDARD_IA');
    t.equal(await get('s3.version-id'), 'v1');
    t.equal(await get('s3.meta.colour'), 'green');
    t.equal(await get('s3.key'), 'd/f');
    t.equal(await get('s3.url'), 'https://store/d/f?signed');
    t.same(presigned, [['d/f', 3600]], 'for an hour');
    t.equal(await get('s3.nothing'), String(-errno.ENODATA));
    await told.with('d/f', async (nodeid) => t.same(await told.fs.listxattr(ctx, nodeid), [], 'not listed'));
  } finally {
    await told.close();
  }
});

t.test('the content of a directory’s marker is a file in it; removing it leaves an empty marker', (t) =>
  withVolume(async (volume) => {
    await volume.put('d/', 'text');
    t.same(await volume.list('d'), ['=pailfs-object=']);
    t.equal(await volume.read('d/=pailfs-object='), 'text');
    await volume.unlink('d/=pailfs-object=');
    await volume.fs.flushAll();
    t.same([[...volume.memory.objects.keys()], volume.body('d/')], [['d/'], '']);
    t.same(await volume.list('d'), []);
    t.equal((await volume.entry('d')).attributes.mode & 0o170000, 0o040000, 'the directory stays');
  }),
);

for (const writeBack of [false, true])
  t.test(`a directory that two hosts make, write-back ${writeBack ? 'on' : 'off'}`, async (t) => {
    const a = await TestVolume.open({ writeBack });
    const b = await TestVolume.open({ writeBack, client: a.client });
    try {
      for (const volume of [a, b]) t.equal(await code(volume.entry('d')), 'ENOENT');
      t.equal(await code(a.mkdir('d')), 'ok');
      await a.fs.flushAll();
      t.equal(await code(b.mkdir('d')), writeBack ? 'ok' : 'EEXIST');
      for (const [index, volume] of [a, b].entries()) await volume.write(`d/${index}`, '');
      for (const volume of [a, b]) await volume.fs.flushAll();
      t.same([...a.memory.objects.keys()].sort(), ['d/', 'd/0', 'd/1'], 'it is one directory');
      t.same([...a.fs.status().conflicts, ...b.fs.status().conflicts], []);
    } finally {
      await a.close();
      await b.close();
    }
  });

for (const writeBack of [false, true])
  t.test(`two hosts that chmod one file: the last one wins, write-back ${writeBack ? 'on' : 'off'}`, async (t) => {
    const a = await TestVolume.open({ writeBack });
    const b = await TestVolume.open({ writeBack, client: a.client });
    const chmod = async (volume: TestVolume, mode: number): Promise<void> => {
      await volume.with('f', (nodeid) => ok(volume.fs.setattr(ctx, nodeid, { mode, killSuidgid: false })));
      await volume.fs.flushAll();
    };
    try {
      await a.put('f', 'data');
      for (const volume of [a, b]) t.equal(await volume.read('f'), 'data');
      a.requests();
      await chmod(a, 0o600);
      await chmod(b, 0o640);
      t.match(a.requests(), { CopyObject: 2, PutObject: undefined, GetObject: undefined });
      t.equal(a.memory.objects.get('f')?.metadata.mode, String(0o100640));
      t.same([a.body('f'), ...a.fs.status().conflicts, ...b.fs.status().conflicts], ['data']);
    } finally {
      await a.close();
      await b.close();
    }
  });

t.test('a directory that only stands for the beginning of long names cannot be made, renamed or have a mode', (t) =>
  withVolume(async (volume) => {
    await volume.put('x'.repeat(300), 'data');
    const [beginning] = await volume.list('');
    t.equal(beginning, `=pailfs-long=${'x'.repeat(240)}`);
    const other = `=pailfs-long=${'y'.repeat(240)}`;
    t.equal(await code(volume.mkdir(other)), 'EINVAL');
    t.equal(await code(volume.rename(beginning, 'z')), 'EPERM');
    t.equal(await code(volume.rename(beginning, other)), 'EINVAL');
    const chmod = (nodeid: number): Promise<string> =>
      code(ok(volume.fs.setattr(ctx, nodeid, { mode: 0o700, killSuidgid: false })));
    t.equal(await volume.with(beginning, chmod), 'EPERM');
    t.equal(await volume.read(`${beginning}/=pailfs=${'x'.repeat(60)}`), 'data');
  }),
);
