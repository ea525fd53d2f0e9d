/**
 * What all operations of one mount share: its options, the store, the caches, the tables, and the few rules that follow
 * from them alone (keys of inodes, ages of answers).
 */
import { join } from 'node:path';
import type { AttributeStore, KnownObject } from '../cache/attribute-store.js';
import type { BlockCache, CachedFile } from '../cache/block-cache.js';
import type { ListingCache } from '../cache/listing-cache.js';
import type { Walks } from '../cache/walks.js';
import type { Clock, Timespec } from '../clock.js';
import { errno } from '../errno.js';
import type { Notifier } from '../fuse/operations.js';
import type { Logger } from '../log.js';
import type { ObjectClient } from '../s3/object-client.js';
import type { Conflict } from '../writeback/conflict.js';
import type { StagingSpace } from '../writeback/staging-space.js';
import type { HandleTable } from './handle-table.js';
import type { Inode } from './inode.js';
import type { InodeTable } from './inode-table.js';
import type { OpenForLong } from './kernel-listing.js';
import { keyFits, nameFits, type Part, partOf } from './name.js';
import type { Passthrough } from './passthrough.js';
import type { Streams } from './streams.js';
import { FsError } from './to-errno.js';
import type { WriteBack } from './write-back/write-back.js';

export interface VolumeOptions {
  /** '' or with a trailing slash. */
  readonly prefix: string;
  readonly bucket: string;
  readonly readOnly: boolean;
  readonly metadataTtlMs: number;
  readonly openTtlMs: number;
  readonly negativeTtlMs: number;
  readonly attributes: 'auto' | 'listing' | 'full';
  readonly partBytes: number;
  readonly memoryLimitBytes: number;
  /** Bytes that may wait for their upload; past them write(2) gets ENOSPC. */
  readonly stagingBytes: number;
  /** Owner and permission bits of what carries none of its own. */
  readonly uid: number;
  readonly gid: number;
  readonly fileMode: number;
  readonly directoryMode: number;
  /** POSIX ACLs are kept, handed on and shown; the kernel checks permissions by them. */
  readonly acl: boolean;
  /** Of what is written; absent: what an object has, and the store's own for new ones. */
  readonly storageClass?: string;
  /** close() and changes of names answer when the journal has them; the store follows. */
  readonly writeBack: boolean;
  /** What fsync() waits for: the store, or this machine's disk. */
  readonly fsync: 's3' | 'disk';
  /** Where a name that has to be new is made sure of before the operation answers: here, or in the store too. */
  readonly exclusive: 'host' | 's3';
  /** False where s3:ListBucket is denied: an absent key then answers 403. */
  readonly canList: boolean;
  readonly host: string;
  /** Where staged files lie. */
  readonly stateDirectory: string;
}

export interface Volume {
  readonly options: VolumeOptions;
  readonly client: ObjectClient;
  readonly clock: Clock;
  /** Now, as the time of something made or changed here. */
  readonly stamp: () => Timespec;
  readonly logger: Logger;
  readonly inodes: InodeTable;
  readonly handles: HandleTable;
  readonly cache: BlockCache;
  readonly attributes: AttributeStore;
  readonly listings: ListingCache;
  readonly openForLong: OpenForLong;
  /** undefined: every directory is asked for itself. */
  readonly walks: Walks | undefined;
  readonly conflicts: Conflict[];
  readonly staging: StagingSpace;
  readonly streams: Streams;
  /** undefined: every change is in the store before it answers. */
  readonly writeBack: WriteBack | undefined;
  readonly passthrough: Passthrough;
  notifier: Notifier | undefined;
  /** Files may be opened with direct I/O beside other opens of them. */
  mixesDirectIo: boolean;
  /** Work that no operation waits for: it ends before the filesystem closes. */
  readonly behind: Set<Promise<unknown>>;
}

/** Prefix of the keys in a directory, where they lie now. */
export function prefixOf(volume: Volume, directory: Inode): string {
  if (directory === volume.inodes.root) return volume.options.prefix;
  if (directory.directory?.storedPrefix !== undefined) return directory.directory.storedPrefix;
  if (directory.parent === undefined) return directory.orphanKey ?? '';
  return prefixOf(volume, directory.parent) + directory.keyPart;
}

