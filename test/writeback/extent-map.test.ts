import fc from 'fast-check';
import t from 'tap';
import { ExtentMap } from '../../src/writeback/extent-map.js';

const SIZE = 64;

function bitsOf(map: ExtentMap): string {
  let bits = '';
  for (const run of map.runs(0, SIZE)) bits += (run.present ? '1' : '0').repeat(run.end - run.start);
  return bits;
}

t.test('adds, removes and cuts like a row of bits', async (t) => {
  const step = fc.tuple(fc.constantFrom('add', 'remove', 'truncate'), fc.nat(SIZE), fc.nat(SIZE));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const map = new ExtentMap();
      let bits = '0'.repeat(SIZE);
      for (const [kind, a, b] of steps) {
        const start = Math.min(a, b);
        const end = kind === 'truncate' ? SIZE : Math.max(a, b);
        if (kind === 'truncate') map.truncate(start);
        else if (kind === 'add') map.add(start, end);
        else map.remove(start, end);
        bits = bits.slice(0, start) + (kind === 'add' ? '1' : '0').repeat(end - start) + bits.slice(end);
        if (bitsOf(map) !== bits) return false;
        const ones = bits.split('1').length - 1;
        if (map.bytes !== ones) return false;
        for (let i = 1; i < map.extents.length; i++) if (map.extents[i - 1].end >= map.extents[i].start) return false;
        if (map.covers(start, end) !== !bits.slice(start, end).includes('0')) return false;
        if (map.overlaps(start, end) !== bits.slice(start, end).includes('1')) return false;
      }
      return true;
    }),
    { numRuns: 2000 },
  );
  t.pass('2,000 random lists of operations');
});

t.test('appending keeps one extent', async (t) => {
  const map = new ExtentMap();
  for (let i = 0; i < 100; i++) map.add(i * 10, i * 10 + 10);
  t.same(map.extents, [{ start: 0, end: 1000 }]);
  t.ok(ExtentMap.from([{ start: 3, end: 3 }]).isEmpty);
});
