/**
 * Cached content on the disk, found through (key, ETag, size): its life from the first byte to its eviction. Survives
 * restarts: the index is saved some seconds after a change and at the end; pages written after the last save are fetched
 * again, and a block whose CRC does not match is dropped.
 *
 * Invariant: a pinned content is not evicted, except when its own record cannot be saved; then nothing in it is valid.
 */
import { crc32 } from 'node:zlib';
import type { Clock } from '../clock.js';
import { BLOCK_BYTES, CACHE_SAVE_DELAY_MS } from '../constants.js';
import type { Logger } from '../log.js';
import { BlockFiles } from './block-files.js';
import type { CacheIndex } from './cache-index.js';
import type { Content } from './content.js';
import { ContentTable } from './content-table.js';
import { Lending } from './lending.js';
import { type Candidate, Room } from './room.js';

export interface BlockStoreOptions {
  readonly directory: string;
  readonly maxBytes: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Bytes [start, end). */
export interface Range {
  readonly start: number;
  readonly end: number;
}

const USE_RESOLUTION_MS = 60_000;

export class BlockStore {
  readonly #options: BlockStoreOptions;
  readonly #index: CacheIndex;
  readonly #files: BlockFiles;
  readonly #room: Room;
  readonly #table: ContentTable;
  readonly lending: Lending;
  #saveTimer: NodeJS.Timeout | undefined;
  #saving: Promise<void> = Promise.resolve();
  /** Removals of files under way. */
  readonly #removing = new Set<Promise<unknown>>();
  #writeFails = false;
  #closed = false;

