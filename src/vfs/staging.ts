/** Where a file begins to differ from its version in the store: its staged file is made, and the inode counts as dirty. */
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

/** Bytes changed: mtime and ctime are now. */
export function touch(volume: Volume, inode: Inode): void {
  const now = volume.stamp();
  inode.attributes.mtime = now;
  inode.attributes.ctime = now;
}
