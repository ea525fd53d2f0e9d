/**
 * One cached content: bytes under a local content id that never change, whatever keys and ETags they are known by.
 * This file keeps which pages are on the disk and whether they were checked since the start; block-store.ts does the I/O.
 *
 * Per block of BLOCK_BYTES there is a bitmap of PAGE_BYTES pages and a CRC32 of its valid pages, one after the other (of
 * a full block: of its bytes). A block that was loaded from the index counts only after its CRC was checked, and nothing
 * is added to it before.
 */
import { crc32 } from 'node:zlib';
import { BLOCK_BYTES, PAGE_BYTES } from '../constants.js';

const PAGES = BLOCK_BYTES / PAGE_BYTES;
const WORDS = PAGES / 32;

export interface BlockState {
  /** One bit a page; all ones when `full`. */
  readonly bits: Uint32Array;
  /** Of the block as it is now; undefined until computed. */
  crc?: number;
  /** Checked against its CRC since the start, or written since. */
  verified: boolean;
  /** The check under way. */
  verifying?: Promise<boolean>;
  /** Counts markings, so that a CRC computed meanwhile is known to be of an older state. */
  changes: number;
}

/** As kept in the index: [block, bits as bytes, crc]. */
export type BlockRecord = readonly [number, Uint8Array, number];

export class Content {
  readonly id: string;
  /** Bytes of the content. */
  readonly size: number;
  readonly blocks = new Map<number, BlockState>();
  /** The object versions it is known by, oldest first; see BlockStore.versionKey. */
  readonly versions = new Set<string>();
  /** Valid bytes on the disk, in whole pages. */
  diskBytes = 0;
  /** Handles and operations that need the file to stay. */
  pins = 0;
  fd: number | undefined;
  /** There is, or may be, a file. */
  hasFile = false;
  /** Changed since the index last knew. */
  dirty = false;
  evicted = false;
  /** The kernel reads the file by itself, for one borrower. */
  isLent = false;
  #isSound = false;
  /** When it was last acquired or released, and what the index knows of that (ms since 1970). */
  used = 0;
  savedUse = 0;

  constructor(id: string, size: number) {
    this.id = id;
    this.size = size;
  }

  /** Whether its bytes are those of an object version with this ETag. */
  knows(etag: string): boolean {
    for (const version of this.versions) if (version.startsWith(`${etag}\n`)) return true;
    return false;
  }

  blockLength(block: number): number {
    return Math.min(BLOCK_BYTES, this.size - block * BLOCK_BYTES);
  }

  pagesOf(block: number): number {
    return Math.ceil(this.blockLength(block) / PAGE_BYTES);
  }

  isPageValid(page: number): boolean {
    const state = this.blocks.get(Math.floor(page / PAGES));
    const bit = page % PAGES;
    return state !== undefined && (state.bits[bit >>> 5] & (1 << (bit & 31))) !== 0;
  }

  /** End of the run of bytes from `offset` on (at most to `end`) that is wholly valid, or wholly invalid, as told. */
  runEnd(offset: number, end: number, valid: boolean): number {
    let page = Math.floor(offset / PAGE_BYTES);
    while (page * PAGE_BYTES < end && this.isPageValid(page) === valid) page++;
    return Math.min(end, Math.max(offset, page * PAGE_BYTES));
  }

  isValid(offset: number, end: number): boolean {
    return this.runEnd(offset, end, true) >= end;
  }

  get isComplete(): boolean {
    return this.diskBytes >= Math.ceil(this.size / PAGE_BYTES) * PAGE_BYTES;
  }

  /** All of it is on the disk and checked: it can be read without asking. */
  get isSound(): boolean {
    if (!this.#isSound && this.isComplete) this.#isSound = [...this.blocks.values()].every(({ verified }) => verified);
    return this.#isSound;
  }

  /** Marks the pages that lie wholly in [start, end) (the last page of the content may be short). */
  markValid(start: number, end: number): void {
    const first = Math.ceil(start / PAGE_BYTES);
    const last = end >= this.size ? Math.ceil(this.size / PAGE_BYTES) : Math.floor(end / PAGE_BYTES);
    for (let page = first; page < last; page++) {
      const block = Math.floor(page / PAGES);
      let state = this.blocks.get(block);
      if (state === undefined) {
        state = { bits: new Uint32Array(WORDS), verified: true, changes: 0 };
        this.blocks.set(block, state);
      }
      const bit = page % PAGES;
      const mask = 1 << (bit & 31);
      if ((state.bits[bit >>> 5] & mask) !== 0) continue;
      state.bits[bit >>> 5] |= mask;
      state.crc = undefined;
      state.changes++;
      this.diskBytes += PAGE_BYTES;
      this.dirty = true;
    }
  }

  dropBlock(block: number): void {
    const state = this.blocks.get(block);
    if (state === undefined) return;
    for (let page = 0; page < PAGES; page++) {
      if ((state.bits[page >>> 5] & (1 << (page & 31))) !== 0) this.diskBytes -= PAGE_BYTES;
    }
    this.blocks.delete(block);
    this.#isSound = false;
    this.dirty = true;
  }

  /** Nothing of it is on the disk any more. */
  dropAll(): void {
    this.#isSound = false;
    this.blocks.clear();
    this.diskBytes = 0;
  }

  /** CRC32 of the valid pages of a block. `bytes`: the whole block, whatever lies in its gaps. */
  crcOfValid(block: number, bytes: Uint8Array): number {
    const base = block * BLOCK_BYTES;
    const end = base + bytes.length;
    let crc = 0;
    for (let at = base; at < end; ) {
      const valid = this.runEnd(at, end, true);
      if (valid > at) crc = crc32(bytes.subarray(at - base, valid - base), crc);
      at = this.runEnd(valid, end, false);
    }
    return crc;
  }

  /** It was checked before, since the start. */
  vouch(): void {
    for (const state of this.blocks.values()) state.verified = true;
  }

  toRecords(): BlockRecord[] {
    const records: BlockRecord[] = [];
    for (const [block, state] of this.blocks) {
      if (state.crc === undefined) continue;
      records.push([block, new Uint8Array(state.bits.buffer.slice(0)), state.crc]);
    }
    return records;
  }

  loadRecords(records: readonly BlockRecord[]): void {
    for (const [block, bytes, crc] of records) {
      if (bytes.length !== WORDS * 4 || !(block >= 0) || block * BLOCK_BYTES >= this.size) continue;
      const bits = new Uint32Array(new Uint8Array(bytes).buffer);
      this.blocks.set(block, { bits, crc, verified: false, changes: 0 });
      for (const word of bits) for (let rest = word; rest !== 0; rest &= rest - 1) this.diskBytes += PAGE_BYTES;
    }
  }
}
