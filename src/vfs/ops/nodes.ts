/** LOOKUP, FORGET, GETATTR, READLINK, STATFS, ACCESS: what is asked of a node without opening it. */
import { errno } from '../../errno.js';
import type { AttrReply, EntryReply, RequestContext, StatfsReply } from '../../fuse/operations.js';
import { headIfPresent } from '../find-key.js';
import type { Inode } from '../inode.js';
import { attrReply, entryReply, negativeEntry } from '../reply.js';
import { forgetName, resolve } from '../resolve.js';
import { touchAccess } from '../staging.js';
import { FsError } from '../to-errno.js';
import { adoptFile } from '../versions.js';
import { ageOf, isFresh, keyOf, type Volume } from '../volume.js';

/** Longest target of a symbolic link (bytes); Linux's PATH_MAX. */
const MAX_LINK_BYTES = 4096;

export function lookup(
  volume: Volume,
  ctx: RequestContext,
  parentId: number,
  name: string,
): EntryReply | Promise<EntryReply> {
  const parent = volume.inodes.directory(parentId);
  const found = resolve(volume, parent, name, ctx);
  const reply = (inode: Inode | undefined): EntryReply =>
    inode === undefined ? negativeEntry(absenceTtl(volume, parent, name)) : entryReply(volume, inode);
  return found instanceof Promise ? found.then(reply) : reply(found);
}

/** Absence was asked some time ago; the kernel may rely on it for what is left of its time. */
function absenceTtl(volume: Volume, parent: Inode, name: string): number {
  const askedAt = parent.directory?.absent.get(name);
  return Math.max(0, volume.options.negativeTtlMs - (askedAt === undefined ? 0 : ageOf(volume, askedAt)));
}

export function getattr(volume: Volume, ctx: RequestContext, nodeid: number): AttrReply | Promise<AttrReply> {
  const inode = volume.inodes.get(nodeid);
  // Another inode has its name by now: the kernel is to look that up.
  if (inode.orphanKey !== undefined && inode.directory === undefined && inode.handles === 0)
    throw new FsError(errno.ESTALE, inode.path);
  // What is open or unsaved shows what it is here; a directory's attributes live as long as its name.
  if (
    inode.directory !== undefined ||
    inode.handles > 0 ||
    inode.dirty ||
    inode.parent === undefined ||
    isFresh(volume, inode)
  ) {
    return attrReply(volume, inode);
  }
  return revalidate(volume, inode, ctx.signal).then(() => attrReply(volume, inode));
}

/** Asks the store about a file whose attributes are too old. ESTALE makes the kernel look its name up again. */
async function revalidate(volume: Volume, inode: Inode, signal: AbortSignal): Promise<void> {
  const { parent, name } = inode;
  const askedAt = volume.clock.monotonic();
  const key = keyOf(volume, inode);
  const info = await headIfPresent(volume, key, signal);
  if (parent === undefined || inode.parent !== parent || inode.name !== name || inode.dirty) return;
  // Its object was moved meanwhile.
  if (keyOf(volume, inode) !== key) return revalidate(volume, inode, signal);
  if (info === undefined) {
    forgetName(volume, parent, name);
    throw new FsError(errno.ESTALE, name);
  }
  if (adoptFile(volume, parent, name, info, info, askedAt) !== inode) throw new FsError(errno.ESTALE, name);
}

export async function readlink(volume: Volume, ctx: RequestContext, nodeid: number): Promise<Uint8Array> {
  const inode = volume.inodes.get(nodeid);
  if (!inode.isSymlink) throw new FsError(errno.EINVAL, inode.path);
  touchAccess(volume, inode);
  if (inode.linkTarget !== undefined) return inode.linkTarget;
  inode.linkTarget = await readTarget(volume, inode, ctx.signal);
  return inode.linkTarget;
}

async function readTarget(volume: Volume, inode: Inode, signal: AbortSignal): Promise<Uint8Array> {
  if (inode.size === 0 || inode.size > MAX_LINK_BYTES) throw new FsError(errno.EIO, `${inode.path}: no link target`);
  const pieces: Uint8Array[] = [];
  await volume.client.get(keyOf(volume, inode), {
    ifMatch: inode.version?.etag,
    signal,
    onData: (piece) => pieces.push(Buffer.from(piece)),
  });
  return Buffer.concat(pieces);
}

/** A bucket has no size: large numbers that `df` and installers can live with. */
export function statfs(): StatfsReply {
  const blocks = 2 ** 38;
  return {
    blockSize: 4096,
    blocks,
    blocksFree: blocks,
    blocksAvailable: blocks,
    files: 2 ** 40,
    filesFree: 2 ** 40,
    nameMax: 255,
  };
}
