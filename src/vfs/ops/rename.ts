/**
 * RENAME: a copy inside the store and a delete, for a directory of every key below it. Nothing is deleted before its copy
 * is confirmed, so that a crash leaves some keys twice and none lost. A file that was never uploaded only changes where
 * it will go.
 */
import { crashPoint } from '../../crash-point.js';
import { errno } from '../../errno.js';
import type { RequestContext } from '../../fuse/operations.js';
import type { WriteCondition, WriteReply } from '../../s3/object-client.js';
import { isS3Error } from '../../s3/s3-error.js';
import { commitLocked } from '../commit.js';
import { followCopies } from '../copied-content.js';
import { askAnew, renameInStore } from '../exclusive.js';
import { headIfPresent } from '../find-key.js';
import type { Inode } from '../inode.js';
import { copyTo } from '../inode-copy.js';
import { noteWritten, restamp, type SentAttributes, writeAttributes } from '../inode-upload.js';
import { deleteFolderMarker, isMarkerContent, keepDirectory, writeMarker } from '../marker.js';
import { keyFits } from '../name.js';
import { resolve, resolveNow, revealObject, setName, setNameConfirmed } from '../resolve.js';
import { carriesChangeTime, touchStatus } from '../staging.js';
import { FsError } from '../to-errno.js';
import { copyBelow, deleteAll, restampBelow } from '../tree-copy.js';
import { changing, frozen } from '../tree-lock.js';
import { cachedOf, keyOf, keyOfName, keyOfNew, prefixOf, type Volume } from '../volume.js';
import { exchangeHere } from '../write-back/exchange.js';
import { renameDirectoryHere } from '../write-back/local-directories.js';
import { renameHere } from '../write-back/local-names.js';
import { isEmpty, removeEmpty } from './directories.js';
import { leaving, orphan } from './names.js';
import { mayBeMade } from './new-names.js';

const RENAME_NOREPLACE = 1;
const RENAME_EXCHANGE = 2;

interface Move {
  readonly inode: Inode;
  readonly from: Inode;
  readonly to: Inode;
  readonly name: string;
  readonly target: Inode | undefined;
  /** What stands under the new name must stay. */
  readonly noReplace: boolean;
}

export async function rename(
  volume: Volume,
  ctx: RequestContext,
  parentId: number,
  name: string,
  newParentId: number,
  newName: string,
  flags: number,
): Promise<number> {
  if (volume.options.readOnly) throw new FsError(errno.EROFS, name);
  const known = volume.writeBack === undefined ? RENAME_NOREPLACE : RENAME_NOREPLACE | RENAME_EXCHANGE;
  if ((flags & ~known) !== 0) return -errno.EINVAL;
  const from = volume.inodes.directory(parentId);
  const to = volume.inodes.directory(newParentId);
  const inode = await resolve(volume, from, name, ctx);
  if (inode === undefined) return -errno.ENOENT;
  keyOfNew(volume, to, newName, inode.directory !== undefined);
  if (inode.isBeginning) return -errno.EPERM;
  const isExclusive = (flags & RENAME_NOREPLACE) !== 0 && volume.options.exclusive === 's3';
  const target = await (isExclusive ? resolveNow : resolve)(volume, to, newName, ctx);
  if (target === inode) return 0;
  if (target === undefined) await mayBeMade(volume, to, newName, ctx);
  if (target !== undefined && (flags & RENAME_NOREPLACE) !== 0) return -errno.EEXIST;
  if (volume.writeBack !== undefined && (flags & RENAME_EXCHANGE) !== 0)
    return target === undefined ? -errno.ENOENT : exchangeHere(volume, volume.writeBack, inode, target);
  const refusal = refuse(inode, target);
  if (refusal !== 0) return refusal;
  const { writeBack } = volume;
  if (writeBack !== undefined) {
    if (inode.directory !== undefined)
      return renameDirectoryHere(volume, writeBack, { inode, to, name: newName, target });
    const special = [inode, target].filter((one) => one !== undefined && isMarkerContent(one));
    if (special.length === 0 && isExclusive) return renameInStore(volume, writeBack, { inode, to, name: newName });
    if (special.length === 0) return renameHere(volume, writeBack, { inode, to, name: newName, target });
    for (const one of [inode, target]) if (one !== undefined) await writeBack.flush(one);
  }
  const noReplace = (flags & RENAME_NOREPLACE) !== 0 && !isOurLeftover(to, newName);
  const move: Move = { inode, from, to, name: newName, target, noReplace };
  return changing([from, to], () =>
    inode.directory === undefined ? renameFile(volume, move) : renameDirectory(volume, move),
  );
}

