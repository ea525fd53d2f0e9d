/**
 * The block files: one sparse file a content under `blocks/`, on up to 256 shelves. All their I/O is here; what is valid in
 * them is Content's. A descriptor is open only while its content is pinned, and every call here runs under a pin, so
 * that none is closed while the thread pool uses it.
 */
import { closeSync, constants, fstatSync, mkdirSync, openSync } from 'node:fs';
import { copyFile, open, readdir, rename, rm, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { BLOCK_BYTES } from '../constants.js';
import { pread, pwritev } from '../file-io.js';
import type { Content } from './content.js';

export class BlockFiles {
  readonly #directory: string;

  constructor(cacheDirectory: string) {
    this.#directory = join(cacheDirectory, 'blocks');
    mkdirSync(this.#directory, { recursive: true, mode: 0o700 });
  }

  #makeShelf(shelf: string): void {
    mkdirSync(join(this.#directory, shelf), { recursive: true, mode: 0o700 });
  }

  path(id: string): string {
    return join(this.#directory, id.slice(0, 2), id);
  }

  /** Removes the files that belong to nothing: of a run that ended before it saved its index. */
  async sweep(known: ReadonlySet<string>): Promise<void> {
    for (const shelf of await readdir(this.#directory)) {
      for (const id of await readdir(join(this.#directory, shelf))) {
        if (!known.has(id)) await rm(join(this.#directory, shelf, id), { force: true, recursive: true });
      }
    }
  }

  /** The descriptor; undefined where there is no file, or one of another size. */
  descriptor(content: Content): number | undefined {
    if (!content.hasFile || content.evicted) return undefined;
    const fd = this.#open(content);
    return fstatSync(fd).size === content.size ? fd : undefined;
  }

  #open(content: Content): number {
    if (content.fd !== undefined) return content.fd;
    // Its file was removed; one made anew would belong to nothing.
    if (content.evicted) throw new Error('the content was evicted');
    content.hasFile = true;
    const flags = constants.O_RDWR | constants.O_CREAT;
    try {
      content.fd = openSync(this.path(content.id), flags, 0o600);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      // The first on its shelf, or somebody removed the cache directory, which is allowed at any time.
      this.#makeShelf(content.id.slice(0, 2));
      content.fd = openSync(this.path(content.id), flags, 0o600);
    }
    return content.fd;
  }

  close(content: Content): void {
    if (content.fd !== undefined) closeSync(content.fd);
    content.fd = undefined;
  }

  /** undefined where the file is shorter. */
  async read(content: Content, offset: number, end: number): Promise<Uint8Array | undefined> {
    const bytes = Buffer.allocUnsafe(end - offset);
    return (await pread(this.#open(content), bytes, offset)) === bytes.length ? bytes : undefined;
  }

  async write(content: Content, offset: number, pieces: readonly Uint8Array[]): Promise<void> {
    if (!content.hasFile) await this.#create(content);
    await pwritev(this.#open(content), pieces, offset);
  }

  /** Making a file can take as long as a request where others write to the disk: not in the main thread. */
  async #create(content: Content): Promise<void> {
    content.hasFile = true;
    try {
      await (await open(this.path(content.id), 'a', 0o600)).close();
      // Its file was removed before it was there.
      if (content.evicted) await this.remove(content.id);
    } catch (error) {
      // The first on its shelf; any other trouble shows when it is opened.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') return;
      this.#makeShelf(content.id.slice(0, 2));
    }
  }

  /** CRC of what is valid in a block, as it is on the disk. */
  async crcOf(content: Content, block: number): Promise<number> {
    const bytes = Buffer.allocUnsafe(content.blockLength(block));
    const count = await pread(this.#open(content), bytes, block * BLOCK_BYTES);
    return content.crcOfValid(block, bytes.fill(0, count));
  }

  /** Whether a block is what the index says; asked once a block and run. */
  verify(content: Content, block: number): Promise<boolean> {
    const state = content.blocks.get(block);
    if (state === undefined) return Promise.resolve(false);
    if (state.verified) return Promise.resolve(true);
    state.verifying ??= this.crcOf(content, block).then((crc) => {
      state.verified = crc === state.crc;
      return state.verified;
    });
    return state.verifying;
  }

  /** Moves a file in; copies it where the cache is another filesystem. */
  async adopt(path: string, content: Content): Promise<void> {
    const target = this.path(content.id);
    this.#makeShelf(content.id.slice(0, 2));
    content.hasFile = true;
    try {
      await rename(path, target);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EXDEV') throw error;
      try {
        await copyFile(path, target);
      } catch (failure) {
        await rm(target, { force: true });
        throw failure;
      }
      await unlink(path);
    }
  }

  async remove(id: string): Promise<void> {
    await rm(this.path(id), { force: true });
  }
}
