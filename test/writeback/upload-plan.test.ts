import fc from 'fast-check';
import t from 'tap';
import {
  DEFAULT_PART_BYTES,
  GiB,
  MAX_OBJECT_BYTES,
  MAX_PART_BYTES,
  MAX_PARTS,
  MIN_PART_BYTES,
  MiB,
} from '../../src/constants.js';
import { ExtentMap } from '../../src/writeback/extent-map.js';
import { partBytesFor, planUpload } from '../../src/writeback/upload-plan.js';

t.test('a small file is one PUT', async (t) => {
  const plan = planUpload({
    size: 100,
    written: ExtentMap.from([{ start: 0, end: 100 }]),
    baseBytes: 0,
    baseObjectBytes: 0,
    partBytes: DEFAULT_PART_BYTES,
  });
  t.same(plan, { kind: 'put', size: 100 });
});

t.test('a file between one and two parts is not cut into parts that are too small', async (t) => {
  const size = 9_000_000;
  const written = ExtentMap.from([{ start: 0, end: size }]);
  const plan = planUpload({ size, written, baseBytes: 0, baseObjectBytes: 0, partBytes: DEFAULT_PART_BYTES });
  t.same(plan, { kind: 'multipart', size, parts: [{ kind: 'send', start: 0, end: size }] });
});

t.test('one byte in the middle of 10 GiB sends a few MiB', async (t) => {
  const size = 10 * GiB;
  const plan = planUpload({
    size,
    written: ExtentMap.from([{ start: size / 2, end: size / 2 + 1 }]),
    baseBytes: size,
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

t.test('every plan covers the file once within the rules of S3', async (t) => {
  const input = fc.record({
    size: fc.oneof(fc.integer({ min: 0, max: 300 * GiB }), fc.integer({ min: 0, max: 40 * MiB })),
    baseShare: fc.double({ min: 0, max: 1.5, noNaN: true }),
    cuts: fc.array(fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.integer({ min: 1, max: 20 * MiB })), {
      maxLength: 40,
    }),
  });
  fc.assert(
    fc.property(input, ({ size, baseShare, cuts }) => {
      const object = Math.floor(size * baseShare);
      const baseBytes = Math.min(object, size);
      const written = new ExtentMap();
      for (const [share, length] of cuts)
        written.add(Math.floor(size * share), Math.min(size, Math.floor(size * share) + length));
      if (size > baseBytes) written.add(baseBytes, size);
      const plan = planUpload({ size, written, baseBytes, baseObjectBytes: object, partBytes: DEFAULT_PART_BYTES });
      if (plan === undefined) return false;
      if (plan.kind === 'put') return size <= Math.max(DEFAULT_PART_BYTES, partBytesFor(size, DEFAULT_PART_BYTES)!);
      let at = 0;
      for (const [index, part] of plan.parts.entries()) {
        const bytes = part.end - part.start;
        if (part.start !== at || bytes > MAX_PART_BYTES) return false;
        if (index < plan.parts.length - 1 && bytes < MIN_PART_BYTES) return false;
        if (part.kind === 'copy' && (part.end > baseBytes || written.overlaps(part.start, part.end))) return false;
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
      const plan = planUpload({ size, written, baseBytes: 0, baseObjectBytes: 0, partBytes });
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
  const plan = planUpload({ size, written, baseBytes: 0, baseObjectBytes: 0, partBytes: DEFAULT_PART_BYTES });
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