/** The object of a file that this mount removed while it was open: it has no name any more. */
function isOurLeftover(directory: Inode, name: string): boolean {
  const record = directory.directory?.overlay.get(name);
  return record !== undefined && record.present === undefined && record.confirmedAt === undefined;
}

/** Asked anew: what is known may be a minute old, and a directory is copied key by key, without a condition. */
async function standsInStore(volume: Volume, key: string): Promise<boolean> {
  if ((await headIfPresent(volume, key)) !== undefined) return true;
  if (!keyFits(`${key}/`) || !volume.options.canList) return false;
  const { objects, prefixes } = await volume.client.list({ prefix: `${key}/`, maxKeys: 1 });
  return objects.length + prefixes.length > 0;
}

function refuse(inode: Inode, target: Inode | undefined): number {
  if (target === undefined) return 0;
  if (inode.directory !== undefined && target.directory === undefined) return -errno.ENOTDIR;
  if (inode.directory === undefined && target.directory !== undefined) return -errno.EISDIR;
  return 0;
}

async function renameFile(volume: Volume, move: Move): Promise<number> {
  const { inode, to, name } = move;
  const key = keyOfNew(volume, to, name, false);
  const { target } = move;
  if (target === undefined) return inode.mutex.run(() => moveFile(volume, move, key));
  // An upload of what is replaced ends before, or finds that it has no name any more. Always in one order: two renames
  // across each other must not wait for each other.
  const [first, second] = inode.nodeid < target.nodeid ? [inode, target] : [target, inode];
  return first.mutex.run(() => second.mutex.run(() => leaving(target, () => moveFile(volume, move, key))));
}

async function moveFile(volume: Volume, move: Move, key: string): Promise<number> {
  const { inode, from, target } = move;
  if (inode.version === undefined) return moveUnsaved(volume, move);
  if (inode.dirty) await commitLocked(volume, inode);
  if (target !== undefined) await keepForHandles(volume, target);
  const oldKey = keyOf(volume, inode);
  const oldName = inode.name;
  const isContent = isMarkerContent(inode);
  const before = inode.attributes;
  touchStatus(volume, inode);
  const { attributes, reply } = await copyFile(volume, move, oldKey, key).catch((error) => {
    inode.attributes = before;
    throw error;
  });
  crashPoint('copy-done');
  await keepDirectory(volume, from, oldName, oldKey);
  const { version } = inode;
  volume.cache.store.aliasVersion({ key: oldKey, etag: version.etag }, { key, etag: reply.etag }, version.size);
  // Readers of its open handles go to the new key before the old one goes.
  await takeName(volume, move);
  if (attributes === undefined) restamp(volume, inode, key, reply);
  else noteWritten(volume, inode, key, attributes, reply, version.size);
  followCopies(inode, reply.etag);
  const sequence = setName(volume, from, oldName, undefined);
  try {
    if (isContent) await writeMarker(volume, from);
    else await volume.client.delete(oldKey);
    crashPoint('old-key-deleted');
  } catch (error) {
    from.directory?.overlay.revert(oldName, sequence);
    throw error;
  }
  from.directory?.overlay.confirm(oldName, sequence, volume.clock.monotonic());
  volume.attributes.remove(oldKey);
  return 0;
}

/** Only this mount knows the file: its upload will go to the new name, over what stands there. */
async function moveUnsaved(volume: Volume, move: Move): Promise<number> {
  const { inode, target } = move;
  touchStatus(volume, inode);
  if (target !== undefined) {
    await keepForHandles(volume, target);
    inode.version = target.version;
    inode.info = target.info;
  }
  await takeName(volume, move);
  return 0;
}

/** Open handles of a file that is about to be replaced go on reading it: what is not cached of it is fetched before. */
async function keepForHandles(volume: Volume, target: Inode): Promise<void> {
  if (target.handles === 0 || target.staged?.isWhole || target.version === undefined) return;
  const file = cachedOf(volume, target);
  if (file !== undefined && !file.content.isComplete) await volume.cache.complete(file);
}

