/**
 * Bringing to the store what an inode has and the store has not: its bytes with its attributes, its name, or its
 * attributes alone. One commit of an inode at a time. Every write carries the condition that what it replaces is still
 * what this mount has seen there; what happens when it is not is decided here.
 */
import type { KnownObject } from '../cache/attribute-store.js';
import { crashPoint } from '../crash-point.js';
import { errno } from '../errno.js';
import type { WriteCondition, WriteReply } from '../s3/object-client.js';
import { isS3Error, S3Error } from '../s3/s3-error.js';
import type { StagedFile } from '../writeback/staged-file.js';
import { isConflict, UploadSuperseded } from '../writeback/upload.js';
import { CarryOver } from './carry-over.js';
import { keepConflictCopy } from './conflict-copy.js';
import { standsFor } from './content-reader.js';
import { followCopies, keepCopies } from './copied-content.js';
import { headIfPresent } from './find-key.js';
import type { Inode } from './inode.js';
import { copyOntoItself, copyTo } from './inode-copy.js';
import { noteWritten, restamp, send, settleStaged, writeAttributes } from './inode-upload.js';
import { keepBase } from './kept-base.js';
import { removeLeftover } from './leftover.js';
import { confirmName } from './resolve.js';
import { beginSending, isSent, type Sent } from './sent.js';
import { FsError } from './to-errno.js';
import { changing } from './tree-lock.js';
import { adoptFile } from './versions.js';
import { cachedOf, dropCached, homeKeyOf, keyOf, type Volume } from './volume.js';

/** Rounds while the file goes on changing under its upload; after them it stays dirty for the next close. */
const MAX_ROUNDS = 3;

/** Resolves when the store has everything that was there at the call; rejects with the reason otherwise. */
export async function commit(volume: Volume, inode: Inode): Promise<void> {
  if (!inode.dirty) return;
  await changing([inode], () => inode.mutex.run(() => commitLocked(volume, inode)));
}

/** For callers that hold the inode's mutex. */
export async function commitLocked(volume: Volume, inode: Inode): Promise<void> {
  try {
    // Behind the operations a second round is another turn of the queue: something else may have to go before it.
    const rounds = volume.writeBack === undefined ? MAX_ROUNDS : 1;
    for (let round = 0; round < rounds && inode.dirty; round++) {
      if (inode.orphanKey !== undefined) {
        // Removed: its bytes live on for its handles only.
        inode.dirty = false;
      } else if (inode.staged !== undefined) await commitStaged(volume, inode, inode.staged);
      else if (inode.storedKey !== undefined && inode.storedKey === homeKeyOf(volume, inode)) stay(volume, inode);
      else if (inode.storedKey !== undefined) await commitMove(volume, inode, inode.storedKey);
      else await commitAttributes(volume, inode);
    }
    inode.uploadFailure = 0;
  } finally {
    if (inode.handles === 0 && inode.staged === undefined) dropCached(volume, inode);
  }
}

async function commitStaged(volume: Volume, inode: Inode, staged: StagedFile): Promise<void> {
  await staged.behind.answeredDone();
  await keepCopies(inode);
  await keepBase(volume, inode, staged);
  const { generation, size } = staged;
  const before = inode.attributes;
  const key = homeKeyOf(volume, inode);
  const stream = await volume.streams.take(staged, key);
  let attributes = stream?.attributes ?? (await writeAttributes(volume, inode));
  const carried = await CarryOver.of(volume, inode, staged);
  // A file that never rests is brought over as it is in the end.
  const isSame = (): boolean => volume.writeBack === undefined || staged.generation === generation;
  const stillWanted = (): boolean =>
    inode.orphanKey === undefined && homeKeyOf(volume, inode) === key && (inode.restless >= MAX_ROUNDS || isSame());
  let begun = stream;
  const sendTo = (to: string, condition: WriteCondition, withBase: boolean): Promise<WriteReply> => {
    const target = { key: to, condition, withBase, stillWanted };
    const first = to === key ? begun : undefined;
    begun = undefined;
    return first?.finish(volume, target) ?? send(volume, inode, staged, attributes, target);
  };
  const note = async (at: string, reply: WriteReply): Promise<void> => {
    const info = noteWritten(volume, inode, at, attributes, reply, size);
    const isLate = stream?.attributes === attributes && stream.isLate;
    inode.lateAttributes = isLate ? before : undefined;
    inode.attributesChanged = inode.attributes !== before || isLate;
    confirmName(volume, inode);
    if (staged.generation === generation) return settleStaged(volume, inode, staged, info, carried);
    // Written meanwhile: what was not is from now on taken from the version just uploaded.
    if (inode.restless >= MAX_ROUNDS) carried?.dropEdges();
    dropCached(volume, inode);
    volume.writeBack?.settle(inode);
    const file = cachedOf(volume, inode);
    if (file !== undefined) await carried?.into(file);
  };
  try {
    if (inode.isDoubtful) throw new FsError(errno.ESTALE, inode.path);
    const { mtime, ctime } = attributes.metadata;
    const sent = { key, size, mtime, ctime };
    const isOurs = (now: KnownObject): boolean => isSent(now, sent);
    await claiming(volume, inode, key, async () => {
      if (!stillWanted()) throw new UploadSuperseded(key);
      noteSending(volume, inode, sent);
      const write = (condition: WriteCondition): Promise<WriteReply> =>
        sendTo(key, condition, inode.version !== undefined);
      const reply = await writeOver(volume, inode, key, isOurs, write);
      crashPoint('upload-done');
      await note(key, reply);
    });
  } catch (error) {
    if (!(inode.isDoubtful || isConflict(error)) || inode.mustBeNew) throw error;
    inode.isDoubtful = false;
    if (stream !== undefined) attributes = await writeAttributes(volume, inode);
    await keepConflictCopy(volume, inode, { send: (to) => sendTo(to, { ifAbsent: true }, false), note });
  } finally {
    carried?.close();
    if (stream !== undefined) volume.streams.giveBack(stream);
  }
}

