/**
 * SETATTR: chmod, chown, utimens, truncate. Attributes live in the object's metadata: of a file that is being written
 * they go along with its upload, of any other they are written by a copy inside the store before the call answers.
 */
import { sameTime, type Timespec } from '../../clock.js';
import { MAX_OBJECT_BYTES } from '../../constants.js';
import { errno } from '../../errno.js';
import type { AttributeChange, AttrReply, RequestContext } from '../../fuse/operations.js';
import { xattrsAfterChmod } from '../acl.js';
import { S_IFMT } from '../attribute.js';
import { commit } from '../commit.js';
import type { Inode } from '../inode.js';
import { makeCurrent } from '../make-current.js';
import { saveRootAttributes, writeMarker } from '../marker.js';
import { attrReply } from '../reply.js';
import { stage } from '../staging.js';
import { FsError } from '../to-errno.js';
import type { Volume } from '../volume.js';
import type { WriteBack } from '../write-back/write-back.js';
import { clearSuidgid } from './files.js';

export async function setattr(
  volume: Volume,
  ctx: RequestContext,
  nodeid: number,
  change: AttributeChange,
): Promise<AttrReply> {
  const inode = volume.inodes.get(nodeid);
  if (volume.options.readOnly) throw new FsError(errno.EROFS, inode.path);
  // Nothing in the store could hold them.
  if (inode.isBeginning) throw new FsError(errno.EPERM, inode.path);
  if (change.size !== undefined) {
    if (inode.directory !== undefined) throw new FsError(errno.EISDIR, inode.path);
    if (change.size > MAX_OBJECT_BYTES) throw new FsError(errno.EFBIG, inode.path);
  }
  if (inode.staged === undefined) await makeCurrent(volume, inode, ctx.signal);
  volume.writeBack?.reserve();
  if (change.size !== undefined) stage(volume, inode, change.size);
  const before = inode.attributes;
  inode.attributes = changed(volume, before, change);
  clearSuidgid(inode, change.killSuidgid);
  try {
    await store(volume, inode, change, before);
  } catch (error) {
    if (inode.staged === undefined) {
      inode.attributes = before;
      inode.dirty = false;
    }
    throw error;
  }
  return attrReply(volume, inode);
}

function changed(volume: Volume, old: Inode['attributes'], change: AttributeChange): Inode['attributes'] {
  const now = volume.stamp();
  const time = (value: Timespec | 'now' | undefined, present: Timespec): Timespec =>
    value === 'now' ? now : (value ?? present);
  const mode = change.mode === undefined ? old.mode : (old.mode & S_IFMT) | (change.mode & 0o7777);
  return {
    ...old,
    mode,
    xattrs: change.mode === undefined ? old.xattrs : xattrsAfterChmod(old.xattrs, mode),
    uid: change.uid ?? old.uid,
    gid: change.gid ?? old.gid,
    atime: time(change.atime, old.atime),
    mtime: time(change.mtime, old.mtime),
    ctime: now,
  };
}

async function store(
  volume: Volume,
  inode: Inode,
  change: AttributeChange,
  before: Inode['attributes'],
): Promise<void> {
  if (inode.orphanKey !== undefined) return;
  // A new time of the last access or change alone is not worth a request: it goes along with the next one. tar sets
  // owner and mode of every directory once more as they are.
  if (change.size === undefined && !inode.dirty && isSame(before, inode.attributes)) return;
  if (inode === volume.inodes.root) return saveRootAttributes(volume);
  if (volume.writeBack !== undefined) return noteAttributes(volume.writeBack, inode);
  if (inode.directory !== undefined) return writeMarker(volume, inode);
  // Through a handle that writes, the upload at its close takes the attributes along.
  if (inode.staged !== undefined && (change.fh !== undefined || inode.writers > 0)) return;
  inode.dirty = true;
  await commit(volume, inode);
}

/** They go along with what is uploaded anyway; alone they are a copy of the object onto itself. */
export function noteAttributes(writeBack: WriteBack, inode: Inode): void {
  inode.dirty = true;
  if (inode.directory !== undefined) inode.directory.needsMarker = true;
  else inode.attributesChanged = true;
  // A file that was not closed yet is in the journal with its close.
  if (
    inode.version === undefined &&
    inode.directory === undefined &&
    inode.journalId === undefined &&
    inode.writers > 0
  )
    return;
  writeBack.note(inode);
  writeBack.mustBeNoted();
}

function isSame(a: Inode['attributes'], b: Inode['attributes']): boolean {
  return a.mode === b.mode && a.uid === b.uid && a.gid === b.gid && sameTime(a.mtime, b.mtime);
}
