/**
 * RENAME: a copy inside the store and a delete, for a directory of every key below it. Nothing is deleted before its copy
 * is confirmed, so that a crash leaves some keys twice and none lost. A file that was never uploaded only changes where
 * it will go.
 */
import { LIST_PAGE_KEYS, MAX_COPY_BYTES, PARALLEL_COPIES } from '../../constants.js';
import { crashPoint } from '../../crash-point.js';
import { errno } from '../../errno.js';
import type { RequestContext } from '../../fuse/operations.js';
import type { ListedObject, WriteCondition, WriteReply } from '../../s3/object-client.js';
import { isS3Error } from '../../s3/s3-error.js';
import { commitLocked, copyLarge, ensureInfo } from '../commit.js';
import { followCopies } from '../copied-content.js';
import { keptEncryption } from '../encryption.js';
import { headIfPresent } from '../find-key.js';
import { forEach } from '../hydrate.js';
import type { Inode } from '../inode.js';
import { deleteFolderMarker, isMarkerContent, keepDirectory, writeMarker } from '../marker.js';
import { keyFits } from '../name.js';
import { resolve, revealObject, setName, setNameConfirmed } from '../resolve.js';
import { FsError } from '../to-errno.js';
import { changing, frozen } from '../tree-lock.js';
import { cachedOf, keyOf, keyOfName, keyOfNew, prefixOf, type Volume } from '../volume.js';
import { isEmpty, removeEmpty } from './directories.js';
import { leaving, orphan } from './names.js';
import { mayBeMade } from './new-names.js';

const RENAME_NOREPLACE = 1;

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
  if ((flags & ~RENAME_NOREPLACE) !== 0) return -errno.EINVAL;
  const from = volume.inodes.directory(parentId);
  const to = volume.inodes.directory(newParentId);
  const inode = await resolve(volume, from, name, ctx.signal);
  if (inode === undefined) return -errno.ENOENT;
  keyOfNew(volume, to, newName, inode.directory !== undefined);
  if (inode.isBeginning) return -errno.EPERM;
  const target = await resolve(volume, to, newName, ctx.signal);
  if (target === inode) return 0;
  if (target === undefined) await mayBeMade(volume, to, newName, ctx.signal);
  if (target !== undefined && (flags & RENAME_NOREPLACE) !== 0) return -errno.EEXIST;
  const refusal = refuse(inode, target);
  if (refusal !== 0) return refusal;
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
  const reply = await copyFile(volume, move, oldKey, key);
  crashPoint('copy-done');
  await keepDirectory(volume, from, oldName, oldKey);
  const { version } = inode;
  volume.cache.store.aliasVersion({ key: oldKey, etag: version.etag }, { key, etag: reply.etag }, version.size);
  // Readers of its open handles go to the new key before the old one goes.
  await takeName(volume, move);
  restamp(volume, inode, key, reply);
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

/** The same file under another key: what was known of it is known of the copy. */
function restamp(volume: Volume, inode: Inode, key: string, reply: WriteReply): void {
  const { version, info } = inode;
  if (version === undefined) return;
  if (inode.kernelPages === version.etag) inode.kernelPages = reply.etag;
  inode.version = { ...version, etag: reply.etag, lastModified: reply.date };
  followCopies(inode, reply.etag);
  inode.checkedAt = volume.clock.monotonic();
  if (info === undefined) return;
  inode.info = { ...info, etag: reply.etag, lastModified: reply.date, date: reply.date, versionId: reply.versionId };
  volume.attributes.putWritten(key, inode.info);
}

/** Copies over whatever stands under the new name: who renames wants it replaced, whoever wrote it. */
async function copyFile(volume: Volume, move: Move, oldKey: string, key: string): Promise<WriteReply> {
  const { inode, target } = move;
  let etag = target?.version?.etag;
  for (let attempt = 0; ; attempt++) {
    const condition: WriteCondition = etag === undefined ? { ifAbsent: true } : { ifMatch: etag };
    try {
      return await copyTo(volume, inode, oldKey, key, condition);
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
      if (etag !== undefined && move.noReplace) throw new FsError(errno.EEXIST, key);
    }
  }
}

