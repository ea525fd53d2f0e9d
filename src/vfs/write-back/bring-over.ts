/**
 * Bringing one inode over: its commit (commit.ts) for a file, the marker and the move of its keys for a directory; and
 * what its failure means for the programs that use it.
 */
import { MiB } from '../../constants.js';
import { isS3Error } from '../../s3/s3-error.js';
import { StagedFile } from '../../writeback/staged-file.js';
import { UploadSuperseded } from '../../writeback/upload.js';
import { commitLocked } from '../commit.js';
import { readBytes } from '../content-reader.js';
import type { DirectoryState, Inode } from '../inode.js';
import { writeMarker } from '../marker.js';
import { confirmName } from '../resolve.js';
import { newStagedPath } from '../staging.js';
import { FsError, toErrno } from '../to-errno.js';
import { changing } from '../tree-lock.js';
import { cachedOf, homeKeyOf, type Volume } from '../volume.js';
import { moveAside, moveDirectory } from './move-directory.js';
import type { WriteBack } from './write-back.js';

/** Bytes brought here at a time, when the content of a file has to come to this machine. */
const PIECE_BYTES = 4 * MiB;

export async function bringOver(volume: Volume, writeBack: WriteBack, inode: Inode): Promise<'done' | 'again'> {
  try {
    return await bring(volume, writeBack, inode);
  } finally {
    if (inode.handles === 0) inode.staged?.rest();
  }
}

async function bring(volume: Volume, writeBack: WriteBack, inode: Inode): Promise<'done' | 'again'> {
  try {
    if (inode.directory !== undefined) await bringDirectory(volume, writeBack, inode);
    else await changing([inode], () => inode.mutex.run(() => bringFile(volume, writeBack, inode)));
  } catch (error) {
    if (error instanceof UploadSuperseded) {
      inode.restless++;
      return isWaiting(inode) ? 'again' : 'done';
    }
    if (inode.storedKey !== undefined && inode.staged === undefined && isS3Error(error, 'NotFound'))
      return (await bringFromCache(volume, writeBack, inode)) ? 'again' : loseSource(volume, writeBack, inode);
    // Who makes it waits for this.
    if (inode.mustBeNew) throw error;
    inode.uploadFailure = toErrno(error, volume.logger, 'write-back');
    // Its conflict copy is in the store: only the program has to learn of it.
    if (error instanceof FsError && !isWaiting(inode)) return 'done';
    throw error;
  }
  inode.restless = 0;
  volume.inodes.dropIfUnused(inode);
  return isWaiting(inode) ? 'again' : 'done';
}

export function isWaiting(inode: Inode): boolean {
  return inode.dirty && inode.orphanKey === undefined;
}

async function bringFile(volume: Volume, writeBack: WriteBack, inode: Inode): Promise<void> {
  if (inode.orphanKey !== undefined) return;
  const removal = writeBack.removalAt(homeKeyOf(volume, inode));
  const replaced = removal?.orphan;
  if (replaced !== undefined && replaced.handles > 0) await keepContent(volume, replaced);
  await commitLocked(volume, inode);
}

/** Handles of a file whose object is about to be replaced go on reading it: what is not cached of it is fetched. */
export async function keepContent(volume: Volume, inode: Inode): Promise<void> {
  if (inode.staged?.isWhole || inode.version === undefined) return;
  const file = cachedOf(volume, inode);
  if (file !== undefined && !file.content.isComplete) await volume.cache.complete(file);
}

async function bringDirectory(volume: Volume, writeBack: WriteBack, inode: Inode): Promise<void> {
  const { directory } = inode;
  if (directory === undefined || inode.orphanKey !== undefined) return;
  if (directory.storedPrefix !== undefined) {
    // Within itself no copy may take the place of what is still to be copied: first out of the way, and then there.
    if (isWithin(directory.storedPrefix, homeKeyOf(volume, inode))) await moveAside(volume, writeBack, inode);
    else await moveDirectory(volume, writeBack, inode);
  }
  if (directory.needsMarker && inode.orphanKey === undefined)
    await changing([inode], () => inode.mutex.run(() => bringMarker(volume, writeBack, inode)));
  inode.dirty = directory.needsMarker || directory.storedPrefix !== undefined;
  writeBack.settle(inode);
}

const isWithin = (a: string, b: string): boolean => a.startsWith(b) || b.startsWith(a);

async function bringMarker(volume: Volume, writeBack: WriteBack, inode: Inode): Promise<void> {
  const { directory } = inode;
  if (directory === undefined || inode.orphanKey !== undefined) return;
  const key = homeKeyOf(volume, inode);
  await writeBack.places.claiming(key, async () => {
    // Waiting for the key takes a while, and what loses its name then must not be written without a note of it.
    if (inode.orphanKey !== undefined || homeKeyOf(volume, inode) !== key) return;
    writeBack.markStored(inode);
    writeBack.done();
    await writeClaimedMarker(volume, inode, directory, key);
  });
}

