/** Progress as the user sees it: one line of the terminal, or lines now and then where there is none. */
import { systemClock } from '../clock.js';
import { ProgressLine } from '../progress.js';
import { say } from './say.js';

/** At most one line in so long where standard error is no terminal (ms). */
const EVERY_MS = 2_000;

export function progressOnStderr(): ProgressLine {
  const { isTTY } = process.stderr;
  // Of a terminal without a size, 0.
  const columns = process.stderr.columns || 80;
  const now = () => systemClock.monotonic();
  if (!isTTY) return new ProgressLine({ write: say, everyMs: EVERY_MS, now });
  return new ProgressLine({ write: (text) => process.stderr.write(text), columns, everyMs: 0, now });
}
