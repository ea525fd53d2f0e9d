/** OPENDIR, READDIR(PLUS), RELEASEDIR, FSYNCDIR, MKDIR, RMDIR. */
import type { Walk } from '../../cache/walks.js';
import { errno } from '../../errno.js';
import type { DirentSink, EntryReply, OpenReply, RequestContext } from '../../fuse/operations.js';
import { isS3Error } from '../../s3/s3-error.js';
import { S_IFDIR, S_IFMT, S_IFREG } from '../attribute.js';
import { type DirectoryReader, isStillThere, type ReaderEntry, type ReaderPage } from '../directory-reader.js';
import { askAnew, makeInStore } from '../exclusive.js';
import type { DirectoryHandle } from '../handle-table.js';
import type { Inode } from '../inode.js';
import { beginPass, keptPass } from '../kernel-listing.js';
import { deleteFolderMarker, keepDirectory, writeMarker } from '../marker.js';
import { entryReply, peekEntry } from '../reply.js';
import { listingInUse, resolve, revealObject, setName, setNameConfirmed, startListing } from '../resolve.js';
import { touchAccess } from '../staging.js';
import { FsError } from '../to-errno.js';
import { changing } from '../tree-lock.js';
import { untilAborted } from '../until-aborted.js';
import { adoptEntry } from '../versions.js';
import { keyOf, keyOfNew, partIn, prefixOf, type Volume } from '../volume.js';
import { flushNames } from '../write-back/flushing.js';
import { mkdirHere, rmdirHere } from '../write-back/local-directories.js';
import { newAttributes, parentForNew } from './new-names.js';

/** Offsets of "." and ".."; entry n has offset n + FIRST_OFFSET. */
const DOT = 1;
const DOT_DOT = 2;
const FIRST_OFFSET = 3;

export function opendir(volume: Volume, nodeid: number): OpenReply {
  const inode = volume.inodes.directory(nodeid);
  // Where everything has to be asked each time nothing is kept.
  const cacheDir = volume.options.metadataTtlMs > 0;
  const kept = cacheDir ? keptPass(volume, inode) : undefined;
  // It may not be read here at all, and still the walk came by.
  if (kept !== undefined) walkTo(volume, inode, true);
  if (cacheDir) volume.openForLong.opened();
  return { fh: volume.handles.openDirectory(inode, kept), cacheDir, keepCache: kept !== undefined };
}

export function releasedir(volume: Volume, fh: number): number {
  const handle = volume.handles.closeDirectory(fh);
  if (handle !== undefined) volume.inodes.dropIfUnused(handle.inode);
  return 0;
}

export function readdir(volume: Volume, fh: number, offset: number, sink: DirentSink): number | Promise<number> {
  const handle = volume.handles.directory(fh);
  const { inode } = handle;
  if (offset < DOT && !sink.add('.', DOT, inode.ino, S_IFDIR)) return 0;
  if (offset < DOT_DOT && !sink.add('..', DOT_DOT, (inode.parent ?? inode).ino, S_IFDIR)) return 0;
  if (offset === 0) {
    handle.reader = undefined;
    touchAccess(volume, inode);
  }
  const index = Math.max(0, offset - DOT_DOT);
  const page = handle.reader?.pageNow(index);
  if (page !== undefined && fill(volume, handle, page, index, sink)) return 0;
  return readOn(volume, handle, page === undefined ? index : page.first + page.entries.length, sink);
}

/** Goes on page by page until the sink is full or the directory ends. */
async function readOn(volume: Volume, handle: DirectoryHandle, index: number, sink: DirentSink): Promise<number> {
  handle.reader ??= beginPass(volume, handle, listingOf(volume, handle.inode));
  for (;;) {
    const page = await handle.reader.pageAt(index);
    if (page === undefined || fill(volume, handle, page, index, sink)) return 0;
    index = page.first + page.entries.length;
    // Something to show is enough: the kernel comes back for the rest, which is on its way meanwhile.
    if (page.isLast || page.entries.length > 0) return 0;
  }
}

function listingOf(volume: Volume, directory: Inode): DirectoryReader['listing'] {
  const kept = listingInUse(volume, directory);
  const walk = walkTo(volume, directory, kept !== undefined);
  return kept ?? startListing(volume, directory, walk);
}

