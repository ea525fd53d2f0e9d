/**
 * OPEN, CREATE, FLUSH, RELEASE, FSYNC: the life of a file handle. Opening makes sure which version is opened
 * (close-to-open); closing a file that was written brings it to the store and answers with the outcome.
 */
import { isComplete } from '../../cache/attribute-store.js';
import { LOOKUP_SERIES, LOOKUP_SERIES_MS } from '../../constants.js';
import { errno } from '../../errno.js';
import type { CreateReply, OpenReply, RequestContext } from '../../fuse/operations.js';
import { isS3Error, S3Error } from '../../s3/s3-error.js';
import { S_IFREG } from '../attribute.js';
import { commit } from '../commit.js';
import { makeInStore } from '../exclusive.js';
import { headIfPresent } from '../find-key.js';
import type { Inode } from '../inode.js';
import { entryReply } from '../reply.js';
import { forgetName, resolve, resolveNow, startListing } from '../resolve.js';
import { stage } from '../staging.js';
import { FsError, toErrno } from '../to-errno.js';
import { untilAborted } from '../until-aborted.js';
import { adoptFile } from '../versions.js';
import { ageOf, cachedOf, dropCached, holdCached, keyOf, type Volume } from '../volume.js';
import { canKeep } from '../write-back/record.js';
import { makeFile, mayBeMade } from './new-names.js';

const O_ACCMODE = 3;
const O_EXCL = 0o200;
const O_TRUNC = 0o1000;

export async function open(
  volume: Volume,
  ctx: RequestContext,
  nodeid: number,
  flags: number,
  killSuidgid: boolean,
): Promise<OpenReply> {
  const inode = volume.inodes.get(nodeid);
  if (inode.directory !== undefined) throw new FsError(errno.EISDIR, inode.path);
  const writes = (flags & O_ACCMODE) !== 0 || (flags & O_TRUNC) !== 0;
  if (writes && volume.options.readOnly) throw new FsError(errno.EROFS, inode.path);
  const named = inode.parent !== undefined;
  if (inode.leaving !== undefined) await untilAborted(inode.leaving, ctx.signal);
  if (needsRevalidation(volume, inode)) {
    await revalidate(volume, inode, writes, ctx.signal);
    if (inode.leaving !== undefined) await untilAborted(inode.leaving, ctx.signal);
  }
  // Its name went before the open came or meanwhile, and nothing keeps the bytes: the kernel is to look the name up again.
  if (inode.parent === undefined && (named || inode.handles === 0)) throw new FsError(errno.ESTALE, inode.path);
  if (inode.info?.archived && (flags & O_TRUNC) === 0) throwArchived(volume, inode);
  if ((flags & O_TRUNC) !== 0) {
    stage(volume, inode, 0);
    clearSuidgid(inode, killSuidgid);
  }
  return openReply(volume, inode, flags);
}

export function openReply(volume: Volume, inode: Inode, flags: number): OpenReply {
  if (inode.staged === undefined) cachedOf(volume, inode);
  const version = inode.version?.etag;
  const keepCache = inode.kernelPages !== undefined && inode.kernelPages === version;
  inode.kernelPages = version;
  return { fh: volume.handles.openFile(inode, flags), keepCache };
}

/** What this mount is writing is newer than anything the store could say; a file without a name has no other version. */
function needsRevalidation(volume: Volume, inode: Inode): boolean {
  if (inode.staged !== undefined || inode.dirty || inode.parent === undefined) return false;
  const asked = isComplete(inode.info) ? inode.checkedAt : Number.NEGATIVE_INFINITY;
  return ageOf(volume, asked) >= volume.options.openTtlMs;
}