  private constructor(index: CacheIndex, options: BlockStoreOptions) {
    this.#index = index;
    this.#options = options;
    this.#files = new BlockFiles(options.directory);
    this.#table = new ContentTable(index, (content) => this.#renamed(content));
    this.lending = new Lending({
      files: this.#files,
      forget: ({ id }) => this.#table.forget(id),
      adopt: async (path, { key, etag }, size) =>
        this.release(await this.adopt(path, key, etag, size, [{ start: 0, end: size }])),
      behind: (work) => this.#behind(work),
    });
    this.#room = new Room({
      ...options,
      bytes: () => this.#table.bytes,
      candidates: () => this.#candidates(),
      evict: (id) => this.#evictUnused(id),
    });
  }

  static async open(index: CacheIndex, options: BlockStoreOptions): Promise<BlockStore> {
    const store = new BlockStore(index, options);
    await store.#start();
    return store;
  }

  /** Bytes on the disk. */
  get bytes(): number {
    return this.#table.bytes;
  }

  async #start(): Promise<void> {
    await this.#files.sweep(this.#table.start());
    await this.#room.make(0);
  }

  static versionKey(key: string, etag: string, size: number): string {
    return `${etag}\n${size}\n${key}`;
  }

  /** The content of an object version, empty if nothing of it is cached. Pinned: the caller releases it. */
  acquire(key: string, etag: string, size: number): Content {
    const version = BlockStore.versionKey(key, etag, size);
    const content = this.#table.find(version, size) ?? this.#table.create(size, version);
    content.pins++;
    content.used = this.#options.clock.now();
    return content;
  }

  #renamed(content: Content): void {
    if (content.diskBytes === 0) return;
    content.dirty = true;
    if (content.versions.size === 0 && content.pins === 0) this.#settle(content);
    else this.#saveSoon();
  }

  /** Makes the same content known by another version: our own upload, a rename, a metadata copy. */
  alias(content: Content, key: string, etag: string): void {
    if (!content.evicted) this.#table.name(content, BlockStore.versionKey(key, etag, content.size));
  }

  /** The bytes known as one version are known as another too: a copy inside the store. */
  aliasVersion(from: { key: string; etag: string }, to: { key: string; etag: string }, size: number): void {
    const content = this.#table.find(BlockStore.versionKey(from.key, from.etag, size), size);
    if (content === undefined) return;
    content.pins++;
    this.alias(content, to.key, to.etag);
    this.release(content);
  }

  release(content: Content): void {
    content.pins--;
    if (content.pins > 0) return;
    content.used = this.#options.clock.now();
    // The order of eviction follows use; one save a minute is exact enough.
    if (content.used - content.savedUse > USE_RESOLUTION_MS && content.diskBytes > 0) content.dirty = true;
    this.#files.close(content);
    this.#settle(content);
    if (content.diskBytes > 0) this.#room.eased();
  }

  /** What becomes of a content that nobody uses. */
  #settle(content: Content): void {
    if (content.evicted) return;
    if (content.diskBytes === 0 || content.versions.size === 0) {
      if (content.hasFile) this.#behind(this.#evict(content.id));
      else this.#table.deactivate(content);
    } else if (content.dirty && !this.#closed) this.#saveSoon();
    else this.#table.deactivate(content);
  }

  #behind(work: Promise<unknown>): void {
    this.#removing.add(work);
    void work.finally(() => this.#removing.delete(work));
  }

  /** The bytes [offset, end), which must be valid; undefined when a block turned out damaged (it was dropped). */
  async read(content: Content, offset: number, end: number): Promise<Uint8Array | undefined> {
    content.pins++;
    try {
      if (!(await this.#verify(content, offset, end))) return undefined;
      // Another reader may have dropped a block while this one waited for the check of the others.
      if (!content.isValid(offset, end)) return undefined;
      const bytes = await this.#files.read(content, offset, end);
      // From then on it is another's to write.
      if (content.evicted) return undefined;
      return bytes ?? this.#damaged(content, offset, end);
    } catch (error) {
      this.#options.logger.warn({ err: error, content: content.id }, 'a cache file cannot be read');
      return this.#damaged(content, offset, end);
    } finally {
      this.release(content);
    }
  }

  #damaged(content: Content, offset: number, end: number): undefined {
    this.#account(content, () => {
      for (let at = offset; at < end; at += BLOCK_BYTES) content.dropBlock(Math.floor(at / BLOCK_BYTES));
      content.dropBlock(Math.floor((end - 1) / BLOCK_BYTES));
    });
    return undefined;
  }

  /** Whether all blocks of a range are what the index says. Those that are not are dropped. */
  async #verify(content: Content, offset: number, end: number): Promise<boolean> {
    let sound = true;
    for (let block = Math.floor(offset / BLOCK_BYTES); block * BLOCK_BYTES < end; block++) {
      const state = content.blocks.get(block);
      if (state === undefined || state.verified || (await this.#files.verify(content, block))) continue;
      sound = false;
      if (content.blocks.get(block) !== state) continue;
      this.#options.logger.warn({ content: content.id, block }, 'a cached block is damaged and is fetched again');
      this.#account(content, () => content.dropBlock(block));
    }
    return sound;
  }

  /** Keeps bytes that came from the store. A full disk costs the caching, nothing else. Never rejects. */
  async write(content: Content, offset: number, pieces: readonly Uint8Array[]): Promise<void> {
    const length = pieces.reduce((sum, piece) => sum + piece.length, 0);
    // One that is lent has everything, and may not be this store's to write any more when the bytes get there.
    if (length === 0 || content.evicted || content.isLent || this.#closed) return;
    content.pins++;
    const granted = await this.#room.take(length);
    try {
      if (!granted || content.evicted || this.#closed) return;
      // Marking pages changes a block's CRC, so what it has must be checked before.
      await this.#verify(content, offset, offset + length);
      await this.#files.write(content, offset, pieces);
      if (content.evicted) return;
      this.#account(content, () => content.markValid(offset, offset + length));
      this.#noteCrcs(content, offset, pieces);
      this.#saveSoon();
      this.#writeFails = false;
    } catch (error) {
      const level = this.#writeFails ? 'debug' : 'warn';
      this.#writeFails = true;
      this.#options.logger[level]({ err: error }, 'the cache cannot be written; reading goes on without it');
      this.#room.full();
    } finally {
      if (granted) this.#room.done(length);
      this.release(content);
    }
  }

  /** Of whole blocks the bytes are at hand: no need to read them again at the next save. */
  #noteCrcs(content: Content, offset: number, pieces: readonly Uint8Array[]): void {
    let at = offset;
    for (const piece of pieces) {
      const block = Math.floor(at / BLOCK_BYTES);
      const state = content.blocks.get(block);
      if (at % BLOCK_BYTES === 0 && piece.length === content.blockLength(block) && state?.crc === undefined) {
        if (state !== undefined) state.crc = crc32(piece);
      }
      at += piece.length;
    }
  }

  /**
   * Takes over a file of which the ranges `valid` are there, as the content of a version that was just uploaded. Answers
   * it pinned. The file is moved, or copied where the cache is another filesystem.
   */
  async adopt(path: string, key: string, etag: string, size: number, valid: readonly Range[]): Promise<Content> {
    if (this.#closed) throw new Error('the cache is closed');
    const content = this.#table.create(size);
    content.pins++;
    content.used = this.#options.clock.now();
    try {
      await this.#files.adopt(path, content);
    } catch (error) {
      this.release(content);
      throw error;
    }
    this.#account(content, () => {
      for (const range of valid) content.markValid(range.start, range.end);
    });
    this.alias(content, key, etag);
    this.#saveSoon();
    this.#behind(this.#room.make(0));
    return content;
  }

  #account(content: Content, change: () => void): void {
    const before = content.diskBytes;
    change();
    if (!content.evicted) this.#table.bytes += content.diskBytes - before;
  }

  #saveSoon(): void {
    if (this.#closed) return;
    this.#saveTimer ??= setTimeout(() => {
      this.#saveTimer = undefined;
      void this.save();
    }, CACHE_SAVE_DELAY_MS).unref();
  }

  /** Writes what changed to the index. One save at a time; never rejects. */
  save(): Promise<void> {
    this.#saving = this.#saving.then(() => this.#saveAll());
    return this.#saving;
  }

  async #saveAll(): Promise<void> {
    for (const content of [...this.#table.active.values()]) {
      if (content.dirty && !content.evicted && content.diskBytes > 0) await this.#saveOne(content);
    }
    await this.#index.flush();
  }

  async #saveOne(content: Content): Promise<void> {
    content.pins++;
    content.dirty = false;
    try {
      for (const [block, state] of content.blocks) {
        if (state.crc !== undefined) continue;
        const { changes } = state;
        const crc = await this.#files.crcOf(content, block);
        if (state.changes === changes) state.crc = crc;
      }
      if (!content.evicted) await this.#table.record(content);
    } catch (error) {
      this.#options.logger.warn({ err: error }, 'a cached content cannot be saved and is dropped');
      await this.#evict(content.id);
    } finally {
      this.release(content);
    }
  }

  #candidates(): Candidate[] {
    try {
      return this.#table.unused();
    } catch (error) {
      this.#options.logger.warn({ err: error }, 'the cache index cannot be read; nothing is evicted');
      return [];
    }
  }

  /** Candidates were chosen a while ago. Answers the bytes that came free. */
  async #evictUnused(id: string): Promise<number> {
    return (this.#table.active.get(id)?.pins ?? 0) > 0 ? 0 : this.#evict(id);
  }

  /** What the names lead to changes at once; the file goes behind. Never rejects. */
  async #evict(id: string): Promise<number> {
    const bytes = this.#table.forget(id);
    try {
      await this.#files.remove(id);
    } catch (error) {
      this.#options.logger.warn({ err: error, content: id }, 'a cache file cannot be removed');
    }
    return bytes;
  }

  /** Ends the writing; contents still in use can be read on. */
  async close(): Promise<void> {
    clearTimeout(this.#saveTimer);
    await this.#room.settled();
    await this.save();
    this.#closed = true;
    clearTimeout(this.#saveTimer);
    while (this.#removing.size > 0) await Promise.all(this.#removing);
  }
}
