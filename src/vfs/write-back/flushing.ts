/** What waits, and bringing over a part of it: the names of a directory, what lies below it, what takes the most room here. */

import {
  DELETE_BATCH_KEYS,
  MAX_PENDING,
  PARALLEL_FLUSHES,
  PARALLEL_FLUSHES_WHILE_BUSY,
  UPLOAD_LINGER_MS,
} from '../../constants.js';
import { errno } from '../../errno.js';
import { isS3Error, type S3ErrorKind } from '../../s3/s3-error.js';
import { FlushQueue } from '../../writeback/flush-queue.js';
import type { StagingSpace } from '../../writeback/staging-space.js';
import type { Inode, LeftName } from '../inode.js';
import { FsError } from '../to-errno.js';
import type { Volume } from '../volume.js';
import { bringOver, isWaiting, unlockCircle } from './bring-over.js';
import type { WriteBack } from './write-back.js';

/** Failures that pass by themselves; the others are refusals, and wait until somebody asks. */
const passing: ReadonlySet<S3ErrorKind> = new Set([
  'Throttled',
  'Server',
  'Timeout',
  'Unreachable',
  'Corrupt',
  'Aborted',
]);

/** What waits for the store, and how it is brought over. */
export function newQueue(volume: Volume, writeBack: WriteBack): FlushQueue<Inode> {
  return new FlushQueue<Inode>({
    clock: { now: () => Date.now(), monotonic: () => performance.now() },
    run: (inode) => bringOver(volume, writeBack, inode),
    waits: isWaiting,
    blockers: (inode) => writeBack.places.blockersOf(inode),
    unlock: (inodes) => unlockCircle(volume, writeBack, inodes),
    passes: (error) => !isS3Error(error) || passing.has(error.kind),
    parallel: PARALLEL_FLUSHES,
    parallelWhileBusy: PARALLEL_FLUSHES_WHILE_BUSY,
    lingerMs: UPLOAD_LINGER_MS,
  });
}

/** Brings over the inodes that are chosen, and the removals of names that are. Rejects with the first failure. */
async function flushChosen(
  { queue, removals }: WriteBack,
  isChosen: (inode: Inode) => boolean,
  isLeft: (left: LeftName) => boolean,
): Promise<void> {
  const waiting = [...queue.items()].filter((inode) => isChosen(inode) || inode.leftNames.some(isLeft));
  const outcomes = await Promise.allSettled(waiting.map((inode) => queue.urge(inode)));
  await removals.flush(({ names }) => names.some(isLeft));
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
}

/** The names that were made, renamed or removed in a directory. */
export function flushNames(writeBack: WriteBack, directory: Inode): Promise<void> {
  const isChosen = (inode: Inode): boolean => inode.parent === directory || inode === directory;
  return flushChosen(writeBack, isChosen, (left) => left.directory === directory);
}

/** Also of what was removed. */
export function isOrWasBelow(inode: Inode, directory: Inode): boolean {
  for (let at: Inode | undefined = inode; at !== undefined; at = at.parent ?? at.orphanOf)
    if (at === directory) return true;
  return false;
}

/** Everything at or below an inode. */
export function flushBelow(writeBack: WriteBack, top: Inode): Promise<void> {
  const isBelow = (inode: Inode): boolean => isOrWasBelow(inode, top);
  return flushChosen(writeBack, isBelow, (left) => isBelow(left.directory));
}

/** So many are brought over side by side to make room: as many failures show that the store is away. */
const AT_ONCE = 4;

/**
 * Brings over what takes the most room until so many bytes are free. False: there is nothing more that helps, or the store
 * is away, which whoever writes is not to wait for.
 */
export async function makeRoom({ queue }: WriteBack, staging: StagingSpace, bytes: number): Promise<boolean> {
  const { used } = staging;
  const weight = ({ staged }: Inode): number => staged?.layout.stagedBytes ?? 0;
  const waiting = [...queue.items()].filter((inode) => weight(inode) > 0).sort((a, b) => weight(b) - weight(a));
  for (let at = 0; at < waiting.length && !queue.isAway; at += AT_ONCE) {
    const tries = waiting.slice(at, at + AT_ONCE).map((inode) => queue.urge(inode).catch(() => undefined));
    for (const one of tries) {
      await one;
      if (staging.limit - staging.used >= bytes && staging.used < used) return true;
    }
  }
  return false;
}

/** Resolves when no more waits than this machine should keep. While the store is away nobody is made to wait for that. */
export async function drained({ queue, removals }: WriteBack): Promise<void> {
  while (queue.size > MAX_PENDING) {
    if (queue.isAway) throw new FsError(errno.ENOSPC, `${MAX_PENDING} changes wait for a store that is away`);
    await queue.change();
  }
  if (removals.size > DELETE_BATCH_KEYS) await removals.flush().catch(() => undefined);
}

/** Tries everything now. Nobody waits for it: what fails stays. */
export function hurryAll({ queue }: WriteBack): void {
  for (const inode of queue.items()) void queue.urge(inode).catch(() => undefined);
}
