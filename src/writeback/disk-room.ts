/** Whether the disk of staged files is so far from full that a write may be answered before it is done. */
import { statfsSync } from 'node:fs';
import { DISK_ROOM_MARGIN_BYTES, DISK_ROOM_STEP_BYTES, DISK_ROOM_STEP_MS } from '../constants.js';

export class DiskRoom {
  readonly #directory: string;
  #free = 0;
  #taken = 0;
  #askedAt = Number.NEGATIVE_INFINITY;

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Whether so many bytes more leave the margin free. What other programs write meanwhile is what the margin is for. */
  has(bytes: number): boolean {
    const now = performance.now();
    this.#taken += bytes;
    if (this.#taken > DISK_ROOM_STEP_BYTES || now - this.#askedAt > DISK_ROOM_STEP_MS) {
      this.#free = this.#ask();
      this.#taken = bytes;
      this.#askedAt = now;
    }
    return this.#free - this.#taken > DISK_ROOM_MARGIN_BYTES;
  }

  #ask(): number {
    try {
      const { bavail, bsize } = statfsSync(this.#directory);
      return bavail * bsize;
    } catch {
      // Whoever writes then waits for the disk, and is told what it says.
      return 0;
    }
  }
}
