/** The bytes of a staged file in memory, as long as it is small; zeros behind its end. They count against what all may have. */
import { INLINE_FILE_BYTES } from '../constants.js';
import type { StagingSpace } from './staging-space.js';

const LEAST_BYTES = 512;

export class InlineBytes {
  readonly #space: StagingSpace;
  #bytes: Buffer;

  constructor(space: StagingSpace, bytes: Uint8Array = Buffer.alloc(0)) {
    this.#space = space;
    this.#bytes = Buffer.from(bytes);
    // What an earlier daemon left is taken whatever the limit is.
    if (bytes.length > 0) space.takeMemory(bytes.length);
  }

  /** False: so many bytes cannot be kept here. */
  fit(bytes: number): boolean {
    const before = this.#bytes;
    if (bytes <= before.length) return true;
    const capacity = Math.min(INLINE_FILE_BYTES, 2 ** Math.ceil(Math.log2(Math.max(bytes, LEAST_BYTES))));
    if (bytes > INLINE_FILE_BYTES || !this.#space.takeMemory(capacity - before.length)) return false;
    this.#bytes = Buffer.alloc(capacity);
    before.copy(this.#bytes);
    return true;
  }

  upTo(size: number): Buffer {
    return this.#bytes.subarray(0, Math.min(size, this.#bytes.length));
  }

  set(bytes: Uint8Array, offset: number): void {
    this.#bytes.set(bytes, offset);
  }

  clear(start: number, end: number): void {
    this.#bytes.fill(0, start, Math.min(end, this.#bytes.length));
  }

  /** A copy of [start, end). */
  read(start: number, end: number): Buffer {
    const bytes = Buffer.alloc(end - start);
    this.#bytes.copy(bytes, 0, start, end);
    return bytes;
  }

  release(): void {
    this.#space.giveMemory(this.#bytes.length);
    this.#bytes = Buffer.alloc(0);
  }
}
