import fc from 'fast-check';
import t from 'tap';
import { CopiedRanges } from '../../src/writeback/copied-ranges.js';
import { Layout } from '../../src/writeback/layout.js';

const SIZE = 64;

t.test('copied ranges are like a row of cells that know their source', async (t) => {
  const step = fc.tuple(
    fc.constantFrom('add', 'remove', 'truncate'),
    fc.nat(SIZE),
    fc.nat(SIZE),
    fc.constantFrom('a', 'b'),
    fc.nat(8),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const copied = new CopiedRanges<string>();
      const cells: (string | undefined)[] = new Array(SIZE).fill(undefined);
      for (const [kind, a, b, source, sourceStart] of steps) {
        const start = Math.min(a, b);
        const end = kind === 'truncate' ? SIZE : Math.max(a, b);
        if (kind === 'truncate') copied.truncate(start);
        else if (kind === 'remove') copied.remove(start, end);
        else copied.add(start, end, source, sourceStart);
        for (let i = start; i < end; i++) cells[i] = kind === 'add' ? `${source}${sourceStart + i - start}` : undefined;
        const found: (string | undefined)[] = new Array(SIZE).fill(undefined);
        for (const range of copied.within(0, SIZE))
          for (let i = range.start; i < range.end; i++)
            found[i] = `${range.source}${range.sourceStart + i - range.start}`;
        if (found.join() !== cells.join()) return false;
        for (const [i, range] of copied.ranges.entries()) {
          if (range.end <= range.start) return false;
          const before = copied.ranges[i - 1];
          if (before !== undefined && before.end > range.start) return false;
          if (
            before?.end === range.start &&
            `${before.source}${before.sourceStart + range.start - before.start}` ===
              `${range.source}${range.sourceStart}`
          )
            return false;
        }
        for (const range of copied.within(start, end)) if (range.start < start || range.end > end) return false;
      }
      return true;
    }),
    { numRuns: 1500 },
  );
  t.pass('1,500 random lists of operations');
});

t.test('a layout is like a row of cells', async (t) => {
  const step = fc.tuple(
    fc.constantFrom('write', 'truncate', 'clear', 'clear in file', 'copy'),
    fc.nat(SIZE),
    fc.nat(SIZE),
    fc.nat(8),
  );
  fc.assert(
    fc.property(fc.nat(40), fc.array(step, { maxLength: 25 }), (base, steps) => {
      const layout = new Layout<string>(base);
      let cells: string[] = Array.from({ length: base }, (_, i) => `base${i}`);
      // What the staged file would hold: 'w' where something was written, zero else.
      const file: string[] = new Array(SIZE + 1).fill('zero');
      for (const [kind, a, b, from] of steps) {
        const start = Math.min(a, b);
        const end = Math.max(a, b);
        const grow = (): void => {
          while (cells.length < end) cells.push('zero');
        };
        if (kind === 'truncate') {
          layout.truncate(start);
          cells = cells.slice(0, start);
          while (cells.length < start) cells.push('zero');
          file.fill('zero', start);
        } else if (end > start && kind === 'write') {
          layout.write(start, end);
          grow();
          cells.fill('w', start, end);
          file.fill('w', start, end);
        } else if (end > start && kind === 'copy') {
          layout.copy(start, end, 's', from);
          grow();
          for (let i = start; i < end; i++) cells[i] = `s${from + i - start}`;
        } else if (kind.startsWith('clear')) {
          layout.clear(start, end, kind === 'clear in file');
          cells.fill('zero', Math.min(start, cells.length), Math.min(end, cells.length));
          if (kind === 'clear in file') file.fill('zero', start, end);
        }
        if (layout.size !== cells.length) return false;
        let at = 0;
        const found: string[] = [];
        for (const run of layout.runs(0, SIZE * 2)) {
          if (run.start !== at || run.end <= run.start) return false;
          at = run.end;
          for (let i = run.start; i < run.end; i++) {
            if (run.kind === 'copied') found.push(`${run.source}${run.sourceStart + i - run.start}`);
            else found.push(run.kind === 'written' ? 'w' : run.kind === 'base' ? `base${i}` : 'zero');
          }
        }
        if (found.join() !== cells.join()) return false;
        // What the staged file is trusted for is there.
        for (const { start, end } of layout.inStagedFile().extents)
          for (let i = start; i < end; i++) if (file[i] !== cells[i]) return false;
        if (layout.isWhole !== cells.every((cell) => cell === 'w' || cell === 'zero')) return false;
        if (layout.dataBytes !== cells.filter((cell) => cell !== 'zero').length) return false;
        for (let offset = 0; offset <= SIZE; offset++) {
          const data = cells.findIndex((cell, i) => i >= offset && cell !== 'zero');
          if (layout.seek(offset, 'data') !== (data < 0 ? undefined : data)) return false;
          const hole = cells.findIndex((cell, i) => i >= offset && cell === 'zero');
          const end = offset < cells.length ? cells.length : undefined;
          if (layout.seek(offset, 'hole') !== (hole < 0 ? end : hole)) return false;
        }
      }
      return true;
    }),
    { numRuns: 1500 },
  );
  t.pass('1,500 random lists of operations');
});
