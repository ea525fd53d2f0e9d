/**
 * The bytes of a file that is being written: a sparse file in the state directory, or memory as long as it is small, and
 * the layout that says which of its bytes were written here, and where the others come from. Nothing is downloaded to
 * begin with.
 */
import { closeSync, constants, ftruncateSync, openSync, rmSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { basename } from 'node:path';
import { INLINE_FILE_BYTES, STAGED_SYNC_WRITE_BYTES } from '../constants.js';
import { pread, pwriteSync, type ShortWrite } from '../file-io.js';
import { type CopySource, CopySources } from './copy-source.js';
import type { Extent, ExtentMap } from './extent-map.js';
import { InlineBytes } from './inline-bytes.js';
import { Layout, type SavedLayout } from './layout.js';
import { StagingSpace } from './staging-space.js';
import { type BehindFile, WritesBehind } from './writes-behind.js';

export class StagedFile implements BehindFile {
  readonly path: string;
  /** Its name in its directory. */
  readonly id: string;
  readonly layout: Layout<CopySource>;
  /** Counts changes; an upload remembers the one it began with. */
  generation = 0;
  #fd: number | undefined;
  /** Reads and writes in the thread pool; the descriptor must outlive them. */
  #busy = 0;
  #closing = false;
  /** What the thread pool is writing: newer than what the layout says. */
  readonly behind = new WritesBehind(this);
  sources: CopySources | undefined;
  readonly #space: StagingSpace;
  /** Taken from it (bytes): no less than what was written and still counts. */
  #held = 0;

  /** Called when bytes are about to be cut off: what is noted of it elsewhere must not claim them any more. */
  onShrink: (() => void) | undefined;

  /**
   * Called when bytes [start, end) change: before and after, so that what is read in between is known to be neither. Bytes
   * behind the end that become zeros are no change.
   */
  onChange: ((start: number, end: number) => void) | undefined;

  /** Its bytes while it is small and has no file; zeros behind the size. */
  #memory: InlineBytes | undefined;

  private constructor(path: string, layout: Layout<CopySource>, space: StagingSpace) {
    this.#space = space;
    this.path = path;
    this.id = basename(path);
    this.layout = layout;
  }

  /** @param inMemory as long as it is small it needs no file */
  static create(
    path: string,
    baseBytes: number,
    space = new StagingSpace(Number.POSITIVE_INFINITY),
    inMemory = false,
  ): StagedFile {
    const staged = new StagedFile(path, new Layout(baseBytes), space);
    if (inMemory && baseBytes <= INLINE_FILE_BYTES) staged.#memory = new InlineBytes(space);
    else staged.#open(constants.O_CREAT | constants.O_EXCL);
    return staged;
  }

  #open(flags: number): void {
    this.#fd = openSync(this.path, constants.O_RDWR | flags, 0o600);
  }

  /** What it holds in memory; undefined: it has a file. */
  get inline(): Buffer | undefined {
    return this.#memory?.upTo(this.size);
  }

  /** Makes sure that memory can hold so many bytes, or moves them to a file. */
  #fit(bytes: number): void {
    if (this.#memory?.fit(bytes) === false) this.#spill();
  }

  #spill(): void {
    const memory = this.#memory;
    if (memory === undefined) return;
    this.#open(constants.O_CREAT | constants.O_EXCL);
    try {
      pwriteSync(this.fd, memory.upTo(this.size), 0);
      if (this.size > this.baseBytes) ftruncateSync(this.fd, this.size);
    } catch (error) {
      closeSync(this.fd);
      this.#fd = undefined;
      rmSync(this.path, { force: true });
      throw error;
    }
    memory.release();
    this.#memory = undefined;
  }

  /** One that an earlier daemon left. It counts against the space whatever its limit is. Throws with code ENOENT. */
  static reopen(path: string, saved: SavedLayout, space: StagingSpace, inline?: Uint8Array): StagedFile {
    const staged = new StagedFile(path, Layout.from(saved), space);
    if (inline === undefined) {
      staged.#open(0);
      staged.rest();
    } else {
      staged.#memory = new InlineBytes(space, inline);
    }
    const bytes = staged.layout.stagedBytes;
    space.give(-bytes);
    staged.#held = bytes;
    return staged;
  }

  get fd(): number {
    if (this.#fd === undefined) {
      if (this.#closing) throw new Error(`staged file ${this.path} is closed`);
      this.#open(0);
    }
    return this.#fd!;
  }

  /** Nobody has it open: it needs no descriptor until it is looked at again. Thousands of them may wait. */
  rest(): void {
    if (this.#fd === undefined || this.#busy > 0) return;
    closeSync(this.#fd);
    this.#fd = undefined;
  }

  get size(): number {
    return this.behind.isEmpty ? this.layout.size : Math.max(this.layout.size, this.behind.end);
  }

  get baseBytes(): number {
    return this.layout.baseBytes;
  }

  get written(): ExtentMap {
    return this.layout.written;
  }

  /** Every byte was written here (or is a hole): neither the base version nor another object is needed. */
  get isWhole(): boolean {
    return this.layout.isWhole;
  }

  /**
   * Small writes go to the page cache at once; a hop through the thread pool costs more than they do. Answers how much was
   * written: less than all only where the disk is full. `data` must not change before. Throws with code ENOSPC.
   */
  write(offset: number, data: Uint8Array): number | Promise<number> {
    const end = offset + data.length;
    const before = this.behind.answeredDone(offset, end);
    if (before !== undefined) return this.#using(before.then(() => this.write(offset, data)));
    this.#begin(offset, end);
    if (this.#memory !== undefined) {
      this.#memory.set(data, offset);
      this.landed(offset, end);
      return data.length;
    }
    if (data.length > STAGED_SYNC_WRITE_BYTES) return this.#using(this.behind.begin(offset, data, false));
    let done = data.length;
    try {
      pwriteSync(this.fd, data, offset);
    } catch (error) {
      done = (error as ShortWrite).written ?? 0;
      if (done === 0) {
        this.#settle();
        throw error;
      }
    }
    this.landed(offset, offset + done);
    return done;
  }

  /**
   * The same for a program that is answered at once: resolves when `data` may change. undefined: it has to wait for its
   * write, because that is small, or others are written there, or the disk may become full.
   */
  handOver(offset: number, data: Uint8Array): Promise<void> | undefined {
    const end = offset + data.length;
    if (data.length <= STAGED_SYNC_WRITE_BYTES || this.behind.isWriting(offset, end)) return undefined;
    if (!this.#space.fitsOnDisk(data.length)) return undefined;
    this.#begin(offset, end);
    // A failure is kept for who writes next, or closes it.
    const ignore = (): void => undefined;
    return this.#using(this.behind.begin(offset, data, true)).then(ignore, ignore);
  }

  #begin(offset: number, end: number): void {
    this.#take(this.written.missing(offset, end));
    // Counted before and after: an upload that ends in between must not take the file for unchanged.
    this.generation++;
    this.onChange?.(offset, end);
    this.#fit(end);
  }

  #take(bytes: number): void {
    this.#space.take(bytes);
    this.#held += bytes;
  }

  /** Gives back what was taken for bytes that did not come, or are gone. */
  #settle(): void {
    if (this.#busy > 0) return;
    const bytes = this.#closing ? 0 : this.layout.stagedBytes;
    this.#space.give(this.#held - bytes);
    this.#held = bytes;
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
    this.#memory?.release();
    this.#memory = undefined;
    this.#settle();
  }

  landed(start: number, end: number): void {
    this.layout.write(start, end);
    this.generation++;
    this.onChange?.(start, end);
  }

  reached(size: number): void {
    this.layout.size = Math.max(this.layout.size, size);
  }

  zero(start: number, end: number): void {
    ftruncateSync(this.fd, this.size);
    pwriteSync(this.fd, Buffer.alloc(Math.max(0, Math.min(end, this.size) - start)), start);
  }

  truncate(size: number): void {
    const shrinks = size < this.size;
    this.behind.truncate(size);
    if (shrinks) {
      this.layout.truncate(size);
      this.onShrink?.();
    }
    // What lay behind must read as zeros if the file grows again.
    if (this.#memory !== undefined && size > INLINE_FILE_BYTES) this.#spill();
    if (this.#memory !== undefined) this.#memory.clear(size, Number.POSITIVE_INFINITY);
    else ftruncateSync(this.fd, size);
    this.layout.truncate(size);
    this.generation++;
    this.onChange?.(size, Number.POSITIVE_INFINITY);
    this.dropUnusedSources();
    this.#settle();
  }

  /** Bytes [start, end) become zeros, as far as the file reaches. */
  clear(start: number, end: number): void {
    // At the end of what the staged file holds its room on the disk can be had back; elsewhere what lies there is stale.
    const last = this.written.extents[this.written.extents.length - 1];
    const inFile = this.behind.isEmpty && (last === undefined || last.end <= end);
    this.behind.clear(start, end);
    if (this.#memory !== undefined) this.#memory.clear(start, end);
    else if (inFile) {
      ftruncateSync(this.fd, start);
      ftruncateSync(this.fd, this.size);
    }
    this.layout.clear(start, end, inFile || this.#memory !== undefined);
    this.generation++;
    this.onChange?.(start, end);
    this.dropUnusedSources();
    this.#settle();
  }

  /** Bytes [start, end) become those of `source` from `sourceStart` on. Released once no range refers to it. */
  copy(start: number, end: number, source: CopySource, sourceStart: number): void {
    this.#spill();
    // Holes of the file are read as far as the file itself reaches.
    if (end > this.size) ftruncateSync(this.fd, end);
    this.behind.clear(start, end);
    this.sources ??= new CopySources();
    this.sources.add(source);
    this.layout.copy(start, end, source, sourceStart);
    this.generation++;
    this.onChange?.(start, end);
    this.dropUnusedSources();
    this.#settle();
  }

  dropUnusedSources(): void {
    this.sources?.keepOnly(this.layout.copied.ranges);
  }

  /**
   * Bytes of a copied range, brought here: taken where the range is still a copy of that place of that source. False: a
   * program is writing there right now, so try again later. At most STAGED_SYNC_WRITE_BYTES. Throws with code ENOSPC.
   */
  fill(start: number, bytes: Uint8Array, source: CopySource, sourceStart: number): boolean {
    const copies = [...this.layout.copied.within(start, start + bytes.length)];
    const same = copies.filter((range) => range.sourceStart - range.start === sourceStart - start);
    const ranges = same.filter((range) => range.source === source);
    return this.#fill(start, bytes, ranges);
  }

  /** The same for bytes of the base version: taken where they still count. */
  fillBase(start: number, bytes: Uint8Array): boolean {
    const runs = [...this.layout.runs(start, start + bytes.length)].filter(({ kind }) => kind === 'base');
    return this.#fill(start, bytes, runs);
  }

  #fill(offset: number, bytes: Uint8Array, ranges: readonly Extent[]): boolean {
    if (this.behind.isWriting(offset, offset + bytes.length)) return false;
    for (const { start, end } of ranges) {
      this.#take(this.written.missing(start, end));
      this.#fit(end);
      const part = bytes.subarray(start - offset, end - offset);
      if (this.#memory !== undefined) this.#memory.set(part, start);
      else pwriteSync(this.fd, part, start);
      this.layout.write(start, end);
    }
    return true;
  }

  /** Bytes [offset, end) of the staged file itself; holes are zeros. */
  async read(offset: number, end: number): Promise<Uint8Array> {
    if (this.#memory !== undefined) return this.#memory.read(offset, end);
    const bytes = Buffer.allocUnsafe(end - offset);
    const count = await this.#using(pread(this.fd, bytes, offset));
    return count === bytes.length ? bytes : bytes.fill(0, count);
  }

  /** Closes the descriptor once nothing is under way on it. */
  close(): void {
    this.#closing = true;
    if (this.#busy === 0) this.#closeNow();
    this.sources?.keepOnly([]);
  }

  async remove(): Promise<void> {
    this.close();
    await rm(this.path, { force: true });
  }
}
