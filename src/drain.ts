/**
 * Bringing over what S3 does not have before a daemon ends, or because somebody waits for it: how much is left, how it goes
 * on, and when trying again is of no use.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Progress } from './progress.js';
import type { DirtyFile, Filesystem, FilesystemStatus } from './vfs/filesystem.js';

type Watched = Pick<Filesystem, 'status' | 'flushAll'>;

/** How often progress is told (ms). */
export const PROGRESS_MS = 500;
/** Between rounds in which something failed that may pass (ms). */
const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 30_000;

function isAtOrBelow(path: string, top: string): boolean {
  return top === '/' || path === top || path.startsWith(`${top}/`);
}

/** Files with something that S3 does not have, at or below a path ("/" is everything). */
export function dirtyBelow({ dirty }: Pick<FilesystemStatus, 'dirty'>, top: string): DirtyFile[] {
  return dirty.filter(({ path }) => isAtOrBelow(path, top));
}

/** Follows what is left from one look to the next. */
export class DrainMeter {
  readonly #filesystem: Watched;
  readonly #sentBytes: () => number;
  readonly #top: string;
  readonly #sentBefore: number;
  /** Of what was sent, what belongs to files that are done. */
  #settled = 0;
  #sizes = new Map<string, number>();

  /** `sentBytes`: by the client, since whenever. `top`: what is looked at. */
  constructor(filesystem: Watched, sentBytes: () => number, top = '/') {
    this.#filesystem = filesystem;
    this.#sentBytes = sentBytes;
    this.#top = top;
    this.#sentBefore = sentBytes();
  }

  look(): Progress {
    const status = this.#filesystem.status();
    const { waiting } = status;
    const dirty = dirtyBelow(status, this.#top);
    const sizes = new Map(dirty.map(({ path, size }) => [path, size]));
    const sent = this.#sentBytes() - this.#sentBefore;
    for (const [path, size] of this.#sizes) if (!sizes.has(path)) this.#settled += size;
    // Less was sent than became done where S3 copied parts of it.
    this.#settled = Math.min(this.#settled, sent);
    this.#sizes = sizes;
    const sizeOf = (files: readonly DirtyFile[]): number => files.reduce((sum, { size }) => sum + size, 0);
    const uploading = dirty.filter(({ state }) => waiting === undefined || state === 'running' || state === 'open');
    // Also while it is tried again.
    const failed = dirty.find(({ state, reason }) => state !== 'refused' && reason !== undefined);
    return {
      files: dirty.length,
      bytes: sizeOf(dirty),
      // They belong to no path that is there still, so only everything counts them.
      removals: this.#top === '/' ? (waiting?.removals ?? 0) : 0,
      underWay: Math.min(sizeOf(uploading), sent - this.#settled),
      sent,
      isAway: waiting?.isAway ?? false,
      failing: failed?.reason,
    };
  }
}

/** Failures of a deletion that somebody has to do something about. */
const refusals: ReadonlySet<string> = new Set(['EACCES', 'EPERM', 'EOPNOTSUPP', 'ENAMETOOLONG', 'EREMOTEIO']);

/** What failed in a way that passes by itself. */
function mayPass({ dirty, waiting }: FilesystemStatus): boolean {
  if (waiting === undefined) return false;
  if (dirty.some(({ state }) => state === 'failed')) return true;
  return waiting.removals > 0 && waiting.removalFailure !== undefined && !refusals.has(waiting.removalFailure);
}

/** What S3 does not take, or, without a journal, what could not be uploaded. */
export function refused({ dirty, waiting }: FilesystemStatus): readonly DirtyFile[] {
  return waiting === undefined ? dirty : dirty.filter(({ state }) => state === 'refused');
}

/**
 * Resolves when S3 has everything, or what is left does not go by trying again. With a journal that means rounds until
 * nothing fails in a way that passes; without one, one try of each file.
 */
export async function drain(filesystem: Watched, signal: AbortSignal): Promise<void> {
  for (let pause = FIRST_PAUSE_MS; !signal.aborted; pause = Math.min(LONGEST_PAUSE_MS, pause * 2)) {
    await filesystem.flushAll();
    if (!mayPass(filesystem.status())) return;
    await sleep(pause, undefined, { signal }).catch(() => undefined);
  }
}
