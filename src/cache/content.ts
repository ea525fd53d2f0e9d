/**
 * One cached content: bytes under a local content id that never change, whatever keys and ETags they are known by.
 * This file keeps which pages are on the disk and whether they were checked since the start; block-store.ts does the I/O.
 *
 * Per block of BLOCK_BYTES there is a bitmap of PAGE_BYTES pages and a CRC32 of the block with its invalid pages taken as
 * zeros (and cut at the content's end). A block that was loaded from the index counts only after its CRC was checked.
 */
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
}

/** As kept in the index: [block, bits as bytes, crc]. */
export type BlockRecord = readonly [number, Uint8Array, number];

export class Content {
  readonly id: string;
  /** Bytes of the content. */
  readonly size: number;
  readonly blocks = new Map<number, BlockState>();
  /** Valid bytes on the disk, in whole pages. */
  diskBytes = 0;
  /** Handles and operations that need the file to stay. */
  pins = 0;
  fd: number | undefined;
  /** Changed since the index last knew. */
  dirty = false;
  evicted = false;
  /** When the index last noted that it was used (ms since 1970). */
  savedUse = 0;

  constructor(id: string, size: number) {
    this.id = id;
    this.size = size;
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

  /** Marks the pages that lie wholly in [start, end) (the last page of the content may be short). */
  markValid(start: number, end: number): void {
    const first = Math.ceil(start / PAGE_BYTES);
    const last = end >= this.size ? Math.ceil(this.size / PAGE_BYTES) : Math.floor(end / PAGE_BYTES);
    for (let page = first; page < last; page++) {
      const block = Math.floor(page / PAGES);
      let state = this.blocks.get(block);
      if (state === undefined) {
        state = { bits: new Uint32Array(WORDS), verified: true };
        this.blocks.set(block, state);
      }
      const bit = page % PAGES;
      const mask = 1 << (bit & 31);
      if ((state.bits[bit >>> 5] & mask) !== 0) continue;
      state.bits[bit >>> 5] |= mask;
      state.crc = undefined;
      this.diskBytes += PAGE_BYTES;
      this.dirty = true;
    }
  }

  /** The bytes of a page run changed in place. */
  touch(start: number, end: number): void {
    for (let block = Math.floor(start / BLOCK_BYTES); block * BLOCK_BYTES < end; block++) {
      const state = this.blocks.get(block);
      if (state !== undefined) state.crc = undefined;
    }
    this.dirty = true;
  }

  dropBlock(block: number): void {
    const state = this.blocks.get(block);
    if (state === undefined) return;
    for (let page = 0; page < PAGES; page++) {
      if ((state.bits[page >>> 5] & (1 << (page & 31))) !== 0) this.diskBytes -= PAGE_BYTES;
    }
    this.blocks.delete(block);
    this.dirty = true;
  }

  /** Zeroes what is not valid in a block's bytes, which makes its CRC independent of what lies in the gaps. */
  maskInvalid(block: number, bytes: Uint8Array): void {
    const state = this.blocks.get(block);
    for (let page = 0; page * PAGE_BYTES < bytes.length; page++) {
      if (state === undefined || (state.bits[page >>> 5] & (1 << (page & 31))) === 0) {
        bytes.fill(0, page * PAGE_BYTES, (page + 1) * PAGE_BYTES);
      }
    }
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
      if (bytes.length !== WORDS * 4 || block * BLOCK_BYTES >= this.size) continue;
      const bits = new Uint32Array(new Uint8Array(bytes).buffer);
      this.blocks.set(block, { bits, crc, verified: false });
      for (const word of bits) for (let rest = word; rest !== 0; rest &= rest - 1) this.diskBytes += PAGE_BYTES;
    }
  }
}
