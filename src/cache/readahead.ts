/**
 * How far to read ahead of one handle. Pure. Reading that goes on where it was doubles the window, from nothing to the
 * maximum; a jump closes it again, so that random reads fetch only what is asked. The kernel sends the reads of one
 * stream slightly out of order, so "where it was" is a zone around the furthest byte read, not one offset.
 */
import { MiB, READAHEAD_FIRST_BYTES } from '../constants.js';

/** Reads this far behind the furthest one still belong to the stream (bytes); covers the kernel's own readahead. */
const SLACK_BYTES = 8 * MiB;
/** So many reads of one stream may be overtaken by one. In its own lengths: small reads far apart are no stream. */
const AHEAD_READS = 4;

export interface ReadaheadRange {
  readonly start: number;
  readonly end: number;
}

export class Readahead {
  readonly #maxBytes: number;
  #window = 0;
  /** The byte behind the furthest that this stream has read. */
  #front = 0;
  /** The byte behind what was already asked to be fetched. */
  #ahead = 0;
  #sequentialReads = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get window(): number {
    return this.#window;
  }

  /** Notes a read and answers what should be fetched beyond it (or from it on), if anything. Asked before the read. */
  onRead(offset: number, length: number, size: number): ReadaheadRange | undefined {
    const end = Math.min(size, offset + length);
    const furthest = Math.max(this.#front + AHEAD_READS * length, this.#window > 0 ? this.#ahead : 0);
    const inStream = offset <= furthest && offset + SLACK_BYTES >= this.#front;
    if (!inStream) {
      this.#window = 0;
      this.#sequentialReads = 0;
      this.#front = end;
      this.#ahead = end;
      return undefined;
    }
    if (end <= this.#front) return undefined;
    this.#front = end;
    this.#sequentialReads++;
    if (this.#sequentialReads === 1 && offset > 0) return undefined;
    // Where nothing was begun for this read either (memory was short), it becomes part of the same large range.
    if (this.#ahead < offset || this.#window === 0) this.#ahead = this.#window === 0 ? end : offset;
    if (this.#window === 0) this.#window = Math.min(this.#maxBytes, READAHEAD_FIRST_BYTES);
    const target = Math.min(size, end + this.#window);
    // Ask again only when half the window is used up, so that requests stay large.
    if (this.#ahead - end > this.#window / 2 || target <= this.#ahead) return undefined;
    const range = { start: this.#ahead, end: target };
    this.#ahead = target;
    this.#window = Math.min(this.#maxBytes, this.#window * 2);
    return range;
  }

  /** Only what lies before `at` could be begun; the rest is asked for again with the next read. */
  heldBack(at: number): void {
    if (at >= this.#ahead) return;
    this.#ahead = at;
    this.#window = Math.max(Math.min(this.#maxBytes, READAHEAD_FIRST_BYTES), this.#window / 2);
  }
}
