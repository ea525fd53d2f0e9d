/**
 * One GET under way: the bytes [start, end) of one content, in blocks that fill as the answer arrives. Readers wait for
 * the bytes they need, not for the end; two readers of one range share one fetch.
 */
import { BLOCK_BYTES } from '../constants.js';

interface Waiter {
  readonly until: number;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export class Fetch {
  readonly start: number;
  readonly end: number;
  /** Buffers cut at multiples of BLOCK_BYTES of the content; together they hold [start, end). */
  readonly pieces: Buffer[] = [];
  #front: number;
  #waiters: Waiter[] = [];
  #failure: { readonly error: unknown } | undefined;
  /** Ends the request. Readers who give up do not: what was begun is kept for the next one. */
  readonly abort: AbortController;

  constructor(start: number, end: number, abort = new AbortController()) {
    this.abort = abort;
    this.start = start;
    this.end = end;
    this.#front = start;
    for (let at = start; at < end; ) {
      const next = Math.min(end, (Math.floor(at / BLOCK_BYTES) + 1) * BLOCK_BYTES);
      this.pieces.push(Buffer.allocUnsafeSlow(next - at));
      at = next;
    }
  }

  /** The byte behind the last that arrived. */
  get front(): number {
    return this.#front;
  }

  get bytes(): number {
    return this.end - this.start;
  }

  /** First byte of a piece. */
  pieceStart(index: number): number {
    return index === 0 ? this.start : (Math.floor(this.start / BLOCK_BYTES) + index) * BLOCK_BYTES;
  }

  push(data: Uint8Array): void {
    let from = 0;
    while (from < data.length && this.#front < this.end) {
      const index = Math.floor(this.#front / BLOCK_BYTES) - Math.floor(this.start / BLOCK_BYTES);
      const piece = this.pieces[index];
      const at = this.#front - this.pieceStart(index);
      const count = Math.min(piece.length - at, data.length - from);
      piece.set(from === 0 && count === data.length ? data : data.subarray(from, from + count), at);
      this.#front += count;
      from += count;
    }
    this.#wake();
  }

  fail(error: unknown): void {
    this.#failure = { error };
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) waiter.reject(error);
  }

  #wake(): void {
    if (this.#waiters.length === 0) return;
    const ready = this.#waiters.filter((waiter) => waiter.until <= this.#front);
    if (ready.length === 0) return;
    this.#waiters = this.#waiters.filter((waiter) => waiter.until > this.#front);
    for (const waiter of ready) waiter.resolve();
  }

  has(until: number): boolean {
    return until <= this.#front;
  }

  /** Waits until the bytes before `until` are here. Rejects with the fetch's error, or with the signal's reason. */
  wait(until: number, signal?: AbortSignal): Promise<void> {
    if (this.has(until)) return Promise.resolve();
    if (this.#failure !== undefined) return Promise.reject(this.#failure.error);
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(signal.reason);
        return;
      }
      const onAbort = (): void => {
        this.#waiters = this.#waiters.filter((other) => other !== waiter);
        reject(signal?.reason);
      };
      const waiter: Waiter = {
        until,
        resolve: () => {
          signal?.removeEventListener('abort', onAbort);
          resolve();
        },
        reject: (error) => {
          signal?.removeEventListener('abort', onAbort);
          reject(error);
        },
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#waiters.push(waiter);
    });
  }

  /** Views of [offset, end), which must have arrived. */
  slices(offset: number, end: number, into: Uint8Array[]): void {
    for (const [index, piece] of this.pieces.entries()) {
      const start = this.pieceStart(index);
      if (start >= end) return;
      if (start + piece.length <= offset) continue;
      into.push(piece.subarray(Math.max(0, offset - start), Math.min(piece.length, end - start)));
    }
  }
}
