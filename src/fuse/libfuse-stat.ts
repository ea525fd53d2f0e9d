/**
 * Attributes in the form in which fuse-native's C code takes them: 32-bit numbers in the order of its populate_stat and
 * populate_statvfs (fuse-native.c), times in milliseconds. Pure.
 */
import type { Timespec } from '../clock.js';
import type { FileAttributes, StatfsReply } from './operations.js';

const TWO_32 = 2 ** 32;

/** st_ino has 32 bits there: both halves take part, so that files stay apart as well as they can. Never 0. */
export function foldedIno(ino: number): number {
  return ((ino % TWO_32) ^ Math.floor(ino / TWO_32)) >>> 0 || 1;
}

/** Whole milliseconds since 1970; what is before, an unsigned number cannot say. */
function milliseconds(time: Timespec): number {
  return Math.max(0, time.sec * 1000 + Math.floor(time.nsec / 1e6));
}

function putWide(into: Uint32Array, at: number, value: number): void {
  into[at] = value % TWO_32;
  into[at + 1] = Math.floor(value / TWO_32);
}

/** struct stat. */
export function statNumbers(attributes: FileAttributes): Uint32Array {
  const numbers = new Uint32Array(18);
  numbers[0] = attributes.mode;
  numbers[1] = attributes.uid;
  numbers[2] = attributes.gid;
  putWide(numbers, 3, attributes.size);
  numbers[6] = attributes.nlink;
  numbers[7] = foldedIno(attributes.ino);
  numbers[8] = attributes.rdev;
  numbers[9] = attributes.blksize;
  putWide(numbers, 10, attributes.blocks);
  putWide(numbers, 12, milliseconds(attributes.atime));
  putWide(numbers, 14, milliseconds(attributes.mtime));
  putWide(numbers, 16, milliseconds(attributes.ctime));
  return numbers;
}

/** What fuse-native's statfs callback takes. Counts of blocks must stay below 2^32, so large ones get larger blocks. */
export function statfsNumbers(reply: StatfsReply): Readonly<Record<string, number>> {
  let scale = 1;
  while (reply.blocks / scale >= TWO_32) scale *= 2;
  const most = TWO_32 - 1;
  return {
    bsize: reply.blockSize * scale,
    frsize: reply.blockSize * scale,
    blocks: Math.floor(reply.blocks / scale),
    bfree: Math.floor(reply.blocksFree / scale),
    bavail: Math.floor(reply.blocksAvailable / scale),
    files: Math.min(reply.files, most),
    ffree: Math.min(reply.filesFree, most),
    favail: Math.min(reply.filesFree, most),
    namemax: reply.nameMax,
  };
}
