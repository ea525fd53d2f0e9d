/** Where a file begins to differ from its version in the store: its staged file is made, and the inode counts as dirty. */
import { isComplete } from '../cache/attribute-store.js';
import { isBefore, timespecToMs } from '../clock.js';
import { ATIME_AGE_MS } from '../constants.js';
import { StagedFile } from '../writeback/staged-file.js';
import type { Inode } from './inode.js';
import { cachedOf, stagedPath, type Volume } from './volume.js';

let nextId = 0;

/** A path that no staged file of this or an earlier daemon has. */
export function newStagedPath(volume: Volume): string {
  return stagedPath(volume, `${process.pid}-${Date.now().toString(36)}-${nextId++}`);
}

/** The staged file of an inode, made if there is none, with at most `size` bytes kept (all of them when undefined). */
export function stage(volume: Volume, inode: Inode, size?: number): StagedFile {
  let { staged } = inode;
  if (staged === undefined) {
    const base = Math.min(size ?? inode.size, inode.size);
    staged = StagedFile.create(newStagedPath(volume), base, volume.staging, volume.writeBack !== undefined);
    inode.staged = staged;
    if (staged.baseBytes > 0) cachedOf(volume, inode);
    inode.backing?.takeOut();
  }
  if (size !== undefined) {
    if (size !== staged.size) staged.truncate(size);
    inode.backing?.cut(size);
  }
  inode.dirty = true;
  touch(volume, inode);
  return staged;
}

/**
 * What programs were answered to have written is in the staged file when this resolves (undefined: it is). Rejects where
 * one of those writes failed.
 */
export function landed(inode: Inode): Promise<void> | undefined {
  const { behind } = inode.staged ?? {};
  if (behind === undefined) return undefined;
  const tell = (): void => {
    const failure = behind.takeFailure();
    if (failure !== undefined) throw failure;
  };
  const done = behind.answeredDone();
  if (done !== undefined) return done.then(tell);
  tell();
  return undefined;
}

/**
 * Its name, or an extended attribute, changed: ctime is now. Not the same object as before: who is sending the attributes
 * sees that they are others by now.
 */
export function touchStatus(volume: Volume, inode: Inode): void {
  inode.attributes = { ...inode.attributes, ctime: volume.stamp() };
}

/** Whether a rename has a ctime to write: only where the object carries one, and the rest of it is known. */
export function carriesChangeTime(inode: Inode): boolean {
  return inode.directory === undefined && isComplete(inode.info) && inode.info.metadata.ctime !== undefined;
}

/**
 * It was read. As with relatime the time of that counts where it was not read since its last change, nor within a day. It
 * stays in memory: no object is written for it, it goes along with the next change.
 */
export function touchAccess(volume: Volume, inode: Inode): void {
  const { atime, mtime, ctime } = inode.attributes;
  const isKnown = isBefore(mtime, atime) && isBefore(ctime, atime);
  if ((isKnown && volume.clock.now() - timespecToMs(atime) < ATIME_AGE_MS) || volume.options.readOnly) return;
  inode.attributes.atime = volume.stamp();
}

/** Bytes changed: mtime and ctime are now. */
export function touch(volume: Volume, inode: Inode): void {
  const now = volume.stamp();
  inode.attributes.mtime = now;
  inode.attributes.ctime = now;
}
