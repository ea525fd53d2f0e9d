import fc from 'fast-check';
import t from 'tap';
import { Readahead } from '../../src/cache/readahead.js';
import { GiB, KiB, MiB, READAHEAD_FIRST_BYTES } from '../../src/constants.js';

const MAX = 32 * MiB;
const SIZE = 10 * GiB;

/** Bytes asked to be fetched ahead by reads of `length` at these offsets. */
function ahead(offsets: readonly number[], length: number, size = SIZE): number {
  const readahead = new Readahead(MAX);
  let sum = 0;
  for (const offset of offsets) {
    const range = readahead.onRead(offset, length, size);
    if (range !== undefined) sum += range.end - range.start;
  }
  return sum;
}

t.test('grows to its maximum while reading goes on, without gap or overlap', async (t) => {
  const readahead = new Readahead(MAX);
  let reached: number | undefined;
  const lengths: number[] = [];
  for (let at = 0; at < 512 * MiB; at += 128 * KiB) {
    const range = readahead.onRead(at, 128 * KiB, SIZE);
    if (range === undefined) continue;
    t.equal(range.start, reached ?? at + 128 * KiB);
    t.ok(range.end - (at + 128 * KiB) <= MAX);
    lengths.push(range.end - range.start);
    reached = range.end;
  }
  t.equal(lengths[0], READAHEAD_FIRST_BYTES);
  t.equal(readahead.window, MAX);
  t.ok(lengths.slice(-8).every((length) => length >= MAX / 2));
});

t.test('nothing for random reads', async (t) => {
  let state = 7;
  const offsets = Array.from({ length: 5_000 }, () => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return Math.floor((state / 2 ** 32) * (SIZE / 4096)) * 4096;
  });
  t.ok(ahead(offsets, 4096) <= 8 * 5_000 * 4096);
  t.equal(ahead(offsets.slice(0, 50), 4096), 0);
});

t.test('nothing for small reads far apart, nor for the end of a file', async (t) => {
  const strided = Array.from({ length: 200 }, (_, i) => i * 128 * KiB + 64 * KiB);
  t.equal(ahead(strided, 4096), 0);
  for (const size of [5_000, 100 * KiB, 200 * KiB, GiB]) {
    t.equal(ahead([size - 4096, size - 4096, size - 2048], 4096, size), 0, `${size} bytes`);
  }
});

t.test('the reads of one stream may come slightly out of order', async (t) => {
  const block = 128 * KiB;
  const offsets: number[] = [];
  for (let i = 0; i < 400; i += 4) offsets.push(...[i, i + 2, i + 1, i + 3].map((j) => j * block));
  const readahead = new Readahead(MAX);
  for (const offset of offsets) readahead.onRead(offset, block, SIZE);
  t.equal(readahead.window, MAX);
});

t.test('a jump closes the window, and reading on opens it again', async (t) => {
  const readahead = new Readahead(MAX);
  for (let at = 0; at < 64 * MiB; at += MiB) readahead.onRead(at, MiB, SIZE);
  t.equal(readahead.onRead(5 * GiB, MiB, SIZE), undefined);
  t.equal(readahead.window, 0);
  t.equal(readahead.onRead(5 * GiB + MiB, MiB, SIZE), undefined);
  t.same(readahead.onRead(5 * GiB + 2 * MiB, MiB, SIZE), { start: 5 * GiB + 3 * MiB, end: 5 * GiB + 4 * MiB });
});

t.test('what could not be begun is asked for again', async (t) => {
  const readahead = new Readahead(MAX);
  const first = readahead.onRead(0, 128 * KiB, SIZE);
  t.same(first, { start: 128 * KiB, end: 128 * KiB + MiB });
  readahead.heldBack(256 * KiB);
  const next = readahead.onRead(128 * KiB, 128 * KiB, SIZE);
  t.equal(next?.start, 256 * KiB);
  readahead.heldBack(GiB);
  t.equal(readahead.onRead(256 * KiB, 4096, SIZE)?.start ?? next?.end, next?.end, 'a later byte holds nothing back');
});

t.test('never beyond the file or the maximum, never behind the read', async () => {
  const read = fc.record({ offset: fc.integer({ min: 0, max: 40 * MiB }), length: fc.integer({ min: 1, max: MiB }) });
  const sizes = fc.integer({ min: 1, max: 41 * MiB });
  fc.assert(
    fc.property(fc.array(read), sizes, fc.integer({ min: 1, max: 4 * MiB }), (reads, size, max) => {
      const readahead = new Readahead(max);
      let at = 0;
      for (const { offset, length } of reads) {
        const from = offset % 3 === 0 ? offset : at;
        at = from + length;
        const range = readahead.onRead(from, length, size);
        if (range === undefined) continue;
        if (range.start >= range.end || range.end > size || range.start < Math.min(from, size)) return false;
        if (range.end - at > max || readahead.window > max) return false;
      }
      return true;
    }),
  );
});