/** Opens that come while one asks, and within the time that its answer counts, wait for that answer. */
async function revalidate(volume: Volume, inode: Inode, writes: boolean, signal: AbortSignal): Promise<void> {
  const shared = inode.revalidation;
  if (shared !== undefined && ageOf(volume, shared.begunAt) < volume.options.openTtlMs) {
    try {
      return await untilAborted(shared.done, signal);
    } catch (error) {
      // The program that asked was interrupted, not this one.
      if (signal.aborted || !isS3Error(error, 'Aborted')) throw error;
    }
  }
  const done = ask(volume, inode, writes, signal);
  const own = { begunAt: volume.clock.monotonic(), done };
  inode.revalidation = own;
  try {
    await done;
  } finally {
    if (inode.revalidation === own) inode.revalidation = undefined;
  }
}

/**
 * Asks which version stands under the name now. For reading one GET also brings the first bytes, unless they are cached:
 * then it only asks whether the version is still the same. For writing HEAD tells what a later PUT has to keep.
 */
async function ask(volume: Volume, inode: Inode, writes: boolean, signal: AbortSignal): Promise<void> {
  if (!writes && (await revalidateByListing(volume, inode))) return;
  const askedAt = volume.clock.monotonic();
  const key = keyOf(volume, inode);
  try {
    if (writes || !inode.isRegular) await revalidateByHead(volume, inode, askedAt, signal);
    else await revalidateByGet(volume, inode, askedAt, signal);
  } catch (error) {
    if (!isS3Error(error, 'NotFound') || inode.parent === undefined) throw error;
    // Its object was moved meanwhile.
    if (keyOf(volume, inode) !== key) return ask(volume, inode, writes, signal);
    forgetName(volume, inode.parent, inode.name);
    throw new FsError(errno.ESTALE, inode.path);
  }
}

/**
 * When cached files of one directory are opened in series, one LIST tells of a thousand whether they are still the same.
 * False: it does not tell of this one.
 */
async function revalidateByListing(volume: Volume, inode: Inode): Promise<boolean> {
  const { parent } = inode;
  const state = parent?.directory;
  if (parent === undefined || state === undefined || !volume.options.canList || inode.info === undefined) return false;
  if (!firstBytesCached(volume, inode)) return false;
  const now = volume.clock.monotonic();
  state.opened = now - state.openedAt < LOOKUP_SERIES_MS ? state.opened + 1 : 1;
  state.openedAt = now;
  let listing = volume.listings.fresh(parent.nodeid, volume.options.openTtlMs);
  if (listing === undefined) {
    if (state.opened < LOOKUP_SERIES) return false;
    listing = startListing(volume, parent);
    await listing.page(0);
  }
  const entry = listing.find(inode.name);
  if (entry === undefined || entry.directory || inode.parent !== parent || inode.dirty) return false;
  const adopted = adoptFile(volume, parent, inode.name, entry, entry.info, listing.startedAt);
  mustBe(inode, adopted);
  return inode.info !== undefined;
}

async function revalidateByHead(volume: Volume, inode: Inode, askedAt: number, signal: AbortSignal): Promise<void> {
  const key = keyOf(volume, inode);
  const info = await headIfPresent(volume, key, signal);
  if (inode.parent === undefined || inode.dirty) return;
  if (info === undefined) throw new S3Error('NotFound', key, { operation: 'HeadObject', key });
  mustBeSince(volume, inode, inode.parent, adoptFile(volume, inode.parent, inode.name, info, info, askedAt));
}

async function revalidateByGet(volume: Volume, inode: Inode, askedAt: number, signal: AbortSignal): Promise<void> {
  const known = inode.version;
  const cached = known !== undefined && isComplete(inode.info) && firstBytesCached(volume, inode);
  try {
    const { info, file } = await volume.cache.probe(keyOf(volume, inode), cached ? known.etag : undefined, signal);
    volume.attributes.put(info.key, info);
    if (inode.parent === undefined || inode.dirty) {
      volume.cache.release(file);
      return;
    }
    const { parent } = inode;
    const adopted = adoptFile(volume, parent, inode.name, info, info, askedAt);
    if (adopted === inode && inode.cached === undefined) {
      holdCached(volume, inode, file);
      // Without an open handle nothing else lets go of it; the handle follows at once.
    } else volume.cache.release(file);
    mustBeSince(volume, inode, parent, adopted);
  } catch (error) {
    if (isS3Error(error, 'Archived')) throwArchived(volume, inode);
    if (!isS3Error(error, 'NotModified')) throw error;
    inode.checkedAt = askedAt;
  }
}