/** The walk that has come to a directory. One whose keys lie elsewhere, or are not its own alone, is asked for itself. */
function walkTo(volume: Volume, directory: Inode, isListed: boolean): Walk | undefined {
  const { walks, writeBack } = volume;
  if (walks === undefined || directory.isBeginning || directory.orphanKey !== undefined) return undefined;
  if (writeBack?.places.redirectAbove(directory) !== undefined) return undefined;
  return walks.enter(prefixOf(volume, directory), isListed);
}

/** Adds a page's entries from `index` on; true when the sink is full. */
function fill(volume: Volume, handle: DirectoryHandle, page: ReaderPage, index: number, sink: DirentSink): boolean {
  for (let at = index - page.first; at < page.entries.length; at++) {
    const entry = page.entries[at];
    if (!isStillThere(handle.inode, entry, page.askedAt)) continue;
    if (!addEntry(volume, handle.inode, entry, page.askedAt, page.first + at + FIRST_OFFSET, sink)) return true;
  }
  return false;
}

function addEntry(
  volume: Volume,
  directory: Inode,
  entry: ReaderEntry,
  askedAt: number,
  offset: number,
  sink: DirentSink,
): boolean {
  if (!sink.plus) return sink.add(entry.name, offset, inoOf(directory, entry, offset), typeOf(entry));
  const inode = inodeOf(volume, directory, entry, askedAt);
  if (inode === undefined) return true;
  const reply: EntryReply = peekEntry(volume, inode);
  if (!sink.add(entry.name, offset, inode.ino, inode.type, reply)) {
    volume.inodes.dropIfUnused(inode);
    return false;
  }
  inode.nlookup++;
  return true;
}

/** d_ino of a name whose inode is not in the table: any number but 0 will do, stat gives the true one. */
function inoOf(directory: Inode, entry: ReaderEntry, offset: number): number {
  return (entry.inode ?? directory.directory?.children.get(entry.name))?.ino ?? offset;
}

function typeOf(entry: ReaderEntry): number {
  if (entry.inode !== undefined) return entry.inode.attributes.mode & S_IFMT;
  return entry.listed?.directory ? S_IFDIR : S_IFREG;
}

function inodeOf(volume: Volume, directory: Inode, entry: ReaderEntry, askedAt: number): Inode | undefined {
  const record = directory.directory?.overlay.over(entry.name, askedAt);
  const ours = record?.present ?? entry.inode;
  if (ours !== undefined) {
    if (ours.parent !== directory || ours.name !== entry.name) return undefined;
    return volume.inodes.revive(ours);
  }
  return entry.listed === undefined ? undefined : adoptEntry(volume, directory, entry.listed, askedAt);
}

/** fsync(2) of a directory: the names that were made, renamed or removed in it. */
export async function fsyncdir(volume: Volume, ctx: RequestContext, fh: number): Promise<number> {
  const { inode } = volume.handles.directory(fh);
  const { writeBack } = volume;
  if (writeBack === undefined) return 0;
  const work = volume.options.fsync === 's3' ? flushNames(writeBack, inode) : writeBack.sync.run();
  await untilAborted(work, ctx.signal);
  return 0;
}

export async function mkdir(
  volume: Volume,
  ctx: RequestContext,
  parentId: number,
  name: string,
  mode: number,
  umask: number,
): Promise<EntryReply> {
  const parent = await parentForNew(volume, ctx, parentId, name);
  const prefix = keyOfNew(volume, parent, name, true);
  const attributes = newAttributes(volume, ctx, parent, { mode: S_IFDIR | (mode & 0o7777), umask });
  const { writeBack } = volume;
  if (writeBack !== undefined) {
    const isExclusive = volume.options.exclusive === 's3';
    // The marker of one that was removed here must not be taken for somebody's.
    if (isExclusive) await writeBack.removals.flush((removal) => removal.key === prefix);
    const inode = await mkdirHere(volume, writeBack, parent, name, attributes);
    if (isExclusive) await makeInStore(volume, inode);
    return entryReply(volume, inode);
  }
  return changing([parent], async () => {
    const inode = volume.inodes.add(parent, name, prefix, attributes, volume.clock.monotonic());
    try {
      await writeMarker(volume, inode, { ifAbsent: true });
    } catch (error) {
      volume.inodes.detach(inode, prefix);
      askAnew(volume, parent, name);
      if (isS3Error(error, 'PreconditionFailed')) throw new FsError(errno.EEXIST, name);
      throw error;
    }
    // Nothing is in it but what this mount will put there: no listing needs to be asked.
    volume.listings.beginEmpty(inode.nodeid, () => prefixOf(volume, inode));
    if (inode.directory !== undefined) {
      inode.directory.filledUntil = volume.clock.monotonic() + volume.options.metadataTtlMs;
      inode.directory.folderMarker = false;
    }
    inode.checkedAt = volume.clock.monotonic();
    setNameConfirmed(volume, parent, name, inode);
    return entryReply(volume, inode);
  });
}