/** What is sent is what the journal says is sent: after a crash the object is recognised by it. */
function noteSending({ writeBack }: Volume, inode: Inode, sent: Sent): void {
  beginSending(inode, sent);
  if (writeBack === undefined) return;
  writeBack.markStored(inode.parent);
  writeBack.note(inode);
}

/** Of two inodes that had the same name one after the other, only one writes its key at a time. */
function claiming(volume: Volume, inode: Inode, key: string, work: () => Promise<void>): Promise<void> {
  const places = volume.writeBack?.places;
  if (places === undefined) return work();
  return places.claiming(key, async () => {
    await volume.writeBack?.removals.learn(key);
    // What was written there last has another name by now, and has to be copied away first.
    const other = places.movedFrom(key);
    if (other !== undefined && other !== inode) throw new UploadSuperseded(key);
    return work();
  });
}

const isInPlace = ({ storedKey }: Inode, key: string): boolean => storedKey === undefined || storedKey === key;

/** Its object lay among keys that were to be moved, and these have gone. */
function stay(volume: Volume, inode: Inode): void {
  volume.writeBack?.places.arrived(inode);
  inode.dirty = inode.attributesChanged;
  volume.writeBack?.confirmLeft(inode);
  confirmName(volume, inode);
  volume.writeBack?.settle(inode);
}

/** ETag of what this mount has last seen under the key where an inode belongs; undefined: nothing. */
function expectedAt(volume: Volume, inode: Inode, key: string): string | undefined {
  if (isInPlace(inode, key) && inode.version !== undefined) return inode.version.etag;
  return volume.writeBack?.removalAt(key)?.etag;
}

/**
 * Writes to a key over what this mount has last seen there; what somebody deleted is written anew. Our own earlier write,
 * whose answer was lost with the daemon that sent it, is recognised.
 */
async function writeOver(
  volume: Volume,
  inode: Inode,
  key: string,
  isOurs: (now: KnownObject) => boolean,
  write: (condition: WriteCondition) => Promise<WriteReply>,
): Promise<WriteReply> {
  let expected = expectedAt(volume, inode, key);
  for (let attempt = 0; ; attempt++) {
    try {
      return await write(expected === undefined ? { ifAbsent: true } : { ifMatch: expected });
    } catch (error) {
      if (attempt >= 2) throw error;
      if (isS3Error(error, 'NotFound') && expected !== undefined) {
        expected = undefined;
        if (isInPlace(inode, key)) inode.version = undefined;
        continue;
      }
      if (!isConflict(error)) throw error;
      if (expected === undefined && (await removeLeftover(volume, key))) continue;
      const now =
        volume.writeBack === undefined && isS3Error(error, 'PreconditionFailed')
          ? undefined
          : await headIfPresent(volume, key);
      // What has to be new is nobody's but the one's who made it now.
      if (now !== undefined && volume.writeBack !== undefined && !inode.mustBeNew) {
        if (isOurs(now)) return now;
        if (inode.sent.some((one) => one.key === key && isSent(now, one))) {
          if (isInPlace(inode, key) && inode.version !== undefined) standsFor(volume, inode, now);
          expected = now.etag;
          continue;
        }
      }
      // Something else was under way on the key; only if it changed nothing is it no conflict.
      if (!isS3Error(error, 'ConditionalConflict') || now?.etag !== expected) throw error;
    }
  }
}

