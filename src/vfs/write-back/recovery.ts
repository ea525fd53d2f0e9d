/**
 * What an earlier daemon left in the journal becomes what waits again: inodes with their staged bytes under their names,
 * renames and removals that the store does not know of. It is all there, and visible, before the mount answers; bringing
 * it over goes on behind.
 *
 * What the machine may have lost with its power replaces nothing: it becomes a conflict copy. What a damaged journal
 * leaves in doubt is set aside, bytes and record, and named; nothing is guessed.
 */
import type { KnownObject } from '../../cache/attribute-store.js';
import { StagedFile } from '../../writeback/staged-file.js';
import { headIfPresent } from '../find-key.js';
import { confirmName } from '../resolve.js';
import { isSent } from '../sent.js';
import { homeKeyOf, keyOfName, stagedPath, type Volume } from '../volume.js';
import { type Found, readJournal } from './left-by-earlier.js';
import {
  type DirectoryRecord,
  type FileRecord,
  loadAttributes,
  type PendingRecord,
  type RemovalRecord,
  type UploadRecord,
  type WrittenRecord,
} from './record.js';
import { directoryAt, recoverLeftNames } from './recovered-names.js';
import { dropUnclosed, setAside } from './set-aside.js';
import type { WriteBack } from './write-back.js';

export async function recover(volume: Volume, writeBack: WriteBack): Promise<void> {
  const { journal } = writeBack;
  for (const [id, { value }] of [...journal.entries()])
    if (journal.doubtful.has(id) && !isHarmless(value as PendingRecord))
      setAside(volume, writeBack, id, value as PendingRecord);
  // From here on it is in the journal no more: nothing of it is taken up.
  writeBack.done();
  const everything = readJournal(writeBack);
  const { files, directories, removals, uploads, written } = everything;
  recoverWritten(volume, writeBack, written);
  const safe = [...files, ...removals].every(({ isSafe }) => isSafe);
  for (const found of removals) await recoverRemoval(volume, writeBack, found);
  for (const found of [...directories].sort((a, b) => a.record.path.length - b.record.path.length))
    recoverDirectory(volume, writeBack, found);
  for (const found of files) recoverFile(volume, writeBack, found);
  recoverLeftNames(volume, writeBack, everything);
  await recoverSent(volume, writeBack);
  dropUnclosed(volume, files, journal.wasDamaged);
  for (const { id, record } of uploads) await abortLeft(volume, writeBack, id, record);
  writeBack.done();
  const counts = { files: files.length, directories: directories.length, removals: removals.length };
  if (files.length + directories.length + removals.length > 0)
    volume.logger.info(
      { ...counts, uploads: uploads.length, safe },
      'taking up what an earlier daemon left to be uploaded',
    );
  await writeBack.sync.run();
}

/** Right to go by, though it may be older than it should: less is safe than could be, an upload that has ended is aborted. */
function isHarmless({ kind }: PendingRecord): boolean {
  return kind === 'safe' || kind === 'upload';
}

async function recoverRemoval(volume: Volume, writeBack: WriteBack, found: Found<RemovalRecord>): Promise<void> {
  const { key, etag, lastModified, sent, isMarker } = found.record;
  if (!found.isSafe && etag !== undefined && (await wasWrittenSince(volume, key, etag, lastModified ?? 0))) {
    writeBack.alsoAppend([found.id, undefined]);
    return;
  }
  writeBack.removals.add({
    id: found.id,
    key,
    etag,
    lastModified,
    sent: sent ?? [],
    names: [],
    orphan: undefined,
    directory: undefined,
    isMarker: isMarker ?? false,
    isRunning: false,
    failure: undefined,
  });
}

/** The journal may have lost that the removal was done, and that a file with the same content came after it. */
async function wasWrittenSince(volume: Volume, key: string, etag: string, lastModified: number): Promise<boolean> {
  const now = await headIfPresent(volume, key);
  return (
    now !== undefined && now.etag === etag && Math.floor(now.lastModified / 1000) > Math.floor(lastModified / 1000)
  );
}

/** What the index of the cache may have missed when the daemon died; with it, the index lacks nothing. */
function recoverWritten(volume: Volume, writeBack: WriteBack, written: Found<WrittenRecord>[]): void {
  for (const { id, record } of written.sort((a, b) => a.id - b.id))
    writeBack.written.takeUp(id, volume.attributes.putWritten(record.key, record.info));
  if (writeBack.journal.wasThere && !writeBack.journal.wasDamaged) volume.attributes.trustLast();
}

