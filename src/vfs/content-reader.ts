/**
 * The bytes of a file as programs see them now: what was written here from the staged file, what was copied from
 * elsewhere from there, the rest from the version it started from, zeros where none has any.
 */

import { errno } from '../errno.js';
import type { StagedFile } from '../writeback/staged-file.js';
import type { Inode } from './inode.js';
import { FsError } from './to-errno.js';
import { cachedOf, type Volume } from './volume.js';

/** Pieces of [start, end) of a file that is being written; the range must lie within its size. */
export async function readStaged(
  volume: Volume,
  inode: Inode,
  staged: StagedFile,
  start: number,
  end: number,
  signal?: AbortSignal,
): Promise<Uint8Array[]> {
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

async function readBase(
  volume: Volume,
  inode: Inode,
  start: number,
  end: number,
  signal?: AbortSignal,
): Promise<Uint8Array[]> {
  const file = cachedOf(volume, inode);
  if (file === undefined) throw new FsError(errno.ESTALE, `${inode.path}: the version it started from is gone`);
  return volume.cache.read(file, start, end, signal);
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