export async function rmdir(volume: Volume, ctx: RequestContext, parentId: number, name: string): Promise<number> {
  const parent = volume.inodes.directory(parentId);
  if (volume.options.readOnly) throw new FsError(errno.EROFS, name);
  const inode = await resolve(volume, parent, name, ctx);
  if (inode === undefined) return -errno.ENOENT;
  if (inode.directory === undefined) return -errno.ENOTDIR;
  if (volume.writeBack !== undefined) return rmdirHere(volume, volume.writeBack, inode);
  return changing([parent], async () => {
    if (!(await isEmpty(volume, inode))) return -errno.ENOTEMPTY;
    await keepDirectory(volume, parent, name, keyOf(volume, inode));
    await removeEmpty(volume, parent, inode);
    return 0;
  });
}

/** Deletes the marker of an empty directory and takes its name away. */
export async function removeEmpty(volume: Volume, parent: Inode, inode: Inode): Promise<void> {
  const key = keyOf(volume, inode);
  const sequence = setName(volume, parent, inode.name, undefined);
  try {
    if (inode.directory?.marker !== false && !inode.isBeginning) await volume.client.delete(key);
    await deleteFolderMarker(volume, parent, inode);
  } catch (error) {
    parent.directory?.overlay.revert(inode.name, sequence);
    throw error;
  }
  volume.attributes.remove(key);
  // A file that was removed from it and is still open has its object until it is closed: listings show the prefix.
  if (!inode.directory?.overlay.hasUnconfirmed)
    parent.directory?.overlay.confirm(inode.name, sequence, volume.clock.monotonic());
  volume.listings.drop(inode.nodeid);
  const { name } = inode;
  volume.inodes.detach(inode, key);
  volume.inodes.removed(inode, key);
  revealObject(volume, parent, name, inode);
}

/** Asks the store: another client may have put something there. What this mount removed already does not count. */
export async function isEmpty(volume: Volume, directory: Inode): Promise<boolean> {
  const { overlay } = directory.directory ?? {};
  const removed = new Set<string>();
  for (const [name, record] of overlay?.entries() ?? []) {
    // What the store has (or had: somebody else may have removed it) the store is asked for.
    if (record.confirmedAt !== undefined) continue;
    if (record.present !== undefined && record.present.parent === directory) return false;
    const text = partIn(directory, name)?.text ?? name;
    removed.add(text).add(`${text}/`);
  }
  if (directory.isBeginning) return isEmptyBeginning(volume, directory, removed);
  const prefix = prefixOf(volume, directory);
  const page = await volume.client.list({ prefix, delimiter: '/', maxKeys: Math.min(1000, 2 + removed.size) });
  if (directory.directory !== undefined)
    directory.directory.marker = page.objects.some((object) => object.key === prefix);
  for (const object of page.objects) {
    const text = object.key.slice(prefix.length);
    if (text === '' ? object.size > 0 : !removed.has(text)) return false;
  }
  return page.prefixes.every((key) => removed.has(key.slice(prefix.length)));
}

async function isEmptyBeginning(volume: Volume, directory: Inode, removed: ReadonlySet<string>): Promise<boolean> {
  const listing = volume.listings.detached(prefixOf(volume, directory), directory.begun);
  for (let number = 0; ; number++) {
    const page = await listing.page(number);
    if (page === undefined) return true;
    if (page.entries.some((entry) => !removed.has(entry.part))) return false;
  }
}
