/**
 * FALLOCATE. Room in the store cannot be reserved; what can be promised is that the disk where the file is staged has it
 * now. Punched and zeroed ranges cost neither a download nor a byte of it.
 */
import { statfsSync } from 'node:fs';
import { MAX_OBJECT_BYTES } from '../../constants.js';
import { errno } from '../../errno.js';
import type { RequestContext } from '../../fuse/operations.js';
import type { StagedFile } from '../../writeback/staged-file.js';
import { stage, touch } from '../staging.js';
import { FsError } from '../to-errno.js';
import type { Volume } from '../volume.js';
import { clearUntold } from './files.js';

/** FALLOC_FL_* of linux/falloc.h; the kernel passes no others to FUSE. */
const KEEP_SIZE = 1;
const PUNCH_HOLE = 2;
const ZERO_RANGE = 16;

export function fallocate(
  volume: Volume,
  ctx: RequestContext,
  fh: number,
  offset: number,
  length: number,
  mode: number,
): number | Promise<number> {
  const { inode, writable } = volume.handles.file(fh);
  if (!writable) return -errno.EBADF;
  if (volume.options.readOnly) return -errno.EROFS;
  if (length === 0) return -errno.EINVAL;
  const punches = (mode & PUNCH_HOLE) !== 0;
  const zeroes = (mode & ZERO_RANGE) !== 0;
  const keepsSize = (mode & KEEP_SIZE) !== 0;
  const known = (mode & ~(KEEP_SIZE | PUNCH_HOLE | ZERO_RANGE)) === 0;
  if (!known || (punches && (zeroes || !keepsSize))) return -errno.EOPNOTSUPP;
  const end = offset + length;
  if (!punches && end > MAX_OBJECT_BYTES) return -errno.EFBIG;
  if (!punches && !zeroes) mustFit(volume, inode.staged, offset, end);
  // Room behind the end of a file means nothing to the store.
  const changes = punches || zeroes ? offset < inode.currentSize || !keepsSize : !keepsSize && end > inode.currentSize;
  if (!changes) return 0;
  const staged = inode.staged ?? stage(volume, inode);
  const cleared = Math.min(end, staged.size);
  if (punches || zeroes) staged.clear(offset, cleared);
  if (!keepsSize && end > staged.size) stage(volume, inode, end);
  inode.dirty = true;
  touch(volume, inode);
  clearUntold(volume, inode, ctx);
  const { backing } = inode;
  return backing !== undefined && (punches || zeroes) ? backing.clear(offset, cleared).then(() => 0) : 0;
}

/** What of the range is not in the staged file yet has to fit on its disk. */
function mustFit(volume: Volume, staged: StagedFile | undefined, offset: number, end: number): void {
  let missing = end - offset;
  for (const run of staged?.written.runs(offset, end) ?? []) if (run.present) missing -= run.end - run.start;
  const { bavail, bsize } = statfsSync(volume.options.stateDirectory);
  const { limit, used } = volume.staging;
  if (missing > Math.min(bavail * bsize, limit - used))
    throw new FsError(errno.ENOSPC, `${missing} bytes do not fit where files are staged`);
}