async function writeClaimedMarker(volume: Volume, inode: Inode, directory: DirectoryState, key: string): Promise<void> {
  const { attributes } = inode;
  const isNew = directory.marker === false && volume.writeBack?.removalAt(key) === undefined;
  try {
    await writeMarker(volume, inode, isNew ? { ifAbsent: true } : {});
  } catch (error) {
    // Somebody made it too, and it is a directory either way.
    if (!isS3Error(error, 'PreconditionFailed') || inode.mustBeNew) throw error;
    directory.marker = true;
  }
  volume.writeBack?.forgetRemoval(key);
  if (inode.orphanKey !== undefined) {
    volume.writeBack?.bury(key, undefined, [], { directory: inode });
    return;
  }
  directory.needsMarker = inode.attributes !== attributes;
  confirmName(volume, inode);
}

/** Somebody deleted or replaced the object of a file that was renamed here. Its bytes may all be in the cache. */
async function bringFromCache(volume: Volume, writeBack: WriteBack, inode: Inode): Promise<boolean> {
  const file = cachedOf(volume, inode);
  if (file === undefined || !(await volume.cache.complete(file))) return false;
  await inode.mutex.run(() => bringContentHere(volume, writeBack, inode));
  return isWaiting(inode);
}

/** The same where they are not: nobody has them any more. */
function loseSource(volume: Volume, writeBack: WriteBack, inode: Inode): 'done' {
  const { path, parent } = inode;
  volume.logger.error(
    { path, key: inode.storedKey },
    'a renamed file was deleted or replaced by somebody else before it was copied',
  );
  writeBack.confirmLeft(inode);
  writeBack.forget(inode);
  inode.dirty = false;
  inode.attributesChanged = false;
  if (parent !== undefined) {
    parent.directory?.overlay.setConfirmed(inode.name, undefined, volume.clock.monotonic());
    volume.notifier?.invalEntry(parent.nodeid, inode.name);
    volume.inodes.detach(inode, inode.storedKey ?? '');
  }
  inode.storedKey = undefined;
  writeBack.done();
  return 'done';
}

/**
 * Files that were renamed across each other wait for each other's place: the bytes of one are brought here, so that its
 * object may be replaced. So do directories: the keys of one are moved out of the way.
 */
export async function unlockCircle(volume: Volume, writeBack: WriteBack, inodes: readonly Inode[]): Promise<boolean> {
  const waiting = new Set(inodes);
  for (const inode of inodes) {
    if (inode.directory !== undefined || inode.storedKey === undefined || !isInCircle(writeBack, inode, waiting))
      continue;
    await inode.mutex.run(() => bringContentHere(volume, writeBack, inode));
    return true;
  }
  for (const inode of inodes) {
    if (inode.directory?.storedPrefix === undefined || !isInCircle(writeBack, inode, waiting)) continue;
    await moveAside(volume, writeBack, inode);
    return true;
  }
  return false;
}

/** Whether an inode waits, by way of others, for itself. */
function isInCircle(writeBack: WriteBack, inode: Inode, waiting: ReadonlySet<Inode>): boolean {
  const seen = new Set<Inode>();
  const next = [inode];
  for (let at = next.pop(); at !== undefined; at = next.pop()) {
    for (const blocker of writeBack.places.blockersOf(at)) {
      if (blocker === inode) return true;
      if (seen.has(blocker) || !waiting.has(blocker)) continue;
      seen.add(blocker);
      next.push(blocker);
    }
  }
  return false;
}

async function bringContentHere(volume: Volume, writeBack: WriteBack, inode: Inode): Promise<void> {
  const { version, storedKey } = inode;
  if (version === undefined || storedKey === undefined || inode.orphanKey !== undefined) return;
  inode.staged ??= StagedFile.create(newStagedPath(volume), version.size, volume.staging);
  const { staged } = inode;
  const unwritten = [...staged.layout.runs(0, staged.size)].filter((run) => run.kind === 'base');
  for (const run of unwritten) {
    for (let at = run.start; at < run.end; at += PIECE_BYTES) {
      const end = Math.min(run.end, at + PIECE_BYTES);
      const bytes = await readBytes(volume, inode, staged, at, end);
      await staged.write(at, bytes);
    }
  }
  if (inode.orphanKey !== undefined || inode.storedKey !== storedKey) return;
  writeBack.places.arrived(inode);
  writeBack.bury(storedKey, version, inode.leftNames);
  inode.leftNames = [];
  inode.version = undefined;
  writeBack.note(inode);
}
