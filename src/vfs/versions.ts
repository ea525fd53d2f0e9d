/**
 * How what the store says of an object becomes an inode. A new version under a known name changes the inode in place
 * while neither the kernel nor a handle has it; otherwise the name gets a new inode and the old one keeps its version,
 * because the kernel goes on believing the size it was told. What this mount is writing is never replaced by what somebody else wrote: that is found out, and kept beside it, at the upload.
 */
import type { KnownObject, ListedVersion } from '../cache/attribute-store.js';
import type { ListedEntry, ListedFile } from '../cache/listing-entries.js';
import { timespecFromMs } from '../clock.js';
import {
  decodeAttributes,
  NO_XATTRS,
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFIFO,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
  S_IFSOCK,
  symlinkTarget,
} from './attribute.js';
import type { Inode, InodeAttributes } from './inode.js';
import { dropCached, keyOf, keyOfName, prefixOf, type Volume } from './volume.js';

const fileTypes = new Set([S_IFREG, S_IFLNK, S_IFIFO, S_IFCHR, S_IFBLK, S_IFSOCK]);

/** Attributes of an object from its version and, where known, its metadata. */
export function fileAttributes(volume: Volume, version: ListedVersion, info: KnownObject | undefined): InodeAttributes {
  const posix = info === undefined ? {} : decodeAttributes(info.metadata);
  const modified = posix.mtime ?? timespecFromMs(version.lastModified);
  const type = (posix.mode ?? 0) & S_IFMT;
  return {
    mode:
      (fileTypes.has(type) ? type : S_IFREG) |
      (posix.mode === undefined ? volume.options.fileMode : posix.mode & 0o7777),
    uid: posix.uid ?? volume.options.uid,
    gid: posix.gid ?? volume.options.gid,
    rdev: posix.rdev ?? 0,
    mtime: modified,
    ctime: posix.ctime ?? timespecFromMs(version.lastModified),
    atime: posix.atime ?? modified,
    xattrs: posix.xattrs ?? NO_XATTRS,
  };
}

/** Attributes of a directory from its marker, where there is one. */
export function directoryAttributes(volume: Volume, info: KnownObject | undefined): InodeAttributes {
  const posix = info === undefined ? {} : decodeAttributes(info.metadata);
  const modified = posix.mtime ?? timespecFromMs(info?.lastModified ?? volume.clock.now());
  return {
    mode: S_IFDIR | (posix.mode === undefined ? volume.options.directoryMode : posix.mode & 0o7777),
    uid: posix.uid ?? volume.options.uid,
    gid: posix.gid ?? volume.options.gid,
    rdev: 0,
    mtime: modified,
    ctime: posix.ctime ?? modified,
    atime: posix.atime ?? modified,
    xattrs: posix.xattrs ?? NO_XATTRS,
  };
}

function sameVersion(a: ListedVersion, b: ListedVersion): boolean {
  return a.etag === b.etag && a.size === b.size;
}

/** Without the rest of a HEAD's answer, which may come along. */
function plainVersion({ etag, size, lastModified, storageClass }: ListedVersion): ListedVersion {
  return { etag, size, lastModified, storageClass };
}

const wholeSeconds = (ms: number): number => Math.floor(ms / 1000);

/** What is known of a version beyond what a LIST tells, if that was not asked already. */
function knownOf(volume: Volume, key: string, version: ListedVersion & Partial<ListedFile>): KnownObject | undefined {
  if (version.unknownAt === volume.attributes.version) return undefined;
  const known = volume.attributes.get(key, version);
  if (known === undefined && version.part !== undefined) version.unknownAt = volume.attributes.version;
  return known;
}

/**
 * The inode of an object that the store has under `name`.
 * @param version an entry of a listing, or what a HEAD told
 * @param askedAt monotonic time at which the store was asked (ms)
 */
export function adoptFile(
  volume: Volume,
  parent: Inode,
  name: string,
  version: ListedVersion & Partial<ListedFile>,
  info: KnownObject | undefined,
  askedAt: number,
): Inode {
  const known = parent.directory?.children.get(name);
  if (known !== undefined && (known.dirty || known.staged !== undefined || known.leaving !== undefined)) return known;
  // The store was asked before this mount wrote, renamed or learnt what it knows now.
  if (known?.version !== undefined && known.directory === undefined && askedAt < known.checkedAt) return known;
  if (known?.version !== undefined && known.directory === undefined && sameVersion(known.version, version)) {
    return refresh(volume, known, version, info, askedAt);
  }
  const key =
    version.part === undefined ? keyOfName(volume, parent, name, false) : prefixOf(volume, parent) + version.part;
  info ??= knownOf(volume, key, version);
  const attributes = fileAttributes(volume, version, info);
  if (
    known !== undefined &&
    known.directory === undefined &&
    known.handles === 0 &&
    known.nlookup === 0 &&
    known.type === (attributes.mode & S_IFMT)
  ) {
    known.attributes = attributes;
    return setVersion(volume, known, version, info, askedAt);
  }
  if (known !== undefined && known.type !== (attributes.mode & S_IFMT)) parent.directory?.overlay.touch();
  if (known !== undefined) volume.inodes.detach(known, keyOf(volume, known));
  const ino = known?.directory === undefined ? known?.ino : undefined;
  const inode = volume.inodes.add(parent, name, key, attributes, askedAt, ino);
  takeOver(parent, name, known, inode, askedAt);
  return setVersion(volume, inode, version, info, askedAt);
}

