/**
 * Reading through the cache: memory, a fetch already under way, the disk, and only then the store. Every byte that
 * arrives goes to all of them. A content in use is a CachedFile, which carries where its bytes can be had now (the key
 * may change by a rename while it is read) and what is being fetched of it.
 */
import { LRUCache } from 'lru-cache';
import {
  BLOCK_BYTES,
  FIRST_FETCH_BYTES,
  MAX_FETCH_BYTES,
  MEMORY_SHARE_BLOCKS,
  MEMORY_SHARE_DOWNLOADS,
  PAGE_BYTES,
} from '../constants.js';
import type { Logger } from '../log.js';
import type { ObjectClient, ObjectInfo } from '../s3/object-client.js';
import type { BlockStore, Range } from './block-store.js';
import type { Content } from './content.js';
import { Fetch } from './fetch.js';
import { MemoryBudget } from './memory-budget.js';

/** Where a content's bytes can be had in the store. */
export interface Source {
  readonly key: string;
  readonly etag: string;
}

export interface CachedFile {
  readonly content: Content;
  /** Asked anew for each request: a rename moves it. */
  source: () => Source;
  readonly fetches: Set<Fetch>;
}

export interface CacheStatistics {
  readonly memoryBytes: number;
  readonly transferBytes: number;
  readonly diskBytes: number;
  readonly hits: number;
  readonly misses: number;
}

interface Piece {
  readonly start: number;
  readonly bytes: Uint8Array;
}

export interface BlockCacheOptions {
  readonly client: ObjectClient;
  readonly store: BlockStore;
  readonly memoryLimitBytes: number;
  readonly logger: Logger;
}

export class BlockCache {
  readonly store: BlockStore;
  /** Bytes of GETs under way. */
  readonly transfers: MemoryBudget;
  readonly #client: ObjectClient;
  readonly #logger: Logger;
  readonly #memory: LRUCache<string, Piece>;
  readonly #files = new Map<Content, CachedFile>();
  /** Fetches that hold memory, ended ones whose bytes are still being written to the disk included. */
  readonly #busy = new Set<Promise<void>>();
  #hits = 0;
  #misses = 0;

