import fc from 'fast-check';
import t from 'tap';
import {
  DEFAULT_PART_BYTES,
  GiB,
  MAX_EARLY_PARTS,
  MAX_OBJECT_BYTES,
  MAX_PART_BYTES,
  MAX_PARTS,
  MIN_PART_BYTES,
  MiB,
} from '../../src/constants.js';
import { type Extent, ExtentMap } from '../../src/writeback/extent-map.js';
import { Layout } from '../../src/writeback/layout.js';
import { type PlanSource, partBytesFor, planBegun, planUpload } from '../../src/writeback/upload-plan.js';

interface Source extends PlanSource {
  readonly name: string;
}

/** The layout of a file of `size` bytes over a base, with these ranges written. */
function layoutOf(size: number, written: ExtentMap, baseBytes = 0): Layout<Source> {
  const layout = new Layout<Source>(Math.min(baseBytes, size));
  layout.truncate(size);
  for (const { start, end } of written.extents) layout.write(start, end);
  return layout;
}

t.test('a small file is one PUT', async (t) => {
  const plan = planUpload({
    layout: layoutOf(100, ExtentMap.from([{ start: 0, end: 100 }])),
    baseObjectBytes: 0,
    partBytes: DEFAULT_PART_BYTES,
  });
  t.same(plan, { kind: 'put', size: 100 });
});

t.test('a file between one and two parts is not cut into parts that are too small', async (t) => {
  const size = 9_000_000;
  const written = ExtentMap.from([{ start: 0, end: size }]);
  const plan = planUpload({ layout: layoutOf(size, written), baseObjectBytes: 0, partBytes: DEFAULT_PART_BYTES });
  t.same(plan, { kind: 'multipart', size, parts: [{ kind: 'send', start: 0, end: size }] });
});

t.test('one byte in the middle of 10 GiB sends a few MiB', async (t) => {
  const size = 10 * GiB;
  const plan = planUpload({
    layout: layoutOf(size, ExtentMap.from([{ start: size / 2, end: size / 2 + 1 }]), size),
    baseObjectBytes: size,
    partBytes: DEFAULT_PART_BYTES,
  });
  t.equal(plan?.kind, 'multipart');
  if (plan?.kind !== 'multipart') return;
  const sent = plan.parts.filter((part) => part.kind === 'send').reduce((sum, part) => sum + part.end - part.start, 0);
  t.equal(sent, MIN_PART_BYTES);
});

t.test('no object is larger than S3 allows', async (t) => {
  t.equal(partBytesFor(MAX_OBJECT_BYTES + 1, DEFAULT_PART_BYTES), undefined);
  t.equal(partBytesFor(MAX_OBJECT_BYTES, DEFAULT_PART_BYTES), MAX_PART_BYTES);
});

t.test('a copy of a whole object is one CopyObject, where S3 allows one', async (t) => {
  const copyOf = (size: number, more: Partial<Source> = {}) => {
    const layout = new Layout<Source>(0);
    layout.copy(0, size, { name: 'a', size, isLost: false, ...more }, 0);
    return layout;
  };
  const plan = (layout: Layout<Source>) => planUpload({ layout, baseObjectBytes: 0, partBytes: DEFAULT_PART_BYTES });
  for (const size of [1, 100, 6 * MiB, GiB, 5 * GiB]) t.match(plan(copyOf(size)), { kind: 'copy', size });
  t.match(plan(copyOf(100, { size: 200 })), { kind: 'put' }, 'not all of it');
  t.match(plan(copyOf(100, { isLost: true })), { kind: 'put' }, 'gone');
  const large = plan(copyOf(7 * GiB));
  t.ok(large?.kind === 'multipart' && large.parts.length === 7 && large.parts.every(({ kind }) => kind === 'copy'));
  const appended = copyOf(20 * MiB);
  appended.write(20 * MiB, 20 * MiB + 10);
  t.match(plan(appended), {
    kind: 'multipart',
    parts: [
      { kind: 'copy', start: 0, end: 20 * MiB, source: { name: 'a' }, sourceStart: 0 },
      { kind: 'send', start: 20 * MiB, end: 20 * MiB + 10 },
    ],
  });
  const joined = new Layout<Source>(0);
  joined.copy(0, 6 * MiB, { name: 'a', size: 6 * MiB, isLost: false }, 0);
  joined.copy(6 * MiB, 18 * MiB, { name: 'b', size: 50 * MiB, isLost: false }, 30 * MiB);
  joined.copy(18 * MiB, 22 * MiB, { name: 'c', size: 4 * MiB, isLost: false }, 0);
  t.match(plan(joined), {
    kind: 'multipart',
    parts: [
      { kind: 'copy', source: { name: 'a' }, sourceStart: 0 },
      { kind: 'copy', start: 6 * MiB, source: { name: 'b' }, sourceStart: 30 * MiB },
      { kind: 'send', start: 18 * MiB, end: 22 * MiB },
    ],
  });
});

