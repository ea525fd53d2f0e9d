/** O_TMPFILE and the one link there can be, without a kernel. */
import t from 'tap';
import type { CreateReply, EntryReply } from '../../src/fuse/operations.js';
import { code, ctx, O_RDWR, ok, type TestVolume, withVolume } from './volume-fixture.js';

async function tmpfile(volume: TestVolume): Promise<{ nodeid: number; fh: number }> {
  const reply = await ok<CreateReply>(volume.fs.tmpfile!(ctx, 1, 0o666, 0o022, O_RDWR));
  return { nodeid: reply.entry.nodeid, fh: reply.open.fh };
}

const link = (volume: TestVolume, nodeid: number, name: string): Promise<EntryReply> =>
  ok<EntryReply>(volume.fs.link!(ctx, nodeid, 1, name));

t.test('a file without a name is never uploaded', (t) =>
  withVolume(async (volume) => {
    const file = await tmpfile(volume);
    await volume.writeAt(file, 0, 'secret');
    t.equal((await volume.readAt(file, 0, 99)).toString(), 'secret');
    t.equal(await ok(volume.fs.fsync(ctx, file.nodeid, file.fh, false)), 0);
    const { attributes } = await ok(volume.fs.getattr(ctx, file.nodeid, file.fh));
    t.match(attributes, { nlink: 0, size: 6, mode: 0o100644 });
    await ok(volume.fs.setattr(ctx, file.nodeid, { mode: 0o600, killSuidgid: false }));
    await volume.fs.flushAll();
    t.equal(await code(ok(volume.fs.setxattr(ctx, file.nodeid, 'user.a', Buffer.from('b'), 0))), 'ok');
    await volume.closeFile(file);
    volume.fs.forget(file.nodeid, 1);
    t.same(volume.requests(), {}, 'not one request');
    t.match(volume.fs.status(), { openFiles: 0, inodes: 1, dirty: [] });
  }),
);

t.test('its first name brings it to the store, a second is refused', (t) =>
  withVolume(async (volume) => {
    const file = await tmpfile(volume);
    await volume.writeAt(file, 0, 'content');
    const { ino } = (await ok(volume.fs.getattr(ctx, file.nodeid, file.fh))).attributes;
    const entry = await link(volume, file.nodeid, 'named.txt');
    t.match(entry, { nodeid: file.nodeid, attributes: { nlink: 1, ino } });
    t.equal(volume.body('named.txt'), 'content', 'before it is closed');
    t.equal(volume.memory.objects.get('named.txt')?.headers.contentType, 'text/plain');
    t.same(await volume.list(''), ['named.txt']);
    t.equal(await code(link(volume, file.nodeid, 'again')), 'EPERM');
    await volume.writeAt(file, 7, ' and more');
    await volume.closeFile(file);
    t.equal(volume.body('named.txt'), 'content and more');
    t.equal(await volume.read('named.txt'), 'content and more');
    t.equal((await volume.entry('named.txt')).nodeid, file.nodeid);
  }),
);

t.test('names that are taken, by us or by others, stay; the file can still get another', (t) =>
  withVolume(async (volume) => {
    await volume.put('taken', 'theirs');
    const file = await tmpfile(volume);
    await volume.writeAt(file, 0, 'ours');
    t.equal(await code(link(volume, file.nodeid, 'taken')), 'EEXIST');
    await volume.list('');
    await volume.put('late', 'theirs');
    t.equal(await code(link(volume, file.nodeid, 'late')), 'EEXIST', 'found at the upload');
    t.equal(volume.body('late'), 'theirs');
    t.equal(volume.fs.status().conflicts.length, 0, 'no conflict copy');
    volume.client.add({ method: 'put', times: 1, action: { kind: 'fail', error: 'AccessDenied' } });
    t.equal(await code(link(volume, file.nodeid, 'denied')), 'EACCES');
    t.equal(await code(volume.entry('denied')), 'ENOENT', 'a failed link leaves no name');
    t.match((await ok(volume.fs.getattr(ctx, file.nodeid, file.fh))).attributes, { nlink: 0 });
    t.equal(await code(link(volume, file.nodeid, 'free')), 'ok');
    t.equal(volume.body('free'), 'ours');
    await volume.closeFile(file);
    t.same([...volume.memory.objects.keys()].sort(), ['free', 'late', 'taken']);
    t.equal(volume.fs.status().dirty.length, 0);
  }),
);

t.test('no other file can be linked, and nothing on a read-only mount', (t) =>
  withVolume(async (volume) => {
    await volume.put('f', 'data');
    await volume.with('f', async (nodeid) => {
      t.equal(await code(link(volume, nodeid, 'g')), 'EPERM');
    });
    const open = await volume.create('open');
    await volume.unlink('open');
    t.equal(await code(link(volume, open.nodeid, 'back')), 'EPERM', 'removed is not unnamed');
    await volume.closeFile(open);
    await volume.remount(false, { readOnly: true });
    t.equal(await code(tmpfile(volume)), 'EROFS');
  }),
);
