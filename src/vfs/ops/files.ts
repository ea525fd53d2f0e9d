/**
 * OPEN, CREATE, FLUSH, RELEASE, FSYNC: the life of a file handle. Opening makes sure which version is opened
 * (revalidation.ts); closing a file that was written brings it to the store and answers with the outcome.
 */
import { errno } from '../../errno.js';
import type { CreateReply, OpenReply, RequestContext } from '../../fuse/operations.js';
import { S_IFREG } from '../attribute.js';
import { commit } from '../commit.js';
import { makeInStore } from '../exclusive.js';
import type { Inode } from '../inode.js';
import { entryReply } from '../reply.js';
import { resolve, resolveNow } from '../resolve.js';
import { needsRevalidation, revalidate, throwArchived } from '../revalidation.js';
import { landed, stage } from '../staging.js';
import { FsError, toErrno } from '../to-errno.js';
import { untilAborted } from '../until-aborted.js';
import { cachedOf, dropCached, type Volume } from '../volume.js';
import { canKeep } from '../write-back/record.js';
import { knowDefaultAcl, makeFile, mayBeMade } from './new-names.js';

const O_ACCMODE = 3;
const O_WRONLY = 1;
const O_APPEND = 0o2000;
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
  if (inode.backing !== undefined) await volume.passthrough.prepare(inode, flags);
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
  const passed = volume.passthrough.open(inode, flags);
  if (passed !== undefined) {
    inode.kernelPages = undefined;
    return { fh: volume.handles.openFile(inode, flags), ...passed };
  }
  const version = inode.version?.etag;
  const keepCache = inode.kernelPages !== undefined && inode.kernelPages === version;
  inode.kernelPages = version;
  const directIo = volume.mixesDirectIo && isDirect(inode, flags);
  return { fh: volume.handles.openFile(inode, flags, directIo), keepCache, directIo };
}

/**
 * Pages that nobody reads through this descriptor would be copied into the kernel and out again. Not where others read
 * what is appended (a log), nor beside those who have it open with pages: those would be told the new size before their
 * pages are dropped.
 */
function isDirect(inode: Inode, flags: number): boolean {
  if (inode.directWriters > 0) return true;
  return (flags & (O_ACCMODE | O_APPEND)) === O_WRONLY && inode.handles === 0;
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
  const existing = await (isExclusive ? resolveNow : resolve)(volume, parent, name, ctx);
  if (existing !== undefined) {
    if ((flags & O_EXCL) !== 0) throw new FsError(errno.EEXIST, name);
    const reply = await open(volume, ctx, existing.nodeid, flags, false);
    return { entry: entryReply(volume, existing), open: reply };
  }
  await mayBeMade(volume, parent, name, ctx);
  await knowDefaultAcl(volume, parent, ctx);
  const inode = makeFile(volume, ctx, parent, name, { mode: S_IFREG | (mode & 0o7777), umask });
  if (isExclusive) await makeInStore(volume, inode);
  return { entry: entryReply(volume, inode), open: openReply(volume, inode, flags) };
}

/** close(2): what was written through this descriptor is in the store when it answers. */
export async function flush(volume: Volume, fh: number): Promise<number> {
  const { inode, writable } = volume.handles.file(fh);
  if (!writable) return 0;
  await landed(inode);
  if (inode.backing !== undefined) await inode.backing.absorb();
  return keepHere(volume, inode) ? takeFailure(inode) : bringToStore(volume, inode);
}

export async function fsync(volume: Volume, ctx: RequestContext, fh: number): Promise<number> {
  const { inode } = volume.handles.file(fh);
  const { writeBack } = volume;
  await landed(inode);
  if (inode.backing !== undefined) await inode.backing.absorb();
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
  if (inode.handles === 0) await volume.passthrough.lastClosed(inode, () => letGo(volume, inode));
  return 0;
}

async function letGo(volume: Volume, inode: Inode): Promise<void> {
  const writing = inode.orphanKey === undefined ? inode.staged?.behind.answeredDone() : undefined;
  if (writing !== undefined) await writing;
  if (inode.orphanKey !== undefined) await releaseOrphan(volume, inode);
  else if (inode.dirty && !keepHere(volume, inode)) {
    await commit(volume, inode).catch((error) => {
      inode.uploadFailure = toErrno(error, volume.logger, 'release');
    });
  }
  if (inode.handles === 0) {
    if (inode.staged === undefined) dropCached(volume, inode);
    else inode.staged.rest();
    volume.inodes.dropIfUnused(inode);
  }
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