function recoverDirectory(volume: Volume, writeBack: WriteBack, { id, record }: Found<DirectoryRecord>): void {
  const name = record.path[record.path.length - 1];
  const parent = directoryAt(volume, parentPath(record));
  const inode = directoryAt(volume, record.path);
  const { directory } = inode;
  if (directory === undefined) return;
  inode.attributes = loadAttributes(record.attributes);
  inode.checkedAt = volume.clock.monotonic();
  directory.needsMarker = record.needsMarker ?? false;
  directory.storedPrefix = record.storedPrefix;
  directory.movingTo = record.movingTo;
  directory.isStored = !record.isNew;
  if (record.isNew) directory.marker = false;
  inode.dirty = true;
  parent.directory?.overlay.set(name, inode);
  writeBack.takeUp(inode, id, record.since);
}

function parentPath({ path }: { readonly path: readonly string[] }): readonly string[] {
  return path.slice(0, -1);
}

function recoverFile(volume: Volume, writeBack: WriteBack, found: Found<FileRecord>): void {
  const { id, record, isSafe } = found;
  const name = record.path[record.path.length - 1];
  let staged: StagedFile | undefined;
  if (record.staged !== undefined) {
    try {
      const { file, layout, inline } = record.staged;
      const bytes = inline === undefined ? undefined : Buffer.from(inline, 'base64');
      staged = StagedFile.reopen(stagedPath(volume, file), layout, volume.staging, bytes);
    } catch (error) {
      volume.logger.error({ err: error, path: record.path.join('/') }, 'the bytes of a file that waits are gone');
      setAside(volume, writeBack, id, record);
      return;
    }
  }
  const parent = directoryAt(volume, parentPath(record));
  const key = keyOfName(volume, parent, name, false);
  const inode = volume.inodes.add(parent, name, key, loadAttributes(record.attributes), volume.clock.monotonic());
  inode.version = record.version;
  inode.size = record.version?.size ?? 0;
  inode.storedKey = record.storedKey;
  inode.staged = staged;
  inode.attributesChanged = record.attributesChanged ?? false;
  inode.linkTarget = record.target === undefined ? undefined : Buffer.from(record.target, 'base64');
  inode.dirty = true;
  inode.sent = record.sent ?? [];
  const replaces = record.version !== undefined || writeBack.removalAt(key) !== undefined;
  inode.isDoubtful = !isSafe && staged !== undefined && replaces;
  if (inode.isDoubtful)
    volume.logger.warn(
      { path: inode.path },
      'the machine stopped before this file was safe on its disk: it will not replace what is in the store, but stand beside it',
    );
  parent.directory?.overlay.set(name, inode);
  writeBack.takeUp(inode, id, record.since);
}

/**
 * What was on its way when the daemon died, and of which the journal has no bytes (ranges that are copies of other objects,
 * attributes): where it landed, it is what the file is, from the first look on. While S3 is away nobody can tell.
 */
async function recoverSent(volume: Volume, writeBack: WriteBack): Promise<void> {
  for (const inode of [...writeBack.queue.items()]) {
    if (inode.staged !== undefined || inode.storedKey !== undefined || inode.sent.length === 0) continue;
    const key = homeKeyOf(volume, inode);
    let now: KnownObject | undefined;
    try {
      now = await headIfPresent(volume, key);
    } catch (error) {
      volume.logger.warn({ err: error, key }, 'what was on its way to the store cannot be looked for now');
      return;
    }
    const found = now;
    if (found === undefined || !inode.sent.some((one) => one.key === key && isSent(found, one))) continue;
    const { etag, size, lastModified } = found;
    Object.assign(inode, { version: { etag, size, lastModified }, size, info: found, sent: [] });
    Object.assign(inode, { attributesChanged: false, dirty: false });
    confirmName(volume, inode);
    writeBack.forget(inode);
  }
}

/** Clocks of this machine and the server may differ so much where only the time tells an upload of ours (ms). */
const CLOCKS_MS = 60_000;

/** An upload that an earlier daemon began and did not end. One that cannot be aborted is tried again at the next start. */
async function abortLeft(volume: Volume, writeBack: WriteBack, id: number, record: UploadRecord): Promise<void> {
  const { client, logger } = volume;
  const { key, uploadId, at } = record;
  try {
    const begun = uploadId === undefined ? await client.listUploads(key) : [{ key, uploadId, initiated: at }];
    for (const one of begun)
      if (one.key === key && Math.abs(one.initiated - at) < CLOCKS_MS) await client.abortUpload(key, one.uploadId);
    writeBack.alsoAppend([id, undefined]);
  } catch (error) {
    logger.warn({ err: error, key }, 'an upload of an earlier daemon could not be aborted');
  }
}
