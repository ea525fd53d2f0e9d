/**
 * The rest of a small file that was changed in part. Its upload sends that rest too (ranges of so small an object cannot be
 * copied inside the store), so it is brought to the staged file before. From then on the file is whole on this machine:
 * whatever another client does to the version that it was made over, ours can be kept beside theirs.
 */
import { setImmediate } from 'node:timers/promises';
import { MIN_RANGE_COPY_SOURCE_BYTES, MiB, STAGED_SYNC_WRITE_BYTES } from '../constants.js';
import { isS3Error } from '../s3/s3-error.js';
import type { StagedFile } from '../writeback/staged-file.js';
import type { Inode } from './inode.js';
import { keyOf, type Volume } from './volume.js';

/** So much is read at one time (bytes): many uploads may do this side by side. */
const PIECE_BYTES = MiB;

/** For those who hold the inode's mutex. What cannot be had now is left to the upload, which then tells why. */
export async function keepBase(volume: Volume, inode: Inode, staged: StagedFile): Promise<void> {
  const { version } = inode;
  if (version === undefined || version.size > MIN_RANGE_COPY_SOURCE_BYTES || staged.baseBytes === 0) return;
  const file = volume.cache.acquire({ key: keyOf(volume, inode), etag: version.etag }, version.size);
  try {
    for (const { kind, start, end } of [...staged.layout.runs(0, staged.size)]) {
      if (kind !== 'base') continue;
      volume.cache.prefetch(file, start, end);
      for (let at = start; at < end; at += PIECE_BYTES) {
        const pieces = await volume.cache.read(file, at, Math.min(end, at + PIECE_BYTES));
        await bring(staged, at, Buffer.concat(pieces));
      }
    }
  } catch (error) {
    const isFull = (error as NodeJS.ErrnoException).code === 'ENOSPC';
    if (!isFull && !isS3Error(error)) throw error;
    volume.logger.debug({ err: error, path: inode.path }, 'the rest of a file could not be brought to its staged file');
  } finally {
    volume.cache.release(file);
  }
}

async function bring(staged: StagedFile, start: number, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    const slice = bytes.subarray(at, at + STAGED_SYNC_WRITE_BYTES);
    if (staged.fillBase(start + at, slice)) at += slice.length;
    else await setImmediate();
  }
}
