/**
 * Reading through the cache: memory, a fetch already under way, the disk, and only then the store. Every byte that
 * arrives goes to all of them. A content in use is a CachedFile, which carries where its bytes can be had now (the key
 * may change by a rename while it is read) and what is being fetched of it.
 */
import { LRUCache } from 'lru-cache';
import {
  BLOCK_BYTES,
  MAX_FETCH_BYTES,
  MEMORY_SHARE_BLOCKS,
  MEMORY_SHARE_DOWNLOADS,
  MEMORY_SHARE_TRANSFERS,
  PAGE_BYTES,
} from '../constants.js';
import type { Logger } from '../log.js';
import type { ObjectClient, ObjectInfo } from '../s3/object-client.js';
import { isS3Error } from '../s3/s3-error.js';
import type { BlockStore, Range } from './block-store.js';
import { type CachedFile, fetchAt, type Source } from './cached-file.js';
import type { Content } from './content.js';
import type { Fetch } from './fetch.js';
import { Fetcher } from './fetcher.js';
import { MemoryBudget } from './memory-budget.js';

export type { CachedFile, Source };

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
  /** For the uploads: bytes of requests under way. The cache's own requests share the memory behind it. */
  readonly transfers: MemoryBudget;
  readonly #downloads: MemoryBudget;
  readonly #fetcher: Fetcher;
  readonly #memory: LRUCache<string, Piece>;
  /** Content on its way to the disk that no fetch brought. */
  readonly #writing = new Set<Promise<void>>();
  readonly #files = new WeakMap<Content, CachedFile>();
  #hits = 0;
  #misses = 0;

  constructor(options: BlockCacheOptions) {
    this.store = options.store;
    const transferBytes = Math.floor(options.memoryLimitBytes * MEMORY_SHARE_TRANSFERS);
    [this.#downloads, this.transfers] = MemoryBudget.pair(
      transferBytes,
      Math.floor(transferBytes * MEMORY_SHARE_DOWNLOADS),
    );
    this.#memory = new LRUCache({
      maxSize: Math.max(BLOCK_BYTES, Math.floor(options.memoryLimitBytes * MEMORY_SHARE_BLOCKS)),
      sizeCalculation: (piece) => piece.bytes.length,
    });
    this.#fetcher = new Fetcher({
      ...options,
      budget: this.#downloads,
      acquire: (source, size) => this.acquire(source, size),
      hold: (file) => this.hold(file),
      release: (file) => this.release(file),
      keep: (file, fetch) => this.#keep(file, fetch),
    });
  }

  get statistics(): CacheStatistics {
    return {
      memoryBytes: this.#memory.calculatedSize,
      transferBytes: this.#downloads.used + this.transfers.used,
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
      file = { content, source: () => source, origin: source, fetches: new Set(), users: 0 };
      this.#files.set(content, file);
    } else if (file.users === 0) {
      // Whoever had it before no longer keeps its source true.
      file.source = () => source;
      file.origin = source;
    }
    file.users++;
    return file;
  }

  /** Once more the same file; every call is answered by one release. */
  hold(file: CachedFile): void {
    file.content.pins++;
    file.users++;
  }

  release(file: CachedFile): void {
    file.users--;
    this.store.release(file.content);
  }

  /** An uploaded file becomes cached content; see BlockStore.adopt. Acquired. */
  async adopt(path: string, source: Source, size: number, valid: readonly Range[]): Promise<CachedFile> {
    return this.#file(await this.store.adopt(path, source.key, source.etag, size, valid), source);
  }

  /**
   * The bytes of a small file that was uploaded become cached content: at once in memory, behind that on the disk.
   * Acquired. `bytes` is not changed afterwards.
   */
  keep(source: Source, bytes: Uint8Array): CachedFile {
    const file = this.acquire(source, bytes.length);
    if (bytes.length === 0) return file;
    this.#memory.set(this.#memoryKey(file, 0), { start: 0, bytes });
    const writing = this.store.write(file.content, 0, [bytes]).finally(() => this.#writing.delete(writing));
    this.#writing.add(writing);
    return file;
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
    return this.#fetcher.probe(key, unless, signal);
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

  /** Whether the byte at `at` is here, or on its way. */
  has(file: CachedFile, at: number): boolean {
    return file.content.isPageValid(Math.floor(at / PAGE_BYTES)) || fetchAt(file, at) !== undefined;
  }

  /** The bytes [offset, end) where they are in memory. */
  peek(file: CachedFile, offset: number, end: number): Uint8Array[] | undefined {
    const pieces: Uint8Array[] = [];
    return this.#readMemory(file, offset, end, pieces) >= end ? pieces : undefined;
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
      let fetch = fetchAt(file, at);
      if (fetch === undefined) {
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
        // Waited for at once: a fetch that fails before this comes round again would be begun for ever.
        fetch = await this.#fetcher.begin(file, at, end, signal);
        if (fetch === undefined) continue;
      }
      const to = Math.min(end, fetch.end);
      await fetch.wait(to, signal);
      fetch.slices(at, to, into);
      at = to;
    }
    if (missed) this.#misses++;
    else this.#hits++;
    return into;
  }

  /**
   * Fetches [start, end) as far as memory is free; nobody waits for it. Answers the byte up to which everything is cached
   * or under way: less than `end` where memory was short (see Readahead.heldBack).
   */
  prefetch(file: CachedFile, start: number, end: number): number {
    return this.#fetcher.prefetch(file, start, end);
  }

  #keep(file: CachedFile, fetch: Fetch): void {
    for (const [index, bytes] of fetch.pieces.entries()) {
      const start = fetch.pieceStart(index);
      const key = this.#memoryKey(file, Math.floor(start / BLOCK_BYTES));
      const present = this.#memory.peek(key);
      if (present === undefined || present.bytes.length <= bytes.length) this.#memory.set(key, { start, bytes });
    }
  }

  /** Brings the whole content to the disk; false where it does not fit or cannot be had. */
  async complete(file: CachedFile, signal?: AbortSignal): Promise<boolean> {
    const { content } = file;
    try {
      for (let at = 0; at < content.size; at += MAX_FETCH_BYTES) {
        const end = Math.min(content.size, at + MAX_FETCH_BYTES);
        if (!content.isValid(at, end)) await this.read(file, at, end, signal);
      }
    } catch (error) {
      if (signal?.aborted || !isS3Error(error)) throw error;
      return false;
    }
    await this.#fetcher.settled(file);
    return content.isComplete;
  }

  /** Ends what is under way and waits for the disk. */
  async close(): Promise<void> {
    await this.#fetcher.close();
    await Promise.all(this.#writing);
  }
}
