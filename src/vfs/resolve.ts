/**
 * From a name in a directory to its inode. What this mount did itself stands first, then what is freshly known of the
 * name, then a fresh listing of the directory, and only then the store is asked: HEAD of the key and LIST of the prefix
 * side by side (two requests, one round trip). When look-ups of one directory come in series, the directory is listed
 * instead, and the rest of the series costs nothing.
 */
import type { KnownObject } from '../cache/attribute-store.js';
import type { Listing } from '../cache/listing.js';
import type { Walk } from '../cache/walks.js';
import { LOOKUP_SERIES, LOOKUP_SERIES_MS, MAX_REMEMBERED_ABSENCES } from '../constants.js';
import { errno } from '../errno.js';
import type { RequestContext } from '../fuse/operations.js';
import type { ListPage, ObjectInfo } from '../s3/object-client.js';
import { firstBelow, hasFolderMarker, headIfPresent, isNothing } from './find-key.js';
import type { Inode } from './inode.js';
import { keyFits, nameIn, type Part } from './name.js';
import { FsError } from './to-errno.js';
import { adoptDirectory, adoptEntry, adoptFile } from './versions.js';
import { ageOf, isFresh, keyOfName, partIn, prefixOf, type Volume } from './volume.js';
import { goneVersion, isAllGone, isGone } from './write-back/gone.js';

/** Records of one directory's overlay after which those that no listing needs are dropped, each time it has grown so much. */
const OVERLAY_SWEEP = 1024;

/** Who waits for an answer; its signal is made when it is looked at, which most answers do not need. */
export type Waiter = Pick<RequestContext, 'signal'>;

/** The inode of a name, or undefined when it does not exist. Answers at once where nothing has to be asked. */
export function resolve(
  volume: Volume,
  parent: Inode,
  name: string,
  waiter?: Waiter,
): Inode | undefined | Promise<Inode | undefined> {
  const { directory } = parent;
  if (directory === undefined) throw new FsError(errno.ENOTDIR, parent.path);
  const part = partIn(parent, name);
  if (part === undefined) return undefined;
  const local = resolveLocally(volume, parent, directory, name);
  if (local !== 'unknown') return local;
  if (parent.orphanKey !== undefined) return undefined;
  return ask(volume, parent, name, part, waiter?.signal);
}

/** The same, but that it does not exist is the answer of the store now. */
export function resolveNow(
  volume: Volume,
  parent: Inode,
  name: string,
  waiter?: Waiter,
): Inode | undefined | Promise<Inode | undefined> {
  const { directory } = parent;
  if (directory === undefined) throw new FsError(errno.ENOTDIR, parent.path);
  const part = partIn(parent, name);
  if (part === undefined || parent.orphanKey !== undefined) return undefined;
  const local = resolveLocally(volume, parent, directory, name);
  if (local !== undefined && local !== 'unknown') return local;
  return ask(volume, parent, name, part, waiter?.signal);
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
      return volume.inodes.revive(record.present);
    }
    if (record.present === undefined && age <= absenceTtl) return undefined;
  }
  const absentSince = directory.absent.get(name);
  if (absentSince !== undefined && ageOf(volume, absentSince) <= negativeTtlMs) return undefined;
  const known = directory.children.get(name);
  if (known !== undefined && (known.dirty || known.staged !== undefined || isFresh(volume, known))) return known;
  const listing = listingInUse(volume, parent);
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

async function ask(
  volume: Volume,
  parent: Inode,
  name: string,
  part: Part,
  signal?: AbortSignal,
): Promise<Inode | undefined> {
  if (volume.writeBack?.places.isShadowed(parent)) return undefined;
  const listed = await askByListing(volume, parent, name);
  if (listed !== 'unknown') return listed;
  const askedAt = volume.clock.monotonic();
  const key = prefixOf(volume, parent) + part.text;
  // Its keys may have been moved meanwhile.
  const version = goneVersion(volume);
  const answer = (found: Found): Inode | undefined | Promise<Inode | undefined> =>
    prefixOf(volume, parent) + part.text === key && goneVersion(volume) === version
      ? settle(volume, parent, name, askedAt, found)
      : ask(volume, parent, name, part, signal);
  if (!keyFits(key)) throw new FsError(errno.ENAMETOOLONG, key);
  if (part.kind === 'long') {
    const isThere = await beginsSomething(volume, key, parent.begun + part.text);
    return answer(isThere ? { directory: true } : {});
  }
  if (part.kind === 'object') {
    const object = await objectBeside(volume, parent, key, part.text === '', signal);
    return answer({ object });
  }
  const [object, below] = await Promise.all([
    // An object without a text is the marker of the directory itself.
    part.text === '' ? undefined : headIfPresent(volume, key, signal),
    firstBelow(volume, `${key}/`, signal),
  ]);
  if (!isNothing(below) && !(await isAllGone(volume, `${key}/`, signal))) {
    const marker = await markerOf(volume, key, below, signal);
    return answer({ directory: true, marker, shadows: object !== undefined && !isGone(volume, key) });
  }
  if (object !== undefined && isGone(volume, key)) return answer({});
  if (object === undefined && (await hasFolderMarker(volume, key, signal)))
    return answer({ directory: true, folderMarker: true });
  return answer({ object });
}

/** Whether any component that is too long for a name begins like this. */
async function beginsSomething(volume: Volume, prefix: string, begun: string): Promise<boolean> {
  const listing = volume.listings.detached(prefix, begun);
  for (let number = 0; ; number++) {
    const page = await listing.page(number);
    if (page === undefined) return false;
    if (page.entries.length > 0) return true;
  }
}

