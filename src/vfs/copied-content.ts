/**
 * Ranges of a file being written that are copies of another file of this mount (copy_file_range). Their bytes stay where
 * they are until the upload copies them inside the store; until then the source's version must stay reachable. The source
 * counts as open, so that it outlives its name; before a new version of it is uploaded, what was copied from the old one
 * is brought here; and when somebody else replaced it, what is cached is all there is. Bytes of another version are never
 * taken.
 */
import { setImmediate } from 'node:timers/promises';
import type { CachedFile } from '../cache/block-cache.js';
import { MiB, STAGED_SYNC_WRITE_BYTES } from '../constants.js';
import { errno } from '../errno.js';
import { isS3Error } from '../s3/s3-error.js';
import type { CopySource } from '../writeback/copy-source.js';
import type { StagedFile } from '../writeback/staged-file.js';
import { headIfPresent } from './find-key.js';
import type { Inode } from './inode.js';

import { FsError } from './to-errno.js';
import { keyOf, type Volume } from './volume.js';

/** So much of a copied range is read at one time to bring it here (bytes). */
const FILL_BYTES = MiB;
/** An upload is tried again so often because sources moved or went. */
const MAX_ATTEMPTS = 5;

/** One version of one file, as far as one staged file has ranges of it. */
export class CopiedContent implements CopySource {
  isLost = false;
  etag: string;
  readonly size: number;
  readonly #file: CachedFile;

  /** @param letGo the source was opened for this; closes it */
  constructor(
    readonly volume: Volume,
    readonly inode: Inode,
    version: { readonly etag: string; readonly size: number },
    readonly staged: StagedFile,
    readonly letGo: () => Promise<unknown>,
  ) {
    this.etag = version.etag;
    this.size = version.size;
    this.#file = volume.cache.acquire({ key: this.key, etag: version.etag }, version.size);
    inode.copies ??= new Set();
    inode.copies.add(this);
  }

  get key(): string {
    return keyOf(this.volume, this.inode);
  }

  async read(start: number, end: number, signal?: AbortSignal): Promise<Uint8Array[]> {
    // The inode went on to another version: whoever had the content before would fetch that.
    if (this.inode.version?.etag !== this.etag) this.#file.source = () => ({ key: this.key, etag: this.etag });
    try {
      return await this.volume.cache.read(this.#file, start, end, signal);
    } catch (error) {
      if (!isS3Error(error, 'NotFound') && !isS3Error(error, 'PreconditionFailed')) throw error;
      throw new FsError(errno.ESTALE, `${this.inode.path}: what was copied from it is no longer in the store`);
    }
  }

  release(): void {
    this.inode.copies?.delete(this);
    this.volume.cache.release(this.#file);
    const { behind, logger } = this.volume;
    const work = this.letGo()
      .catch((error) => logger.error({ err: error, key: this.key }, 'a copied file could not be let go of'))
      .finally(() => behind.delete(work));
    behind.add(work);
  }

  /** Brings the copied bytes here, so that the source may change. */
  async fill(): Promise<void> {
    for (;;) {
      const range = this.staged.layout.copied.ranges.find(({ source }) => source === this);
      if (range === undefined) break;
      const end = Math.min(range.end, range.start + FILL_BYTES);
      const bytes = Buffer.concat(await this.read(range.sourceStart, range.sourceStart + end - range.start));
      for (let at = 0; at < bytes.length; ) {
        // The file may have been uploaded, removed or overwritten meanwhile.
        if (!this.staged.sources?.has(this)) return;
        const slice = bytes.subarray(at, at + STAGED_SYNC_WRITE_BYTES);
        if (this.staged.fill(range.start + at, slice, this, range.sourceStart + at)) at += slice.length;
        else await setImmediate();
      }
    }
    this.staged.dropUnusedSources();
  }
}

/** Before the version of an inode is replaced by this mount: what was copied from it is brought where it was copied to. */
export async function keepCopies(inode: Inode): Promise<void> {
  for (const copy of [...(inode.copies ?? [])]) {
    try {
      await copy.fill();
    } catch (error) {
      // That is the failure of the file it was copied to, at its close.
      copy.isLost = true;
      copy.volume.logger.warn({ err: error, key: copy.key }, 'what was copied from a file could not be kept');
    }
  }
}

/** The same bytes have another ETag now (a copy inside the store). */
export function followCopies(inode: Inode, etag: string): void {
  for (const copy of inode.copies ?? []) if (!copy.isLost) copy.etag = etag;
}

/**
 * Runs an upload; where it failed because an object that ranges are copied from moved or is gone, it is planned and run
 * again.
 */
export async function withSources<T>(volume: Volume, staged: StagedFile, work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    const before = [...(staged.sources ?? [])].map((source) => ({ source, key: source.key, etag: source.etag }));
    try {
      return await work();
    } catch (error) {
      const gone = isS3Error(error, 'PreconditionFailed') || isS3Error(error, 'NotFound');
      if (!gone || attempt >= MAX_ATTEMPTS) throw error;
      let changed = false;
      for (const { source, key, etag } of before) changed = (await hasMoved(volume, source, key, etag)) || changed;
      if (!changed) throw error;
    }
  }
}

/** Whether a source is not what it was when the upload began; notes where the store does not have it any more. */
async function hasMoved(volume: Volume, source: CopySource, key: string, etag: string): Promise<boolean> {
  if (source.isLost) return false;
  if (source.key !== key || source.etag !== etag) return true;
  const stands = await headIfPresent(volume, key);
  source.isLost = stands?.etag !== source.etag;
  return source.isLost;
}
