import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import t from 'tap';
import { Content } from '../../src/cache/content.js';
import { BLOCK_BYTES, PAGE_BYTES } from '../../src/constants.js';
import { content as bytesOf } from './fixture.js';

const range = (size: number) =>
  fc.tuple(fc.nat(size), fc.nat(size)).map(([a, b]) => ({ start: Math.min(a, b), end: Math.max(a, b) }));

t.test('marks whole pages only, and the short last one', async (t) => {
  const content = new Content('x', 10_000);
  content.markValid(1, 8192);
  t.same(
    [0, 1, 2].map((page) => content.isPageValid(page)),
    [false, true, false],
  );
  content.markValid(8192, 9_999);
  t.notOk(content.isPageValid(2), 'one byte is missing');
  content.markValid(8192, 10_000);
  t.ok(content.isPageValid(2));
  t.notOk(content.isComplete);
  content.markValid(0, 10_000);
  t.ok(content.isComplete);
  t.equal(content.diskBytes, 3 * PAGE_BYTES);
  t.ok(content.isValid(0, 10_000));
  t.ok(new Content('empty', 0).isComplete);
});

t.test('the bitmap equals a set of pages', async () => {
  const size = 2 * BLOCK_BYTES + 12_345;
  fc.assert(
    fc.property(fc.array(range(size), { maxLength: 8 }), range(size), fc.nat(3), (marks, probe, dropped) => {
      const content = new Content('x', size);
      const pages = new Set<number>();
      for (const { start, end } of marks) {
        content.markValid(start, end);
        for (let page = 0; page * PAGE_BYTES < size; page++) {
          if (page * PAGE_BYTES >= start && Math.min(size, (page + 1) * PAGE_BYTES) <= end) pages.add(page);
        }
      }
      content.dropBlock(dropped);
      for (const page of [...pages]) if (Math.floor((page * PAGE_BYTES) / BLOCK_BYTES) === dropped) pages.delete(page);
      if (content.diskBytes !== pages.size * PAGE_BYTES) return false;
      const isIn = (at: number): boolean => pages.has(Math.floor(at / PAGE_BYTES));
      for (const valid of [true, false]) {
        const end = content.runEnd(probe.start, probe.end, valid);
        if (end < probe.start || end > probe.end) return false;
        for (let at = probe.start; at < end; at = (Math.floor(at / PAGE_BYTES) + 1) * PAGE_BYTES) {
          if (isIn(at) !== valid) return false;
        }
        if (end < probe.end && isIn(end) === valid) return false;
      }
      return true;
    }),
    { numRuns: 60 },
  );
});

t.test('the CRC is of the valid pages alone', async (t) => {
  const bytes = bytesOf(BLOCK_BYTES);
  const content = new Content('x', BLOCK_BYTES + 5);
  t.equal(content.crcOfValid(0, bytes), 0);
  content.markValid(PAGE_BYTES, 2 * PAGE_BYTES);
  content.markValid(5 * PAGE_BYTES, 7 * PAGE_BYTES);
  const valid = [bytes.subarray(PAGE_BYTES, 2 * PAGE_BYTES), bytes.subarray(5 * PAGE_BYTES, 7 * PAGE_BYTES)];
  const crc = content.crcOfValid(0, bytes);
  t.equal(crc, crc32(Buffer.concat(valid)));
  const others = Buffer.from(bytes)
    .fill(0, 0, PAGE_BYTES)
    .fill(9, 3 * PAGE_BYTES, 5 * PAGE_BYTES);
  t.equal(content.crcOfValid(0, others), crc, 'whatever lies in the gaps');
  others[PAGE_BYTES + 17] ^= 1;
  t.not(content.crcOfValid(0, others), crc);
  content.markValid(0, BLOCK_BYTES);
  t.equal(content.crcOfValid(0, bytes), crc32(bytes), 'of a full block it is that of its bytes');
});

t.test('records bring back what had a CRC', async () => {
  const size = 2 * BLOCK_BYTES + 7;
  fc.assert(
    fc.property(fc.array(range(size), { maxLength: 6 }), (marks) => {
      const content = new Content('x', size);
      for (const { start, end } of marks) content.markValid(start, end);
      for (const [block, state] of content.blocks) if (block !== 1) state.crc = block;
      const loaded = new Content('x', size);
      loaded.loadRecords(content.toRecords());
      content.dropBlock(1);
      for (let page = 0; page * PAGE_BYTES < size; page++) {
        if (loaded.isPageValid(page) !== content.isPageValid(page)) return false;
      }
      return loaded.diskBytes === content.diskBytes && [...loaded.blocks.values()].every((state) => !state.verified);
    }),
    { numRuns: 60 },
  );
});

t.test('records that cannot be are left out', async (t) => {
  const content = new Content('x', 100);
  content.loadRecords([
    [0, new Uint8Array(3), 1],
    [7, new Uint8Array(BLOCK_BYTES / PAGE_BYTES / 8), 1],
    [-1, new Uint8Array(BLOCK_BYTES / PAGE_BYTES / 8), 1],
  ]);
  t.equal(content.blocks.size, 0);
});

t.test('its versions tell which ETags are its own', async (t) => {
  const content = new Content('x', 100);
  content.versions.add('abc\n100\nkey');
  t.ok(content.knows('abc'));
  t.notOk(content.knows('ab'));
  t.notOk(content.knows('key'));
});
