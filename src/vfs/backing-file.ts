/**
 * The file that the kernel reads in place of an inode (passthrough): its content in the cache, for as long as programs
 * have it open that way. The kernel cannot be given another meanwhile, so from the first change on it belongs to nobody
 * but these programs: it leaves the cache, and whatever changes the inode's bytes changes them here too, beside the staged
 * file that is uploaded.
 *
 * Who opened it for reading and writing may map it, and what is stored there comes to nobody's ears: it is found by
 * comparing blocks with what they were known to be (absorb).
 */
import { fstatSync, ftruncateSync } from 'node:fs';
import { crc32 } from 'node:zlib';
import type { CachedFile } from '../cache/block-cache.js';
import { BLOCK_BYTES, STAGED_SYNC_WRITE_BYTES } from '../constants.js';
import { pread, pwrite } from '../file-io.js';
import type { BackingFiles } from '../fuse/operations.js';
import type { Inode } from './inode.js';
import { Mutex } from './mutex.js';
import { stage } from './staging.js';
import { dropCached, keyOf, type Volume } from './volume.js';

const blockOf = (at: number): number => Math.floor(at / BLOCK_BYTES);
const zeros = Buffer.alloc(BLOCK_BYTES);

export class BackingFile {
  readonly #volume: Volume;
  readonly #inode: Inode;
  readonly #file: CachedFile;
  readonly #fd: number;
  readonly #backings: BackingFiles;
  /** undefined: the kernel has none open. */
  #id: number | undefined;
  #isOurs = false;
  #mayBeMapped = false;
  /** A change did not get here, of which the program was told: the staged file may have it. */
  #isSpoiled = false;
  /** CRC of each block as it is without stores that nobody has seen; a hole: not known. */
  readonly #known = new Map<number, number>();
  #cuts = 0;
  #busy = 0;
  #ended = false;
  /** Writes and comparisons, one at a time. */
  readonly #mutex = new Mutex();

  /** @param file its content, held for this, and lent as `fd` */
  constructor(volume: Volume, inode: Inode, file: CachedFile, fd: number, backings: BackingFiles) {
    this.#volume = volume;
    this.#inode = inode;
    this.#file = file;
    this.#fd = fd;
    this.#backings = backings;
  }

  /** It has left the cache. */
  get isOurs(): boolean {
    return this.#isOurs;
  }

  /** What the inode's bytes are now is here, and maybe nowhere else on this machine. */
  get hasAll(): boolean {
    return this.#isOurs && (!this.#isSpoiled || this.#mayBeMapped);
  }

  get mayBeMapped(): boolean {
    return this.#mayBeMapped;
  }

  /** Somebody else has it open, or mapped. */
  get isInUse(): boolean {
    return this.#backings.isInUse(this.#fd);
  }

  /** It is the only place, on this machine, of what an upload that is still to come needs of the version before. */
  get isNeeded(): boolean {
    const { staged, orphanKey } = this.#inode;
    return this.#isOurs && staged !== undefined && staged.baseBytes > 0 && orphanKey === undefined;
  }

  /** The id for an open of the inode, or a negative errno. */
  register(): number {
    this.#id ??= registered(this.#backings.open(this.#fd));
    return this.#id ?? -1;
  }