function firstBytesCached(volume: Volume, inode: Inode): boolean {
  const held = inode.cached !== undefined;
  const file = cachedOf(volume, inode);
  const valid = inode.size === 0 || (file !== undefined && volume.cache.has(file, 0));
  if (!held && inode.handles === 0) dropCached(volume, inode);
  return valid;
}

/** Another version stands there and this node keeps the old one: the kernel is to look the name up again. */
function mustBe(inode: Inode, adopted: Inode): void {
  if (adopted !== inode) throw new FsError(errno.ESTALE, inode.path);
}

/**
 * The same after one object was asked for. The kernel lets go of the new node before it looks the name up, and an older
 * listing would answer that with the version that is gone: the next open would fail for good.
 */
function mustBeSince(volume: Volume, inode: Inode, parent: Inode, adopted: Inode): void {
  if (adopted !== inode) volume.listings.drop(parent.nodeid);
  mustBe(inode, adopted);
}

function throwArchived(volume: Volume, inode: Inode): never {
  const { bucket } = volume.options;
  volume.logger.warn(
    { path: inode.path },
    `the object is archived and must be restored before it can be read: aws s3api restore-object --bucket ${bucket} --key ${JSON.stringify(keyOf(volume, inode))} --restore-request Days=1`,
  );
  throw new FsError(errno.EREMOTEIO, inode.path);
}

export async function create(
  volume: Volume,
  ctx: RequestContext,
  parentId: number,
  name: string,
  mode: number,
  umask: number,
  flags: number,
): Promise<CreateReply> {
  if (volume.options.readOnly) throw new FsError(errno.EROFS, name);
  const parent = volume.inodes.directory(parentId);
  const isExclusive = (flags & O_EXCL) !== 0 && volume.options.exclusive === 's3';
  const existing = await (isExclusive ? resolveNow : resolve)(volume, parent, name, ctx.signal);
  if (existing !== undefined) {
    if ((flags & O_EXCL) !== 0) throw new FsError(errno.EEXIST, name);
    const reply = await open(volume, ctx, existing.nodeid, flags, false);
    return { entry: entryReply(volume, existing), open: reply };
  }
  await mayBeMade(volume, parent, name, ctx.signal);
  const inode = makeFile(volume, ctx, parent, name, S_IFREG | (mode & ~umask & 0o7777));
  if (isExclusive) await makeInStore(volume, inode);
  return { entry: entryReply(volume, inode), open: openReply(volume, inode, flags) };
}

/** close(2): what was written through this descriptor is in the store when it answers. */
export async function flush(volume: Volume, fh: number): Promise<number> {
  const { inode, writable } = volume.handles.file(fh);
  if (!writable) return 0;
  return keepHere(volume, inode) ? takeFailure(inode) : bringToStore(volume, inode);
}

export async function fsync(volume: Volume, ctx: RequestContext, fh: number): Promise<number> {
  const { inode } = volume.handles.file(fh);
  const { writeBack } = volume;
  if (writeBack === undefined) return bringToStore(volume, inode);
  // A program that is killed does not wait; what it wrote goes to the store all the same.
  const onDisk = volume.options.fsync === 'disk' && keepHere(volume, inode);
  await untilAborted(onDisk ? writeBack.sync.run() : writeBack.flush(inode), ctx.signal);
  return takeFailure(inode);
}

/** The failure of an upload that nobody has been told yet. */
function takeFailure(inode: Inode): number {
  const failure = inode.uploadFailure;
  inode.uploadFailure = 0;
  return failure;
}

/**
 * With write-back the journal has what was written when this is true, and it outlives the daemon. Not so with ranges that
 * are copies of other objects, nor where the journal cannot be written: then the store has to have it.
 */
