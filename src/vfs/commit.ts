/**
 * Bringing to the store what an inode has and the store has not: its bytes with its attributes, or the attributes alone.
 * One commit of an inode at a time. Every upload carries the condition that the object is still the version the file
 * started from; what to do when it is not is decided here (conflict copy) and nowhere else.
 */
import type { KnownObject } from '../cache/attribute-store.js';
import { MAX_COPY_BYTES, PARALLEL_PARTS } from '../constants.js';
import { crashPoint } from '../crash-point.js';
import { errno } from '../errno.js';
import type { ObjectHeaders, WriteAttributes, WriteCondition, WriteReply } from '../s3/object-client.js';
import { isS3Error } from '../s3/s3-error.js';
import { conflictName } from '../writeback/conflict.js';
import type { CopySource } from '../writeback/copy-source.js';
import { Layout } from '../writeback/layout.js';
import type { StagedFile } from '../writeback/staged-file.js';
import { isConflict, upload } from '../writeback/upload.js';
import { planUpload, type UploadPlan } from '../writeback/upload-plan.js';
import { encodeAttributes } from './attribute.js';
import { readBytes } from './content-reader.js';
import { contentTypeOf } from './content-type.js';
import { followCopies, keepCopies, withSources } from './copied-content.js';
import { keptEncryption } from './encryption.js';
import { headIfPresent } from './find-key.js';
import type { Inode } from './inode.js';
import { removeLeftover } from './leftover.js';
import { isMarkerContent } from './marker.js';
import { isWellFormed } from './name.js';
import { setNameConfirmed } from './resolve.js';
import { FsError } from './to-errno.js';
import { changing } from './tree-lock.js';
import { adoptFile } from './versions.js';
import { dropCached, holdCached, keyOf, keyOfNew, properDirectory, type Volume } from './volume.js';

/** Rounds while the file goes on changing under its upload; after them it stays dirty for the next close. */
const MAX_ROUNDS = 3;

/** What becomes of a file whose place in the store somebody else's object has taken. */
export type OnConflict = 'keep both' | 'refuse';

/** Resolves when the store has everything that was there at the call; rejects with the reason otherwise. */
export async function commit(volume: Volume, inode: Inode): Promise<void> {
  if (!inode.dirty) return;
  await changing([inode], () => inode.mutex.run(() => commitLocked(volume, inode)));
}

/** For callers that hold the inode's mutex. */
export async function commitLocked(volume: Volume, inode: Inode, conflicts: OnConflict = 'keep both'): Promise<void> {
  try {
    for (let round = 0; round < MAX_ROUNDS && inode.dirty; round++) {
      if (inode.orphanKey !== undefined) {
        // Removed: its bytes live on for its handles only.
        inode.dirty = false;
      } else if (inode.staged === undefined) await commitAttributes(volume, inode);
      else await commitStaged(volume, inode, inode.staged, conflicts);
    }
    inode.uploadFailure = 0;
  } finally {
    if (inode.handles === 0 && inode.staged === undefined) dropCached(volume, inode);
  }
}

/** Everything HEAD says of the present version: what a PUT or copy would lose has to be sent again. */
export async function ensureInfo(volume: Volume, inode: Inode): Promise<KnownObject | undefined> {
  if (inode.info !== undefined || inode.version === undefined) return inode.info;
  const info = await headIfPresent(volume, keyOf(volume, inode));
  if (info !== undefined && info.etag === inode.version.etag) inode.info = info;
  return inode.info;
}

async function writeAttributes(
  volume: Volume,
  inode: Inode,
): Promise<WriteAttributes & { headers: ObjectHeaders; metadata: Record<string, string> }> {
  const info = await ensureInfo(volume, inode);
  const tags = info !== undefined && info.tagCount > 0 ? await volume.client.getTags(keyOf(volume, inode)) : undefined;
  const { storageClass } = volume.options;
  const told = inode.isRegular && storageClass !== undefined ? { storageClass } : {};
  return {
    headers: { contentType: contentTypeOf(inode.name), ...info?.headers, ...told },
    encryption: keptEncryption(info),
    // The metadata of a marker is that of the directory.
    metadata: isMarkerContent(inode) ? (info?.metadata ?? {}) : encodeAttributes(inode.attributes, info?.metadata),
    tags,
  };
}

function planOf(volume: Volume, inode: Inode, staged: StagedFile, withBase: boolean): UploadPlan<CopySource> {
  const plan = planUpload({
    layout: staged.layout,
    baseObjectBytes: withBase ? (inode.version?.size ?? 0) : 0,
    partBytes: volume.options.partBytes,
  });
  if (plan === undefined) throw new FsError(errno.EFBIG, `${staged.size} bytes are more than an object can have`);
  return plan;
}

interface Target {
  readonly key: string;
  readonly condition: WriteCondition;
  /** Whether the base version still stands under the inode's key. */
  readonly withBase: boolean;
}