async function copyTo(
  volume: Volume,
  inode: Inode,
  oldKey: string,
  key: string,
  condition: WriteCondition,
): Promise<WriteReply> {
  const { version } = inode;
  if (version === undefined) throw new FsError(errno.ESTALE, oldKey);
  const { etag, size } = version;
  // A LIST tells it with the version, a HEAD among the headers.
  const storageClass = inode.info?.headers.storageClass ?? version.storageClass;
  const plain = (storageClass ?? 'STANDARD') === 'STANDARD' && inode.info?.headers.websiteRedirect === undefined;
  if (plain && size <= MAX_COPY_BYTES) {
    const encryption = keptEncryption(inode.info);
    return volume.client.copy(oldKey, key, { ...condition, sourceIfMatch: etag, encryption });
  }
  const info = await ensureInfo(volume, inode);
  const headers = { ...info?.headers, storageClass };
  const attributes = {
    headers,
    metadata: info?.metadata ?? {},
    tags: info && info.tagCount > 0 ? await volume.client.getTags(oldKey) : undefined,
    encryption: keptEncryption(info),
  };
  if (size > MAX_COPY_BYTES) return copyLarge(volume, { key: oldKey, etag, size }, key, condition, attributes);
  return volume.client.copy(oldKey, key, { ...condition, sourceIfMatch: etag, replace: attributes });
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
    // Only a folder marker beside it said that it exists, and that goes.
    if (copied.size === 0) await writeMarker(volume, inode);
    await deleteFolderMarker(volume, from, inode, text);
    if (inode.directory !== undefined) inode.directory.folderMarker = false;
    restampBelow(volume, inode, newPrefix, copied);
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

interface Copy {
  readonly oldKey: string;
  readonly size: number;
  readonly oldEtag: string;
  readonly reply: WriteReply;
}

/** Copies every key below a prefix, by new key. */
async function copyBelow(volume: Volume, oldPrefix: string, newPrefix: string): Promise<Map<string, Copy>> {
  const copied = new Map<string, Copy>();
  let token: string | undefined;
  do {
    const page = await volume.client.list({ prefix: oldPrefix, token, maxKeys: LIST_PAGE_KEYS });
    const tooLong = page.objects.find((object) => !keyFits(newPrefix + object.key.slice(oldPrefix.length)));
    if (tooLong !== undefined) throw new FsError(errno.ENAMETOOLONG, tooLong.key);
    await forEach(page.objects, PARALLEL_COPIES, async (object) => {
      const key = newPrefix + object.key.slice(oldPrefix.length);
      copied.set(key, {
        oldKey: object.key,
        size: object.size,
        oldEtag: object.etag,
        reply: await copyObject(volume, object, key),
      });
    });
    token = page.nextToken;
  } while (token !== undefined);
  return copied;
}

async function copyObject(volume: Volume, object: ListedObject, key: string): Promise<WriteReply> {
  const source = { key: object.key, etag: object.etag, size: object.size };
  const standard = (object.storageClass ?? 'STANDARD') === 'STANDARD';
  const known = volume.attributes.get(object.key, object);
  let reply: WriteReply;
  if (standard && object.size <= MAX_COPY_BYTES) {
    const encryption = keptEncryption(known);
    reply = await volume.client.copy(object.key, key, { sourceIfMatch: object.etag, encryption });
  } else {
    const info = await volume.client.head(object.key);
    const tags = info.tagCount > 0 ? await volume.client.getTags(object.key) : undefined;
    const attributes = {
      headers: { ...info.headers, storageClass: object.storageClass },
      metadata: info.metadata,
      tags,
      encryption: keptEncryption(info),
    };
    if (object.size > MAX_COPY_BYTES) reply = await copyLarge(volume, source, key, {}, attributes);
    else reply = await volume.client.copy(object.key, key, { sourceIfMatch: object.etag, replace: attributes });
  }
  if (known !== undefined) {
    const { etag, date, versionId } = reply;
    volume.attributes.putWritten(key, { ...known, etag, lastModified: date, date, versionId });
  }
  volume.cache.store.aliasVersion(source, { key, etag: reply.etag }, object.size);
  crashPoint('child-copied');
  return reply;
}

/** Inodes below a directory that moved stand for the copies now. */
function restampBelow(volume: Volume, directory: Inode, prefix: string, copied: ReadonlyMap<string, Copy>): void {
  for (const child of directory.directory?.children.values() ?? []) {
    const key = prefix + child.keyPart;
    if (child.directory !== undefined) restampBelow(volume, child, key, copied);
    const copy = copied.get(key);
    if (copy !== undefined && (child.version?.etag === copy.oldEtag || child.directory !== undefined))
      restamp(volume, child, key, copy.reply);
  }
}

async function deleteAll(volume: Volume, keys: readonly string[]): Promise<void> {
  const failures = await volume.client.deleteMany(keys);
  for (const { key, error } of failures)
    volume.logger.error({ err: error, key }, 'the old key of a renamed file could not be deleted');
  if (failures.length > 0) throw failures[0].error;
}
