/** READ and WRITE. */
import { errno } from '../../errno.js';
import type { RequestContext, WriteFlags } from '../../fuse/operations.js';
import { isGone, readStaged, sinceLanded } from '../content-reader.js';
import type { Inode } from '../inode.js';
import { stage, touch, touchAccess } from '../staging.js';
import { FsError } from '../to-errno.js';
import { untilAborted } from '../until-aborted.js';
import { cachedOf, type Volume } from '../volume.js';
import { makeRoom } from '../write-back/flushing.js';
import { clearSuidgid, fsync } from './files.js';

export function read(
  volume: Volume,
  ctx: RequestContext,
  fh: number,
  offset: number,
  size: number,
): Uint8Array[] | Promise<Uint8Array[]> {
  const { inode, readahead } = volume.handles.file(fh);
  const { staged } = inode;
  const end = Math.min(offset + size, inode.currentSize);
  touchAccess(volume, inode);
  if (offset >= end) return [];
  if (inode.backing?.hasAll) return inode.backing.read(offset, end).then((bytes) => [bytes]);
  if (staged !== undefined) return explainGone(inode, readStaged(volume, inode, staged, offset, end, ctx.signal));
  const file = cachedOf(volume, inode);
  if (file === undefined) throw new FsError(errno.ESTALE, inode.path);
  // Before the read, so that what it needs becomes part of one large range.
  const ahead = readahead.onRead(offset, end - offset, inode.size);
  if (ahead !== undefined) readahead.heldBack(volume.cache.prefetch(file, ahead.start, ahead.end));
  const pieces = volume.cache.read(file, offset, end, ctx.signal);
  if (!(pieces instanceof Promise)) return pieces;
  const again = (): Promise<Uint8Array[]> => {
    const now = cachedOf(volume, inode);
    if (now === undefined) throw new FsError(errno.ESTALE, inode.path);
    return Promise.resolve(volume.cache.read(now, offset, end, ctx.signal));
  };
  return explainGone(inode, sinceLanded(volume, inode, pieces, again));
}

/** The version that this handle opened is no longer in the store, and not cached: ESTALE, never another version's bytes. */
async function explainGone<T>(inode: Inode, pieces: Promise<T>): Promise<T> {
  try {
    return await pieces;
  } catch (error) {
    // Whatever was asked of it last does not count any more: the next open asks.
    if (isGone(error)) inode.checkedAt = Number.NEGATIVE_INFINITY;
    if (isGone(error)) throw new FsError(errno.ESTALE, `${inode.path}: this version is no longer in the store`);
    throw error;
  }
}

export function write(
  volume: Volume,
  ctx: RequestContext,
  fh: number,
  offset: number,
  data: Uint8Array,
  flags: WriteFlags,
): number | Promise<number> {
  const { inode, sync } = volume.handles.file(fh);
  const failure = inode.staged?.behind.takeFailure();
  if (failure !== undefined) throw failure;
  const put = (): number | Promise<number> => {
    const { backing } = inode;
    if (backing === undefined) return putStaged();
    const done = backing.write(offset, data, putStaged);
    // The kernel, which else sends an FSYNC, does not for direct I/O.
    return sync ? done.then(async (count) => (await fsync(volume, ctx, fh)) || count) : done;
  };
  const putStaged = (): number | Promise<number> => {
    const staged = inode.staged ?? stage(volume, inode);
    // What the backing file has to have too is waited for.
    const taken = ctx.keepUntil && inode.backing === undefined ? staged.handOver(offset, data) : undefined;
    if (taken !== undefined) ctx.keepUntil?.(taken);
    const done = taken === undefined ? staged.write(offset, data) : data.length;
    inode.dirty = true;
    touch(volume, inode);
    volume.streams.wrote(inode, staged);
    clearSuidgid(inode, flags.killSuidgid);
    return done;
  };
  const { writeBack } = volume;
  if (writeBack === undefined) return put();
  const again = async (error: unknown): Promise<number> => {
    // What has been closed goes first; only when that makes no room the program is told.
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
    if (!(await untilAborted(makeRoom(writeBack, volume.staging, data.length), ctx.signal))) throw error;
    return put();
  };
  try {
    const done = put();
    return done instanceof Promise ? done.catch(again) : done;
  } catch (error) {
    return again(error);
  }
}