t.test('every plan covers the file once within the rules of S3', async (t) => {
  const change = fc.constantFrom('write', 'clear', 'a', 'b', 'tiny', 'lost');
  const input = fc.record({
    size: fc.oneof(fc.integer({ min: 0, max: 300 * GiB }), fc.integer({ min: 0, max: 40 * MiB })),
    baseShare: fc.double({ min: 0, max: 1.5, noNaN: true }),
    cuts: fc.array(
      fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.integer({ min: 1, max: 20 * MiB }), change),
      { maxLength: 40 },
    ),
  });
  fc.assert(
    fc.property(input, ({ size, baseShare, cuts }) => {
      const object = Math.floor(size * baseShare);
      const layout = layoutOf(size, new ExtentMap(), object);
      const sources: Record<string, Source> = {
        a: { name: 'a', size: 400 * GiB, isLost: false },
        b: { name: 'b', size: 400 * GiB, isLost: false },
        tiny: { name: 'tiny', size: MIN_PART_BYTES, isLost: false },
        lost: { name: 'lost', size: 400 * GiB, isLost: true },
      };
      for (const [share, length, kind] of cuts) {
        const start = Math.floor(size * share);
        const end = Math.min(size, start + length);
        if (kind === 'write') layout.write(start, end);
        else if (kind === 'clear') layout.clear(start, end, false);
        else if (end > start) layout.copy(start, end, sources[kind], kind === 'tiny' ? 0 : length);
      }
      const plan = planUpload({ layout, baseObjectBytes: object, partBytes: DEFAULT_PART_BYTES });
      if (plan === undefined || plan.kind === 'copy') return false;
      if (plan.kind === 'put') return size <= Math.max(DEFAULT_PART_BYTES, partBytesFor(size, DEFAULT_PART_BYTES)!);
      let at = 0;
      for (const [index, part] of plan.parts.entries()) {
        const bytes = part.end - part.start;
        if (part.start !== at || bytes > MAX_PART_BYTES) return false;
        if (index < plan.parts.length - 1 && bytes < MIN_PART_BYTES) return false;
        if (part.kind === 'copy') {
          const runs = [...layout.runs(part.start, part.end)];
          const [run] = runs;
          if (runs.length !== 1) return false;
          if (part.source === undefined && (run.kind !== 'base' || part.sourceStart !== run.start)) return false;
          if (part.source !== undefined && (run.kind !== 'copied' || run.source !== part.source)) return false;
          if (run.kind === 'copied' && run.sourceStart !== part.sourceStart) return false;
          if (part.source?.isLost || part.source?.name === 'tiny') return false;
        }
        at = part.end;
      }
      return at === size && plan.parts.length <= MAX_PARTS;
    }),
    { numRuns: 2000 },
  );
  t.pass('2,000 random files');
});

t.test('no part but the last is smaller than S3 allows, at any size', async (t) => {
  for (const partBytes of [MIN_PART_BYTES, DEFAULT_PART_BYTES, 12 * MiB]) {
    for (let size = partBytes + 1; size < 60 * MiB; size += 700_001) {
      const written = ExtentMap.from([{ start: 0, end: size }]);
      const plan = planUpload({ layout: layoutOf(size, written), baseObjectBytes: 0, partBytes });
      if (plan?.kind !== 'multipart') return t.fail(`${size}: no multipart`);
      const small = plan.parts.slice(0, -1).filter((part) => part.end - part.start < MIN_PART_BYTES);
      if (small.length > 0)
        t.fail(`${size} bytes in parts of ${partBytes}: a part of ${small[0].end - small[0].start}`);
    }
  }
});

t.test('the largest object is covered to its last byte', async (t) => {
  const size = MAX_OBJECT_BYTES - 12_345;
  const written = ExtentMap.from([{ start: 0, end: size }]);
  const plan = planUpload({ layout: layoutOf(size, written), baseObjectBytes: 0, partBytes: DEFAULT_PART_BYTES });
  if (plan?.kind !== 'multipart') return t.fail('no multipart');
  let at = 0;
  for (const part of plan.parts) {
    if (part.start !== at) t.fail(`a gap at ${at}`);
    at = part.end;
  }
  t.equal(at, size);
  t.ok(plan.parts.length <= MAX_PARTS);
  t.ok(plan.parts.every((part) => part.end - part.start <= MAX_PART_BYTES));
});

t.test('a plan that goes on where an upload was begun', async (t) => {
  const begunParts = (count: number, bytes: number): Extent[] =>
    Array.from({ length: count }, (_, i) => ({ start: i * bytes, end: (i + 1) * bytes }));
  const wholeOf = (size: number) => layoutOf(size, ExtentMap.from([{ start: 0, end: size }]));
  const input = fc.record({
    size: fc.oneof(
      fc.integer({ min: 1, max: 200 * MiB }),
      fc.integer({ min: 1, max: MAX_OBJECT_BYTES / MiB }).map((n) => n * MiB),
    ),
    count: fc.integer({ min: 0, max: MAX_EARLY_PARTS }),
    bytes: fc.integer({ min: MIN_PART_BYTES, max: 32 * MiB }),
  });
  fc.assert(
    fc.property(input, ({ size, count, bytes }) => {
      const begun = begunParts(count, bytes);
      const plan = planBegun(wholeOf(size), begun, DEFAULT_PART_BYTES);
      const isTooLarge = size > (MAX_PARTS - MAX_EARLY_PARTS) * MAX_PART_BYTES;
      if (plan === undefined) return count === 0 || size < bytes || isTooLarge;
      if (plan.kind !== 'multipart' || plan.parts.length > MAX_PARTS) return false;
      let at = 0;
      for (const [index, part] of plan.parts.entries()) {
        const length = part.end - part.start;
        const isLast = index === plan.parts.length - 1;
        if (part.kind !== 'send' || part.start !== at || length <= 0 || length > MAX_PART_BYTES) return false;
        if (!isLast && length < MIN_PART_BYTES) return false;
        if (begun[index] !== undefined && begun[index].end <= size && begun[index].end !== part.end) return false;
        at = part.end;
      }
      return at === size;
    }),
    { numRuns: 300 },
  );
  const copied = wholeOf(20 * MiB);
  copied.copy(0, 5 * MiB, { name: 'a', size: 5 * MiB, isLost: false }, 0);
  t.equal(planBegun(copied, begunParts(2, 8 * MiB), DEFAULT_PART_BYTES), undefined, 'what was copied into it since');
});
