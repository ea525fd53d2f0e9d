/** ctime: what changes it besides bytes and modes, and that the store has it afterwards. atime: relatime, without a request. */
import t from 'tap';
import type { FileAttributes } from '../../src/fuse/operations.js';
import { ctx, ok, type TestVolume, withVolume } from './volume-fixture.js';

const attributesOf = (volume: TestVolume, path: string): Promise<FileAttributes> =>
  volume.with(path, async (_nodeid, { attributes }) => attributes);

const nsOf = ({ ctime }: FileAttributes): bigint => BigInt(ctime.sec) * 1_000_000_000n + BigInt(ctime.nsec);

const metadataOf = (volume: TestVolume, key: string): Readonly<Record<string, string>> | undefined =>
  volume.memory.objects.get(key)?.metadata;

for (const writeBack of [false, true]) {
  const volumes = (work: (volume: TestVolume) => Promise<void>): Promise<void> => withVolume(work, { writeBack });
  const how = writeBack ? 'with write-back' : 'without write-back';

  t.test(`a renamed file has a new ctime, here and in the store, ${how}`, (t) =>
    volumes(async (volume) => {
      await volume.write('a', 'text');
      await volume.fs.flushAll();
      const before = await attributesOf(volume, 'a');
      volume.clock.advance(20);
      volume.requests();
      await volume.rename('a', 'b');
      const after = await attributesOf(volume, 'b');
      t.ok(nsOf(after) > nsOf(before));
      t.same({ ...after, ctime: before.ctime, btime: before.btime }, before, 'nothing else changed');
      await volume.fs.flushAll();
      const { CopyObject, PutObject } = volume.requests();
      t.same({ CopyObject, PutObject }, { CopyObject: 1, PutObject: undefined }, 'with the copy that is made anyway');
      await volume.remount(true, { writeBack });
      t.same((await attributesOf(volume, 'b')).ctime, after.ctime, 'another machine sees it');
    }),
  );

  t.test(`a rename adds nothing to an object that has no times, ${how}`, (t) =>
    volumes(async (volume) => {
      await volume.put('theirs', 'text', { colour: 'red' });
      const before = await attributesOf(volume, 'theirs');
      volume.clock.advance(5_000);
      await volume.rename('theirs', 'ours');
      t.ok(nsOf(await attributesOf(volume, 'ours')) > nsOf(before));
      await volume.fs.flushAll();
      t.same(metadataOf(volume, 'ours'), { colour: 'red' });
    }),
  );

  t.test(`directories, extended attributes and the first name of an O_TMPFILE, ${how}`, (t) =>
    volumes(async (volume) => {
      await volume.mkdir('d');
      await volume.write('f', 'text');
      let last = nsOf(await attributesOf(volume, 'd'));
      const changed = async (what: string, path: string): Promise<void> => {
        const now = nsOf(await attributesOf(volume, path));
        t.ok(now > last, what);
        last = now;
        volume.clock.advance(20);
      };
      volume.clock.advance(20);
      await volume.rename('d', 'e');
      await changed('a renamed directory', 'e');
      await volume.with('f', (nodeid) => ok(volume.fs.setxattr(ctx, nodeid, 'user.a', Buffer.from('1'), 0)));
      await changed('setxattr', 'f');
      await volume.with('f', (nodeid) => ok(volume.fs.removexattr(ctx, nodeid, 'user.a')));
      await changed('removexattr', 'f');
      const { entry, open } = await ok(volume.fs.tmpfile!(ctx, 1, 0o666, 0o022, 2));
      volume.clock.advance(20);
      last = nsOf(entry.attributes) + 1n;
      await ok(volume.fs.link!(ctx, entry.nodeid, 1, 'named'));
      await changed('link', 'named');
      await volume.closeFile({ nodeid: entry.nodeid, fh: open.fh });
    }),
  );
}

t.test('a rename that fails leaves ctime as it was', (t) =>
  withVolume(
    async (volume) => {
      await volume.write('a', 'text');
      const before = await attributesOf(volume, 'a');
      volume.clock.advance(20);
      volume.client.add({ method: 'copy', times: 1, action: { kind: 'fail', error: 'AccessDenied' } });
      await t.rejects(volume.rename('a', 'b'), { code: 'EACCES' });
      t.same((await attributesOf(volume, 'a')).ctime, before.ctime);
    },
    { writeBack: false },
  ),
);