/** The inode gets its new name here; what had it before has none any more. */
async function takeName(volume: Volume, move: Move): Promise<void> {
  const { inode, from, to, name, target } = move;
  const oldName = inode.name;
  if (target !== undefined) await orphan(volume, target, keyOf(volume, target));
  // A look-up that came between the copy and this has an inode of its own for the copy.
  const other = to.directory?.children.get(name);
  if (other !== undefined && other !== inode) volume.inodes.detach(other, keyOf(volume, other));
  volume.inodes.move(inode, to, name, { from: keyOf(volume, inode), to: keyOfName(volume, to, name, false) });
  setNameConfirmed(volume, from, oldName, undefined);
  setNameConfirmed(volume, to, name, inode);
}

interface Copy {
  /** What it has of its own; undefined: what its source had. */
  readonly attributes: SentAttributes | undefined;
  readonly reply: WriteReply;
}

/** Copies over whatever stands under the new name: who renames wants it replaced, whoever wrote it. */
async function copyFile(volume: Volume, move: Move, oldKey: string, key: string): Promise<Copy> {
  const { inode, target } = move;
  const withTime = carriesChangeTime(inode) && !isMarkerContent(inode);
  const attributes = withTime ? await writeAttributes(volume, inode) : undefined;
  let etag = target?.version?.etag;
  for (let attempt = 0; ; attempt++) {
    const condition: WriteCondition = etag === undefined ? { ifAbsent: true } : { ifMatch: etag };
    try {
      return { attributes, reply: await copyTo(volume, inode, { from: oldKey, to: key, condition, attributes }) };
    } catch (error) {
      if (
        attempt > 2 ||
        !(
          isS3Error(error, 'PreconditionFailed') ||
          isS3Error(error, 'ConditionalConflict') ||
          isS3Error(error, 'NotFound')
        )
      )
        throw error;
      const source = await headIfPresent(volume, oldKey);
      if (source === undefined) throw new FsError(errno.ENOENT, oldKey);
      if (source.etag !== inode.version?.etag) throw new FsError(errno.ESTALE, oldKey);
      etag = (await headIfPresent(volume, key))?.etag;
      if (etag === undefined || !move.noReplace) continue;
      askAnew(volume, move.to, move.name);
      throw new FsError(errno.EEXIST, key);
    }
  }
}

async function renameDirectory(volume: Volume, move: Move): Promise<number> {
  const { inode, to, from, name, target } = move;
  const oldPrefix = prefixOf(volume, inode);
  const newPrefix = keyOfNew(volume, to, name, true);
  if (newPrefix.startsWith(oldPrefix)) return -errno.EINVAL;
  if (move.noReplace && (await standsInStore(volume, newPrefix.slice(0, -1)))) return -errno.EEXIST;
  if (target !== undefined) {
    if (!(await isEmpty(volume, target))) return -errno.ENOTEMPTY;
    await removeEmpty(volume, to, target);
  }
  return frozen(inode, async () => {
    const oldName = inode.name;
    const copied = await copyBelow(volume, oldPrefix, newPrefix);
    crashPoint('directory-copied');
    await keepDirectory(volume, from, oldName, oldPrefix);
    const { text } = inode.part;
    volume.inodes.move(inode, to, name, { from: oldPrefix, to: newPrefix });
    touchStatus(volume, inode);
    // Only a folder marker beside it said that it exists, and that goes.
    if (copied.size === 0) await writeMarker(volume, inode);
    await deleteFolderMarker(volume, from, inode, text);
    if (inode.directory !== undefined) inode.directory.folderMarker = false;
    restampBelow(volume, inode, { from: oldPrefix, to: newPrefix, copied });
    setNameConfirmed(volume, to, name, inode);
    await deleteAll(
      volume,
      [...copied.values()].map((copy) => copy.oldKey),
    );
    crashPoint('directory-moved');
    setNameConfirmed(volume, from, oldName, undefined);
    revealObject(volume, from, oldName, inode);
    if (inode.directory !== undefined) inode.directory.shadows = false;
    return 0;
  });
}
