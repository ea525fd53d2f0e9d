/** The journal: what is appended comes back, whatever happens to its bytes, or is known to be in doubt. */
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import t from 'tap';
import { Journal } from '../../src/writeback/journal.js';
import {
  encodeFileHeader,
  FILE_HEADER_BYTES,
  JournalRefused,
  parseJournal,
} from '../../src/writeback/journal-format.js';

const silent = { warn: () => undefined, error: () => undefined };
const directory = mkdtempSync(join(tmpdir(), 'pailfs-journal-'));
t.teardown(() => rmSync(directory, { recursive: true, force: true }));
let count = 0;
const newPath = (): string => join(directory, `journal${count++}`);

const stateOf = (journal: Journal): Record<number, unknown> =>
  Object.fromEntries([...journal.entries()].map(([id, { value }]) => [id, value]));

type Change = readonly [number, unknown];
const change = fc.tuple(fc.integer({ min: 1, max: 6 }), fc.option(fc.string({ maxLength: 12 }), { nil: undefined }));
const history = fc.array(fc.array(change, { minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: 8 });

function apply(state: Map<number, unknown>, changes: readonly Change[]): void {
  for (const [id, value] of changes) {
    if (value === undefined) state.delete(id);
    else state.set(id, value);
  }
}

/** The states after each frame. */
function statesOf(frames: ReadonlyArray<readonly Change[]>): Array<Record<number, unknown>> {
  const state = new Map<number, unknown>();
  return frames.map((changes) => {
    apply(state, changes);
    return Object.fromEntries(state);
  });
}

async function write(path: string, frames: ReadonlyArray<readonly Change[]>): Promise<void> {
  const journal = Journal.open(path, 'here', silent);
  for (const changes of frames) {
    journal.reserve();
    journal.append(changes);
  }
  await journal.close();
}

t.test('what was appended is there when it is opened again', async (t) => {
  await fc.assert(
    fc.asyncProperty(history, async (frames) => {
      const path = newPath();
      await write(path, frames);
      const again = Journal.open(path, 'here', silent);
      const states = statesOf(frames);
      t.strictSame(stateOf(again), states[states.length - 1]);
      if (again.doubtful.size > 0 || again.wasDamaged) throw new Error('nothing was damaged');
      await again.close();
    }),
    { numRuns: 60 },
  );
});

t.test('a journal that was not closed, with its zeros behind the last frame', async (t) => {
  const path = newPath();
  const journal = Journal.open(path, 'here', silent);
  journal.reserve();
  journal.append([[1, 'a']]);
  t.ok(statSync(path).size > 100_000);
  const again = Journal.open(path, 'here', silent);
  t.strictSame(stateOf(again), { 1: 'a' });
  t.notOk(again.wasDamaged);
  await again.close();
  await journal.close();
});

t.test('cut anywhere: the state after some frame, and all frames before the cut', async (t) => {
  const frames: Change[][] = [
    [[1, 'one']],
    [
      [2, 'two'],
      [1, undefined],
    ],
    [[3, { deep: ['x'] }]],
    [[2, 'again']],
  ];
  const path = newPath();
  await write(path, frames);
  const whole = readFileSync(path);
  const states = [{}, ...statesOf(frames)];
  for (let size = 0; size < whole.length; size++) {
    const cut = newPath();
    writeFileSync(cut, whole);
    truncateSync(cut, size);
    const journal = Journal.open(cut, 'here', silent);
    const state = JSON.stringify(stateOf(journal));
    if (!states.some((one) => JSON.stringify(one) === state)) t.fail(`cut at ${size}: ${state}`);
    journal.append([[9, 'new']]);
    await journal.close();
    const later = Journal.open(cut, 'here', silent);
    if (later.wasDamaged || stateOf(later)[9] !== 'new') t.fail(`cut at ${size}: not usable afterwards`);
    await later.close();
  }
  t.pass(`${whole.length} places`);
});

t.test('a bit flipped anywhere: what it may have changed is in doubt, or the end is known to be damaged', async (t) => {
  const frames: Change[][] = [
    [[1, 'one']],
    [
      [2, 'two'],
      [4, 'four'],
    ],
    [
      [1, 'uno'],
      [4, undefined],
    ],
    [[2, 'dos']],
  ];
  const path = newPath();
  await write(path, frames);
  const whole = readFileSync(path);
  const truth = statesOf(frames)[frames.length - 1];
  const parsed = parseJournal(whole).frames;
  const lastFrame = parsed[parsed.length - 1];
  for (let at = 0; at < whole.length; at++) {
    const flipped = newPath();
    const bytes = Buffer.from(whole);
    bytes[at] ^= 1 << (at % 8);
    writeFileSync(flipped, bytes);
    const journal = Journal.open(flipped, 'here', silent);
    const state = stateOf(journal);
    const wrong = Object.keys(state).filter((id) => state[Number(id)] !== truth[Number(id)]);
    const isWhole = JSON.stringify(state) === JSON.stringify(truth);
    if (!isWhole && !journal.wasDamaged) t.fail(`bit at ${at}: ${JSON.stringify(state)} and nothing said`);
    // A damaged last frame is no different from a torn end.
    if (at < lastFrame.start)
      for (const id of wrong)
        if (!journal.doubtful.has(Number(id))) t.fail(`bit at ${at}: ${id} is wrong and not in doubt`);
    await journal.close();
  }
  t.pass(`${whole.length} bits`);
});

t.test('a newer format, and the journal of another bucket, are refused and left alone', async (t) => {
  const path = newPath();
  await write(path, [[[1, 'a']]]);
  const before = readFileSync(path);
  t.throws(() => Journal.open(path, 'elsewhere', silent), { name: 'JournalRefused', message: /belongs to "here"/ });
  t.ok(readFileSync(path).equals(before));
  const newer = encodeFileHeader();
  newer.writeUInt32LE(2, 8);
  const { crc32 } = await import('node:zlib');
  newer.writeUInt32LE(crc32(newer.subarray(0, 12)) >>> 0, 12);
  newer.copy(before, 0, 0, FILE_HEADER_BYTES);
  writeFileSync(path, before);
  t.throws(() => Journal.open(path, 'here', silent), JournalRefused);
  t.ok(readFileSync(path).equals(before));
});

t.test('it is written anew when it has grown, with what came meanwhile', async (t) => {
  const path = newPath();
  const journal = Journal.open(path, 'here', silent);
  const large = 'x'.repeat(100_000);
  for (let i = 0; i < 60; i++) journal.append([[1, `${large}${i}`]]);
  journal.append([[2, 'small']]);
  const rewriting = journal.sync();
  journal.append([
    [3, 'meanwhile'],
    [1, 'short'],
  ]);
  await rewriting;
  journal.append([[4, 'later']]);
  await journal.sync();
  await journal.close();
  t.ok(statSync(path).size < 500_000, `${statSync(path).size} bytes`);
  const again = Journal.open(path, 'here', silent);
  t.strictSame(stateOf(again), { 1: 'short', 2: 'small', 3: 'meanwhile', 4: 'later' });
  await again.close();
});

/** The descriptor of a file that this process has open. */
function descriptorOf(path: string): number {
  const found = readdirSync('/proc/self/fd').find((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`) === path;
    } catch {
      return false;
    }
  });
  if (found === undefined) throw new Error(`${path} is not open`);
  return Number(found);
}

t.test('one that cannot be written refuses changes, and is written anew as soon as it can be', async (t) => {
  const place = join(directory, 'fails');
  mkdirSync(place);
  const path = join(place, 'journal');
  const journal = Journal.open(path, 'here', silent);
  journal.reserve();
  journal.append([[1, 'before']]);
  // Every write to it fails from here on, and the place where another could be made is away.
  closeSync(descriptorOf(path));
  renameSync(place, `${place}-away`);
  journal.append([[2, 'lost?']]);
  t.equal(journal.hasFailed, true);
  t.throws(() => journal.reserve(), { code: 'EIO' });
  renameSync(`${place}-away`, place);
  t.throws(() => journal.reserve(), { code: 'EIO' }, 'not tried again at once');
  await new Promise((resolve) => setTimeout(resolve, 1_100));
  journal.reserve();
  t.equal(journal.hasFailed, false);
  journal.append([[3, 'after']]);
  await journal.sync();
  await journal.close();
  const again = Journal.open(path, 'here', silent);
  t.same(stateOf(again), { 1: 'before', 2: 'lost?', 3: 'after' });
  await again.close();
});

t.test('a sync that failed is followed by one that writes everything anew', async (t) => {
  const place = join(directory, 'sync-fails');
  mkdirSync(place);
  const path = join(place, 'journal');
  const journal = Journal.open(path, 'here', silent);
  journal.reserve();
  journal.append([[1, 'one']]);
  renameSync(place, `${place}-away`);
  await t.rejects(journal.sync(), { code: 'ENOENT' });
  renameSync(`${place}-away`, place);
  const { ino } = statSync(path);
  await journal.sync();
  t.not(statSync(path).ino, ino, 'another file');
  journal.append([[2, 'two']]);
  await journal.sync();
  await journal.close();
  const again = Journal.open(path, 'here', silent);
  t.same(stateOf(again), { 1: 'one', 2: 'two' });
  await again.close();
});
