/**
 * Extended attributes. `user.*` lives in the object's metadata, in s3fs's form, within S3's 2 KB. `s3.*` is read-only and
 * tells what the store knows; it answers when asked by name and is not listed, so that `cp -a` does not trip on it.
 * `system.posix_acl_*` lives beside `user.*` and answers with `--acl`; the kernel checks permissions by what it answers.
 * Everything else, and without `--acl` that too, is EOPNOTSUPP, which keeps `ls -l` from asking for every entry.
 */
import { isComplete } from '../../cache/attribute-store.js';
import { MAX_METADATA_BYTES } from '../../constants.js';
import { errno } from '../../errno.js';
import type { RequestContext } from '../../fuse/operations.js';
import { ACL_ACCESS, isAclName, shownAcl, withAcl } from '../acl.js';
import { encodeAttributes, metadataBytes } from '../attribute.js';
import { commit } from '../commit.js';
import { headIfPresent } from '../find-key.js';
import type { Inode, InodeAttributes } from '../inode.js';
import { makeCurrent } from '../make-current.js';
import { saveRootAttributes, writeMarker } from '../marker.js';
import { FsError } from '../to-errno.js';
import { keyOf, type Volume } from '../volume.js';
import { noteAttributes } from './attributes.js';

const XATTR_CREATE = 1;
const XATTR_REPLACE = 2;
const S_ISGID = 0o2000;
const nothing = new Uint8Array(0);

/** The server's part of what is needed here beyond ObjectClient: presigned addresses, where the client can make them. */
export interface Presigner {
  presign(key: string, seconds: number): Promise<string>;
}

export async function getxattr(
  volume: Volume,
  ctx: RequestContext,
  nodeid: number,
  name: string,
): Promise<Uint8Array | number> {
  const inode = volume.inodes.get(nodeid);
  if (name.startsWith('s3.')) return storeAttribute(volume, inode, name.slice(3), ctx.signal);
  if (!isKept(volume, name)) return -errno.EOPNOTSUPP;
  if (inode.info === undefined) await makeCurrent(volume, inode, ctx.signal);
  if (!isAclName(name)) return inode.attributes.xattrs.get(name) ?? -errno.ENODATA;
  const acl = shownAcl(inode.attributes, name);
  // Whoever is not the owner is then let in nowhere.
  if (acl === 'damaged') {
    volume.logger.warn(
      { path: inode.path, name },
      `the object carries an ACL that is none: setfattr -x ${name} removes it`,
    );
    return -errno.EIO;
  }
  return acl ?? -errno.ENODATA;
}

/** Whether an attribute of this name lives in the object's metadata, and answers. */
function isKept(volume: Volume, name: string): boolean {
  return name.startsWith('user.') || (volume.options.acl && isAclName(name));
}

async function storeAttribute(
  volume: Volume,
  inode: Inode,
  name: string,
  signal: AbortSignal,
): Promise<Uint8Array | number> {
  const key = keyOf(volume, inode);
  if (name === 'url') {
    const presigner = volume.client as Partial<Presigner>;
    if (inode.directory !== undefined || presigner.presign === undefined) return -errno.ENODATA;
    return Buffer.from(await presigner.presign(key, 3600));
  }
  if (name === 'key') return Buffer.from(key);
  const asked = isComplete(inode.info) || key === '';
  const info = asked ? inode.info : await headIfPresent(volume, key, signal);
  if (info === undefined) return -errno.ENODATA;
  const fixed: Readonly<Record<string, string | undefined>> = {
    etag: info.etag,
    'storage-class': info.headers.storageClass ?? 'STANDARD',
    'version-id': info.versionId,
    'content-type': info.headers.contentType,
  };
  const value = name.startsWith('meta.') ? info.metadata[name.slice(5)] : fixed[name];
  return value === undefined ? -errno.ENODATA : Buffer.from(value);
}

