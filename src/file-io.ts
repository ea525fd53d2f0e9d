/** Positioned reads and writes of whole buffers, most over libuv's thread pool: short counts are continued. */
import { read, write, writeSync, writev } from 'node:fs';

/** Fills `bytes` from `position`; answers how many there were (fewer only at the end of the file). */
export function pread(fd: number, bytes: Uint8Array, position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const step = (done: number): void => {
      if (done === bytes.length) {
        resolve(done);
        return;
      }
      read(fd, bytes, done, bytes.length - done, position + done, (error, count) => {
        if (error !== null) reject(error);
        else if (count === 0) resolve(done);
        else step(done + count);
      });
    };
    step(0);
  });
}

/** A write that ended early: so many bytes are in the file. */
export interface ShortWrite extends NodeJS.ErrnoException {
  written: number;
}

/** Rejects with ShortWrite. */
export function pwrite(fd: number, bytes: Uint8Array, position: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const step = (done: number): void => {
      if (done === bytes.length) {
        resolve();
        return;
      }
      write(fd, bytes, done, bytes.length - done, position + done, (error, count) => {
        if (error !== null) reject(Object.assign(error, { written: done }));
        else step(done + count);
      });
    };
    step(0);
  });
}

/** The same at once. Throws ShortWrite. */
export function pwriteSync(fd: number, bytes: Uint8Array, position: number): void {
  let written = 0;
  try {
    while (written < bytes.length) written += writeSync(fd, bytes, written, bytes.length - written, position + written);
  } catch (error) {
    throw Object.assign(error as NodeJS.ErrnoException, { written });
  }
}

/** Several pieces, one behind the other, in one hop through the thread pool. */
export function pwritev(fd: number, pieces: readonly Uint8Array[], position: number): Promise<void> {
  return new Promise((resolve, reject) => {
    writev(fd, pieces as Uint8Array[], position, (error, count) => {
      if (error === null) resolve(writeRest(fd, pieces, position, count));
      else reject(error);
    });
  });
}

/** What writev(2) left over: a disk that becomes full, or more than it takes at once. */
async function writeRest(fd: number, pieces: readonly Uint8Array[], position: number, done: number): Promise<void> {
  let start = 0;
  for (const piece of pieces) {
    const from = Math.min(piece.length, Math.max(0, done - start));
    if (from < piece.length) await pwrite(fd, piece.subarray(from), position + start + from);
    start += piece.length;
  }
}