/** An object that has this name only because a directory has its own: the content of a marker, or one beside a prefix. */
async function objectBeside(
  volume: Volume,
  parent: Inode,
  key: string,
  isMarker: boolean,
  signal?: AbortSignal,
): Promise<ObjectInfo | undefined> {
  if (isMarker) {
    if (key === '' || parent.isBeginning) return undefined;
    const marker = await headIfPresent(volume, key, signal);
    return marker !== undefined && marker.size > 0 ? marker : undefined;
  }
  const [object, below] = await Promise.all([
    headIfPresent(volume, key, signal),
    firstBelow(volume, `${key}/`, signal),
  ]);
  return isNothing(below) ? undefined : object;
}

/** All that is known of the marker of a directory, asked if need be; undefined: it has none. */
async function markerOf(
  volume: Volume,
  key: string,
  below: ListPage,
  signal?: AbortSignal,
): Promise<KnownObject | undefined> {
  const [marker] = below.objects;
  if (marker?.key !== `${key}/`) return undefined;
  return volume.attributes.get(marker.key, marker) ?? headIfPresent(volume, marker.key, signal);
}

interface Found {
  readonly object?: ObjectInfo;
  readonly directory?: true;
  readonly marker?: KnownObject;
  readonly folderMarker?: true;
  readonly shadows?: boolean;
}

/** Makes an inode of what was found, unless this mount changed the name meanwhile. */
function settle(volume: Volume, parent: Inode, name: string, askedAt: number, found: Found): Inode | undefined {
  const record = parent.directory?.overlay.over(name, askedAt);
  if (record !== undefined) {
    return record.present === undefined ? undefined : volume.inodes.revive(record.present);
  }
  if (found.directory) {
    const inode = adoptDirectory(volume, parent, name, askedAt, found.marker);
    if (inode.directory !== undefined && !inode.isBeginning) {
      inode.directory.marker = found.marker !== undefined;
      inode.directory.folderMarker = found.folderMarker;
      inode.directory.shadows = found.shadows ?? false;
    }
    return inode;
  }
  const { object } = found;
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
  const wall = volume.stamp();
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

/** The store has an inode under its name: what a listing that began before says does not count. */
export function confirmName(volume: Volume, inode: Inode): void {
  const overlay = inode.parent?.directory?.overlay;
  if (overlay === undefined || inode.storedKey !== undefined || inode.directory?.storedPrefix !== undefined) return;
  const record = overlay.get(inode.name);
  const sequence = record?.present === inode ? record.sequence : overlay.set(inode.name, inode);
  overlay.confirm(inode.name, sequence, volume.clock.monotonic());
}

/** Whether an object has the same name as a directory, and is shown under `shown` while that is there. */
function hidesObject(volume: Volume, parent: Inode, shown: string, directory: Inode): boolean {
  if (parent.directory?.children.get(shown) !== undefined) return true;
  // It was removed too.
  const record = parent.directory?.overlay.get(shown);
  if (record !== undefined && record.present === undefined) return false;
  const listing = volume.listings.fresh(parent.nodeid, volume.options.metadataTtlMs);
  return (directory.directory?.shadows ?? false) || listing?.find(shown) !== undefined;
}

/** The same, for a directory that has its name. */
export function shadowsObject(volume: Volume, directory: Inode): boolean {
  const { parent, name } = directory;
  if (parent === undefined) return false;
  const shown = nameIn(parent.begun, parent.begun + (partIn(parent, name)?.text ?? name), true);
  return shown !== undefined && !shown.isLong && hidesObject(volume, parent, shown.name, directory);
}

/** A directory has gone from a name that an object in the store has too: it is the object's now. */
export function revealObject(volume: Volume, parent: Inode, name: string, directory: Inode): void {
  const shown = nameIn(parent.begun, parent.begun + (partIn(parent, name)?.text ?? name), true);
  if (shown === undefined || shown.isLong) return;
  if (!hidesObject(volume, parent, shown.name, directory)) return;
  const object = parent.directory?.children.get(shown.name);
  if (object !== undefined) {
    const key = keyOfName(volume, parent, name, false);
    volume.inodes.move(object, parent, name, { from: key, to: key });
    setNameConfirmed(volume, parent, shown.name, undefined);
    setNameConfirmed(volume, parent, name, object);
    volume.notifier?.invalEntry(parent.nodeid, shown.name);
  } else {
    parent.directory?.overlay.drop(name);
    volume.listings.drop(parent.nodeid);
  }
}

/** The store does not have the name (any more). A listing from before must not bring it back. */
export function forgetName(volume: Volume, parent: Inode, name: string): void {
  const known = parent.directory?.children.get(name);
  if (known !== undefined && !known.dirty && known.staged === undefined) {
    volume.inodes.detach(known, keyOfName(volume, parent, name, known.directory !== undefined));
    parent.directory?.overlay.setConfirmed(name, undefined, volume.clock.monotonic());
  }
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

/** The listing of a directory that counts now; used, it is asked anew before it ends. */
export function listingInUse(volume: Volume, directory: Inode): Listing | undefined {
  const { metadataTtlMs } = volume.options;
  const listing = volume.listings.fresh(directory.nodeid, metadataTtlMs);
  if (listing === undefined || volume.writeBack?.places.isShadowed(directory)) return listing;
  const { begun } = directory;
  volume.listings.renew(directory.nodeid, () => prefixOf(volume, directory), { begun }, metadataTtlMs);
  return listing;
}

/** Begins a listing of a directory; what it will have seen leaves the overlay once it is complete. */
export function startListing(volume: Volume, directory: Inode, walk?: Walk): Listing {
  if (volume.writeBack?.places.isShadowed(directory))
    return volume.listings.beginEmpty(directory.nodeid, () => prefixOf(volume, directory));
  const { begun } = directory;
  return volume.listings.begin(directory.nodeid, () => prefixOf(volume, directory), { begun, walk });
}
