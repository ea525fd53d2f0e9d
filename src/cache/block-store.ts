/**
 * Cached content on the disk: sparse files under `blocks/`, one a content, found through (key, ETag, size). Bounded by
 * a number of bytes and by the free space of its disk. Survives restarts: the index is saved some seconds after a change
 * and at the end; pages written after the last save are fetched again, and a block whose CRC does not match is dropped.
 */
import { randomBytes } from 'node:crypto';
import { closeSync, constants, mkdirSync, openSync } from 'node:fs';
import { copyFile, readdir, rename, rm, statfs, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { crc32 } from 'node:zlib';
import type { Clock } from '../clock.js';
import { BLOCK_BYTES, CACHE_FREE_SPACE_FLOOR, CACHE_SAVE_DELAY_MS, MiB } from '../constants.js';
import { pread, pwrite } from '../file-io.js';
import type { Logger } from '../log.js';
import type { CacheIndex } from './cache-index.js';
import { Content } from './content.js';

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

const SPACE_CHECK_BYTES = 64 * MiB;
const USE_RESOLUTION_MS = 60_000;

export class BlockStore {
  readonly #options: BlockStoreOptions;
  readonly #index: CacheIndex;
  /** Contents in use or changed since the last save; the others live in the index only. */
  readonly #active = new Map<string, Content>();
  #bytes = 0;
  #sinceSpaceCheck = 0;
  #saveTimer: NodeJS.Timeout | undefined;
  #evicting: Promise<void> | undefined;
  #closed = false;

  private constructor(index: CacheIndex, options: BlockStoreOptions) {
    this.#index = index;
    this.#options = options;
  }

  static async open(index: CacheIndex, options: BlockStoreOptions): Promise<BlockStore> {
    const store = new BlockStore(index, options);
    await store.#start();
    return store;
  }

  /** Bytes on the disk. */
  get bytes(): number {
    return this.#bytes;
  }

  async #start(): Promise<void> {
    mkdirSync(join(this.#options.directory, 'blocks'), { recursive: true, mode: 0o700 });
    const known = new Set<string>();
    for (const { key, value } of this.#index.contents.entries()) {
      known.add(key);
      this.#bytes += value.diskBytes;
    }
    // Files of a run that ended before it saved its index belong to nothing.
    for (const shelf of await readdir(join(this.#options.directory, 'blocks'))) {
      for (const id of await readdir(join(this.#options.directory, 'blocks', shelf))) {
        if (!known.has(id)) await rm(join(this.#options.directory, 'blocks', shelf, id), { force: true });
      }
    }
    this.#makeRoom();
  }

  #path(id: string): string {
    return join(this.#options.directory, 'blocks', id.slice(0, 2), id);
  }

  static versionKey(key: string, etag: string, size: number): string {
    return `${etag}\n${size}\n${key}`;
  }

  /** The content of an object version, empty if nothing of it is cached. Pinned: the caller releases it. */
  acquire(key: string, etag: string, size: number): Content {
    const version = BlockStore.versionKey(key, etag, size);
    const id = this.#index.versions.get(version);
    let content = id === undefined ? undefined : this.#load(id, size);
    if (content === undefined) {
      content = new Content(randomBytes(16).toString('hex'), size);
      this.#active.set(content.id, content);
      void this.#index.versions.put(version, content.id);
    }
    content.pins++;
    return content;
  }

  #load(id: string, size: number): Content | undefined {
    const active = this.#active.get(id);
    if (active !== undefined) return active.size === size ? active : undefined;
    const record = this.#index.contents.get(id);
    if (record === undefined || record.size !== size) return undefined;
    const content = new Content(id, size);
    content.loadRecords(record.blocks);
    content.savedUse = record.used;
    this.#active.set(id, content);
    return content;
  }

  /** Makes the same content known by another version: our own upload, a rename, a metadata copy. */
  alias(content: Content, key: string, etag: string): void {
    if (!content.evicted) void this.#index.versions.put(BlockStore.versionKey(key, etag, content.size), content.id);
  }

  /** The bytes known as one version are known as another too: a copy inside the store. */
  aliasVersion(from: { key: string; etag: string }, to: { key: string; etag: string }, size: number): void {
    const id = this.#index.versions.get(BlockStore.versionKey(from.key, from.etag, size));
    if (id !== undefined) void this.#index.versions.put(BlockStore.versionKey(to.key, to.etag, size), id);
  }

  release(content: Content): void {
    content.pins--;
    if (content.pins > 0) return;
    const now = this.#options.clock.now();
    // The order of eviction follows use; one save a minute is exact enough.
    if (now - content.savedUse > USE_RESOLUTION_MS && content.diskBytes > 0) content.dirty = true;
    if (content.fd !== undefined) {
      closeSync(content.fd);
      content.fd = undefined;
    }
    if (content.dirty) this.#saveSoon();
    else this.#active.delete(content.id);
  }

  #open(content: Content): number {
    content.fd ??= openSync(this.#shelvedPath(content.id), constants.O_RDWR | constants.O_CREAT, 0o600);
    return content.fd;
  }

  /** The path of a content, in a directory that exists: somebody may have emptied the cache while it is used. */
  #shelvedPath(id: string): string {
    const path = this.#path(id);
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    return path;
  }

  /** The bytes [offset, end), which must be valid; undefined when a block turned out damaged (it was dropped). */
  async read(content: Content, offset: number, end: number): Promise<Uint8Array | undefined> {
    content.pins++;
    try {
      const fd = this.#open(content);
      for (let block = Math.floor(offset / BLOCK_BYTES); block * BLOCK_BYTES < end; block++) {
        if (content.blocks.get(block)?.verified !== true && !(await this.#verify(content, fd, block))) return undefined;
      }
      const bytes = Buffer.allocUnsafe(end - offset);
      return (await pread(fd, bytes, offset)) === bytes.length ? bytes : this.#damaged(content, offset);
    } catch (error) {
      this.#options.logger.warn({ err: error, content: content.id }, 'a cache file cannot be read');
      return this.#damaged(content, offset);
    } finally {
      this.release(content);
    }
  }

  #damaged(content: Content, offset: number): undefined {
    const block = Math.floor(offset / BLOCK_BYTES);
    this.#account(content, () => content.dropBlock(block));
    return undefined;
  }

  async #verify(content: Content, fd: number, block: number): Promise<boolean> {
    const state = content.blocks.get(block);
    if (state === undefined) return false;
    const crc = await this.#crcOf(content, fd, block);
    if (crc === state.crc) {
      state.verified = true;
      return true;
    }
    this.#options.logger.warn({ content: content.id, block }, 'a cached block is damaged and is fetched again');
    this.#account(content, () => content.dropBlock(block));
    return false;
  }

  async #crcOf(content: Content, fd: number, block: number): Promise<number> {
    const bytes = Buffer.alloc(content.blockLength(block));
    await pread(fd, bytes, block * BLOCK_BYTES);
    content.maskInvalid(block, bytes);
    return crc32(bytes);
  }

  /** Keeps bytes that came from the store. A full disk costs the caching, nothing else. */
  async write(content: Content, offset: number, pieces: readonly Uint8Array[]): Promise<void> {
    if (content.evicted || this.#closed) return;
    content.pins++;
    try {
      const fd = this.#open(content);
      let at = offset;
      for (const piece of pieces) {
        await pwrite(fd, piece, at);
        at += piece.length;
      }
      this.#account(content, () => content.markValid(offset, at));
      this.#saveSoon();
      this.#makeRoom(at - offset);
    } catch (error) {
      this.#options.logger.warn(
        { err: error, content: content.id },
        'the cache cannot be written; reading goes on without it',
      );
      this.#makeRoom(SPACE_CHECK_BYTES);
    } finally {
      this.release(content);
    }
  }

  /**
   * Takes over a file of which the ranges `valid` are there, as the content of a version that was just uploaded. Answers
   * it pinned. The file is moved, or copied where the cache is another filesystem.
   */
  async adopt(path: string, key: string, etag: string, size: number, valid: readonly Range[]): Promise<Content> {
    const content = new Content(randomBytes(16).toString('hex'), size);
    content.pins++;
    const shelved = this.#shelvedPath(content.id);
    await rename(path, shelved).catch(async (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EXDEV') throw error;
      await copyFile(path, shelved);
      await unlink(path);
    });
    this.#active.set(content.id, content);
    this.#account(content, () => {
      for (const range of valid) content.markValid(range.start, range.end);
    });
    this.alias(content, key, etag);
    this.#saveSoon();
    this.#makeRoom(size);
    return content;
  }

  #account(content: Content, change: () => void): void {
    const before = content.diskBytes;
    change();
    if (!content.evicted) this.#bytes += content.diskBytes - before;
  }

  #saveSoon(): void {
    if (this.#closed) return;
    this.#saveTimer ??= setTimeout(() => {
      this.#saveTimer = undefined;
      void this.save();
    }, CACHE_SAVE_DELAY_MS).unref();
  }

  /** Writes what changed to the index. */
  async save(): Promise<void> {
    for (const content of [...this.#active.values()]) {
      if (!content.dirty || content.evicted) continue;
      content.dirty = false;
      try {
        await this.#saveOne(content);
      } catch (error) {
        this.#options.logger.warn(
          { err: error, content: content.id },
          'a cached content cannot be saved and is dropped',
        );
        await this.#evict(content.id);
      }
      if (content.pins === 0 && !content.dirty) this.#active.delete(content.id);
    }
    await this.#index.flush();
  }

  async #saveOne(content: Content): Promise<void> {
    content.pins++;
    try {
      for (const [block, state] of content.blocks) {
        if (state.crc !== undefined) continue;
        const crc = await this.#crcOf(content, this.#open(content), block);
        if (content.blocks.get(block) === state && !content.dirty) state.crc = crc;
      }
      if (content.evicted) return;
      const used = this.#options.clock.now();
      content.savedUse = used;
      await this.#index.contents.put(content.id, {
        size: content.size,
        diskBytes: content.diskBytes,
        used,
        blocks: content.toRecords(),
      });
    } finally {
      this.release(content);
    }
  }

  /** Starts eviction when the bound or the free space asks for it. */
  #makeRoom(added = SPACE_CHECK_BYTES): void {
    this.#sinceSpaceCheck += added;
    if (this.#bytes <= this.#options.maxBytes && this.#sinceSpaceCheck < SPACE_CHECK_BYTES) return;
    this.#evicting ??= this.#evictOldest().finally(() => {
      this.#evicting = undefined;
    });
  }

  async #excess(): Promise<number> {
    this.#sinceSpaceCheck = 0;
    const disk = await statfs(this.#options.directory);
    const floor = disk.blocks * CACHE_FREE_SPACE_FLOOR * disk.bsize - disk.bavail * disk.bsize;
    return Math.max(this.#bytes - this.#options.maxBytes, floor);
  }

  async #evictOldest(): Promise<void> {
    let excess = await this.#excess();
    if (excess <= 0) return;
    const candidates: Array<{ id: string; used: number; bytes: number }> = [];
    for (const { key, value } of this.#index.contents.entries()) {
      candidates.push({ id: key, used: value.used, bytes: value.diskBytes });
    }
    candidates.sort((a, b) => a.used - b.used);
    for (const content of this.#active.values()) {
      if (!candidates.some((candidate) => candidate.id === content.id)) {
        candidates.push({ id: content.id, used: this.#options.clock.now(), bytes: content.diskBytes });
      }
    }
    // A tenth more than needed, so that the next write does not start it all over.
    excess += this.#options.maxBytes * 0.1;
    for (const candidate of candidates) {
      if (excess <= 0) return;
      if ((this.#active.get(candidate.id)?.pins ?? 0) > 0) continue;
      await this.#evict(candidate.id);
      excess -= candidate.bytes;
    }
  }

  async #evict(id: string): Promise<void> {
    const active = this.#active.get(id);
    const bytes = active?.diskBytes ?? this.#index.contents.get(id)?.diskBytes ?? 0;
    if (active !== undefined) active.evicted = true;
    this.#active.delete(id);
    this.#bytes -= bytes;
    await this.#index.contents.remove(id);
    await rm(this.#path(id), { force: true });
  }

  async close(): Promise<void> {
    clearTimeout(this.#saveTimer);
    await this.#evicting;
    await this.save();
    this.#closed = true;
  }
}