async function send(
  volume: Volume,
  inode: Inode,
  staged: StagedFile,
  attributes: WriteAttributes,
  target: Target,
): Promise<WriteReply> {
  const source =
    target.withBase && inode.version !== undefined
      ? { key: keyOf(volume, inode), etag: inode.version.etag }
      : undefined;
  return withSources(volume, staged, () =>
    upload(
      {
        key: target.key,
        plan: planOf(volume, inode, staged, source !== undefined),
        condition: target.condition,
        attributes,
        source,
        read: (start, end) => readBytes(volume, inode, staged, start, end),
        stillWanted: () => inode.orphanKey === undefined,
      },
      { client: volume.client, budget: volume.cache.transfers, parallel: PARALLEL_PARTS },
    ),
  );
}

async function commitStaged(volume: Volume, inode: Inode, staged: StagedFile, conflicts: OnConflict): Promise<void> {
  await keepCopies(inode);
  const { generation, size } = staged;
  const attributes = await writeAttributes(volume, inode);
  const key = keyOf(volume, inode);
  let reply: WriteReply;
  try {
    reply = await sendOver(volume, inode, staged, attributes, key);
  } catch (error) {
    if (!isConflict(error) || conflicts === 'refuse') throw error;
    return keepConflictCopy(volume, inode, staged, attributes);
  }
  crashPoint('upload-done');
  const info = noteWritten(volume, inode, key, attributes, reply, size);
  if (inode.parent !== undefined) setNameConfirmed(volume, inode.parent, inode.name, inode);
  if (staged.generation === generation) await settleStaged(volume, inode, staged, info);
  // Written meanwhile: what was not is from now on taken from the version just uploaded.
  else dropCached(volume, inode);
}

/** Uploads over the version the file started from; a target that somebody deleted is written anew. */
async function sendOver(
  volume: Volume,
  inode: Inode,
  staged: StagedFile,
  attributes: WriteAttributes,
  key: string,
): Promise<WriteReply> {
  const base = inode.version?.etag;
  for (let attempt = 0; ; attempt++) {
    const condition: WriteCondition =
      inode.version === undefined ? { ifAbsent: true } : { ifMatch: inode.version.etag };
    try {
      return await send(volume, inode, staged, attributes, { key, condition, withBase: inode.version !== undefined });
    } catch (error) {
      if (attempt >= 2) throw error;
      if (isS3Error(error, 'NotFound') && inode.version !== undefined) {
        inode.version = undefined;
        continue;
      }
      if (isS3Error(error, 'PreconditionFailed') && inode.version === undefined && (await removeLeftover(volume, key)))
        continue;
      // Something else was under way on the key; only if it changed nothing is it no conflict.
      if (!isS3Error(error, 'ConditionalConflict')) throw error;
      const now = await headIfPresent(volume, key);
      if (now?.etag !== base) throw error;
    }
  }
}

/** The inode stands for what was just written. */
export function noteWritten(
  volume: Volume,
  inode: Inode,
  key: string,
  attributes: WriteAttributes & { headers: ObjectHeaders; metadata: Record<string, string> },
  reply: WriteReply,
  size: number,
): KnownObject {
  const info: KnownObject = {
    etag: reply.etag,
    size,
    lastModified: reply.date,
    versionId: reply.versionId,
    headers: attributes.headers,
    metadata: attributes.metadata,
    tagCount: attributes.tags?.length ?? 0,
    encryption: inode.info?.encryption,
    archived: false,
    date: reply.date,
  };
  if (inode.kernelPages === undefined || inode.kernelPages === inode.version?.etag) inode.kernelPages = reply.etag;
  inode.version = { etag: reply.etag, size, lastModified: reply.date, storageClass: attributes.headers.storageClass };
  inode.size = size;
  inode.info = info;
  inode.checkedAt = volume.clock.monotonic();
  volume.attributes.putWritten(key, info);
  return info;
}

/** Nothing was written since the upload began: the staged file becomes cached content. */
async function settleStaged(volume: Volume, inode: Inode, staged: StagedFile, info: KnownObject): Promise<void> {
  const valid = staged.layout.inStagedFile().extents;
  inode.staged = undefined;
  inode.dirty = false;
  dropCached(volume, inode);
  const key = keyOf(volume, inode);
  try {
    const file = await volume.cache.adopt(staged.path, { key, etag: info.etag }, info.size, valid);
    if (inode.handles > 0 && inode.cached === undefined && inode.version?.etag === info.etag)
      holdCached(volume, inode, file);
    else volume.cache.release(file);
  } catch (error) {
    volume.logger.warn({ err: error, key }, 'what was written could not be kept in the cache');
    await staged.remove();
  }
  staged.close();
  crashPoint('upload-settled');
}

