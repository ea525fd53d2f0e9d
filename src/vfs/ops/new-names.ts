/** What CREATE, MKNOD, SYMLINK, MKDIR and RENAME share: whether a name can be made in a directory, and what is made there. */
import { MAX_METADATA_BYTES } from '../../constants.js';
import { errno } from '../../errno.js';
import type { RequestContext } from '../../fuse/operations.js';
import { inherited } from '../acl.js';
import { encodeAttributes, metadataBytes, NO_XATTRS, S_IFDIR, S_IFMT } from '../attribute.js';
import { resolveForNew } from '../exclusive.js';
import type { Inode } from '../inode.js';
import { makeCurrent } from '../make-current.js';
import { nameIn } from '../name.js';
import { resolve, setName, type Waiter } from '../resolve.js';
import { stage } from '../staging.js';
import { FsError } from '../to-errno.js';
import { keyOfNew, partIn, properDirectory, type Volume } from '../volume.js';

/** The directory in which a name that does not exist yet is to be made. */
export async function parentForNew(
  volume: Volume,
  ctx: RequestContext,
  parentId: number,
  name: string,
): Promise<Inode> {
  const parent = volume.inodes.directory(parentId);
  if (volume.options.readOnly) throw new FsError(errno.EROFS, name);
  if ((await resolveForNew(volume, parent, name, ctx)) !== undefined) throw new FsError(errno.EEXIST, name);
  await mayBeMade(volume, parent, name, ctx);
  await knowDefaultAcl(volume, parent, ctx);
  return parent;
}

/** What a directory hands on to what is made in it stands in its marker. */
export async function knowDefaultAcl(volume: Volume, directory: Inode, waiter: Waiter): Promise<void> {
  if (volume.options.acl) await makeCurrent(volume, directory, waiter.signal);
}

/** What has the name of a component: it may fit in a name where the escape of the object does not. */
function directoryOf(
  volume: Volume,
  parent: Inode,
  component: string,
  waiter: Waiter,
): Inode | undefined | Promise<Inode | undefined> {
  const here = nameIn(parent.begun, component, false);
  if (here !== undefined) return resolve(volume, parent, here.name, waiter);
  const plain = nameIn('', component, false);
  return plain === undefined ? undefined : resolve(volume, properDirectory(parent), plain.name, waiter);
}

/** An object has the name of its own beside a directory only where that directory is. */
export async function mayBeMade(volume: Volume, parent: Inode, name: string, waiter: Waiter): Promise<void> {
  const part = partIn(parent, name);
  if (part?.kind !== 'object') return;
  const beside = part.text === '' ? undefined : await directoryOf(volume, parent, parent.begun + part.text, waiter);
  if (beside?.directory === undefined) throw new FsError(errno.EINVAL, `no directory has the name: ${name}`);
}

/** A new file that only this mount knows of: its bytes are staged, its name stands in the overlay. */
export function makeFile(volume: Volume, ctx: RequestContext, parent: Inode, name: string, asked: AskedMode): Inode {
  const key = keyOfNew(volume, parent, name, false);
  const attributes = newAttributes(volume, ctx, parent, asked);
  const inode = volume.inodes.add(parent, name, key, attributes, volume.clock.monotonic());
  stage(volume, inode, 0);
  setName(volume, parent, name, inode);
  return inode;
}

export interface AskedMode {
  /** Type and permissions that the program asks for. */
  readonly mode: number;
  /** What it does without, unless the directory has a default ACL. */
  readonly umask: number;
}

/**
 * Owner, group, mode and times of something made now. A directory with the setgid bit hands its group on, and one with a
 * default ACL that, in place of the umask. Throws ENOSPC where that is more than an object can carry.
 */
export function newAttributes(
  volume: Volume,
  ctx: RequestContext,
  parent: Inode,
  { mode, umask }: AskedMode,
): Inode['attributes'] {
  const now = volume.stamp();
  const inherits = (parent.attributes.mode & 0o2000) !== 0;
  const isDirectory = (mode & S_IFMT) === S_IFDIR;
  const byAcl = volume.options.acl ? inherited(parent.attributes, mode) : undefined;
  if (typeof byAcl === 'number') throw new FsError(-byAcl, parent.path);
  const own = byAcl ?? { mode: mode & ~umask, xattrs: NO_XATTRS };
  const attributes = {
    mode: inherits && isDirectory ? own.mode | 0o2000 : own.mode,
    uid: ctx.uid,
    gid: inherits ? parent.attributes.gid : ctx.gid,
    rdev: 0,
    mtime: now,
    ctime: now,
    atime: now,
    xattrs: own.xattrs,
  };
  if (own.xattrs.size > 0 && metadataBytes(encodeAttributes(attributes)) > MAX_METADATA_BYTES)
    throw new FsError(errno.ENOSPC, parent.path);
  return attributes;
}