  /** The kernel has closed its last open. */
  unregister(): void {
    if (this.#id !== undefined) this.#backings.close(this.#id);
    this.#id = undefined;
  }

  end(): void {
    this.unregister();
    this.#ended = true;
    this.#inode.backing = undefined;
    if (this.#busy === 0) this.#giveBack();
  }

  /** Whatever was changed is in the store by now, or will never be: then the file is not what any version has. */
  #giveBack(): void {
    const { version, staged, orphanKey } = this.#inode;
    const isStored = staged === undefined && orphanKey === undefined && !this.#isSpoiled;
    const isWhole = isStored && !(this.#mayBeMapped && this.isInUse);
    const { cache } = this.#volume;
    const as =
      isWhole && version !== undefined && fstatSync(this.#fd).size === version.size
        ? { key: keyOf(this.#volume, this.#inode), etag: version.etag, size: version.size }
        : undefined;
    cache.store.lending.giveBack(this.#file.content, as);
    cache.release(this.#file);
  }

  /** The descriptor outlives what is under way on it. */
  async #using<T>(work: () => Promise<T>): Promise<T> {
    this.#busy++;
    try {
      return await work();
    } finally {
      this.#busy--;
      if (this.#ended && this.#busy === 0) this.#giveBack();
    }
  }

  /** It is about to be changed, or may be. */
  takeOut(): void {
    if (this.#isOurs) return;
    this.#isOurs = true;
    for (const [block, { crc }] of this.#file.content.blocks) if (crc !== undefined) this.#known.set(block, crc);
    this.#volume.cache.store.lending.takeOut(this.#file.content);
    dropCached(this.#volume, this.#inode);
  }

  /** Before somebody may map it: how every block is now. Then it is to be let out at once, see `letMap`. */
  seal(): Promise<void> {
    this.takeOut();
    return this.#eachBlock(async (block) => {
      if (this.#mayBeMapped || this.#known.has(block)) return;
      const bytes = await this.#block(block);
      if (!this.#mayBeMapped) this.#known.set(block, crc32(bytes));
    });
  }

  /** For every block one after another; writes come in between. */
  #eachBlock(work: (block: number) => Promise<void>): Promise<void> {
    return this.#using(async () => {
      for (let block = 0; block * BLOCK_BYTES < this.#inode.currentSize && !this.#ended; block++)
        await this.#mutex.run(() => work(block));
    });
  }

  /** There is nothing that `seal` would still have to look at. */
  get isSealed(): boolean {
    return this.#mayBeMapped || (this.#isOurs && this.#known.size >= Math.ceil(this.#inode.currentSize / BLOCK_BYTES));
  }

  letMap(): void {
    this.takeOut();
    this.#mayBeMapped = true;
  }

  /** Bytes [start, end) as the programs see them. */
  read(start: number, end: number): Promise<Uint8Array> {
    return this.#using(async () => {
      const bytes = Buffer.allocUnsafe(end - start);
      const count = await pread(this.#fd, bytes, start);
      return count === bytes.length ? bytes : bytes.fill(0, count);
    });
  }

  /** A block, read while nothing cut the file. For those who hold the mutex. */
  async #block(block: number): Promise<Uint8Array> {
    for (;;) {
      const cuts = this.#cuts;
      const start = block * BLOCK_BYTES;
      const bytes = await this.read(start, Math.max(start, Math.min(start + BLOCK_BYTES, this.#inode.currentSize)));
      if (cuts === this.#cuts) return bytes;
    }
  }

  /** Writes here what `put` has taken into the staged file; answers how much that was. */
  write(offset: number, data: Uint8Array, put: () => number | Promise<number>): Promise<number> {
    return this.#changing(async () => {
      const count = await put();
      this.#forget(offset, offset + count);
      await this.#put(data.subarray(0, count), offset);
      return count;
    });
  }

  /** Bytes [start, end) are zeros now. */
  clear(start: number, end: number): Promise<void> {
    return this.#changing(async () => {
      this.#forget(start, end);
      for (let at = start; at < end; at += zeros.length)
        await this.#put(zeros.subarray(0, Math.min(zeros.length, end - at)), at);
    });
  }

  #put(data: Uint8Array, offset: number): Promise<void> {
    return pwrite(this.#fd, data, offset).catch((error) => {
      this.#isSpoiled = true;
      throw error;
    });
  }

  #changing<T>(work: () => Promise<T>): Promise<T> {
    return this.#using(() => this.#mutex.run(work));
  }

  /** The inode's size has been set. */
  cut(size: number): void {
    this.#cuts++;
    for (const block of this.#known.keys()) if (block >= blockOf(size)) this.#known.delete(block);
    try {
      ftruncateSync(this.#fd, size);
    } catch (error) {
      this.#isSpoiled = true;
      throw error;
    }
  }

  #forget(start: number, end: number): void {
    for (let block = blockOf(start); block * BLOCK_BYTES < end; block++) this.#known.delete(block);
  }

  /** Takes over what was stored through mappings: it is written like anything else that programs write. */
  async absorb(): Promise<void> {
    if (this.#mayBeMapped) await this.#eachBlock((block) => this.#absorb(block));
  }

  async #absorb(block: number): Promise<void> {
    const bytes = await this.#block(block);
    const crc = crc32(bytes);
    if (this.#known.get(block) === crc) return;
    // In slices that are written at once: nothing can come in between.
    for (let at = 0; at < bytes.length; ) {
      const staged = stage(this.#volume, this.#inode);
      at += staged.write(block * BLOCK_BYTES + at, bytes.subarray(at, at + STAGED_SYNC_WRITE_BYTES)) as number;
    }
    this.#known.set(block, crc);
  }
}

function registered(answer: number): number | undefined {
  return answer < 0 ? undefined : answer;
}
