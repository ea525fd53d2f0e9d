/**
 * One buffer of a request or reply, and the header that every request starts with. The numbers are read through a DataView that lives
 * as long as the buffer, because buffers are used again.
 */
import { IN_HEADER_BYTES } from './abi.js';

const TWO_32 = 2 ** 32;

/** A buffer that holds one frame, with the view that its numbers go through. */
export class Frame {
  readonly bytes: Buffer;
  readonly view: DataView;
  /** How much of the buffer the frame takes. */
  length: number;

  constructor(bytes: Buffer, length = bytes.length) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.length = length;
  }

  u32(at: number): number {
    return this.view.getUint32(at, true);
  }

  /** Exact below 2^53; above it the caller's range check fails, whatever the rounding. */
  u64(at: number): number {
    return this.view.getUint32(at, true) + this.view.getUint32(at + 4, true) * TWO_32;
  }

  i64(at: number): number {
    return this.view.getUint32(at, true) + this.view.getInt32(at + 4, true) * TWO_32;
  }

  putU32(at: number, value: number): void {
    this.view.setUint32(at, value, true);
  }

  /** Also for negative integers, as two's complement. */
  put64(at: number, value: number): void {
    this.view.setUint32(at, value, true);
    this.view.setUint32(at + 4, Math.floor(value / TWO_32), true);
  }
}

/** struct fuse_in_header. `unique` is kept in halves: its bit 63 is in use (resend). */
export interface RequestHeader {
  readonly opcode: number;
  readonly uniqueLow: number;
  readonly uniqueHigh: number;
  readonly nodeid: number;
  readonly uid: number;
  readonly gid: number;
  readonly pid: number;
}

/** Undefined where the frame is not even a header with its own length in it: there is nobody to answer then. */
export function decodeHeader(frame: Frame): RequestHeader | undefined {
  if (frame.length < IN_HEADER_BYTES || frame.u32(0) !== frame.length) return undefined;
  return {
    opcode: frame.u32(4),
    uniqueLow: frame.u32(8),
    uniqueHigh: frame.u32(12),
    nodeid: frame.u64(16),
    uid: frame.u32(24),
    gid: frame.u32(28),
    pid: frame.u32(32),
  };
}
