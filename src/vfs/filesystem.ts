/**
 * The filesystem of one mount: opens its caches and tables, and tells how it is. What it does for the kernel is in
 * dispatch.ts and ops/.
 */
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { AttributeStore } from '../cache/attribute-store.js';
import { BlockCache, type CacheStatistics } from '../cache/block-cache.js';
import { BlockStore } from '../cache/block-store.js';
import { CacheIndex } from '../cache/cache-index.js';
import { ListingCache } from '../cache/listing-cache.js';
import { OwnChanges } from '../cache/own-changes.js';
import { AheadLimit } from '../cache/pages-ahead.js';
import { Walks } from '../cache/walks.js';
import { type Clock, stampsOf } from '../clock.js';
import { MEMORY_SHARE_LISTINGS, MEMORY_SHARE_TRANSFERS, READAHEAD_SHARE, WALK_SHARE } from '../constants.js';
import { errno, errnoName } from '../errno.js';
import type { Operations } from '../fuse/operations.js';
import { type Logger, silentLogger } from '../log.js';
import type { ObjectClient } from '../s3/object-client.js';
import { WatchedClient } from '../s3/watched-client.js';
import type { Conflict } from '../writeback/conflict.js';
import { DiskRoom } from '../writeback/disk-room.js';
import type { FlushState } from '../writeback/flush-queue.js';
import { Journal } from '../writeback/journal.js';
import { StagingSpace } from '../writeback/staging-space.js';
import { commit } from './commit.js';
import { operationsOf } from './dispatch.js';
import { HandleTable } from './handle-table.js';
import { Hydrator } from './hydrate.js';
import type { Inode } from './inode.js';
import { InodeLog } from './inode-log.js';
import { InodeTable } from './inode-table.js';
import { OpenForLong } from './kernel-listing.js';
import { loadRootAttributes } from './marker.js';
import { nameIn } from './name.js';
import { Passthrough } from './passthrough.js';
import { resolve } from './resolve.js';
import { Streams } from './streams.js';
import { FsError, toErrno } from './to-errno.js';
import { directoryAttributes } from './versions.js';
import type { Volume, VolumeOptions } from './volume.js';
import { flushBelow } from './write-back/flushing.js';
import { goneVersion, isAllGone, isGone } from './write-back/gone.js';
import { isAtOrBelow } from './write-back/local-directories.js';
import { recover } from './write-back/recovery.js';
import { WriteBack } from './write-back/write-back.js';

export interface FilesystemOptions extends VolumeOptions {
  readonly client: ObjectClient;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Clean blocks and the index; may be deleted at any time while not mounted. */
  readonly cacheDirectory: string;
  /** Bound of the cache on the disk (bytes). */
  readonly cacheBytes: number;
}

export interface DirtyFile {
  readonly path: string;
  /** Size of the file (bytes). */
  readonly size: number;
  /** Why its last upload failed, if it did: the name of the errno, and what was said. */
  readonly failure?: string;
  readonly reason?: string;
  /** When what failed or was refused is tried again (ms since 1970). */
  readonly nextTryAt?: number;
  /** open: being written, and not in the journal yet. The others are where it stands in the queue. */
  readonly state: 'open' | FlushState;
  /** Since when it waits (ms since 1970). */
  readonly since?: number;
}

/** What an earlier daemon had left in the journal. */
export interface TakenUp {
  /** Files, directories and renames. */
  readonly files: number;
  readonly bytes: number;
  /** Objects that are to be deleted. */
  readonly removals: number;
}

/** What waits for the store behind the operations. */
export interface WaitingStatus {
  /** Things in the queue: files, directories and renames. */
  readonly queued: number;
  readonly running: number;
  /** Objects that are to be deleted. */
  readonly removals: number;
  /** Why the last deletion failed, if it did. */
  readonly removalFailure?: string;
  /** Why what waits is not safe on this machine's disk, while it is not. */
  readonly stateFailure?: string;
  /** The store does not answer: tries go on by themselves. */
  readonly isAway: boolean;
  /** What has waited longest. */
  readonly oldest?: { readonly path: string; readonly since: number };
}

export interface FilesystemStatus {
  readonly cache: CacheStatistics;
  readonly openFiles: number;
  readonly openDirectories: number;
  readonly inodes: number;
  /** References that the kernel holds to inodes other than the root. */
  readonly lookups: number;
  /** Files with something that the store does not have yet. */
  readonly dirty: readonly DirtyFile[];
  readonly conflicts: readonly Conflict[];
  /** undefined: with write-back off. */
  readonly waiting: WaitingStatus | undefined;
  /** Why the kernel reads nothing by itself; undefined: it does where it can. */
  readonly passthroughRefusal: string | undefined;
  /** Bytes that wait for their upload, and how many may. */
  readonly staging: { readonly usedBytes: number; readonly limitBytes: number };
}

