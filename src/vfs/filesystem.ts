/**
 * The filesystem as the drivers see it: opens the caches and tables of one mount and hands each operation to its family
 * in ops/. Errors become errno here, once for all.
 */
import type { CacheStatistics } from '../cache/block-cache.js';
import type { Clock } from '../clock.js';
import type { Operations } from '../fuse/operations.js';
import type { Logger } from '../log.js';
import type { ObjectClient } from '../s3/object-client.js';
import type { Conflict } from '../writeback/conflict.js';
import type { VolumeOptions } from './volume.js';

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
  /** Why its last upload failed, if it did. */
  readonly failure?: string;
}

export interface FilesystemStatus {
  readonly cache: CacheStatistics;
  readonly openFiles: number;
  readonly openDirectories: number;
  readonly inodes: number;
  /** Files with something that the store does not have yet. */
  readonly dirty: readonly DirtyFile[];
  readonly conflicts: readonly Conflict[];
  /** Keys met that have no name here. */
  readonly unnameableKeys: number;
}

export interface Filesystem extends Operations {
  status(): FilesystemStatus;
  /** Uploads everything that is dirty. Answers what could not be, with the reason; it stays staged. */
  flushAll(): Promise<readonly DirtyFile[]>;
  /** After the last operation: ends transfers, saves the cache. Does not upload. */
  close(): Promise<void>;
}

export type OpenFilesystem = (options: FilesystemOptions) => Promise<Filesystem>;
