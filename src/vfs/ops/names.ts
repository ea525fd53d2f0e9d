/** UNLINK, SYMLINK, MKNOD: single names. Renames are in rename.ts, directories in directories.ts. */
import { errno } from '../../errno.js';
import type { EntryReply, RequestContext } from '../../fuse/operations.js';
import { S_IFBLK, S_IFCHR, S_IFIFO, S_IFLNK, S_IFMT, S_IFREG, S_IFSOCK } from '../attribute.js';
import { commit } from '../commit.js';
import { makeInStore } from '../exclusive.js';
import type { Inode } from '../inode.js';
import { deleteObjectOf, isMarkerContent, keepDirectory } from '../marker.js';
import { entryReply } from '../reply.js';
import { resolve, setName, setNameConfirmed } from '../resolve.js';
import { stage } from '../staging.js';
import { FsError } from '../to-errno.js';
import { changing } from '../tree-lock.js';
import { cachedOf, keyOf, type Volume } from '../volume.js';
import { unlinkHere } from '../write-back/local-names.js';
import { type AskedMode, makeFile, parentForNew } from './new-names.js';

export async function unlink(volume: Volume, ctx: RequestContext, parentId: number, name: string): Promise<number> {
  const parent = volume.inodes.directory(parentId);
  if (volume.options.readOnly) throw new FsError(errno.EROFS, name);
  const inode = await resolve(volume, parent, name, ctx);
  if (inode === undefined) return -errno.ENOENT;
  if (inode.directory !== undefined) return -errno.EISDIR;
  if (volume.writeBack !== undefined) {
    if (!isMarkerContent(inode)) return unlinkHere(volume, volume.writeBack, inode);
    await volume.writeBack.flush(inode);
  }
  return changing([parent], () => inode.mutex.run(() => leaving(inode, () => remove(volume, parent, inode))));
}

/** Runs what takes an inode's name away; nobody can open it meanwhile and find its bytes gone afterwards. */
export async function leaving<T>(inode: Inode, work: () => Promise<T>): Promise<T> {
  let done = (): void => undefined;
  inode.leaving = new Promise((resolve) => {
    done = resolve;
  });
  try {
    return await work();
  } finally {
    inode.leaving = undefined;
    done();
  }
}

/** Takes the name away and deletes the object, now or with the last close. */
async function remove(volume: Volume, parent: Inode, inode: Inode): Promise<number> {
  if (inode.parent !== parent) return -errno.ENOENT;
  const key = keyOf(volume, inode);
  if (inode.version === undefined) {
    // Never uploaded: no request.
    setNameConfirmed(volume, parent, inode.name, undefined);
  } else {
    await keepDirectory(volume, parent, inode.name, key);
    const sequence = setName(volume, parent, inode.name, undefined);
    if (isNeededByHandles(volume, inode) && !isMarkerContent(inode)) inode.deleteAtClose = true;
    else {
      try {
        await deleteObjectOf(volume, parent, inode, key);
      } catch (error) {
        parent.directory?.overlay.revert(inode.name, sequence);
        throw error;
      }
      parent.directory?.overlay.confirm(inode.name, sequence, volume.clock.monotonic());
    }
    volume.attributes.remove(key);
  }
  await orphan(volume, inode, key);
  volume.inodes.removed(inode, key);
  return 0;
}

/** Whether an open handle can still need bytes that only the store has. */
function isNeededByHandles(volume: Volume, inode: Inode): boolean {
  if (inode.handles === 0 || inode.staged?.isWhole) return false;
  return cachedOf(volume, inode)?.content.isComplete !== true;
}

/** An inode without a name: its unsaved bytes are for its handles only. */
export async function orphan(volume: Volume, inode: Inode, key: string): Promise<void> {
  inode.dirty = false;
  if (inode.handles === 0) {
    const { staged } = inode;
    inode.staged = undefined;
    await staged?.remove();
  }
  volume.inodes.detach(inode, key);
}

export async function symlink(
  volume: Volume,
  ctx: RequestContext,
  parentId: number,
  name: string,
  target: Uint8Array,
): Promise<EntryReply> {
  return makeSpecial(volume, ctx, parentId, name, { mode: S_IFLNK | 0o777, umask: 0, rdev: 0 }, target);
}

const devices: ReadonlySet<number> = new Set([S_IFCHR, S_IFBLK]);
const nodeTypes: ReadonlySet<number> = new Set([S_IFREG, S_IFIFO, S_IFSOCK, ...devices]);

/**
 * mknod(2): an empty object whose metadata says what it is. Only the kernel ever opens what is not a regular file, and
 * it lets only CAP_MKNOD make devices.
 * @param rdev as the kernel writes it (new_encode_dev), which is also how it stands in the metadata
 */
export async function mknod(
  volume: Volume,
  ctx: RequestContext,
  parentId: number,
  name: string,
  mode: number,
  rdev: number,
  umask: number,
): Promise<EntryReply> {
  const type = (mode & S_IFMT) === 0 ? S_IFREG : mode & S_IFMT;
  if (!nodeTypes.has(type)) throw new FsError(errno.EINVAL, name);
  const node = { mode: type | (mode & 0o7777), umask, rdev: devices.has(type) ? rdev : 0 };
  return makeSpecial(volume, ctx, parentId, name, node, new Uint8Array(0));
}

/** Something that is complete when it is made: it is in the store before the call answers. */
async function makeSpecial(
  volume: Volume,
  ctx: RequestContext,
  parentId: number,
  name: string,
  { mode, umask, rdev }: AskedMode & { readonly rdev: number },
  content: Uint8Array,
): Promise<EntryReply> {
  const parent = await parentForNew(volume, ctx, parentId, name);
  await volume.writeBack?.room();
  volume.writeBack?.reserve();
  const inode = makeFile(volume, ctx, parent, name, { mode, umask });
  inode.attributes.rdev = rdev;
  if (content.length > 0) await stage(volume, inode).write(0, content);
  if ((mode & S_IFMT) === S_IFLNK) inode.linkTarget = Buffer.from(content);
  if (volume.options.exclusive === 's3') {
    await makeInStore(volume, inode);
    return entryReply(volume, inode);
  }
  if (volume.writeBack !== undefined) {
    volume.writeBack.note(inode);
    volume.writeBack.mustBeNoted();
    return entryReply(volume, inode);
  }
  try {
    await commit(volume, inode);
  } catch (error) {
    setNameConfirmed(volume, parent, name, undefined);
    await orphan(volume, inode, keyOf(volume, inode));
    throw error;
  }
  return entryReply(volume, inode);
}