/** The file has another name than its object: a copy inside the store, with its attributes where they changed. */
async function commitMove(volume: Volume, inode: Inode, from: string): Promise<void> {
  const { version } = inode;
  const key = homeKeyOf(volume, inode);
  if (version === undefined) throw new FsError(errno.ESTALE, inode.path);
  await keepCopies(inode);
  const before = inode.attributes;
  const attributes = inode.attributesChanged ? await writeAttributes(volume, inode) : undefined;
  const copy = (to: string, condition: WriteCondition): Promise<WriteReply> =>
    copyTo(volume, inode, { from, to, condition, attributes });
  const { mtime, ctime } = attributes?.metadata ?? inode.info?.metadata ?? {};
  const sent = { key, size: version.size, mtime, ctime, etag: attributes === undefined ? version.etag : undefined };
  const isOurs = (now: KnownObject): boolean => isSent(now, sent);
  const note = async (at: string, reply: WriteReply): Promise<void> => {
    volume.cache.store.aliasVersion({ key: from, etag: version.etag }, { key: at, etag: reply.etag }, version.size);
    if (attributes === undefined) restamp(volume, inode, at, reply);
    else noteWritten(volume, inode, at, attributes, reply, version.size);
    // chmod may have come meanwhile.
    if (attributes !== undefined) inode.attributesChanged = inode.attributes !== before;
    followCopies(inode, reply.etag);
    inode.dirty = inode.storedKey !== undefined || inode.attributesChanged || inode.staged !== undefined;
    confirmName(volume, inode);
    volume.writeBack?.settle(inode);
  };
  try {
    await claiming(volume, inode, key, async () => {
      if (inode.orphanKey !== undefined || homeKeyOf(volume, inode) !== key) throw new UploadSuperseded(key);
      noteSending(volume, inode, sent);
      const reply = await writeOver(volume, inode, key, isOurs, (condition) => copy(key, condition));
      crashPoint('copy-done');
      await note(key, reply);
    });
  } catch (error) {
    if (!isConflict(error)) throw error;
    // Its own object may be what has changed: nothing can be copied any more.
    if ((await headIfPresent(volume, from))?.etag !== version.etag)
      throw new S3Error('NotFound', 'CopyObject: the source is another object by now', {
        operation: 'CopyObject',
        key: from,
      });
    if (inode.mustBeNew) throw error;
    await keepConflictCopy(volume, inode, { send: (to) => copy(to, { ifAbsent: true }), note });
  }
}

/** chmod, chown, utimens and xattrs of an object whose bytes stay: a copy onto itself inside the store. */
async function commitAttributes(volume: Volume, inode: Inode): Promise<void> {
  const key = keyOf(volume, inode);
  let isDateGood = true;
  for (let attempt = 0; ; attempt++) {
    const before = inode.attributes;
    const attributes = await writeAttributes(volume, inode);
    const { version } = inode;
    if (version === undefined || inode.info === undefined) throw new FsError(errno.ESTALE, inode.path);
    const { mtime, ctime } = attributes.metadata;
    const sent = { key, size: version.size, mtime, ctime };
    noteSending(volume, inode, sent);
    let reply: WriteReply;
    try {
      reply = await copyOntoItself(volume, inode, key, attributes, isDateGood ? version.lastModified : undefined);
      crashPoint('attributes-stored');
    } catch (error) {
      const isLate = inode.lateAttributes === inode.attributes;
      if (isLate && (isS3Error(error, 'NotFound') || isS3Error(error, 'AccessDenied')))
        return leaveAsSent(volume, inode, error);
      if (!isConflict(error) || attempt > 1) throw error;
      const now = await headIfPresent(volume, key);
      // A server that refuses the date which it tells itself (versitygw): it says nothing there.
      if (now?.lastModified === version.lastModified) isDateGood = false;
      if (now === undefined || volume.writeBack === undefined || !isSent(now, sent)) {
        if (lookAgain(volume, inode, now)) continue;
        if (isLate) return;
        throw new FsError(errno.ESTALE, inode.path);
      }
      reply = now;
    }
    volume.cache.store.aliasVersion({ key, etag: version.etag }, { key, etag: reply.etag }, version.size);
    noteWritten(volume, inode, key, attributes, reply, version.size);
    followCopies(inode, reply.etag);
    inode.attributesChanged = inode.attributes !== before;
    inode.dirty = inode.attributesChanged || inode.storedKey !== undefined || inode.staged !== undefined;
    confirmName(volume, inode);
    volume.writeBack?.settle(inode);
    return;
  }
}

/**
 * The times of a streamed file were to follow it, which no program asked for, and cannot: its object has gone, or what may
 * write it may not read it. What was closed has been in the store.
 */
function leaveAsSent(volume: Volume, inode: Inode, error: S3Error): void {
  if (error.kind === 'AccessDenied') volume.streams.forbid(error);
  inode.dirty = inode.storedKey !== undefined || inode.staged !== undefined;
  inode.attributesChanged = false;
  volume.writeBack?.settle(inode);
}

/**
 * Somebody wrote the object whose attributes were to be changed: other metadata are gone over (true), other bytes are
 * theirs (false).
 */
function lookAgain(volume: Volume, inode: Inode, now: KnownObject | undefined): boolean {
  const { version, parent } = inode;
  if (version !== undefined && now?.etag === version.etag) {
    // Only the metadata changed: the last one wins, over what the other left.
    inode.info = now;
    inode.version = { ...version, lastModified: now.lastModified };
    return true;
  }
  inode.dirty = inode.staged !== undefined;
  inode.attributesChanged = false;
  volume.writeBack?.settle(inode);
  if (now !== undefined && parent !== undefined)
    adoptFile(volume, parent, inode.name, now, now, volume.clock.monotonic());
  return false;
}
