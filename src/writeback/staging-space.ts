/**
 * A bound on the bytes that wait on this machine for their upload. Past it write(2) gets ENOSPC, before a close() could
 * have succeeded; what is uploaded, removed or cut off makes room.
 */
import { INLINE_TOTAL_BYTES } from '../constants.js';
import type { DiskRoom } from './disk-room.js';

export class StagingSpace {
  readonly limit: number;
  #used = 0;
  #memory = 0;

  readonly #disk: DiskRoom | undefined;

  /**
   * @param limit bytes
   * @param disk of the staged files; without it every write is waited for
   */
  constructor(limit: number, disk?: DiskRoom) {
    this.limit = limit;
    this.#disk = disk;
  }

  /** Whether the disk is sure to take so many bytes. */
  fitsOnDisk(bytes: number): boolean {
    return this.#disk?.has(bytes) ?? false;
  }

  /** Bytes. */
  get used(): number {
    return this.#used;
  }

  /** Throws an error with code ENOSPC. */
  take(bytes: number): void {
    if (this.#used + bytes > this.limit) {
      const message = `no more than ${this.limit} bytes may wait for their upload (--staging-size)`;
      throw Object.assign(new Error(message), { code: 'ENOSPC' });
    }
    this.#used += bytes;
  }

  /** False: so many bytes are not to be had in memory. */
  takeMemory(bytes: number): boolean {
    if (this.#memory + bytes > INLINE_TOTAL_BYTES) return false;
    this.#memory += bytes;
    return true;
  }

  giveMemory(bytes: number): void {
    this.#memory -= bytes;
  }

  give(bytes: number): void {
    this.#used -= bytes;
  }
}