function keepHere(volume: Volume, inode: Inode): boolean {
  const { writeBack } = volume;
  if (writeBack === undefined) return false;
  if (!inode.dirty || inode.orphanKey !== undefined) return true;
  if (!canKeep(inode)) return false;
  if (inode.journalId !== undefined && inode.notedGeneration === (inode.staged?.generation ?? -1)) return true;
  try {
    writeBack.reserve();
  } catch {
    return false;
  }
  writeBack.note(inode);
  return !writeBack.journal.hasFailed;
}

async function bringToStore(volume: Volume, inode: Inode): Promise<number> {
  if (volume.writeBack !== undefined && inode.orphanKey === undefined) await volume.writeBack.flush(inode);
  else if (inode.dirty) await commit(volume, inode);
  return takeFailure(inode);
}

/** The last close of a handle. Nobody waits for it: a failure is kept for the next flush and shown by status. */
export async function release(volume: Volume, fh: number): Promise<number> {
  const handle = volume.handles.closeFile(fh);
  if (handle === undefined) return 0;
  const { inode } = handle;
  if (inode.handles > 0) return 0;
  if (inode.orphanKey !== undefined) await releaseOrphan(volume, inode);
  else if (inode.dirty && !keepHere(volume, inode)) {
    await commit(volume, inode).catch((error) => {
      inode.uploadFailure = toErrno(error, volume.logger, 'release');
    });
  }
  if (inode.handles === 0) {
    if (inode.staged === undefined) dropCached(volume, inode);
    volume.inodes.dropIfUnused(inode);
  }
  return 0;
}

/** A file that was removed while it was open: its bytes go with its last handle. */
async function releaseOrphan(volume: Volume, inode: Inode): Promise<void> {
  const { staged, orphanKey, orphanOf, version } = inode;
  inode.staged = undefined;
  inode.dirty = false;
  dropCached(volume, inode);
  await staged?.remove();
  volume.writeBack?.removals.schedule();
  if (!inode.deleteAtClose || orphanKey === undefined) return;
  const remove = async (): Promise<void> => {
    // The upload of a new file found it in its way meanwhile.
    if (!inode.deleteAtClose) return;
    inode.deleteAtClose = false;
    inode.deletion = volume.client.delete(orphanKey, { ifMatch: version?.etag });
    await inode.deletion;
  };
  // The name may belong to a new file by now, whose upload took the object's place, or will find it in its way.
  const successor = orphanOf?.directory?.overlay.get(inode.name)?.present;
  if (successor === undefined) await remove();
  else if (successor.version === undefined) {
    await successor.mutex.run(async () => {
      if (successor.version === undefined) await remove();
    });
  }
  confirmRemoval(volume, orphanOf, inode.name);
}

/** What was removed has left the store; so has its directory, if that was removed meanwhile and waited for nothing else. */
function confirmRemoval(volume: Volume, directory: Inode | undefined, name: string): void {
  const overlay = directory?.directory?.overlay;
  if (directory === undefined || overlay === undefined) return;
  const record = overlay.get(name);
  if (record !== undefined && record.present === undefined)
    overlay.confirm(name, record.sequence, volume.clock.monotonic());
  if (directory.orphanKey !== undefined && !overlay.hasUnconfirmed)
    confirmRemoval(volume, directory.orphanOf, directory.name);
  volume.inodes.dropIfUnused(directory);
}

export function clearSuidgid(inode: Inode, kill: boolean): void {
  if (!kill) return;
  const { mode } = inode.attributes;
  inode.attributes.mode = (mode & 0o010) !== 0 ? mode & ~0o6000 : mode & ~0o4000;
}

/**
 * Of fallocate and copy_file_range the kernel does not tell that setuid and setgid have to go, nor does it look whether they
 * went: they go with what anybody but root changes.
 */
export function clearUntold(volume: Volume, inode: Inode, { uid }: RequestContext): void {
  const { mode } = inode.attributes;
  clearSuidgid(inode, uid !== 0);
  if (inode.attributes.mode !== mode) volume.notifier?.invalInode(inode.nodeid, -1, 0);
}
