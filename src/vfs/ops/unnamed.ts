/**
 * TMPFILE and LINK. A file made with O_TMPFILE is staged and is never uploaded, unless linkat(2) gives it a name: that is
 * the one link there can be, because one object is one file.
 */
import { errno } from '../../errno.js';
import type { CreateReply, EntryReply, RequestContext } from '../../fuse/operations.js';
import { isS3Error } from '../../s3/s3-error.js';
import { S_IFREG } from '../attribute.js';
import { commitLocked } from '../commit.js';
import { entryReply } from '../reply.js';
import { setName } from '../resolve.js';
import { stage, touchStatus } from '../staging.js';
import { FsError } from '../to-errno.js';
import { changing } from '../tree-lock.js';
import { keyOfNew, type Volume } from '../volume.js';
import { openReply } from './files.js';
import { knowDefaultAcl, newAttributes, parentForNew } from './new-names.js';

export async function tmpfile(
  volume: Volume,
  ctx: RequestContext,
  parentId: number,
  mode: number,
  umask: number,
  flags: number,
): Promise<CreateReply> {
  if (volume.options.readOnly) throw new FsError(errno.EROFS, 'O_TMPFILE');
  const parent = volume.inodes.directory(parentId);
  await knowDefaultAcl(volume, parent, ctx);
  const attributes = newAttributes(volume, ctx, parent, { mode: S_IFREG | (mode & 0o7777), umask });
  const inode = volume.inodes.addUnnamed(attributes, volume.clock.monotonic());
  stage(volume, inode, 0);
  return { entry: entryReply(volume, inode), open: openReply(volume, inode, flags) };
}

/** The first name of a file without one; the store has it when this answers. Any other link is refused. */
export async function link(
  volume: Volume,
  ctx: RequestContext,
  nodeid: number,
  parentId: number,
  name: string,
): Promise<EntryReply> {
  const inode = volume.inodes.get(nodeid);
  if (inode.unnamedOrigin === undefined) throw new FsError(errno.EPERM, inode.path);
  const parent = await parentForNew(volume, ctx, parentId, name);
  return changing([parent], async () => {
    if (inode.unnamedOrigin === undefined) throw new FsError(errno.EPERM, inode.path);
    const key = keyOfNew(volume, parent, name, false);
    const origin = inode.unnamedOrigin;
    volume.inodes.name(inode, parent, name, key);
    const sequence = setName(volume, parent, name, inode);
    touchStatus(volume, inode);
    inode.dirty = true;
    inode.mustBeNew = true;
    try {
      await inode.mutex.run(() => commitLocked(volume, inode));
    } catch (error) {
      volume.writeBack?.forget(inode);
      volume.writeBack?.done();
      parent.directory?.overlay.revert(name, sequence);
      volume.inodes.unname(inode, key, origin);
      throw isS3Error(error, 'PreconditionFailed') ? new FsError(errno.EEXIST, name) : error;
    } finally {
      inode.mustBeNew = false;
    }
    return entryReply(volume, inode);
  });
}
