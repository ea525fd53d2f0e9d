/**
 * The bytes of a file that is being written: a sparse file in the state directory and the extent map that says which of
 * its bytes were written here. Bytes outside the map come from the base version as far as `baseBytes` reaches, and are
 * zeros behind it. Nothing is downloaded to begin with.
 */
import { closeSync, constants, ftruncateSync, openSync, writeSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { STAGED_SYNC_WRITE_BYTES } from '../constants.js';
import { pread, pwrite, type ShortWrite } from '../file-io.js';
import { ExtentMap } from './extent-map.js';
import { StagingSpace } from './staging-space.js';

export class StagedFile {
  readonly path: string;
  readonly written = new ExtentMap();
  /** Bytes at the start of the base version that are still part of the file; only ever shrinks. */
  baseBytes: number;
  /** Bytes of the file as programs see it. */
  size: number;
  /** Counts changes; an upload remembers the one it began with. */
  generation = 0;
  #fd: number | undefined;
  /** Reads and writes in the thread pool; the descriptor must outlive them. */
  #busy = 0;
  #closing = false;
  #truncations = 0;
  readonly #space: StagingSpace;
  /** Taken from it (bytes): no less than what was written and still counts. */
  #held = 0;

  constructor(path: string, baseBytes: number, space = new StagingSpace(Number.POSITIVE_INFINITY)) {
    this.#space = space;
    this.path = path;
    this.baseBytes = baseBytes;
    this.size = baseBytes;
    this.#fd = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL, 0o600);
  }

  get fd(): number {
    if (this.#fd === undefined) throw new Error(`staged file ${this.path} is closed`);
    return this.#fd;
  }

  /** Every byte was written here (or is a hole): the base version is not needed. */
  get isWhole(): boolean {
    return this.baseBytes === 0 || this.written.covers(0, Math.min(this.baseBytes, this.size));
  }

  /**
   * Small writes go to the page cache at once; a hop through the thread pool costs more than they do. Answers how much was
   * written: less than all only where the disk is full. `data` must not change before. Throws with code ENOSPC.
   */
  write(offset: number, data: Uint8Array): number | Promise<number> {
    this.#take(this.written.missing(offset, offset + data.length));
    // Counted before and after: an upload that ends in between must not take the file for unchanged.
    this.generation++;
    if (data.length > STAGED_SYNC_WRITE_BYTES) return this.#using(this.#writeBehind(offset, data));
    let done = 0;
    try {
      while (done < data.length) done += writeSync(this.fd, data, done, data.length - done, offset + done);
    } catch (error) {
      if (done === 0) {
        this.#settle();
        throw error;
      }
    }
    return this.#note(offset, done);
  }

  #take(bytes: number): void {
    this.#space.take(bytes);
    this.#held += bytes;
  }

  /** Gives back what was taken for bytes that did not come, or are gone. */
  #settle(): void {
    if (this.#busy > 0) return;
    const bytes = this.#closing ? 0 : this.written.bytes;
    this.#space.give(this.#held - bytes);
    this.#held = bytes;
  }

  async #writeBehind(offset: number, data: Uint8Array): Promise<number> {
    for (;;) {
      const truncations = this.#truncations;
      let done = data.length;
      try {
        await pwrite(this.fd, data, offset);
      } catch (error) {
        done = (error as ShortWrite).written ?? 0;
        if (done === 0) throw error;
      }
      // A truncation may have cut off any part of it: done again, it comes after.
      if (truncations === this.#truncations) return this.#note(offset, done);
    }
  }

  #using<T>(work: Promise<T>): Promise<T> {
    this.#busy++;
    return work.finally(() => {
      this.#busy--;
      if (this.#closing && this.#busy === 0) this.#closeNow();
    });
  }

  #closeNow(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
    this.#settle();
  }

  #note(offset: number, length: number): number {
    this.written.add(offset, offset + length);
    this.size = Math.max(this.size, offset + length);
    this.generation++;
    return length;
  }

  truncate(size: number): void {
    // What lay behind must read as zeros if the file grows again.
    ftruncateSync(this.fd, size);
    this.written.truncate(size);
    this.baseBytes = Math.min(this.baseBytes, size);
    this.size = size;
    this.#truncations++;
    this.generation++;
    this.#settle();
  }

  /** Bytes [offset, end) of the staged file itself; holes are zeros. */
  async read(offset: number, end: number): Promise<Uint8Array> {
    const bytes = Buffer.allocUnsafe(end - offset);
    const count = await this.#using(pread(this.fd, bytes, offset));
    return count === bytes.length ? bytes : bytes.fill(0, count);
  }

  /** Closes the descriptor once nothing is under way on it. */
  close(): void {
    this.#closing = true;
    if (this.#busy === 0) this.#closeNow();
  }

  async remove(): Promise<void> {
    this.close();
    await rm(this.path, { force: true });
  }
}
