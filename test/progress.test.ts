/** The line that tells what is not in S3 yet. */
import t from 'tap';
import { leftText, type Progress, ProgressLine, type ProgressSample, progressText, rateOf } from '../src/progress.js';

const MiB = 1024 * 1024;
const some: Progress = { files: 3, bytes: 6 * MiB, removals: 0, underWay: 0, sent: 0, isAway: false };

function samples(...given: Array<Partial<ProgressSample>>): ProgressSample[] {
  return given.map((one) => ({ ...some, at: 0, ...one }));
}

t.test('what is left', async (t) => {
  t.equal(leftText({ files: 1, bytes: 5, removals: 0 }), '1 file, 5 B');
  t.equal(leftText({ files: 2, bytes: 3 * MiB, removals: 1 }), '2 files, 3.0 MiB, 1 deletion');
  t.equal(leftText({ files: 0, bytes: 0, removals: 1200 }), '1200 deletions');
  t.equal(leftText({ files: 0, bytes: 0, removals: 0 }), 'nothing');
});

t.test('the rate is that of the last seconds', async (t) => {
  t.equal(rateOf([]), undefined);
  t.equal(rateOf(samples({ sent: MiB })), undefined, 'one look tells nothing');
  t.equal(rateOf(samples({ at: 0 }, { at: 2_000 })), undefined, 'nothing was sent');
  t.equal(rateOf(samples({ at: 0 }, { at: 2_000, sent: 4 * MiB })), 2 * MiB);
  const later = samples({ at: 0 }, { at: 60_000, sent: 100 * MiB }, { at: 65_000, sent: 105 * MiB });
  t.equal(rateOf(later), MiB, 'what was long ago does not count');
});

t.test('the line', async (t) => {
  t.equal(progressText([]), undefined);
  t.equal(progressText(samples({ files: 0, bytes: 0 })), undefined, 'nothing is left');
  t.equal(progressText(samples({})), 'uploading: 3 files, 6.0 MiB left');
  const going = samples({ at: 0 }, { at: 1_000, sent: MiB });
  t.equal(progressText(going), 'uploading: 3 files, 6.0 MiB left, 1.0 MiB/s, about 6 s');
  const underWay = samples({ at: 0 }, { at: 1_000, sent: MiB, underWay: 5 * MiB });
  t.equal(
    progressText(underWay),
    'uploading: 3 files, 6.0 MiB left, 1.0 MiB/s, about 1 s',
    'what is sent is not sent again',
  );
  const done = samples({ at: 0 }, { at: 1_000, sent: 6 * MiB, underWay: 6 * MiB });
  t.match(progressText(done), /about 1 s$/, 'the answers are still to come');
  const long = samples({ at: 0, bytes: 9e9 }, { at: 1_000, sent: 1e6, bytes: 9e9 });
  t.match(progressText(long), /about 2 h 30 min$/);
  t.equal(
    progressText(samples({ isAway: true })),
    'uploading: 3 files, 6.0 MiB left; S3 does not answer, trying again',
  );
  t.match(
    progressText(samples({ isAway: true, failing: 'no route' })),
    /; S3 does not answer, trying again \(no route\)$/,
  );
  t.match(progressText(samples({ failing: 'slow down' })), /left; trying again what failed \(slow down\)$/);
});

function lineOf(options: { columns?: number; everyMs: number }) {
  const written: string[] = [];
  let at = 0;
  const line = new ProgressLine({ ...options, write: (text) => written.push(text), now: () => at });
  const tell = (ms: number, progress: Partial<Progress>) => {
    at = ms;
    line.tell({ ...some, ...progress });
  };
  return { written, tell, line };
}

t.test('without a terminal: a line now and then, when something has changed', async (t) => {
  const { written, tell, line } = lineOf({ everyMs: 2_000 });
  tell(500, { files: 0, bytes: 0 });
  t.same(written, [], 'nothing is left');
  tell(1_000, {});
  tell(1_500, { files: 2 });
  tell(2_999, { files: 1 });
  t.same(written, ['uploading: 3 files, 6.0 MiB left']);
  tell(3_000, { files: 1 });
  tell(9_000, { files: 1 });
  t.same(written.slice(1), ['uploading: 1 file, 6.0 MiB left'], 'once');
  line.end();
  t.equal(written.length, 2);
});

t.test('on a terminal the line is drawn again in its place, and taken away at the end', async (t) => {
  const { written, tell, line } = lineOf({ columns: 30, everyMs: 0 });
  tell(0, {});
  tell(500, { files: 1 });
  t.same(written, ['\r\x1b[Kpailfs: uploading: 3 files, 6', '\r\x1b[Kpailfs: uploading: 1 file, 6.'], 'never wider');
  tell(1_000, { files: 0, bytes: 0 });
  t.equal(written.at(-1), '\r\x1b[K');
  line.end();
  t.equal(written.length, 3, 'once');
});