/** The directory of the bucket that a directory is, or that it stands for the beginning of components in. */
export function properDirectory(directory: Inode): Inode {
  let at = directory;
  while (at.isBeginning && at.parent !== undefined) at = at.parent;
  return at;
}

/** Key of a file, or of the marker of a directory, where it lies now. */
export function keyOf(volume: Volume, inode: Inode): string {
  if (inode.directory !== undefined) return prefixOf(volume, inode);
  return inode.storedKey ?? homeKeyOf(volume, inode);
}

/** The key that the name of a file (the prefix, of a directory) stands for. */
export function homeKeyOf(volume: Volume, inode: Inode): string {
  if (inode.parent === undefined) return inode.orphanKey ?? '';
  return prefixOf(volume, inode.parent) + inode.keyPart;
}

/** What a name stands for in a directory; undefined where no key can have it. Throws ENAMETOOLONG. */
export function partIn(directory: Inode, name: string): Part | undefined {
  if (!nameFits(name)) throw new FsError(errno.ENAMETOOLONG, name);
  return partOf(name, directory.begun);
}

/** The key that a name in a directory stands for; of a directory, its prefix. Throws EINVAL, ENAMETOOLONG. */
export function keyOfName(volume: Volume, parent: Inode, name: string, directory: boolean): string {
  const part = partIn(parent, name);
  if (part === undefined) throw new FsError(errno.EINVAL, `no key has the name ${JSON.stringify(name)}`);
  return prefixOf(volume, parent) + part.text + (directory && part.kind !== 'long' ? '/' : '');
}

/** The same for what is to be made: not what is reserved for another purpose, and a key at most 1,024 bytes long. */
export function keyOfNew(volume: Volume, parent: Inode, name: string, directory: boolean): string {
  const part = partIn(parent, name);
  // Of the empty component only a directory can be made: the object is the marker of the directory above.
  if (part?.kind === 'long' || (directory ? part?.kind === 'object' : part?.kind === 'component' && part.text === ''))
    throw new FsError(errno.EINVAL, `reserved: ${name}`);
  const key = keyOfName(volume, parent, name, directory);
  if (!keyFits(key)) throw new FsError(errno.ENAMETOOLONG, key);
  return key;
}

export function ageOf(volume: Volume, checkedAt: number): number {
  return volume.clock.monotonic() - checkedAt;
}

export function isFresh(volume: Volume, inode: Inode): boolean {
  return ageOf(volume, inode.checkedAt) < volume.options.metadataTtlMs;
}

/** How long the kernel may still rely on what is known of an inode (ms). */
export function ttlOf(volume: Volume, inode: Inode): number {
  if (inode.dirty || inode === volume.inodes.root) return volume.options.metadataTtlMs;
  return Math.max(0, volume.options.metadataTtlMs - ageOf(volume, inode.checkedAt));
}

/** Makes an inode's cached content available; held until dropCached. */
export function cachedOf(volume: Volume, inode: Inode): CachedFile | undefined {
  if (inode.cached === undefined && inode.version !== undefined) {
    holdCached(
      volume,
      inode,
      volume.cache.acquire({ key: keyOf(volume, inode), etag: inode.version.etag }, inode.version.size),
    );
  }
  return inode.cached;
}

/** Hands a content that was acquired elsewhere to an inode. */
export function holdCached(volume: Volume, inode: Inode, file: CachedFile): void {
  dropCached(volume, inode);
  inode.cached = file;
  // While the inode has it, its bytes are where the inode is now.
  const etag = inode.version?.etag ?? '';
  file.source = () => ({ key: keyOf(volume, inode), etag: inode.version?.etag ?? etag });
}

export function dropCached(volume: Volume, inode: Inode): void {
  if (inode.cached !== undefined) volume.cache.release(inode.cached);
  inode.cached = undefined;
}

/** What the store has of a key since this mount wrote it. Part of a change that the caller writes down. */
export function learnWritten(volume: Volume, key: string, info: KnownObject): void {
  const committed = volume.attributes.putWritten(key, info);
  const { writeBack } = volume;
  writeBack?.alsoAppend(writeBack.written.note(key, info, committed));
}

export function stagedPath(volume: Volume, id: string): string {
  return join(volume.options.stateDirectory, 'staged', id);
}
