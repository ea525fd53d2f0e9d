/**
 * Before metadata are changed, or shown to somebody who relies on them, they have to be known: of what only a LIST has told
 * the store is asked.
 */
import { isComplete } from '../cache/attribute-store.js';
import { errno } from '../errno.js';
import { headIfPresent } from './find-key.js';
import type { DirectoryState, Inode } from './inode.js';
import { FsError } from './to-errno.js';
import { adoptFile, directoryAttributes, fileAttributes } from './versions.js';
import { keyOf, type Volume } from './volume.js';

/** The metadata that a change is laid over must be known, or what it does not touch would be lost. */
export async function makeCurrent(volume: Volume, inode: Inode, signal?: AbortSignal): Promise<void> {
  if (inode.directory !== undefined) return learnMarker(volume, inode, inode.directory, signal);
  if (inode.parent === undefined || inode.staged !== undefined) return;
  if (inode.storedKey !== undefined && !isComplete(inode.info)) return learnMoved(volume, inode, signal);
  if (inode.dirty) return;
  if (isComplete(inode.info) || inode.version === undefined) return;
  const askedAt = volume.clock.monotonic();
  const info = await headIfPresent(volume, keyOf(volume, inode), signal);
  if (info === undefined) throw new FsError(errno.ESTALE, inode.path);
  if (adoptFile(volume, inode.parent, inode.name, info, info, askedAt) !== inode)
    throw new FsError(errno.ESTALE, inode.path);
}

/** A directory of which only a LIST has told. The root's attributes are known since the mount. */
async function learnMarker(
  volume: Volume,
  inode: Inode,
  directory: DirectoryState,
  signal?: AbortSignal,
): Promise<void> {
  const isKnown = (): boolean => inode.info !== undefined || directory.marker === false || directory.needsMarker;
  if (isKnown() || inode.parent === undefined || inode.isBeginning) return;
  const key = keyOf(volume, inode);
  const info = await headIfPresent(volume, key, signal);
  // Its keys may have been moved meanwhile.
  if (keyOf(volume, inode) !== key) return learnMarker(volume, inode, directory, signal);
  if (isKnown()) return;
  directory.marker = info !== undefined;
  if (info === undefined) return;
  inode.info = info;
  inode.attributes = directoryAttributes(volume, info);
}

/** A file that was renamed here, and of which only a LIST has told. */
async function learnMoved(volume: Volume, inode: Inode, signal?: AbortSignal): Promise<void> {
  const info = await headIfPresent(volume, keyOf(volume, inode), signal);
  if (info === undefined || inode.version === undefined || info.etag !== inode.version.etag) return;
  inode.info = info;
  if (!inode.attributesChanged) inode.attributes = fileAttributes(volume, inode.version, info);
}