/** What this mount did with the name before was done with an inode that is gone from it. */
function takeOver(parent: Inode, name: string, known: Inode | undefined, inode: Inode, askedAt: number): void {
  const overlay = parent.directory?.overlay;
  const record = overlay?.get(name);
  if (known !== undefined && record?.present === known) overlay?.setConfirmed(name, inode, askedAt);
}

function isSameMetadata(a: KnownObject | undefined, b: KnownObject | undefined): boolean {
  if (a === b) return true;
  return a !== undefined && b !== undefined && JSON.stringify(a.metadata) === JSON.stringify(b.metadata);
}

/** The same bytes as known: the metadata may still have changed, which a newer date tells. */
function refresh(
  volume: Volume,
  inode: Inode,
  version: ListedVersion & Partial<ListedFile>,
  info: KnownObject | undefined,
  askedAt: number,
): Inode {
  if (askedAt < inode.checkedAt) return inode;
  const redated = wholeSeconds(inode.version?.lastModified ?? 0) !== wholeSeconds(version.lastModified);
  info ??= redated ? knownOf(volume, keyOf(volume, inode), version) : latestOf(volume, inode, version);
  // Where the metadata is what it was, times that only this mount knows stay.
  if (redated || !isSameMetadata(info, inode.info)) {
    const attributes = fileAttributes(volume, version, info);
    if ((attributes.mode & S_IFMT) !== inode.type) return retype(volume, inode, version, info, askedAt);
    inode.attributes = attributes;
  }
  inode.version = plainVersion(version);
  inode.info = info;
  inode.checkedAt = askedAt;
  takeTarget(inode);
  return inode;
}

/** What was learnt within the seconds of a date may have changed in them: what was learnt later goes before it. */
function latestOf(volume: Volume, inode: Inode, version: ListedVersion & Partial<ListedFile>): KnownObject | undefined {
  const { info } = inode;
  if (info !== undefined && volume.attributes.isFinal(info)) return info;
  const known = knownOf(volume, keyOf(volume, inode), version);
  return info === undefined || (known !== undefined && known.date > info.date) ? known : info;
}

/** The type was assumed wrongly (a link that a listing could not tell from a file): the name gets a new inode. */
function retype(
  volume: Volume,
  inode: Inode,
  version: ListedVersion,
  info: KnownObject | undefined,
  askedAt: number,
): Inode {
  const { parent, name } = inode;
  if (parent === undefined) return inode;
  const key = keyOf(volume, inode);
  volume.inodes.detach(inode, key);
  parent.directory?.overlay.touch();
  volume.notifier?.invalEntry(parent.nodeid, name);
  const attributes = fileAttributes(volume, version, info);
  const retyped = volume.inodes.add(parent, name, key, attributes, askedAt, inode.ino);
  takeOver(parent, name, inode, retyped, askedAt);
  return setVersion(volume, retyped, version, info, askedAt);
}

export function setVersion(
  volume: Volume,
  inode: Inode,
  version: ListedVersion,
  info: KnownObject | undefined,
  checkedAt: number,
): Inode {
  if (inode.version === undefined || !sameVersion(inode.version, version)) {
    dropCached(volume, inode);
    inode.linkTarget = undefined;
  }
  inode.version = plainVersion(version);
  inode.size = version.size;
  inode.info = info;
  inode.checkedAt = checkedAt;
  takeTarget(inode);
  return inode;
}

/** A target that the metadata names is the size of the link, though its object is empty. */
function takeTarget(inode: Inode): void {
  if (!inode.isSymlink || inode.info === undefined) return;
  const named = symlinkTarget(inode.info.metadata);
  if (named !== undefined) inode.linkTarget = Buffer.from(named);
}

function isNewerMarker(info: KnownObject, known: KnownObject | undefined): boolean {
  if (known === undefined) return true;
  if (info.date < known.date) return false;
  return info.lastModified !== known.lastModified || JSON.stringify(info.metadata) !== JSON.stringify(known.metadata);
}

/** The inode of a directory that the store has under `name`. `info`: of its marker, if it was asked. */
export function adoptDirectory(
  volume: Volume,
  parent: Inode,
  name: string,
  askedAt: number,
  info?: KnownObject,
): Inode {
  const known = parent.directory?.children.get(name);
  const prefix = keyOfName(volume, parent, name, true);
  // Nothing is known of what only stands for the beginning of components.
  if (prefix.endsWith('/')) info ??= volume.attributes.latest(prefix);
  if (known?.directory !== undefined) {
    // Shown before its metadata was learnt, or changed since by somebody. What this mount did in it changed its times.
    if (info !== undefined && !known.directory.needsMarker && isNewerMarker(info, known.info)) {
      known.attributes = directoryAttributes(volume, info);
      known.info = info;
    }
    known.checkedAt = Math.max(known.checkedAt, askedAt);
    return known;
  }
  if (known?.dirty) return known;
  if (known !== undefined) {
    parent.directory?.overlay.touch();
    volume.inodes.detach(known, keyOf(volume, known));
  }
  const inode = volume.inodes.add(parent, name, prefix, directoryAttributes(volume, info), askedAt);
  inode.info = info;
  return inode;
}

export function adoptEntry(volume: Volume, parent: Inode, entry: ListedEntry, askedAt: number): Inode {
  if (entry.directory) return adoptDirectory(volume, parent, entry.name, askedAt);
  return adoptFile(volume, parent, entry.name, entry, entry.info, askedAt);
}
