/**
 * The bytes of a file as programs see them now: what was written here from the staged file, what was copied from
 * elsewhere from there, the rest from the version it started from, zeros where none has any.
 */

import type { KnownObject } from '../cache/attribute-store.js';
import { errno } from '../errno.js';
import { isS3Error } from '../s3/s3-error.js';
import type { StagedFile } from '../writeback/staged-file.js';
import { headIfPresent } from './find-key.js';
import type { Inode } from './inode.js';
import { isSent } from './sent.js';
import { FsError } from './to-errno.js';
import { cachedOf, dropCached, keyOf, type Volume } from './volume.js';

/** Pieces of [start, end) of a file that is being written; the range must lie within its size. */
export async function readStaged(
  volume: Volume,
  inode: Inode,
  staged: StagedFile,
  start: number,
  end: number,
  signal?: AbortSignal,
): Promise<Uint8Array[]> {
  await staged.behind.answeredDone(start, end);
  const pieces: Uint8Array[] = [];
  for (const run of [...staged.layout.runs(start, end)]) {
    if (run.kind === 'written') pieces.push(await staged.read(run.start, run.end));
    else if (run.kind === 'zero') pieces.push(Buffer.alloc(run.end - run.start));
    else if (run.kind !== 'copied') pieces.push(...(await readBase(volume, inode, run.start, run.end, signal)));
    else {
      const sourceEnd = run.sourceStart + run.end - run.start;
      pieces.push(...(await run.source.read(run.sourceStart, sourceEnd, signal)));
    }
  }
  return pieces;
}

function readBase(
  volume: Volume,
  inode: Inode,
  start: number,
  end: number,
  signal?: AbortSignal,
): Promise<Uint8Array[]> {
  const read = async (): Promise<Uint8Array[]> => {
    if (inode.backing?.hasAll) return [await inode.backing.read(start, end)];
    const file = cachedOf(volume, inode);
    if (file === undefined) throw new FsError(errno.ESTALE, `${inode.path}: the version it started from is gone`);
    return volume.cache.read(file, start, end, signal);
  };
  return sinceLanded(volume, inode, read(), read);
}

/** The version is not in the store any more (or was never). */
export const isGone = (error: unknown): boolean =>
  isS3Error(error, 'NotFound') || isS3Error(error, 'PreconditionFailed');

/**
 * The bytes of the version that an inode stands for. Where that is gone because an upload of ours has landed, and its
 * answer has not come (or never will, after a kill), the same bytes are in what it left.
 */
export async function sinceLanded<T>(
  volume: Volume,
  inode: Inode,
  bytes: Promise<T>,
  again: () => Promise<T>,
): Promise<T> {
  try {
    return await bytes;
  } catch (error) {
    if (!isGone(error) || !(await hasLanded(volume, inode))) throw error;
    return again();
  }
}

async function hasLanded(volume: Volume, inode: Inode): Promise<boolean> {
  const key = keyOf(volume, inode);
  const sent = inode.sent.filter((one) => one.key === key);
  if (sent.length === 0) return false;
  const now = await headIfPresent(volume, key);
  if (now === undefined || !sent.some((one) => isSent(now, one))) return false;
  standsFor(volume, inode, now);
  return true;
}

/** An earlier state of a file that was sent: what was not written since is the same there. */
export function standsFor(volume: Volume, inode: Inode, { etag, size, lastModified }: KnownObject): void {
  if (inode.version?.etag === etag) return;
  dropCached(volume, inode);
  inode.version = { etag, size, lastModified };
}

/** The same as one buffer, for a part of an upload. */
export async function readBytes(
  volume: Volume,
  inode: Inode,
  staged: StagedFile,
  start: number,
  end: number,
): Promise<Uint8Array> {
  const pieces = await readStaged(volume, inode, staged, start, end);
  return pieces.length === 1 ? pieces[0] : Buffer.concat(pieces);
}
