/** What the kernel is told of an inode. */
import { timespecFromMs } from '../clock.js';
import { BLKSIZE_BYTES } from '../constants.js';
import type { AttrReply, EntryReply, FileAttributes } from '../fuse/operations.js';
import type { Inode } from './inode.js';
import { ttlOf, type Volume } from './volume.js';

export function attributesOf(inode: Inode): FileAttributes {
  const { mode, uid, gid, rdev, atime, mtime, ctime } = inode.attributes;
  const size = inode.directory === undefined ? inode.currentSize : 0;
  return {
    ino: inode.ino,
    size,
    // Where the holes are known they take no room: that is how cp(1) sees that a file is sparse.
    blocks: Math.ceil((inode.staged?.layout.dataBytes ?? size) / 512),
    atime,
    mtime,
    ctime,
    mode,
    // 1 tells find(1) and others that the number of subdirectories is not counted.
    nlink: inode.parent === undefined && inode.orphanKey !== undefined ? 0 : 1,
    uid,
    gid,
    rdev,
    blksize: BLKSIZE_BYTES,
    btime: bornAt(inode),
  };
}

/** When the object that stands there was written, which is the only birth the store knows of. */
function bornAt(inode: Inode): FileAttributes['btime'] {
  const written = inode.version?.lastModified ?? inode.info?.lastModified;
  return written === undefined ? undefined : timespecFromMs(written);
}

export function attrReply(volume: Volume, inode: Inode): AttrReply {
  return { attrTtlMs: ttlOf(volume, inode), attributes: attributesOf(inode) };
}

/** Counts as one lookup of the inode: to be sent to the kernel exactly once. */
export function entryReply(volume: Volume, inode: Inode): EntryReply {
  // The last close of a handle may have dropped it since it was found.
  volume.inodes.revive(inode);
  inode.nlookup++;
  return peekEntry(volume, inode);
}

/** The same without counting. */
export function peekEntry(volume: Volume, inode: Inode): EntryReply {
  const ttl = ttlOf(volume, inode);
  return { nodeid: inode.nodeid, generation: 0, entryTtlMs: ttl, attrTtlMs: ttl, attributes: attributesOf(inode) };
}

const nothing = { sec: 0, nsec: 0 };
const noAttributes: FileAttributes = {
  ino: 0,
  size: 0,
  blocks: 0,
  atime: nothing,
  mtime: nothing,
  ctime: nothing,
  mode: 0,
  nlink: 0,
  uid: 0,
  gid: 0,
  rdev: 0,
  blksize: 0,
};

/** "There is no such name", to be remembered for so long. */
export function negativeEntry(ttlMs: number): EntryReply {
  return { nodeid: 0, generation: 0, entryTtlMs: ttlMs, attrTtlMs: 0, attributes: noAttributes };
}