export async function listxattr(volume: Volume, ctx: RequestContext, nodeid: number): Promise<string[]> {
  const inode = volume.inodes.get(nodeid);
  // Where a sample showed no metadata in this directory, none is assumed here either: `ls -l` asks every entry.
  const assumed = volume.options.attributes !== 'full' && inode.handles === 0;
  if (inode.info === undefined && !assumed && !inode.dirty) await makeCurrent(volume, inode, ctx.signal);
  return [...inode.attributes.xattrs.keys()].filter((name) => isKept(volume, name));
}

/** killSgid: of whoever sets an ACL and is not in the group; undefined: an old kernel did not say. */
export async function setxattr(
  volume: Volume,
  ctx: RequestContext,
  nodeid: number,
  name: string,
  value: Uint8Array,
  flags: number,
  killSgid?: boolean,
): Promise<number> {
  if (!isKept(volume, name)) return name.startsWith('s3.') ? -errno.EPERM : -errno.EOPNOTSUPP;
  return change(volume, ctx, nodeid, name, (before) => {
    if (isAclName(name)) {
      const kill = killSgid ?? (ctx.uid !== 0 && ctx.gid !== before.gid);
      const mode = kill && name === ACL_ACCESS ? before.mode & ~S_ISGID : before.mode;
      return withAcl({ ...before, mode }, name, value);
    }
    const { xattrs } = before;
    if ((flags & XATTR_CREATE) !== 0 && xattrs.has(name)) return -errno.EEXIST;
    if ((flags & XATTR_REPLACE) !== 0 && !xattrs.has(name)) return -errno.ENODATA;
    return { ...before, xattrs: new Map(xattrs).set(name, Buffer.from(value)) };
  });
}

export async function removexattr(volume: Volume, ctx: RequestContext, nodeid: number, name: string): Promise<number> {
  if (!isKept(volume, name)) return -errno.EOPNOTSUPP;
  return change(volume, ctx, nodeid, name, (before) => {
    if (isAclName(name)) return withAcl(before, name, nothing);
    const xattrs = new Map(before.xattrs);
    return xattrs.delete(name) ? { ...before, xattrs } : -errno.ENODATA;
  });
}

/** Lays a change over what is known of an inode; the edit answers the same attributes where there is nothing to change. */
async function change(
  volume: Volume,
  ctx: RequestContext,
  nodeid: number,
  name: string,
  edit: (attributes: InodeAttributes) => InodeAttributes | number,
): Promise<number> {
  const inode = volume.inodes.get(nodeid);
  if (volume.options.readOnly) throw new FsError(errno.EROFS, inode.path);
  const isRootOfBucket = inode === volume.inodes.root && volume.options.prefix === '';
  if (inode.isBeginning || (isRootOfBucket && !isAclName(name))) return -errno.EOPNOTSUPP;
  if (inode.staged === undefined) await makeCurrent(volume, inode, ctx.signal);
  volume.writeBack?.reserve();
  const before = inode.attributes;
  const edited = edit(before);
  if (typeof edited === 'number') return edited;
  if (edited === before) return 0;
  const after = { ...edited, ctime: volume.stamp() };
  if (metadataBytes(encodeAttributes(after, inode.info?.metadata)) > MAX_METADATA_BYTES) return -errno.ENOSPC;
  inode.attributes = after;
  try {
    await store(volume, inode);
  } catch (error) {
    if (inode.staged === undefined) {
      inode.attributes = before;
      inode.dirty = false;
    }
    throw error;
  }
  return 0;
}

async function store(volume: Volume, inode: Inode): Promise<void> {
  if (inode.orphanKey !== undefined) return;
  if (inode === volume.inodes.root) return saveRootAttributes(volume);
  if (volume.writeBack !== undefined) return noteAttributes(volume.writeBack, inode);
  if (inode.directory !== undefined) return writeMarker(volume, inode);
  inode.dirty = true;
  if (inode.staged === undefined || inode.writers === 0) await commit(volume, inode);
}
