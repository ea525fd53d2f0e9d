import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import t from 'tap';
import { MiB, STAGED_SYNC_WRITE_BYTES } from '../../src/constants.js';
import { StagedFile } from '../../src/writeback/staged-file.js';
import { StagingSpace } from '../../src/writeback/staging-space.js';
import { isSmallDisk } from '../small-disk.js';

function temporary(t: { teardown(work: () => unknown): void }): string {
  const directory = mkdtempSync(join(tmpdir(), 'pailfs-test-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

const open = (path: string): boolean => {
  const fds = execFileSync('sh', ['-c', `ls -l /proc/${process.pid}/fd`], { encoding: 'utf8' });
  return fds.includes(path);
};

type Step =
  | { readonly kind: 'write'; readonly offset: number; readonly length: number; readonly fill: number }
  | { readonly kind: 'truncate'; readonly size: number };

const MAX = 300_000;
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    kind: fc.constant('write' as const),
    offset: fc.nat(MAX),
    length: fc.oneof(fc.integer({ min: 1, max: 9_000 }), fc.integer({ min: 1, max: 3 * STAGED_SYNC_WRITE_BYTES })),
    fill: fc.integer({ min: 1, max: 255 }),
  }),
  fc.record({ kind: fc.constant('truncate' as const), size: fc.nat(MAX) }),
);

t.test('equals an array of bytes over its base', async (t) => {
  const directory = temporary(t);
  let count = 0;
  const run = async (steps: Step[], baseBytes: number): Promise<boolean> => {
    const staged = StagedFile.create(join(directory, String(count++)), baseBytes);
    try {
      // Bytes of the base that still show are 0xff here; it cannot be written.
      let model = Buffer.alloc(baseBytes, 256 - 1);
      let generation = staged.generation;
      for (const s of steps) {
        if (s.kind === 'write') {
          if ((await staged.write(s.offset, Buffer.alloc(s.length, s.fill % 255))) !== s.length) return false;
          const grown = Buffer.alloc(Math.max(model.length, s.offset + s.length));
          model.copy(grown);
          model = grown.fill(s.fill % 255, s.offset, s.offset + s.length);
        } else {
          staged.truncate(s.size);
          const cut = Buffer.alloc(s.size);
          model.copy(cut);
          model = cut;
        }
        if (staged.generation <= generation) return false;
        generation = staged.generation;
      }
      if (staged.size !== model.length) return false;
      const found = Buffer.alloc(staged.size);
      for (const run of staged.written.runs(0, staged.size)) {
        if (run.present) found.set(await staged.read(run.start, run.end), run.start);
        else found.fill(255, run.start, Math.max(run.start, Math.min(run.end, staged.baseBytes)));
      }
      const whole = !found.includes(255);
      // What lies behind the base and was not written is a hole of the staged file itself.
      const tail = await staged.read(staged.baseBytes, Math.max(staged.baseBytes, staged.size));
      return found.equals(model) && (!staged.isWhole || whole) && model.subarray(staged.baseBytes).equals(tail);
    } finally {
      await staged.remove();
    }
  };
  const base = fc.constantFrom(0, 1, 4096, 100_000);
  await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 12 }), base, run), { numRuns: 150 });
});

t.test('at rest it has no descriptor, and its bytes are there when it is looked at again', async (t) => {
  const path = join(temporary(t), 'f');
  const staged = StagedFile.create(path, 0);
  const data = Buffer.alloc(2 * STAGED_SYNC_WRITE_BYTES, 7);
  const writing = staged.write(0, data);
  staged.rest();
  t.ok(open(path), 'not while something is under way');
  await writing;
  staged.rest();
  t.notOk(open(path));
  t.same(await staged.read(0, data.length), data);
  t.ok(open(path));
  staged.rest();
  await staged.write(data.length, Buffer.from('more'));
  t.equal(staged.size, data.length + 4);
  const again = StagedFile.reopen(path, staged.layout.save()!, new StagingSpace(1 * MiB));
  t.equal((await again.read(data.length, again.size)).toString(), 'more');
  again.close();
  await staged.remove();
  t.notOk(existsSync(path));
});

t.test('closed while a read and a write are under way: they end, then the descriptor goes', async (t) => {
  const path = join(temporary(t), 'f');
  const staged = StagedFile.create(path, 0);
  const data = Buffer.alloc(MiB, 7);
  await staged.write(0, data);
  const reads = Array.from({ length: 8 }, () => staged.read(0, MiB));
  const write = staged.write(MiB, data);
  staged.close();
  for (const bytes of await Promise.all(reads)) t.ok(data.equals(bytes));
  t.equal(await write, MiB);
  t.notOk(open(path));
  t.equal(statSync(path).size, 2 * MiB);
  t.throws(() => staged.fd, /closed/);
  t.throws(() => staged.write(0, Buffer.alloc(1)), /closed/);
  await t.rejects(async () => staged.read(0, 1), /closed/);
  await t.rejects(Promise.resolve(staged.write(0, data)), /closed/);
  staged.close();
  await staged.remove();
  t.notOk(existsSync(path));
});

t.test('a truncation while a write is under way comes before or after it, never in between', async (t) => {
  const path = join(temporary(t), 'f');
  for (let round = 0; round < 20; round++) {
    const staged = StagedFile.create(path, 0);
    const write = staged.write(0, Buffer.alloc(2 * MiB, 7));
    for (let i = 0; i < round; i++) await Promise.resolve();
    if (round % 2 === 1) await new Promise((resolve) => setImmediate(resolve));
    staged.truncate(10);
    await write;
    const zeros = readFileSync(path).indexOf(0);
    t.ok((staged.size === 2 * MiB && zeros === -1) || staged.size === 10, `round ${round}: ${staged.size}, ${zeros}`);
    await staged.remove();
  }
});

t.test('never takes over a file that is there', async (t) => {
  const path = join(temporary(t), 'f');
  const staged = StagedFile.create(path, 0);
  t.throws(() => StagedFile.create(path, 0), { code: 'EEXIST' });
  await staged.remove();
});

t.test('a full disk: what was written counts, the rest is refused', async (t) => {
  const directory = temporary(t);
  if (!isSmallDisk(t, directory, '1m')) return;
  const path = join(directory, 'f');
  const staged = StagedFile.create(path, 0);
  const some = await staged.write(MiB / 2, Buffer.alloc(2 * MiB, 7));
  t.ok(some > 0 && some < 2 * MiB, `${some} bytes`);
  t.same(staged.written.extents, [{ start: MiB / 2, end: MiB / 2 + some }]);
  t.equal(staged.size, MiB / 2 + some);
  await t.rejects(Promise.resolve(staged.write(4 * MiB, Buffer.alloc(MiB, 7))), { code: 'ENOSPC' });
  await t.rejects(
    async () => {
      for (let at = 0; ; at += 4096) await staged.write(4 * MiB + at, Buffer.alloc(4096, 7));
    },
    { code: 'ENOSPC' },
  );
  t.equal(statSync(path).size, staged.size, 'nothing lies behind what is known');
  await staged.remove();
});
