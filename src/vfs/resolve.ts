/**
 * From a name in a directory to its inode. What this mount did itself stands first, then what is freshly known of the
 * name, then a fresh listing of the directory, and only then the store is asked: HEAD of the key and LIST of the prefix
 * side by side (two requests, one round trip). When look-ups of one directory come in series, the directory is listed
 * instead, and the rest of the series costs nothing.
 */
import type { Listing } from '../cache/listing-cache.js';
import { timespecFromMs } from '../clock.js';
import { LOOKUP_SERIES, LOOKUP_SERIES_MS, MAX_REMEMBERED_ABSENCES } from '../constants.js';
import { errno } from '../errno.js';
import type { ListPage, ObjectInfo } from '../s3/object-client.js';
import { isS3Error } from '../s3/s3-error.js';
import type { Inode } from './inode.js';
import { isNameable, keyFits } from './name.js';
import { FsError } from './to-errno.js';
import { adoptDirectory, adoptEntry, adoptFile } from './versions.js';
import { ageOf, isFresh, prefixOf, type Volume } from './volume.js';

/** Records of one directory's overlay after which those that no listing needs are dropped, each time it has grown so much. */
const OVERLAY_SWEEP = 1024;

/** The inode of a name, or undefined when it does not exist. Answers at once where nothing has to be asked. */
export function resolve(
  volume: Volume,
  parent: Inode,
  name: string,
  signal?: AbortSignal,
): Inode | undefined | Promise<Inode | undefined> {
  const { directory } = parent;
  if (directory === undefined) throw new FsError(errno.ENOTDIR, parent.path);
  if (!isNameable(name)) throw new FsError(errno.EILSEQ, `not a name: ${JSON.stringify(name)}`);
  const local = resolveLocally(volume, parent, directory, name);
  if (local !== 'unknown') return local;
  if (parent.orphanKey !== undefined) return undefined;
  return ask(volume, parent, name, signal);
}

function resolveLocally(
  volume: Volume,
  parent: Inode,
  directory: NonNullable<Inode['directory']>,
  name: string,
): Inode | undefined | 'unknown' {
  const { metadataTtlMs, negativeTtlMs } = volume.options;
  const record = directory.overlay.get(name);
  const absenceTtl = volume.clock.monotonic() < directory.filledUntil ? metadataTtlMs : negativeTtlMs;
  if (record !== undefined) {
    const age = record.confirmedAt === undefined ? 0 : ageOf(volume, record.confirmedAt);
    if (record.present !== undefined && (record.confirmedAt === undefined || isFresh(volume, record.present))) {
      volume.inodes.revive(record.present);
      return record.present;
    }
    if (record.present === undefined && age <= absenceTtl) return undefined;
  }
  const absentSince = directory.absent.get(name);
  if (absentSince !== undefined && ageOf(volume, absentSince) <= negativeTtlMs) return undefined;
  const known = directory.children.get(name);
  if (known !== undefined && (known.dirty || known.staged !== undefined || isFresh(volume, known))) return known;
  const listing = volume.listings.fresh(parent.nodeid, metadataTtlMs);
  if (listing === undefined) return 'unknown';
  return resolveFromListing(volume, parent, listing, name, absenceTtl);
}

function resolveFromListing(
  volume: Volume,
  parent: Inode,
  listing: Listing,
  name: string,
  absenceTtl: number,
): Inode | undefined | 'unknown' {
  const record = parent.directory?.overlay.over(name, listing.startedAt);
  if (record !== undefined) return 'unknown';
  const entry = listing.find(name);
  if (entry !== undefined) return adoptEntry(volume, parent, entry, listing.startedAt);
  return listing.isComplete && ageOf(volume, listing.startedAt) <= absenceTtl ? undefined : 'unknown';
}

async function ask(volume: Volume, parent: Inode, name: string, signal?: AbortSignal): Promise<Inode | undefined> {
  const listed = await askByListing(volume, parent, name);
  if (listed !== 'unknown') return listed;
  const askedAt = volume.clock.monotonic();
  const key = prefixOf(volume, parent) + name;
  if (!keyFits(key)) throw new FsError(errno.ENAMETOOLONG, key);
  const [object, below] = await Promise.all([
    headIfPresent(volume, key, signal),
    firstBelow(volume, `${key}/`, signal),
  ]);
  return settle(volume, parent, name, askedAt, object, below, signal);
}

