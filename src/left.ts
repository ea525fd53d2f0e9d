/** What a daemon leaves behind that S3 does not have, and how it tells of it: where it lies, and what becomes of it. */
import type { Logger } from './log.js';
import { leftText } from './progress.js';
import type { DirtyFile, FilesystemStatus } from './vfs/filesystem.js';

export interface Left {
  readonly files: number;
  readonly bytes: number;
  readonly removals: number;
  /** The next mount takes it up. */
  readonly hasJournal: boolean;
}

/** Where it lies, and what was mounted. */
export interface LeftPlace {
  readonly stateDirectory: string;
  readonly source: string;
}

/** Files named in the log; the others are counted. */
const MAX_NAMED = 20;

export function leftOf({ dirty, waiting }: Pick<FilesystemStatus, 'dirty' | 'waiting'>): Left {
  const bytes = dirty.reduce((sum, { size }) => sum + size, 0);
  return { files: dirty.length, bytes, removals: waiting?.removals ?? 0, hasJournal: waiting !== undefined };
}

export function isNothing({ files, removals }: Left): boolean {
  return files + removals === 0;
}

/** For the end of a daemon: how much, where, and how it goes on. */
export function leftNotice(left: Left, { stateDirectory, source }: LeftPlace): string {
  if (!left.hasJournal) return `not in S3: ${leftText(left)}; what was written stays in ${stateDirectory}/staged`;
  return `not in S3 yet: ${leftText(left)}; it waits in ${stateDirectory}, and the next "pailfs mount ${source}" on this machine takes it up`;
}

/** For a mount that was detached and whose daemon goes on. */
export function behindNotice(left: Left, place: LeftPlace): string {
  const text = `not in S3 yet: ${leftText(left)}; the daemon stays and uploads it`;
  if (!left.hasJournal) return text;
  return `${text}; should it be stopped, the rest waits in ${place.stateDirectory} for the next "pailfs mount ${place.source}"`;
}

function tellEach(files: readonly DirtyFile[], tell: (file: DirtyFile) => void): void {
  for (const file of files.slice(0, MAX_NAMED)) tell(file);
}

/** To the log, at the end: what was left. Nothing where nothing is. */
export function logLeft(log: Logger, status: FilesystemStatus, place: LeftPlace): void {
  const { dirty, waiting } = status;
  const left = leftOf(status);
  if (isNothing(left)) return;
  if (waiting === undefined) {
    for (const { path, size, failure } of dirty) {
      const details = { path, size, failure, stagedDirectory: `${place.stateDirectory}/staged` };
      log.error(details, 'not uploaded: what was written stays in the state directory');
    }
    return;
  }
  const refused = dirty.filter(({ state }) => state === 'refused');
  tellEach(refused, ({ path, size, failure, reason }) =>
    log.error({ path, size, failure, reason }, 'S3 does not take this file: it waits in the journal'),
  );
  // A file that programs still write, whose copied ranges lie in other objects, has no record.
  const lost = dirty.filter(({ state }) => state === 'open');
  for (const { path, size } of lost) log.error({ path, size }, 'lost: it was written and not closed');
  const { files, bytes, removals } = left;
  log.warn({ files, bytes, removals, refused: refused.length }, leftNotice(left, place));
}
