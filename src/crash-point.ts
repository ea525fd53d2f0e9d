/**
 * Places at which a test lets the daemon die, each a moment at which the store, this machine and the program know
 * different things. Without the two variables a crash point costs the look at one boolean. PAILFS_CRASH_AT=NAME:N ends
 * the process with SIGKILL, in place, when the point is reached for the N-th time; PAILFS_CRASH_HITS=FILE gets a line
 * with the name of each point that is reached, written before anything else happens.
 */
import { appendFileSync } from 'node:fs';

export const crashPoints = [
  // An upload: nothing of it has left, a multipart upload is there, all parts are, the store has the object.
  'upload-begun',
  'upload-created',
  'parts-sent',
  'upload-done',
  // The staged file became cached content: nothing of the upload is left to do.
  'upload-settled',
  // A file that is still written: its upload is there, and this machine does not know its id; it has one part more.
  'stream-begun',
  'stream-part-sent',
  // chmod, chown, utimes: the object has them, the answer is not out.
  'attributes-stored',
  // The rename of a file: the old key is still there; it is gone.
  'copy-done',
  'old-key-deleted',
  // The rename of a directory: one key is copied, all are, the old ones are gone or are known to go.
  'child-copied',
  'directory-copied',
  'directory-moved',
  // With --write-back=on: this machine knows of a change, the program does not.
  'journal-appended',
] as const;

export type CrashPoint = (typeof crashPoints)[number];

const { PAILFS_CRASH_AT: at, PAILFS_CRASH_HITS: hitsFile } = process.env;
const armed = at !== undefined || hitsFile !== undefined;
const [fatal, count] = at?.split(':') ?? [];
let left = Number(count ?? 1);

export function crashPoint(name: CrashPoint): void {
  if (!armed) return;
  if (hitsFile !== undefined) appendFileSync(hitsFile, `${name}\n`);
  if (name === fatal && --left === 0) process.kill(process.pid, 'SIGKILL');
}
