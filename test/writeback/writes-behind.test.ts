import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import t from 'tap';
import { MiB, STAGED_SYNC_WRITE_BYTES } from '../../src/constants.js';
import { DiskRoom } from '../../src/writeback/disk-room.js';
import { StagedFile } from '../../src/writeback/staged-file.js';
import { StagingSpace } from '../../src/writeback/staging-space.js';
import { WritesBehind } from '../../src/writeback/writes-behind.js';

const KiB = 1024;

/** A file in memory, and a disk that writes when it is told to. */
class Disk {
  readonly bytes = Buffer.alloc(64);
  readonly landedRanges: Array<[number, number]> = [];
  readonly waiting: Array<{ finish(error?: Error): void; readonly position: number }> = [];
  readonly behind: WritesBehind = new WritesBehind(
    {
      fd: 3,
      size: 64,
      zero: (start, end) => void this.bytes.fill(0, start, end),
      landed: (start, end) => void this.landedRanges.push([start, end]),
      reached: () => undefined,
    },
    (_fd, data, position) =>
      new Promise((resolve, reject) => {
        const finish = (error?: Error): void => {
          if (error === undefined) this.bytes.set(data, position);
          if (error === undefined) resolve();
          else reject(error);
        };
        this.waiting.push({ finish, position });
      }),
  );
}

const later = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

t.test('one after the other, and what is answered is waited for where it lies', async (t) => {
  const disk = new Disk();
  void disk.behind.begin(0, Buffer.from('aaaa'), true);
  void disk.behind.begin(8, Buffer.from('bbbb'), true);
  t.equal(disk.waiting.length, 1, 'the second waits for the first');
  t.equal(disk.behind.end, 12);
  t.equal(disk.behind.answeredDone(4, 8), undefined, 'nothing is written in between');
  let isDone = false;
  const done = disk.behind.answeredDone(10, 20)?.then(() => {
    isDone = true;
  });
  disk.waiting[0]?.finish();
  await later();
  t.same(disk.landedRanges, [[0, 4]]);
  t.notOk(isDone);
  t.ok(disk.behind.isWriting(8, 9));
  disk.waiting[1]?.finish();
  await done;
  t.ok(isDone);
  t.ok(disk.behind.isEmpty);
  t.same(disk.landedRanges, [
    [0, 4],
    [8, 12],
  ]);
});

t.test('what is cut off or punched out meanwhile comes after the write', async (t) => {
  const disk = new Disk();
  const done = disk.behind.begin(0, Buffer.from('abcdefgh'), true);
  disk.behind.clear(2, 4);
  disk.behind.truncate(6);
  t.equal(disk.behind.end, 6);
  disk.waiting[0]?.finish();
  t.equal(await done, 8);
  t.same(disk.landedRanges, [
    [0, 2],
    [4, 6],
  ]);
  t.equal(disk.bytes.toString('latin1', 0, 8), 'ab\0\0ef\0\0');
});

t.test('a failure behind its answer is told once; the next write goes on', async (t) => {
  const disk = new Disk();
  const first = disk.behind.begin(0, Buffer.from('aaaa'), true);
  const second = disk.behind.begin(4, Buffer.from('bbbb'), true);
  disk.waiting[0]?.finish(Object.assign(new Error('no'), { code: 'EIO' }));
  await t.rejects(first, { code: 'EIO' });
  await later();
  disk.waiting[1]?.finish();
  await second;
  t.same(disk.landedRanges, [[4, 8]], 'what failed does not count as written');
  t.match(disk.behind.takeFailure(), { code: 'EIO' });
  t.equal(disk.behind.takeFailure(), undefined);
  const third = disk.behind.begin(0, Buffer.from('cccc'), false);
  await later();
  disk.waiting[2]?.finish(Object.assign(new Error('full'), { code: 'ENOSPC', written: 2 }));
  t.equal(await third, 2, 'a full disk takes some');
  t.equal(disk.behind.takeFailure(), undefined, 'who waits is told at once');
});

t.test('a disk that is nearly full, or cannot be asked, lets nobody be answered early', async (t) => {
  t.notOk(new DiskRoom('/nowhere/at/all').has(1));
  t.ok(new DiskRoom(tmpdir()).has(1));
  t.notOk(new DiskRoom(tmpdir()).has(Number.MAX_SAFE_INTEGER));
  const path = join(tmpdir(), `pailfs-test-behind-${process.pid}`);
  const staged = StagedFile.create(path, 0, new StagingSpace(8 * MiB));
  t.equal(staged.handOver(0, Buffer.alloc(MiB)), undefined);
  await staged.remove();
});

const LARGE = STAGED_SYNC_WRITE_BYTES + 1;
const anywhere = fc.nat(3 * LARGE);
const step = fc.oneof(
  { weight: 4, arbitrary: fc.tuple(fc.constant('write'), anywhere, fc.integer({ min: LARGE, max: 2 * LARGE })) },
  { weight: 1, arbitrary: fc.tuple(fc.constant('write'), anywhere, fc.integer({ min: 1, max: 4 * KiB })) },
  { weight: 2, arbitrary: fc.tuple(fc.constant('truncate'), fc.nat(5 * LARGE), fc.constant(0)) },
  { weight: 1, arbitrary: fc.tuple(fc.constant('clear'), anywhere, fc.integer({ min: 1, max: LARGE })) },
  { weight: 1, arbitrary: fc.tuple(fc.constant('read'), anywhere, fc.integer({ min: 1, max: LARGE })) },
);

t.test('writes that are answered early, in any order with others, are an array of bytes', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'pailfs-test-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  const space = new StagingSpace(Number.POSITIVE_INFINITY, new DiskRoom(directory));
  let count = 0;
  let early = 0;
  const contentOf = async (staged: StagedFile, start: number, end: number): Promise<Buffer> => {
    await staged.behind.answeredDone(start, end);
    const found = Buffer.alloc(end - start);
    for (const run of [...staged.layout.runs(start, end)])
      if (run.kind === 'written') found.set(await staged.read(run.start, run.end), run.start - start);
    return found;
  };
  const run = async (steps: Array<[string, number, number]>): Promise<boolean> => {
    const staged = StagedFile.create(join(directory, String(count++)), 0, space);
    let model = Buffer.alloc(0);
    const resize = (size: number): void => {
      const next = Buffer.alloc(size);
      model.copy(next);
      model = next;
    };
    let fill = 0;
    try {
      for (const [kind, at, length] of steps) {
        const end = at + length;
        if (kind === 'write') {
          const data = Buffer.alloc(length, (fill++ % 255) + 1);
          const taken = staged.handOver(at, data);
          if (taken === undefined) await staged.write(at, data);
          else {
            early++;
            // The request's buffer is used again as soon as it may be.
            void taken.then(() => data.fill(0xff));
          }
          resize(Math.max(model.length, end));
          model.fill(((fill - 1) % 255) + 1, at, end);
        } else if (kind === 'truncate') {
          staged.truncate(at);
          resize(at);
        } else if (kind === 'clear') {
          staged.clear(at, Math.min(end, staged.size));
          model.fill(0, Math.min(at, model.length), Math.min(end, model.length));
        } else {
          const to = Math.min(end, model.length);
          if (at < to && !(await contentOf(staged, at, to)).equals(model.subarray(at, to))) return false;
        }
        if (staged.size !== model.length) return false;
      }
      return (await contentOf(staged, 0, staged.size)).equals(model);
    } finally {
      await staged.remove();
    }
  };
  await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 14 }), run), { numRuns: 250 });
  t.ok(early > 100, `${early} writes were answered early`);
});
