/**
 * Where a file was changed in part, the rest of the uploaded version is the rest of the version before, at the same place:
 * what is cached of that is cached of the new version too. Otherwise each such change would cost a download of the rest;
 * and when another client replaces the new version before the next change is uploaded, the rest could be had nowhere, and
 * ours not be kept beside theirs.
 */
import type { CachedFile } from '../cache/block-cache.js';
import { BLOCK_BYTES, CARRIED_BYTES, PAGE_BYTES } from '../constants.js';
import type { StagedFile } from '../writeback/staged-file.js';
import { readBytes } from './content-reader.js';
import type { Inode } from './inode.js';
import { keyOf, type Volume } from './volume.js';

interface Range {
  readonly start: number;
  readonly end: number;
}

const pageOf = (at: number): number => Math.floor(at / PAGE_BYTES);

export class CarryOver {
  readonly #volume: Volume;
  readonly #from: CachedFile;
  readonly #ranges: readonly Range[];
  /** Whole pages that begin or end in one of the ranges, by their number. */
  readonly #edges = new Map<number, Uint8Array>();

  private constructor(volume: Volume, from: CachedFile, ranges: readonly Range[]) {
    this.#volume = volume;
    this.#from = from;
    this.#ranges = ranges;
  }

  /** Of an upload that is about to begin. undefined: there is nothing, or more than is worth it. To be closed. */
  static async of(volume: Volume, inode: Inode, staged: StagedFile): Promise<CarryOver | undefined> {
    const { version } = inode;
    if (version === undefined || staged.baseBytes === 0) return undefined;
    const ranges = [...staged.layout.runs(0, staged.size)].filter(({ kind }) => kind === 'base');
    const bytes = ranges.reduce((sum, { start, end }) => sum + end - start, 0);
    if (bytes === 0 || bytes > CARRIED_BYTES) return undefined;
    const from = volume.cache.acquire({ key: keyOf(volume, inode), etag: version.etag }, version.size);
    const carried = new CarryOver(volume, from, ranges);
    await carried.#readEdges(inode, staged);
    return carried;
  }

  /** Now, as long as they are what is sent. */
  async #readEdges(inode: Inode, staged: StagedFile): Promise<void> {
    const { size, generation } = staged;
    for (const { start, end } of this.#ranges) {
      for (const at of [start, end]) {
        const page = pageOf(at);
        const pageEnd = Math.min(size, (page + 1) * PAGE_BYTES);
        if (at % PAGE_BYTES === 0 || at === size || !this.#isHere(page * PAGE_BYTES, pageEnd)) continue;
        const bytes = await readBytes(this.#volume, inode, staged, page * PAGE_BYTES, pageEnd).catch(() => undefined);
        if (bytes !== undefined) this.#edges.set(page, Buffer.from(bytes));
      }
    }
    if (staged.generation !== generation) this.#edges.clear();
  }

  #isHere(start: number, end: number): boolean {
    const { content } = this.#from;
    const last = Math.min(end, content.size);
    return content.isPageValid(pageOf(start)) || this.#volume.cache.peek(this.#from, start, last) !== undefined;
  }

  /** What was written meanwhile may be in the upload or not. */
  dropEdges(): void {
    this.#edges.clear();
  }

  /** Never rejects: what cannot be carried over is fetched when somebody needs it. */
  async into(to: CachedFile): Promise<void> {
    const { store } = this.#volume.cache;
    const { size } = to.content;
    for (const [page, bytes] of this.#edges) await store.write(to.content, page * PAGE_BYTES, [bytes]);
    for (const { start, end } of this.#ranges) {
      const last = end >= size ? size : pageOf(end) * PAGE_BYTES;
      for (let at = Math.ceil(start / PAGE_BYTES) * PAGE_BYTES; at < last; ) {
        const next = Math.min(last, (Math.floor(at / BLOCK_BYTES) + 1) * BLOCK_BYTES);
        await this.#copy(to, at, next);
        at = next;
      }
    }
  }

  async #copy(to: CachedFile, start: number, end: number): Promise<void> {
    const { store } = this.#volume.cache;
    const { content } = this.#from;
    for (let at = start; at < end; ) {
      const valid = content.runEnd(at, end, true);
      const next = valid > at ? valid : content.runEnd(at, end, false);
      // What has just been fetched may be on its way to the disk.
      const bytes = valid > at ? await store.read(content, at, next) : this.#volume.cache.peek(this.#from, at, next);
      if (bytes !== undefined) await store.write(to.content, at, Array.isArray(bytes) ? bytes : [bytes]);
      at = next;
    }
  }

  close(): void {
    this.#volume.cache.release(this.#from);
  }
}