/** Somebody else's object stands where ours was to go: it stays, and ours is kept beside it. */
async function keepConflictCopy(
  volume: Volume,
  inode: Inode,
  staged: StagedFile,
  attributes: WriteAttributes & { headers: ObjectHeaders; metadata: Record<string, string> },
): Promise<void> {
  const { name } = inode;
  if (inode.parent === undefined) return;
  const parent = properDirectory(inode.parent);
  // The name of an escaped key says no key with something behind it.
  const stem = inode.part.text === name || !isWellFormed(name) ? name : name.slice(1);
  const path = inode.path;
  const { generation, size } = staged;
  for (let attempt = 0; ; attempt++) {
    const copyName = conflictName(stem, volume.options.host, volume.clock.now(), attempt);
    const key = keyOfNew(volume, parent, copyName, false);
    let reply: WriteReply;
    try {
      reply = await send(volume, inode, staged, attributes, { key, condition: { ifAbsent: true }, withBase: false });
    } catch (error) {
      if (isS3Error(error, 'PreconditionFailed') && attempt < 9) continue;
      throw error;
    }
    // From here on this inode is the copy; its old name belongs to the other's object.
    const home = inode.parent;
    home.directory?.overlay.drop(name);
    volume.listings.drop(home.nodeid);
    volume.inodes.move(inode, parent, copyName, { from: keyOf(volume, inode), to: key });
    const info = noteWritten(volume, inode, key, attributes, reply, size);
    setNameConfirmed(volume, parent, copyName, inode);
    if (staged.generation === generation) await settleStaged(volume, inode, staged, info);
    volume.notifier?.invalEntry(home.nodeid, name);
    volume.conflicts.push({ path, copy: inode.path, at: volume.clock.now() });
    volume.logger.warn(
      { path, copy: inode.path },
      'somebody else wrote this file meanwhile: theirs stays, ours is kept beside it',
    );
    throw new FsError(errno.ESTALE, path);
  }
}

/** chmod, chown, utimens and xattrs of an object whose bytes stay: a copy onto itself inside the store. */
async function commitAttributes(volume: Volume, inode: Inode): Promise<void> {
  const { version } = inode;
  const key = keyOf(volume, inode);
  for (let attempt = 0; ; attempt++) {
    const attributes = await writeAttributes(volume, inode);
    if (version === undefined || inode.info === undefined) throw new FsError(errno.ESTALE, inode.path);
    try {
      const reply = await copyOntoItself(volume, inode, key, attributes);
      crashPoint('attributes-stored');
      volume.cache.store.aliasVersion({ key, etag: version.etag }, { key, etag: reply.etag }, version.size);
      noteWritten(volume, inode, key, attributes, reply, version.size);
      followCopies(inode, reply.etag);
      inode.dirty = false;
      if (inode.parent !== undefined) setNameConfirmed(volume, inode.parent, inode.name, inode);
      return;
    } catch (error) {
      if (!isConflict(error) || attempt > 1) throw error;
      const now = await headIfPresent(volume, key);
      if (now?.etag !== version.etag) {
        inode.dirty = false;
        if (now !== undefined && inode.parent !== undefined)
          adoptFile(volume, inode.parent, inode.name, now, now, volume.clock.monotonic());
        throw new FsError(errno.ESTALE, inode.path);
      }
      // Only the metadata changed: the last one wins, over what the other left.
      inode.info = now;
    }
  }
}

async function copyOntoItself(
  volume: Volume,
  inode: Inode,
  key: string,
  attributes: WriteAttributes,
): Promise<WriteReply> {
  const { version } = inode;
  if (version === undefined) throw new FsError(errno.ESTALE, inode.path);
  if (version.size <= MAX_COPY_BYTES) {
    return volume.client.copy(key, key, {
      ifMatch: version.etag,
      sourceIfUnmodifiedSince: version.lastModified,
      replace: attributes,
    });
  }
  return copyLarge(volume, { key, etag: version.etag, size: version.size }, key, { ifMatch: version.etag }, attributes);
}

/** A copy of more than CopyObject takes: an upload whose parts are all copied. */
export function copyLarge(
  volume: Volume,
  source: { readonly key: string; readonly etag: string; readonly size: number },
  key: string,
  condition: WriteCondition,
  attributes: WriteAttributes,
): Promise<WriteReply> {
  const { size } = source;
  const plan = planUpload({
    layout: new Layout<CopySource>(size),
    baseObjectBytes: size,
    partBytes: volume.options.partBytes,
  });
  if (plan === undefined) throw new FsError(errno.EFBIG, key);
  const read = (): Promise<never> => Promise.reject(new Error('a copy sends no bytes'));
  return upload(
    { key, plan, condition, attributes, source, read, stillWanted: () => true },
    { client: volume.client, budget: volume.cache.transfers, parallel: PARALLEL_PARTS },
  );
}
