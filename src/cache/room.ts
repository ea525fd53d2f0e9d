/**
 * How much the cache may have on the disk: a number of bytes, and what keeps CACHE_FREE_SPACE_FLOOR of the disk free.
 * Whoever wants to write asks first; the least recently used contents make way. Where nothing can (everything is in
 * use, or the disk is full by other hands) the bytes are not kept, which costs speed only.
 */
import { statfs } from 'node:fs/promises';
import type { Clock } from '../clock.js';
import { CACHE_FREE_SPACE_FLOOR, MiB } from '../constants.js';

export interface Candidate {
  readonly id: string;
  /** Milliseconds since 1970. */
  readonly used: number;
}

export interface RoomOptions {
  readonly directory: string;
  readonly maxBytes: number;
  readonly clock: Clock;
  /** Bytes that the cache has on the disk now. */
  readonly bytes: () => number;
  /** What may be evicted, in any order. */
  readonly candidates: () => Candidate[];
  /** Answers the bytes that came free. */
  readonly evict: (id: string) => Promise<number>;
}

/** The free space of the disk is looked at each time that so much was to be written. */
const SPACE_CHECK_BYTES = 64 * MiB;
/** After an eviction that did not help, this long none is tried (ms). */
const STUCK_MS = 1_000;
/** Evicted beyond what is needed, so that the next write does not start it all over. */
const HYSTERESIS = 0.1;

export class Room {
  readonly #options: RoomOptions;
  /** Granted and not yet in `bytes`. */
  #writing = 0;
  #sinceCheck = SPACE_CHECK_BYTES;
  /** Bytes that the disk's free space is below its floor. */
  #belowFloor = 0;
  #stuckUntil = Number.NEGATIVE_INFINITY;
  #making: Promise<void> | undefined;

  constructor(options: RoomOptions) {
    this.#options = options;
  }

  /** Whether so many bytes may be written; answered by `done` when they are (or failed to be). */
  async take(bytes: number): Promise<boolean> {
    this.#sinceCheck += bytes;
    if (!this.#fits(bytes) || this.#sinceCheck >= SPACE_CHECK_BYTES) await this.make(bytes);
    if (!this.#fits(bytes)) return false;
    this.#writing += bytes;
    return true;
  }

  done(bytes: number): void {
    this.#writing -= bytes;
  }

  #excess(bytes: number): number {
    const { maxBytes } = this.#options;
    return Math.max(this.#options.bytes() + this.#writing + bytes - maxBytes, this.#belowFloor);
  }

  #fits(bytes: number): boolean {
    return this.#excess(bytes) <= 0;
  }

  /** The disk said that it is full: nothing is written until it was looked at again. */
  full(): void {
    this.#belowFloor = Math.max(this.#belowFloor, SPACE_CHECK_BYTES);
    this.#stuckUntil = this.#options.clock.monotonic() + STUCK_MS;
  }

  /** Something that was in use is no longer. */
  eased(): void {
    this.#stuckUntil = Number.NEGATIVE_INFINITY;
    if (!this.#fits(0)) void this.make(0);
  }

  /** Evicts until `bytes` more fit, as far as possible. Never rejects. */
  async make(bytes: number): Promise<void> {
    while (this.#making !== undefined) await this.#making;
    const now = this.#options.clock.monotonic();
    if (now < this.#stuckUntil) return;
    this.#making = this.#evict(bytes).finally(() => {
      this.#making = undefined;
    });
    await this.#making;
    if (!this.#fits(bytes)) this.#stuckUntil = now + STUCK_MS;
  }

  async #evict(bytes: number): Promise<void> {
    await this.#lookAtDisk();
    let excess = this.#excess(bytes);
    if (excess <= 0) return;
    excess += this.#options.maxBytes * HYSTERESIS;
    const candidates = this.#options.candidates().sort((a, b) => a.used - b.used);
    for (const candidate of candidates) {
      if (excess <= 0) break;
      excess -= await this.#options.evict(candidate.id);
    }
    await this.#lookAtDisk();
  }

  async #lookAtDisk(): Promise<void> {
    this.#sinceCheck = 0;
    try {
      const { blocks, bsize, bavail } = await statfs(this.#options.directory);
      this.#belowFloor = blocks * CACHE_FREE_SPACE_FLOOR * bsize - bavail * bsize;
    } catch {
      // The directory may be removed at any time; writing makes it anew.
      this.#belowFloor = 0;
    }
  }

  /** Resolves when no eviction is under way. */
  async settled(): Promise<void> {
    while (this.#making !== undefined) await this.#making;
  }
}
