/** fallocate, SEEK_DATA and SEEK_HOLE without a kernel: against an array of bytes, over a base that is not downloaded. */
import fc from 'fast-check';
import t from 'tap';
import { MiB } from '../../src/constants.js';
import { code, ctx, O_RDWR, ok, TestVolume, withVolume } from './volume-fixture.js';

const KEEP_SIZE = 1;
const PUNCH = 2 | KEEP_SIZE;
const ZERO = 16;
const SEEK_DATA = 3;
const SEEK_HOLE = 4;

type File = { nodeid: number; fh: number };

const fallocate = (volume: TestVolume, file: File, mode: number, offset: number, length: number): Promise<number> =>
  ok<number>(volume.fs.fallocate!(ctx, file.nodeid, file.fh, offset, length, mode));
const seek = (volume: TestVolume, file: File, offset: number, whence: number): Promise<number> =>
  ok<number>(volume.fs.lseek!(ctx, file.nodeid, file.fh, offset, whence));

const MAX = 12_000;
const step = fc.oneof(
  fc.record({
    op: fc.constantFrom('write' as const, 'punch' as const, 'zero' as const, 'zero keep' as const, 'extend' as const),
    at: fc.nat(MAX),
    length: fc.integer({ min: 1, max: 6_000 }),
  }),
  fc.record({ op: fc.constant('truncate' as const), at: fc.nat(MAX), length: fc.constant(0) }),
  fc.record({ op: fc.constant('close' as const), at: fc.nat(1), length: fc.constant(0) }),
);

t.test('random operations give the bytes that a plain file has', async (t) => {
  const volume = await TestVolume.open({ openTtlMs: 0 });
  volume.holds = true;
  let count = 0;
  await fc.assert(
    fc.asyncProperty(fc.nat(9_000), fc.array(step, { maxLength: 12 }), async (base, steps) => {
      const name = `f${count++}`;
      let model = Buffer.alloc(base, 'base ');
      await volume.memory.put(name, model);
      volume.clock.advance(5_000);
      let file = await volume.open(name, O_RDWR);
      const grow = (size: number): void => {
        if (size > model.length) model = Buffer.concat([model, Buffer.alloc(size - model.length)]);
      };
      for (const { op, at, length } of steps) {
        const end = at + length;
        if (op === 'write') {
          await volume.writeAt(file, at, Buffer.alloc(length, 'w'));
          grow(end);
          model.fill('w', at, end);
        } else if (op === 'truncate') {
          await volume.truncate(name, at);
          grow(at);
          model = model.subarray(0, at);
        } else if (op === 'close') {
          await volume.closeFile(file);
          if (at === 1) await volume.remount(true, { openTtlMs: 0 });
          if (volume.body(name) !== model.toString('latin1')) return false;
          file = await volume.open(name, O_RDWR);
        } else {
          const modes = { punch: PUNCH, zero: ZERO, 'zero keep': ZERO | KEEP_SIZE, extend: 0 };
          await fallocate(volume, file, modes[op], at, length);
          if (op === 'zero' || op === 'extend') grow(end);
          if (op !== 'extend') model.fill(0, Math.min(at, model.length), Math.min(end, model.length));
        }
        if (!(await volume.readAt(file, 0, MAX * 2)).equals(model)) return false;
        // A hole may be told as data, never the other way round.
        for (let offset = 0; offset < model.length; ) {
          const data = await seek(volume, file, offset, SEEK_DATA).catch(() => model.length);
          if (data < offset || !model.subarray(offset, data).every((byte) => byte === 0)) return false;
          if (data >= model.length) break;
          const hole = await seek(volume, file, data, SEEK_HOLE);
          if (hole <= data || hole > model.length) return false;
          offset = hole;
        }
      }
      await volume.closeFile(file);
      return volume.body(name) === model.toString('latin1');
    }),
    { numRuns: 150 },
  );
  await volume.close();
  t.pass('150 random lists of operations');
});

