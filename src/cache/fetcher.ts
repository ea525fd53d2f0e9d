/**
 * The requests that bring content: for somebody who waits, ahead of somebody who reads on, and with an open. What
 * arrived goes to the memory and to the disk; its bytes count against the budget until both have it.
 */
import { FIRST_FETCH_BYTES, MAX_FETCH_BYTES, PAGE_BYTES, READAHEAD_FIRST_BYTES } from '../constants.js';
import type { Logger } from '../log.js';
import type { ObjectClient, ObjectInfo } from '../s3/object-client.js';
import { isS3Error, S3Error } from '../s3/s3-error.js';
import type { BlockStore } from './block-store.js';
import { type CachedFile, fetchAt, gapEnd, type Source, sourceOf } from './cached-file.js';
import { Fetch } from './fetch.js';
import type { MemoryBudget } from './memory-budget.js';

export interface FetcherOptions {
  readonly client: ObjectClient;
  readonly store: BlockStore;
  readonly budget: MemoryBudget;
  readonly logger: Logger;
  readonly acquire: (source: Source, size: number) => CachedFile;
  readonly hold: (file: CachedFile) => void;
  readonly release: (file: CachedFile) => void;
  /** Puts what arrived into the memory. */
  readonly keep: (file: CachedFile, fetch: Fetch) => void;
}

/** So often a fetch follows its object to another key. */
const MAX_MOVES = 4;

const isGone = (error: unknown): boolean => isS3Error(error, 'NotFound') || isS3Error(error, 'PreconditionFailed');

export class Fetcher {
  readonly #options: FetcherOptions;
  /** Requests under way and what ends them; ended ones whose bytes are still being written to the disk included. */
  readonly #busy = new Map<
    Promise<void>,
    { readonly file: () => CachedFile | undefined; readonly abort: () => void }
  >();
  #closed = false;

  constructor(options: FetcherOptions) {
    this.#options = options;
  }