/** Makes an inode of what HEAD and LIST found, unless this mount changed the name meanwhile. */
async function settle(
  volume: Volume,
  parent: Inode,
  name: string,
  askedAt: number,
  object: ObjectInfo | undefined,
  below: ListPage,
  signal?: AbortSignal,
): Promise<Inode | undefined> {
  const record = parent.directory?.overlay.over(name, askedAt);
  if (record !== undefined) {
    if (record.present !== undefined) volume.inodes.revive(record.present);
    return record.present;
  }
  const key = prefixOf(volume, parent) + name;
  if (below.objects.length > 0 || below.prefixes.length > 0) {
    const marker = below.objects[0]?.key === `${key}/` ? below.objects[0] : undefined;
    const known = marker === undefined ? undefined : volume.attributes.get(marker.key, marker);
    const info = marker === undefined ? undefined : (known ?? (await headIfPresent(volume, marker.key, signal)));
    if (object !== undefined) volume.unnameable.add(key);
    const inode = adoptDirectory(volume, parent, name, askedAt, info);
    if (inode.directory !== undefined) inode.directory.marker = marker !== undefined;
    return inode;
  }
  if (object !== undefined) return adoptFile(volume, parent, name, object, object, askedAt);
  forgetName(volume, parent, name);
  rememberAbsence(volume, parent, name, askedAt);
  return undefined;
}

/** CREATE and MKDIR follow the LOOKUP that found nothing: they need not ask again. */
function rememberAbsence(_volume: Volume, parent: Inode, name: string, askedAt: number): void {
  const absent = parent.directory?.absent;
  if (absent === undefined) return;
  if (absent.size >= MAX_REMEMBERED_ABSENCES) absent.clear();
  absent.set(name, askedAt);
}

/** Notes that this mount gave a name to an inode, or took one away; to be confirmed when the store has it. */
export function setName(volume: Volume, parent: Inode, name: string, inode: Inode | undefined): number {
  const { directory } = parent;
  if (directory === undefined) throw new FsError(errno.ENOTDIR, parent.path);
  const now = volume.clock.monotonic();
  directory.absent.delete(name);
  if (inode !== undefined) directory.filledUntil = now + volume.options.metadataTtlMs;
  else if (directory.witness === name) directory.witness = undefined;
  const wall = timespecFromMs(volume.clock.now());
  parent.attributes.mtime = wall;
  parent.attributes.ctime = wall;
  // No listing that is still in use began before what was confirmed so long ago.
  if (directory.overlay.size >= OVERLAY_SWEEP && directory.overlay.size % OVERLAY_SWEEP === 0) {
    directory.overlay.dropSeen(now - volume.options.metadataTtlMs);
  }
  return directory.overlay.set(name, inode);
}

/** The same for what the store has already. */
export function setNameConfirmed(volume: Volume, parent: Inode, name: string, inode: Inode | undefined): void {
  const sequence = setName(volume, parent, name, inode);
  parent.directory?.overlay.confirm(name, sequence, volume.clock.monotonic());
}

/** The store does not have the name (any more). A listing from before must not bring it back. */
export function forgetName(volume: Volume, parent: Inode, name: string): void {
  const known = parent.directory?.children.get(name);
  if (known !== undefined && !known.dirty && known.staged === undefined) {
    volume.inodes.detach(known, prefixOf(volume, parent) + name);
    parent.directory?.overlay.setConfirmed(name, undefined, volume.clock.monotonic());
  }
}

/** HEAD, remembered; undefined when the key is absent. */
export async function headIfPresent(
  volume: Volume,
  key: string,
  signal?: AbortSignal,
): Promise<ObjectInfo | undefined> {
  try {
    const info = await volume.client.head(key, { signal });
    volume.attributes.put(key, info);
    return info;
  } catch (error) {
    if (isS3Error(error, 'NotFound')) return undefined;
    if (isS3Error(error, 'AccessDenied') && !volume.options.canList) return undefined;
    throw error;
  }
}

/** At most one key below a prefix. Where listing is denied only the marker can tell. */
async function firstBelow(volume: Volume, prefix: string, signal?: AbortSignal): Promise<ListPage> {
  if (keyFits(prefix)) {
    if (volume.options.canList) return volume.client.list({ prefix, maxKeys: 1, signal });
    const marker = await headIfPresent(volume, prefix, signal);
    if (marker !== undefined) return { objects: [marker], prefixes: [], date: marker.date };
  }
  return { objects: [], prefixes: [], date: 0 };
}

/** The third look-up in short succession lists the directory; the first page answers for small directories. */
async function askByListing(volume: Volume, parent: Inode, name: string): Promise<Inode | undefined | 'unknown'> {
  const { directory } = parent;
  if (directory === undefined || !volume.options.canList) return 'unknown';
  const now = volume.clock.monotonic();
  directory.asked = now - directory.askedAt < LOOKUP_SERIES_MS ? directory.asked + 1 : 1;
  directory.askedAt = now;
  if (directory.asked !== LOOKUP_SERIES) return 'unknown';
  const listing = startListing(volume, parent);
  const page = await listing.page(0);
  if (page?.last !== undefined && listing.find(name) === undefined) return 'unknown';
  return resolveFromListing(volume, parent, listing, name, volume.options.negativeTtlMs);
}

/** Begins a listing of a directory; what it will have seen leaves the overlay once it is complete. */
export function startListing(volume: Volume, directory: Inode): Listing {
  return volume.listings.begin(directory.nodeid, () => prefixOf(volume, directory));
}