export interface Filesystem extends Operations {
  /** undefined: nothing. */
  readonly takenUp: TakenUp | undefined;
  status(): FilesystemStatus;
  /** Brings over what waits at or below a path (names from the root). Rejects with FsError or what a request failed with. */
  sync(path: readonly string[]): Promise<void>;
  /** Uploads everything that is dirty. Answers what could not be, with the reason; it stays staged. */
  flushAll(): Promise<readonly DirtyFile[]>;
  /** With a journal: notes what programs have written and not closed yet, so that the next mount finds it. */
  keepOpen(): void;
  /** After the last operation: ends transfers, saves the cache. Does not upload. */
  close(): Promise<void>;
}

export async function openFilesystem(options: FilesystemOptions): Promise<Filesystem> {
  mkdirSync(join(options.stateDirectory, 'staged'), { recursive: true, mode: 0o700 });
  mkdirSync(options.cacheDirectory, { recursive: true, mode: 0o700 });
  const { clock, logger, memoryLimitBytes, metadataTtlMs } = options;
  const changes = new OwnChanges(clock);
  const client = new WatchedClient(options.client, (key) => changes.note(key));
  const metadata = options.attributes !== 'listing';
  const walkOptions = { client, clock, logger, changes, metadata, maxAgeMs: metadataTtlMs / 2 };
  const maxBytes = memoryLimitBytes * MEMORY_SHARE_LISTINGS * WALK_SHARE;
  const walks = metadataTtlMs > 0 ? new Walks({ ...walkOptions, maxBytes }) : undefined;
  const index = CacheIndex.open(options.cacheDirectory, logger);
  const store = await BlockStore.open(index, {
    directory: options.cacheDirectory,
    maxBytes: options.cacheBytes,
    clock,
    logger,
  });
  const hydrator = new Hydrator();
  const volume: Volume = {
    options,
    client,
    clock,
    stamp: stampsOf(clock),
    logger,
    inodes: undefined as never,
    handles: new HandleTable(memoryLimitBytes * MEMORY_SHARE_TRANSFERS * READAHEAD_SHARE),
    cache: new BlockCache({ client, store, memoryLimitBytes, logger }),
    attributes: new AttributeStore(index, clock),
    listings: new ListingCache({
      client,
      clock,
      nameIn,
      hydrate: (prefix, page) => hydrator.hydrate(volume, prefix, page),
      isHidden: (key) => isGone(volume, key),
      isHiddenPrefix: async (prefix) => isAllGone(volume, prefix),
      hiddenVersion: () => goneVersion(volume),
      metadata,
      walks,
      ahead: metadataTtlMs > 0 ? { limit: new AheadLimit(), maxAgeMs: metadataTtlMs / 2 } : undefined,
    }),
    walks,
    openForLong: undefined as never,
    passthrough: undefined as never,
    conflicts: [],
    staging: new StagingSpace(options.stagingBytes, new DiskRoom(options.stateDirectory)),
    streams: undefined as never,
    writeBack: undefined,
    notifier: undefined,
    behind: new Set(),
  };
  const log = InodeLog.open(options.stateDirectory, () => clock.now(), logger);
  const passthrough = new Passthrough(volume, options.cacheDirectory);
  Object.assign(volume, { openForLong: new OpenForLong(volume), passthrough, streams: new Streams(volume) });
  Object.assign(volume, { inodes: new InodeTable(directoryAttributes(volume, undefined), clock.monotonic(), log) });
  await loadRootAttributes(volume);
  const takenUp = await openWriteBack(volume);
  return makeFilesystem(volume, index, takenUp);
}

/** What an earlier daemon left waiting is taken up in either mode; with write-back off it is brought over at once. */
async function openWriteBack(volume: Volume): Promise<TakenUp | undefined> {
  const { options, logger } = volume;
  const path = join(options.stateDirectory, 'journal');
  if (!options.writeBack && !existsSync(path)) return undefined;
  const identity = `${options.bucket}/${options.prefix}`;
  const writeBack = new WriteBack(volume, Journal.open(path, identity, logger));
  Object.assign(volume, { writeBack });
  await recover(volume, writeBack);
  const takenUp = whatWaits(writeBack);
  if (options.writeBack) return takenUp;
  await writeBack.flushAll();
  if (writeBack.queue.size + writeBack.removals.size > 0) {
    logger.warn('what an earlier daemon left cannot be uploaded now: this mount goes on with write-back');
    return takenUp;
  }
  await writeBack.close();
  rmSync(path, { force: true });
  Object.assign(volume, { writeBack: undefined });
  return takenUp;
}