t.test('two that change places both have a new ctime', (t) =>
  withVolume(
    async (volume) => {
      await volume.write('a', 'one');
      await volume.write('b', 'two');
      await volume.fs.flushAll();
      const before = [await attributesOf(volume, 'a'), await attributesOf(volume, 'b')].map(nsOf);
      volume.clock.advance(20);
      await volume.rename('a', 'b', 2);
      const after = [await attributesOf(volume, 'b'), await attributesOf(volume, 'a')];
      t.same(
        after.map((one, at) => nsOf(one) > before[at]),
        [true, true],
      );
      await volume.fs.flushAll();
      await volume.remount(true, { writeBack: true });
      t.same((await attributesOf(volume, 'b')).ctime, after[0].ctime);
    },
    { writeBack: true },
  ),
);

t.test('a chmod while the renamed object is being copied is not lost', (t) =>
  withVolume(
    async (volume) => {
      await volume.write('a', 'text');
      await volume.fs.flushAll();
      let chmodded: Promise<unknown> | undefined;
      const chmod = (mode: number): Promise<unknown> =>
        volume.with('b', (nodeid) => ok(volume.fs.setattr(ctx, nodeid, { mode, killSuidgid: false })));
      volume.client.add({
        method: 'copy',
        key: 'b',
        times: 1,
        action: {
          kind: 'call',
          before: async () => {
            chmodded = chmod(0o600);
            await chmodded;
          },
        },
      });
      await volume.rename('a', 'b');
      await volume.fs.flushAll();
      t.ok(chmodded, 'it came in between');
      await volume.fs.flushAll();
      t.equal(metadataOf(volume, 'b')?.mode, String(0o100600));
      await volume.remount(true, { writeBack: true });
      t.equal((await attributesOf(volume, 'b')).mode, 0o100600);
    },
    { writeBack: true },
  ),
);

t.test('a read sets atime as relatime has it, and no object is written for it', (t) =>
  withVolume(
    async (volume) => {
      const nsOfAccess = async (path: string): Promise<bigint> => {
        const { atime } = await attributesOf(volume, path);
        return BigInt(atime.sec) * 1_000_000_000n + BigInt(atime.nsec);
      };
      const nowNs = (): bigint => BigInt(volume.clock.time) * 1_000_000n;
      await volume.mkdir('d');
      await volume.write('d/f', 'text');
      await volume.with('', (nodeid) => ok(volume.fs.symlink(ctx, nodeid, 'link', Buffer.from('d/f'))));
      await volume.fs.flushAll();
      volume.clock.advance(20);
      volume.requests();
      const begun = nowNs();
      await volume.read('d/f');
      await volume.list('d');
      await volume.with('link', (nodeid) => ok(volume.fs.readlink(ctx, nodeid)));
      const paths = ['d/f', 'd', 'link'];
      for (const path of paths) t.ok((await nsOfAccess(path)) >= begun, path);
      const first = await nsOfAccess('d/f');
      volume.clock.advance(3_600_000);
      await volume.read('d/f');
      t.equal(await nsOfAccess('d/f'), first, 'read since its last change, and within a day');
      volume.clock.advance(24 * 3_600_000);
      await volume.read('d/f');
      t.ok((await nsOfAccess('d/f')) > first, 'a day later');
      await volume.fs.flushAll();
      const { PutObject, CopyObject } = volume.requests();
      t.same({ PutObject, CopyObject }, { PutObject: undefined, CopyObject: undefined });
      await volume.with('d/f', (nodeid) => ok(volume.fs.setattr(ctx, nodeid, { mode: 0o600, killSuidgid: false })));
      const kept = await nsOfAccess('d/f');
      await volume.fs.flushAll();
      await volume.remount(true, { writeBack: true });
      t.equal(await nsOfAccess('d/f'), kept, 'it went along with the chmod');
    },
    { writeBack: true },
  ),
);
