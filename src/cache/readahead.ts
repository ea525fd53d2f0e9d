/**
 * How far to read ahead of one handle. Pure. Reading that goes on where it was doubles the window, from nothing to the
 * maximum; a jump closes it again, so that random reads fetch only what is asked. The kernel sends the reads of one
 * stream slightly out of order, so "where it was" is a zone around the furthest byte read, not one offset.
 */
import { MiB, READAHEAD_FIRST_BYTES } from '../constants.js';

/** Reads this far from the expected offset still belong to the stream (bytes); covers the kernel's own readahead. */
const SLACK_BYTES = 8 * MiB;

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

  /** Notes a read and answers what should be fetched beyond it, if anything. */
  onRead(offset: number, length: number, size: number): ReadaheadRange | undefined {
    const end = offset + length;
    const inStream = offset <= this.#front + Math.max(length, 128 * 1024) && offset + SLACK_BYTES >= this.#front;
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
    if (this.#ahead < end) this.#ahead = end;
    if (this.#window === 0) this.#window = READAHEAD_FIRST_BYTES;
    const target = Math.min(size, end + this.#window);
    // Ask again only when half the window is used up, so that requests stay large.
    if (this.#ahead - end > this.#window / 2 || target <= this.#ahead) return undefined;
    const range = { start: this.#ahead, end: target };
    this.#ahead = target;
    this.#window = Math.min(this.#maxBytes, this.#window * 2);
    return range;
  }
}