t.test('punching a large object downloads only what goes into parts', (t) =>
  withVolume(async (volume) => {
    const size = 40 * MiB;
    await volume.memory.put('big', Buffer.alloc(size, 'x'));
    const file = await volume.open('big', O_RDWR);
    volume.requests();
    const received = volume.memory.counters.bytesReceived;
    await fallocate(volume, file, PUNCH, 16 * MiB, 8 * MiB);
    t.same(volume.requests(), {}, 'no request at all');
    t.equal((await volume.readAt(file, 20 * MiB, 4096)).indexOf('x'), -1);
    t.same(volume.requests(), {}, 'reading the hole neither');
    await volume.closeFile(file);
    t.match(volume.requests(), { UploadPartCopy: 2, UploadPart: 1 });
    t.equal(volume.memory.counters.bytesReceived, received, 'nothing was downloaded');
    const body = volume.memory.objects.get('big')!.body;
    t.ok(Buffer.from(body.subarray(16 * MiB, 24 * MiB)).equals(Buffer.alloc(8 * MiB)));
    t.equal(Buffer.from(body).indexOf(0), 16 * MiB);
    t.equal(Buffer.from(body).lastIndexOf(0), 24 * MiB - 1);
  }),
);

t.test('data, holes and blocks of a sparse file; an object has no holes', (t) =>
  withVolume(async (volume) => {
    const file = await volume.create('sparse');
    await volume.writeAt(file, 100_000, 'middle');
    await fallocate(volume, file, 0, 0, 300_000);
    t.equal(await seek(volume, file, 0, SEEK_DATA), 100_000);
    t.equal(await seek(volume, file, 0, SEEK_HOLE), 0);
    t.equal(await seek(volume, file, 100_003, SEEK_HOLE), 100_006);
    t.equal(await code(seek(volume, file, 100_006, SEEK_DATA)), 'ENXIO', 'only a hole follows');
    t.equal(await code(seek(volume, file, 300_000, SEEK_HOLE)), 'ENXIO', 'the end');
    t.equal(await code(seek(volume, file, 0, 9)), 'EINVAL');
    t.match((await volume.entry('sparse')).attributes, { size: 300_000, blocks: 1 });
    await volume.closeFile(file);
    t.match((await volume.entry('sparse')).attributes, { size: 300_000, blocks: 586 });
    const again = await volume.open('sparse');
    t.equal(await seek(volume, again, 5, SEEK_DATA), 5);
    t.equal(await seek(volume, again, 5, SEEK_HOLE), 300_000);
    t.equal(await code(seek(volume, again, 300_000, SEEK_DATA)), 'ENXIO');
    t.equal(await code(fallocate(volume, again, 0, 0, 1)), 'EBADF', 'not open for writing');
    await volume.closeFile(again);
  }),
);

t.test('what waits for its upload is bounded: fallocate sees it, and clearing gives room back', (t) =>
  withVolume(
    async (volume) => {
      const file = await volume.create('f');
      await volume.writeAt(file, 0, Buffer.alloc(3 * MiB, 'x'));
      t.equal(await code(fallocate(volume, file, 0, 0, 4 * MiB)), 'ok');
      t.equal(await code(fallocate(volume, file, 0, 0, 5 * MiB)), 'ENOSPC');
      t.equal(await code(volume.writeAt(file, 3 * MiB, Buffer.alloc(2 * MiB, 'y'))), 'ENOSPC');
      await fallocate(volume, file, PUNCH, MiB, 3 * MiB);
      t.equal(await code(volume.writeAt(file, 2 * MiB, Buffer.alloc(2 * MiB, 'y'))), 'ok');
      await volume.closeFile(file);
      t.equal(volume.body('f')?.indexOf('y'), 2 * MiB);
      t.equal(volume.body('f')?.[MiB], '\0');
    },
    { stagingBytes: 4 * MiB },
  ),
);

t.test('what cannot be allocated', (t) =>
  withVolume(async (volume) => {
    const file = await volume.create('f');
    await volume.writeAt(file, 0, 'data');
    t.equal(await code(fallocate(volume, file, 0, 0, 2 ** 50)), 'EFBIG');
    t.equal(await code(fallocate(volume, file, 0, 0, 2 ** 45)), 'ENOSPC');
    t.equal(await code(fallocate(volume, file, KEEP_SIZE, 0, 2 ** 45)), 'ENOSPC');
    t.equal(await code(fallocate(volume, file, 0, 0, 0)), 'EINVAL');
    for (const mode of [2, 8, 32, 64, PUNCH | ZERO])
      t.equal(await code(fallocate(volume, file, mode, 0, 10)), 'EOPNOTSUPP', `mode ${mode}`);
    t.equal(await code(fallocate(volume, file, KEEP_SIZE, 0, 1000)), 'ok');
    t.equal((await volume.entry('f')).attributes.size, 4);
    await volume.closeFile(file);
    t.equal(volume.body('f'), 'data');
  }),
);