  constructor(options: BlockCacheOptions) {
    this.store = options.store;
    this.#client = options.client;
    this.#logger = options.logger;
    this.transfers = new MemoryBudget(options.memoryLimitBytes * MEMORY_SHARE_DOWNLOADS);
    this.#memory = new LRUCache({
      maxSize: Math.max(BLOCK_BYTES, options.memoryLimitBytes * MEMORY_SHARE_BLOCKS),
      sizeCalculation: (piece) => piece.bytes.length,
    });
  }

  get statistics(): CacheStatistics {
    return {
      memoryBytes: this.#memory.calculatedSize,
      transferBytes: this.transfers.used,
      diskBytes: this.store.bytes,
      hits: this.#hits,
      misses: this.#misses,
    };
  }

  /** The file of an object version; every call is answered by one release. */
  acquire(source: Source, size: number): CachedFile {
    return this.#file(this.store.acquire(source.key, source.etag, size), source);
  }

  #file(content: Content, source: Source): CachedFile {
    let file = this.#files.get(content);
    if (file === undefined) {
      file = { content, source: () => source, fetches: new Set() };
      this.#files.set(content, file);
    }
    return file;
  }

  release(file: CachedFile): void {
    this.store.release(file.content);
    if (file.content.pins === 0 && file.fetches.size === 0) this.#files.delete(file.content);
  }

  /** An uploaded file becomes cached content; see BlockStore.adopt. Acquired. */
  async adopt(path: string, source: Source, size: number, valid: readonly Range[]): Promise<CachedFile> {
    return this.#file(await this.store.adopt(path, source.key, source.etag, size, valid), source);
  }

  /**
   * GET of the first bytes of whatever version stands under the key now. Resolves as soon as the version is known; the
   * bytes arrive behind. Rejects with NotModified when it still is `unless`.
   */
  probe(
    key: string,
    unless: string | undefined,
    signal?: AbortSignal,
  ): Promise<{ info: ObjectInfo; file: CachedFile }> {
    return new Promise((resolve, reject) => {
      let fetch: Fetch | undefined;
      let file: CachedFile | undefined;
      const request = this.#client.get(key, {
        start: 0,
        end: FIRST_FETCH_BYTES,
        ifNoneMatch: unless,
        signal,
        onInfo: (info) => {
          file = this.acquire({ key, etag: info.etag }, info.size);
          fetch = new Fetch(0, Math.min(FIRST_FETCH_BYTES, info.size));
          file.fetches.add(fetch);
          file.content.pins++;
          resolve({ info, file });
        },
        onData: (data) => fetch?.push(data),
      });
      const done = request.then(
        () => (file !== undefined && fetch !== undefined ? this.#arrived(file, fetch) : undefined),
        (error) => {
          reject(error);
          if (file !== undefined && fetch !== undefined) this.#failed(file, fetch, error);
        },
      );
      this.#track(
        done.finally(() => {
          if (file !== undefined) this.release(file);
        }),
      );
    });
  }

  #track(work: Promise<void>): void {
    this.#busy.add(work);
    void work.finally(() => this.#busy.delete(work));
  }

  /**
   * The bytes [offset, end), cut at the content's end. Answers at once when they are in memory. The pieces are never
   * changed afterwards.
   */
  read(file: CachedFile, offset: number, end: number, signal?: AbortSignal): Uint8Array[] | Promise<Uint8Array[]> {
    end = Math.min(end, file.content.size);
    const pieces: Uint8Array[] = [];
    const at = this.#readMemory(file, offset, end, pieces);
    if (at >= end) {
      this.#hits++;
      return pieces;
    }
    return this.#readOn(file, at, end, pieces, signal);
  }

  /** Takes what memory holds from `at` on; answers how far that reached. */
  #readMemory(file: CachedFile, at: number, end: number, into: Uint8Array[]): number {
    while (at < end) {
      const piece = this.#memory.get(this.#memoryKey(file, Math.floor(at / BLOCK_BYTES)));
      if (piece === undefined || at < piece.start || at >= piece.start + piece.bytes.length) break;
      const to = Math.min(end, piece.start + piece.bytes.length);
      into.push(piece.bytes.subarray(at - piece.start, to - piece.start));
      at = to;
    }
    return at;
  }

  #memoryKey(file: CachedFile, block: number): string {
    return `${file.content.id}${block}`;
  }

  async #readOn(
    file: CachedFile,
    at: number,
    end: number,
    into: Uint8Array[],
    signal?: AbortSignal,
  ): Promise<Uint8Array[]> {
    let missed = false;
    while (at < end) {
      at = this.#readMemory(file, at, end, into);
      if (at >= end) break;
      const fetch = this.#fetchAt(file, at);
      if (fetch !== undefined) {
        const to = Math.min(end, fetch.end);
        if (!(await this.#arrives(file, fetch, to, signal))) continue;
        fetch.slices(at, to, into);
        at = to;
        continue;
      }
      const valid = file.content.runEnd(at, end, true);
      if (valid > at) {
        const bytes = await this.store.read(file.content, at, valid);
        if (bytes !== undefined) {
          into.push(bytes);
          at = valid;
        }
        continue;
      }
      missed = true;
      await this.#fetch(file, at, end, signal);
    }
    if (missed) this.#misses++;
    else this.#hits++;
    return into;
  }

  /** Waits for the bytes before `to`; false: a rename moved the content meanwhile, and they are to be asked at its new key. */
  async #arrives(file: CachedFile, fetch: Fetch, to: number, signal?: AbortSignal): Promise<boolean> {
    try {
      await fetch.wait(to, signal);
      return true;
    } catch (error) {
      const { key, etag } = file.source();
      const moved = fetch.origin !== undefined && (fetch.origin.key !== key || fetch.origin.etag !== etag);
      if (!moved || signal?.aborted || file.fetches.has(fetch)) throw error;
      return false;
    }
  }

  /** Whether the byte at `at` is here, or on its way. */
  has(file: CachedFile, at: number): boolean {
    return file.content.isPageValid(Math.floor(at / PAGE_BYTES)) || this.#fetchAt(file, at) !== undefined;
  }

  #fetchAt(file: CachedFile, at: number): Fetch | undefined {
    for (const fetch of file.fetches) if (fetch.start <= at && at < fetch.end) return fetch;
    return undefined;
  }

  /** Where a fetch that begins at `start` must end: at what is cached or under way already. */
  #gapEnd(file: CachedFile, start: number, end: number): number {
    let gap = file.content.runEnd(start, end, false);
    for (const fetch of file.fetches) if (fetch.start > start && fetch.start < gap) gap = fetch.start;
    return gap;
  }

  /** Begins the fetch of at most MAX_FETCH_BYTES from `at` on; resolves when it has begun. */
  async #fetch(file: CachedFile, at: number, end: number, signal?: AbortSignal): Promise<void> {
    const { size } = file.content;
    const start = Math.floor(at / PAGE_BYTES) * PAGE_BYTES;
    const wanted = Math.min(size, Math.ceil(end / PAGE_BYTES) * PAGE_BYTES, start + MAX_FETCH_BYTES);
    const bytes = this.#gapEnd(file, start, wanted) - start;
    await this.transfers.reserve(bytes, signal);
    // Somebody else may have begun it while this one waited for memory.
    if (this.#fetchAt(file, at) !== undefined || file.content.isPageValid(Math.floor(at / PAGE_BYTES))) {
      this.transfers.release(bytes);
      return;
    }
    this.#begin(file, start, Math.min(start + bytes, this.#gapEnd(file, start, start + bytes)), bytes);
  }

  #begin(file: CachedFile, start: number, end: number, reserved: number): void {
    const fetch = new Fetch(start, end);
    file.content.pins++;
    file.fetches.add(fetch);
    const { key, etag } = file.source();
    fetch.origin = { key, etag };
    const request = this.#client.get(key, {
      start,
      end,
      ifMatch: etag,
      signal: fetch.abort.signal,
      onData: (data) => fetch.push(data),
    });
    const done = request
      .then(
        () => this.#arrived(file, fetch),
        (error) => this.#failed(file, fetch, error),
      )
      .finally(() => {
        this.transfers.release(reserved);
        this.release(file);
      });
    this.#track(done);
  }

  /** Fetches [start, end) if memory is free; nobody waits for it. */
  prefetch(file: CachedFile, start: number, end: number): void {
    for (let at = Math.floor(start / PAGE_BYTES) * PAGE_BYTES; at < end; ) {
      const fetch = this.#fetchAt(file, at);
      const valid = fetch === undefined ? file.content.runEnd(at, end, true) : fetch.end;
      if (valid > at) {
        at = valid;
        continue;
      }
      const wanted = Math.min(file.content.size, Math.ceil(end / PAGE_BYTES) * PAGE_BYTES, at + MAX_FETCH_BYTES);
      const to = this.#gapEnd(file, at, wanted);
      if (to <= at || !this.transfers.tryReserve(to - at)) return;
      this.#begin(file, at, to, to - at);
      at = to;
    }
  }

  async #arrived(file: CachedFile, fetch: Fetch): Promise<void> {
    for (const [index, bytes] of fetch.pieces.entries()) {
      const start = fetch.pieceStart(index);
      const key = this.#memoryKey(file, Math.floor(start / BLOCK_BYTES));
      const present = this.#memory.peek(key);
      if (present === undefined || present.bytes.length <= bytes.length) this.#memory.set(key, { start, bytes });
    }
    await this.store.write(file.content, fetch.start, fetch.pieces);
    file.fetches.delete(fetch);
  }

  #failed(file: CachedFile, fetch: Fetch, error: unknown): void {
    file.fetches.delete(fetch);
    fetch.fail(error);
    this.#logger.debug({ err: error, start: fetch.start, end: fetch.end }, 'a fetch failed');
  }

  /** Brings the whole content to the disk; false where it does not fit or cannot be had. */
  async complete(file: CachedFile, signal?: AbortSignal): Promise<boolean> {
    for (let at = 0; at < file.content.size; at += MAX_FETCH_BYTES) {
      await this.read(file, at, at + MAX_FETCH_BYTES, signal);
    }
    await Promise.all(this.#busy);
    return file.content.isComplete;
  }

  /** Ends what is under way and waits for the disk. */
  async close(): Promise<void> {
    for (const file of this.#files.values()) for (const fetch of file.fetches) fetch.abort.abort();
    await Promise.all(this.#busy);
  }
}