function whatWaits({ queue, removals }: WriteBack): TakenUp | undefined {
  if (queue.size + removals.size === 0) return undefined;
  let bytes = 0;
  for (const { currentSize } of queue.items()) bytes += currentSize;
  return { files: queue.size, bytes, removals: removals.size };
}

function makeFilesystem(volume: Volume, index: CacheIndex, takenUp: TakenUp | undefined): Filesystem {
  const { logger, inodes, handles } = volume;
  return {
    ...operationsOf(volume),
    takenUp,
    status: () => ({
      cache: volume.cache.statistics,
      openFiles: handles.openFiles,
      openDirectories: handles.openDirectories,
      inodes: inodes.size,
      lookups: inodes.lookups,
      dirty: dirtyFiles(volume),
      waiting: waitingStatus(volume),
      conflicts: volume.conflicts,
      passthroughRefusal: volume.passthrough.refusal,
      staging: { usedBytes: volume.staging.used, limitBytes: volume.staging.limit },
    }),
    async sync(path) {
      await volume.passthrough.settle();
      const top = await inodeAt(volume, path);
      if (volume.writeBack !== undefined) await flushBelow(volume.writeBack, top);
      // What the journal does not have: everything without one, and what programs are writing.
      for (const inode of [...inodes.values()])
        if (inode.dirty && inode.journalId === undefined && isAtOrBelow(inode, top)) await commit(volume, inode);
      await Promise.all(volume.behind);
    },
    async flushAll() {
      await volume.passthrough.settle();
      await volume.writeBack?.flushAll();
      for (const inode of [...inodes.values()]) {
        if (!inode.dirty) continue;
        await commit(volume, inode).catch((error) => {
          inode.uploadFailure = toErrno(error, logger, 'flush');
        });
      }
      await volume.passthrough.settle();
      await Promise.all(volume.behind);
      return dirtyFiles(volume);
    },
    keepOpen() {
      if (volume.writeBack === undefined) return;
      for (const inode of [...inodes.values()])
        if (inode.dirty && inode.orphanKey === undefined && inode.journalId === undefined) volume.writeBack.note(inode);
    },
    async close() {
      volume.openForLong.close();
      await volume.passthrough.close();
      await Promise.all(volume.behind);
      await volume.streams.close();
      await volume.writeBack?.close();
      await volume.cache.close();
      await volume.cache.store.close();
      await index.close();
    },
  };
}

async function inodeAt(volume: Volume, path: readonly string[]): Promise<Inode> {
  let at = volume.inodes.root;
  for (const name of path) {
    const next = await resolve(volume, at, name);
    if (next === undefined) throw new FsError(errno.ENOENT, path.join('/'));
    at = next;
  }
  return at;
}

function waitingStatus({ writeBack }: Volume): WaitingStatus | undefined {
  if (writeBack === undefined) return undefined;
  const { queue, removals } = writeBack;
  let oldest: WaitingStatus['oldest'];
  for (const { path, waitsSince } of queue.items())
    if (waitsSince !== undefined && waitsSince < (oldest?.since ?? Number.POSITIVE_INFINITY))
      oldest = { path, since: waitsSince };
  const failed = [...removals.values()].find(({ failure }) => failure !== undefined)?.failure;
  const removalFailure = failed === undefined ? undefined : errnoName(toErrno(failed, silentLogger, 'delete'));
  const { running, size, isAway } = queue;
  const stateFailure = writeBack.sync.failure?.message;
  return { queued: size, running, removals: removals.size, removalFailure, stateFailure, isAway, oldest };
}

function dirtyFiles(volume: Volume): DirtyFile[] {
  const dirty: DirtyFile[] = [];
  for (const inode of volume.inodes.values()) {
    if (!inode.dirty) continue;
    const entry = queued(volume, inode);
    const failure = inode.uploadFailure === 0 ? undefined : errnoName(inode.uploadFailure);
    const reason = entry?.error === undefined ? undefined : reasonOf(entry.error);
    const hasFailed = entry?.state === 'failed' || entry?.state === 'refused';
    const nextTryAt = hasFailed ? Math.round(Date.now() + entry.readyAt - performance.now()) : undefined;
    const state = entry?.state ?? 'open';
    const { path, currentSize: size, waitsSince: since } = inode;
    dirty.push({ path, size, failure, reason, nextTryAt, state, since });
  }
  return dirty;
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Where an inode stands in the queue; `readyAt`: when it is tried (of performance.now(), ms). */
function queued({ writeBack }: Volume, inode: Inode) {
  return writeBack?.queue.stateOf(inode);
}