  #aborted(key: string): S3Error {
    return new S3Error('Aborted', 'the cache is closed', { operation: 'GetObject', key });
  }

  /** See BlockCache.probe. */
  probe(
    key: string,
    unless: string | undefined,
    signal?: AbortSignal,
  ): Promise<{ info: ObjectInfo; file: CachedFile }> {
    if (this.#closed) return Promise.reject(this.#aborted(key));
    return new Promise((resolve, reject) => {
      const abort = new AbortController();
      const onAbort = (): void => abort.abort(signal?.reason);
      if (signal?.aborted) onAbort();
      signal?.addEventListener('abort', onAbort, { once: true });
      let fetch: Fetch | undefined;
      let file: CachedFile | undefined;
      const request = this.#options.client.get(key, {
        start: 0,
        end: FIRST_FETCH_BYTES,
        ifNoneMatch: unless,
        signal: abort.signal,
        onInfo: (info) => {
          // From here on others may wait for these bytes too.
          signal?.removeEventListener('abort', onAbort);
          file = this.#options.acquire({ key, etag: info.etag }, info.size);
          fetch = new Fetch(0, Math.min(FIRST_FETCH_BYTES, info.size), abort);
          this.#options.hold(file);
          file.fetches.add(fetch);
          resolve({ info, file });
        },
        onData: (data) => fetch?.push(data),
      });
      const done = request
        .then(() => {
          if (file !== undefined && fetch !== undefined) return this.#arrived(file, fetch);
        })
        .catch((error) => {
          reject(error);
          if (file !== undefined && fetch !== undefined) this.#failed(file, fetch, error);
        })
        .finally(() => {
          signal?.removeEventListener('abort', onAbort);
          if (file !== undefined) this.#options.release(file);
        });
      this.#track(done, () => file, abort);
    });
  }

  #track(work: Promise<void>, file: () => CachedFile | undefined, abort: AbortController): void {
    const ended = work
      .catch((error) => this.#options.logger.error({ err: error }, 'a fetch could not be ended'))
      .then(() => {
        this.#busy.delete(ended);
      });
    this.#busy.set(ended, { file, abort: () => abort.abort() });
  }

  /** Begins the fetch of at most MAX_FETCH_BYTES from `at` on; undefined when somebody else did meanwhile. */
  async begin(file: CachedFile, at: number, end: number, signal?: AbortSignal): Promise<Fetch | undefined> {
    const { budget } = this.#options;
    const start = Math.floor(at / PAGE_BYTES) * PAGE_BYTES;
    const bytes = gapEnd(file, start, this.#rangeEnd(file, start, end)) - start;
    await budget.reserve(bytes, signal);
    const other = fetchAt(file, at);
    if (this.#closed || other !== undefined || file.content.isPageValid(Math.floor(at / PAGE_BYTES))) {
      budget.release(bytes);
      if (this.#closed) throw this.#aborted(file.origin.key);
      return other;
    }
    return this.#begin(file, start, gapEnd(file, start, start + bytes), bytes);
  }

  #rangeEnd(file: CachedFile, start: number, end: number): number {
    return Math.min(file.content.size, Math.ceil(end / PAGE_BYTES) * PAGE_BYTES, start + MAX_FETCH_BYTES);
  }

  #begin(file: CachedFile, start: number, end: number, reserved: number): Fetch {
    const fetch = new Fetch(start, end);
    this.#options.hold(file);
    file.fetches.add(fetch);
    const done = this.#get(file, fetch)
      .then(() => this.#arrived(file, fetch))
      .catch((error) => this.#failed(file, fetch, error))
      .finally(() => {
        this.#options.budget.release(reserved);
        this.#options.release(file);
      });
    this.#track(done, () => file, fetch.abort);
    return fetch;
  }

  /** Goes on under the new key when the object was renamed meanwhile. */
  async #get(file: CachedFile, fetch: Fetch): Promise<void> {
    for (let moves = 0; ; moves++) {
      const source = sourceOf(file);
      try {
        await this.#options.client.get(source.key, {
          start: fetch.front,
          end: fetch.end,
          ifMatch: source.etag,
          signal: fetch.abort.signal,
          onData: (data) => fetch.push(data),
        });
        return;
      } catch (error) {
        const now = sourceOf(file);
        const moved = now.key !== source.key || now.etag !== source.etag;
        if (!isGone(error) || !moved || moves >= MAX_MOVES) throw error;
      }
    }
  }

  /** Answers up to where all is cached or under way; less than `end` where memory was short. Nobody waits for it. */
  prefetch(file: CachedFile, start: number, end: number): number {
    end = Math.min(end, file.content.size);
    let at = Math.floor(start / PAGE_BYTES) * PAGE_BYTES;
    while (at < end && !this.#closed) {
      const fetch = fetchAt(file, at);
      const valid = fetch === undefined ? file.content.runEnd(at, end, true) : fetch.end;
      if (valid > at) {
        at = valid;
        continue;
      }
      const gap = gapEnd(file, at, this.#rangeEnd(file, at, end));
      // Of what is larger than the memory left, a part that is worth a request.
      const free = Math.floor(this.#options.budget.free / READAHEAD_FIRST_BYTES) * READAHEAD_FIRST_BYTES;
      const to = gap - at > free && free > 0 ? at + free : gap;
      if (!this.#options.budget.tryReserve(to - at)) break;
      this.#begin(file, at, to, to - at);
      at = to;
    }
    return Math.min(at, end);
  }

  async #arrived(file: CachedFile, fetch: Fetch): Promise<void> {
    if (!fetch.has(fetch.end)) {
      const { key } = file.origin;
      throw new S3Error('Corrupt', `${key}: the answer ended before its range`, { operation: 'GetObject', key });
    }
    this.#options.keep(file, fetch);
    await this.#options.store.write(file.content, fetch.start, fetch.pieces);
    file.fetches.delete(fetch);
  }

  #failed(file: CachedFile, fetch: Fetch, error: unknown): void {
    file.fetches.delete(fetch);
    fetch.fail(error);
    this.#options.logger.debug({ err: error, start: fetch.start, end: fetch.end }, 'a fetch failed');
  }

  /** Resolves when what is under way of a file now has ended. */
  async settled(file: CachedFile): Promise<void> {
    await Promise.all([...this.#busy].filter(([, of]) => of.file() === file).map(([work]) => work));
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const { abort } of this.#busy.values()) abort();
    while (this.#busy.size > 0) await Promise.all(this.#busy.keys());
  }
}
