/**
 * /dev/fuse in the main loop: when it is readable, requests are read until none is left, each into a buffer of a bounded
 * pool. A buffer belongs to one request until its reply. Only WRITEs and the like keep theirs while they wait; when all
 * buffers are kept, nothing is read until one comes back, and the programs behind it wait in the kernel.
 */
import { MAX_IO_BYTES, PAGE_BYTES } from '../constants.js';
import { errno, errnoName } from '../errno.js';
import type { Logger } from '../log.js';
import { ECONNABORTED } from './abi.js';
import { Frame } from './frame.js';
import { type Native, native, type Watcher } from './native.js';
import type { Channel } from './session.js';

/** Largest request: a WRITE's headers are 80 bytes, and the kernel wants room for them beside its data (bytes). */
export const REQUEST_BUFFER_BYTES = MAX_IO_BYTES + PAGE_BYTES;
/** Request buffers at most: what large WRITEs that wait may hold. */
export const MAX_REQUEST_BUFFERS = 16;
/** After so many requests the loop gets its turn, so that sockets, timers and promises are not starved. */
const REQUESTS_PER_TURN = 128;

export interface DeviceStats {
  /** Buffers that exist, and those of them that a request keeps. */
  readonly buffers: number;
  readonly buffersKept: number;
  /** Reading stopped because every buffer was kept: how often. */
  readonly stalls: number;
}

export interface DeviceOptions {
  readonly fd: number;
  readonly log: Logger;
  /** Serves a frame; true when it keeps it. */
  readonly receive: (frame: Frame) => boolean;
  /** The connection is gone; called once, with the errno that said so. */
  readonly lost: (error: number) => void;
  readonly maxBuffers?: number;
}

export class Device implements Channel {
  readonly #native: Native = native();
  readonly #options: DeviceOptions;
  readonly #watcher: Watcher;
  readonly #free: Frame[] = [];
  readonly #maxBuffers: number;
  #buffers = 0;
  #stalls = 0;
  #stalled = false;
  #closed = false;

  constructor(options: DeviceOptions) {
    this.#options = options;
    this.#maxBuffers = options.maxBuffers ?? MAX_REQUEST_BUFFERS;
    const watcher = this.#native.pollOpen(options.fd, (status) => this.#ready(status));
    if (typeof watcher === 'number') throw new Error(`cannot watch /dev/fuse: ${errnoName(watcher)}`);
    this.#watcher = watcher;
  }

  start(): void {
    const result = this.#native.pollStart(this.#watcher);
    if (result < 0) throw new Error(`cannot watch /dev/fuse: ${errnoName(result)}`);
  }

  stats(): DeviceStats {
    return { buffers: this.#buffers, buffersKept: this.#buffers - this.#free.length, stalls: this.#stalls };
  }

  send(frame: Frame, pieces?: readonly Uint8Array[]): number {
    const { fd } = this.#options;
    const result = pieces
      ? this.#native.writev(fd, frame.bytes, frame.length, pieces)
      : this.#native.write(fd, frame.bytes, frame.length);
    // The kernel takes a reply whole or not at all.
    return Math.min(result, 0);
  }

  giveBack(frame: Frame): void {
    this.#free.push(frame);
    if (!this.#stalled || this.#closed) return;
    this.#stalled = false;
    this.start();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#native.pollClose(this.#watcher);
  }

  #ready(status: number): void {
    this.#drain();
    // libuv stops a watcher that is in error; if the device had no more to say, it is asked again.
    if (status < 0 && !this.#closed && !this.#stalled) this.start();
  }

  #takeBuffer(): Frame | undefined {
    const frame = this.#free.pop();
    if (frame || this.#buffers === this.#maxBuffers) return frame;
    this.#buffers += 1;
    return new Frame(Buffer.allocUnsafeSlow(REQUEST_BUFFER_BYTES));
  }

  #drain(): void {
    const { fd, receive } = this.#options;
    for (let count = 0; count < REQUESTS_PER_TURN && !this.#closed; count++) {
      const frame = this.#takeBuffer();
      if (frame === undefined) {
        this.#stalled = true;
        this.#stalls += 1;
        this.#native.pollStop(this.#watcher);
        return;
      }
      const length = this.#native.read(fd, frame.bytes);
      if (length > 0) {
        frame.length = length;
        if (!receive(frame)) this.#free.push(frame);
        continue;
      }
      this.#free.push(frame);
      // ENOENT: the request was interrupted while it was being read.
      if (length === -errno.EINTR || length === -errno.ENOENT) continue;
      if (length !== -errno.EAGAIN) this.#lose(length);
      return;
    }
  }

  #lose(result: number): void {
    const gone = result === 0 || result === -errno.ENODEV || result === -ECONNABORTED;
    if (!gone) this.#options.log.error({ error: errnoName(result) }, 'reading /dev/fuse failed');
    this.close();
    this.#options.lost(result);
  }
}
