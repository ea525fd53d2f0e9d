/**
 * LSEEK with SEEK_DATA and SEEK_HOLE (the kernel answers the others itself). A file that is being written knows its holes;
 * an object has none, and the end of the file counts as one.
 */
import { errno } from '../../errno.js';
import type { Volume } from '../volume.js';

const SEEK_DATA = 3;
const SEEK_HOLE = 4;

/** Answers an offset, or ENXIO where nothing of the kind follows. */
export function lseek(volume: Volume, fh: number, offset: number, whence: number): number | Promise<number> {
  const { inode } = volume.handles.file(fh);
  const done = inode.staged?.behind.answeredDone();
  if (done !== undefined) return done.then(() => lseek(volume, fh, offset, whence));
  if (whence !== SEEK_DATA && whence !== SEEK_HOLE) return -errno.EINVAL;
  const size = inode.currentSize;
  if (offset >= size) return -errno.ENXIO;
  const wanted = whence === SEEK_DATA ? 'data' : 'hole';
  // What is stored in mappings comes late to the layout.
  if (inode.staged !== undefined && !inode.backing?.mayBeMapped)
    return inode.staged.layout.seek(offset, wanted) ?? -errno.ENXIO;
  return wanted === 'data' ? offset : size;
}
