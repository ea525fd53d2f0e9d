/**
 * COPY_FILE_RANGE: the range is noted as a copy, and no byte moves before the upload, which lets the store copy what it
 * can (vfs/copied-content.ts). What cannot be noted is left to the kernel, which then reads and writes.
 */
import { MAX_OBJECT_BYTES } from '../../constants.js';
import { errno } from '../../errno.js';
import type { RequestContext } from '../../fuse/operations.js';
import { CopiedContent } from '../copied-content.js';
import type { Inode } from '../inode.js';
import { stage, touch } from '../staging.js';
import type { Volume } from '../volume.js';
import { clearUntold, release } from './files.js';

const O_RDONLY = 0;

interface Place {
  readonly fh: number;
  readonly offset: number;
}

/** Answers the bytes that were copied: fewer than asked at the end of the source. */
export function copyFileRange(volume: Volume, ctx: RequestContext, from: Place, to: Place, length: number): number {
  const source = volume.handles.file(from.fh);
  const target = volume.handles.file(to.fh);
  if (!source.readable || !target.writable) return -errno.EBADF;
  if (volume.options.readOnly) return -errno.EROFS;
  const { inode } = source;
  // Within one file, and from what is only here, bytes have to move anyway. ENOSYS would be for good, this is not.
  if (inode === target.inode || !isUnchanged(inode)) return -errno.EOPNOTSUPP;
  // Nor can it be where the kernel reads by itself.
  if (target.inode.backing !== undefined) return -errno.EOPNOTSUPP;
  const bytes = Math.min(length, inode.size - from.offset);
  if (bytes <= 0) return 0;
  if (to.offset + bytes > MAX_OBJECT_BYTES) return -errno.EFBIG;
  const staged = target.inode.staged ?? stage(volume, target.inode);
  staged.copy(to.offset, to.offset + bytes, sourceFor(volume, inode, staged), from.offset);
  target.inode.dirty = true;
  touch(volume, target.inode);
  clearUntold(volume, target.inode, ctx);
  return bytes;
}

/** Its bytes are those of an object that the store has. */
function isUnchanged(inode: Inode): boolean {
  return (
    inode.isRegular &&
    inode.staged === undefined &&
    !inode.backing?.isOurs &&
    inode.version !== undefined &&
    inode.info?.archived !== true
  );
}

function sourceFor(volume: Volume, inode: Inode, staged: CopiedContent['staged']): CopiedContent {
  const { version } = inode;
  if (version === undefined) throw new Error('only a version in the store can be copied from');
  for (const copy of inode.copies ?? [])
    if (copy.staged === staged && copy.etag === version.etag && !copy.isLost) return copy;
  const fh = volume.handles.openFile(inode, O_RDONLY);
  return new CopiedContent(volume, inode, version, staged, () => release(volume, fh));
}
