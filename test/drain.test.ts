/** How much is left, and when a drain has come to its end. */
import t from 'tap';
import { DrainMeter, dirtyBelow, drain, refused } from '../src/drain.js';
import type { DirtyFile, FilesystemStatus, WaitingStatus } from '../src/vfs/filesystem.js';

const none: WaitingStatus = { queued: 0, running: 0, removals: 0, isAway: false };

function file(path: string, state: DirtyFile['state'], size = 100): DirtyFile {
  return { path, size, state };
}

function statusOf(dirty: DirtyFile[], waiting: WaitingStatus | undefined = none): FilesystemStatus {
  return { dirty, waiting } as unknown as FilesystemStatus;
}

/** Each round of uploads is followed by the next of these. */
function filesystemOf(...rounds: FilesystemStatus[]) {
  let flushes = 0;
  const status = () => rounds[Math.min(Math.max(0, flushes - 1), rounds.length - 1)];
  const flushAll = async () => {
    flushes++;
    return [];
  };
  return { status, flushAll, flushes: () => flushes };
}

const never = new AbortController().signal;

t.test('a drain tries again what may pass, and nothing else', async (t) => {
  const cases: Array<[FilesystemStatus[], number]> = [
    [[statusOf([])], 1],
    [[statusOf([file('/a', 'failed')]), statusOf([])], 2],
    [[statusOf([file('/a', 'refused')])], 1],
    [[statusOf([file('/a', 'resting'), file('/b', 'open')])], 1],
    [[statusOf([file('/a', 'refused'), file('/b', 'failed')]), statusOf([file('/a', 'refused')])], 2],
    [[statusOf([], { ...none, removals: 2, removalFailure: 'EIO' }), statusOf([])], 2],
    [[statusOf([], { ...none, removals: 2, removalFailure: 'EACCES' })], 1],
    [[statusOf([], { ...none, removals: 2 })], 1],
    [[{ dirty: [file('/a', 'open')], waiting: undefined } as unknown as FilesystemStatus], 1],
  ];
  await Promise.all(
    cases.map(async ([rounds, expected], index) => {
      const filesystem = filesystemOf(...rounds);
      await drain(filesystem, never);
      t.equal(filesystem.flushes(), expected, `case ${index}`);
    }),
  );
});

t.test('a drain that is given up ends at once', async (t) => {
  const filesystem = filesystemOf(statusOf([file('/a', 'failed')]));
  const stopped = new AbortController();
  setTimeout(() => stopped.abort(), 50);
  const began = performance.now();
  await drain(filesystem, stopped.signal);
  t.ok(performance.now() - began < 900, 'it does not wait for the next try');
  await drain(filesystem, AbortSignal.abort());
  t.equal(filesystem.flushes(), 1);
});

t.test('below a path', async (t) => {
  const status = statusOf(['/a', '/a/b', '/a/b/c', '/ab', '/'].map((path) => file(path, 'resting')));
  const below = (top: string) => dirtyBelow(status, top).map(({ path }) => path);
  t.same(below('/a'), ['/a', '/a/b', '/a/b/c']);
  t.same(below('/a/b/c'), ['/a/b/c']);
  t.same(below('/b'), []);
  t.equal(below('/').length, 5);
});

t.test('refused: what S3 does not take; without a journal whatever is left', async (t) => {
  t.same(refused(statusOf([file('/a', 'refused'), file('/b', 'failed')])), [file('/a', 'refused')]);
  const off = { dirty: [file('/a', 'open')], waiting: undefined } as unknown as FilesystemStatus;
  t.same(refused(off), [file('/a', 'open')]);
});

t.test('the meter tells what is sent and not answered', async (t) => {
  let status = statusOf([file('/a', 'running', 1_000), file('/d/b', 'resting', 500)], { ...none, removals: 3 });
  let sent = 7_000;
  const filesystem = { status: () => status, flushAll: async () => [] };
  const all = new DrainMeter(filesystem, () => sent);
  const below = new DrainMeter(filesystem, () => sent, '/d');
  t.same(all.look(), { files: 2, bytes: 1_500, removals: 3, underWay: 0, sent: 0, isAway: false });
  t.same(below.look(), { files: 1, bytes: 500, removals: 0, underWay: 0, sent: 0, isAway: false });
  sent += 600;
  t.match(all.look(), { bytes: 1_500, underWay: 600, sent: 600 });
  sent += 900;
  t.match(all.look(), { underWay: 1_000, sent: 1_500 }, 'never more than what is being uploaded');
  status = statusOf([file('/d/b', 'running', 500)], { ...none, isAway: true });
  t.same(all.look(), { files: 1, bytes: 500, removals: 0, underWay: 500, sent: 1_500, isAway: true });
  status = statusOf([]);
  t.match(all.look(), { files: 0, bytes: 0, underWay: 0 });
  status = statusOf([file('/b', 'refused'), { ...file('/c', 'failed'), failure: 'EIO', reason: 'no route' }]);
  t.match(all.look(), { failing: 'no route' });
  status = statusOf([file('/c', 'running', 100)]);
  t.match(all.look(), { underWay: 0 }, 'what was sent belongs to files that are done');
});
