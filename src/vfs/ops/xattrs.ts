/**
 * Extended attributes. `user.*` lives in the object's metadata, in s3fs's form, within S3's 2 KB. `s3.*` is read-only and
 * tells what the store knows; it answers when asked by name and is not listed, so that `cp -a` does not trip on it.
 * `security.*` and `system.*` are EOPNOTSUPP, which keeps `ls -l` from asking for every entry.
 */
import { isComplete } from '../../cache/attribute-store.js';
import { MAX_METADATA_BYTES } from '../../constants.js';
import { errno } from '../../errno.js';
import type { RequestContext } from '../../fuse/operations.js';
import { encodeAttributes, metadataBytes } from '../attribute.js';
import { commit } from '../commit.js';
import { headIfPresent } from '../find-key.js';
import type { Inode } from '../inode.js';
import { saveRootAttributes, writeMarker } from '../marker.js';
import { FsError } from '../to-errno.js';
import { keyOf, type Volume } from '../volume.js';
import { makeCurrent, noteAttributes } from './attributes.js';

const XATTR_CREATE = 1;
const XATTR_REPLACE = 2;

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
  if (!name.startsWith('user.')) return -errno.EOPNOTSUPP;
  if (inode.info === undefined) await makeCurrent(volume, inode, ctx.signal);
  return inode.attributes.xattrs.get(name) ?? -errno.ENODATA;
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
  return [...inode.attributes.xattrs.keys()];
}

export async function setxattr(
  volume: Volume,
  ctx: RequestContext,
  nodeid: number,
  name: string,
  value: Uint8Array,
  flags: number,
): Promise<number> {
  if (!name.startsWith('user.')) return name.startsWith('s3.') ? -errno.EPERM : -errno.EOPNOTSUPP;
  return change(volume, ctx, nodeid, (xattrs) => {
    if ((flags & XATTR_CREATE) !== 0 && xattrs.has(name)) return -errno.EEXIST;
    if ((flags & XATTR_REPLACE) !== 0 && !xattrs.has(name)) return -errno.ENODATA;
    xattrs.set(name, Buffer.from(value));
    return 0;
  });
}

export async function removexattr(volume: Volume, ctx: RequestContext, nodeid: number, name: string): Promise<number> {
  if (!name.startsWith('user.')) return -errno.EOPNOTSUPP;
  return change(volume, ctx, nodeid, (xattrs) => (xattrs.delete(name) ? 0 : -errno.ENODATA));
}

async function change(
  volume: Volume,
  ctx: RequestContext,
  nodeid: number,
  edit: (xattrs: Map<string, Uint8Array>) => number,
): Promise<number> {
  const inode = volume.inodes.get(nodeid);
  if (volume.options.readOnly) throw new FsError(errno.EROFS, inode.path);
  if (inode.isBeginning || (inode === volume.inodes.root && volume.options.prefix === '')) return -errno.EOPNOTSUPP;
  if (inode.staged === undefined) await makeCurrent(volume, inode, ctx.signal);
  volume.writeBack?.reserve();
  const before = inode.attributes;
  const xattrs = new Map(before.xattrs);
  const refusal = edit(xattrs);
  if (refusal !== 0) return refusal;
  inode.attributes = { ...before, xattrs, ctime: volume.stamp() };
  if (metadataBytes(encodeAttributes(inode.attributes, inode.info?.metadata)) > MAX_METADATA_BYTES) {
    inode.attributes = before;
    return -errno.ENOSPC;
  }
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
