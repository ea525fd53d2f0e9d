/**
 * Close-to-open: an open makes sure which version stands under the name. Within `--open-ttl` of the last answer nobody is
 * asked, opens of one file share an answer, and those that come in series in one directory share a LIST.
 */
import { isComplete } from '../cache/attribute-store.js';
import { LOOKUP_SERIES, LOOKUP_SERIES_MS } from '../constants.js';
import { errno } from '../errno.js';
import { isS3Error, S3Error } from '../s3/s3-error.js';
import { headIfPresent } from './find-key.js';
import type { Inode } from './inode.js';
import { forgetName, startListing } from './resolve.js';
import { FsError } from './to-errno.js';
import { untilAborted } from './until-aborted.js';
import { adoptFile } from './versions.js';
import { ageOf, cachedOf, dropCached, holdCached, keyOf, type Volume } from './volume.js';

/** What this mount is writing is newer than anything the store could say; a file without a name has no other version. */
export function needsRevalidation(volume: Volume, inode: Inode): boolean {
  if (inode.staged !== undefined || inode.dirty || inode.parent === undefined) return false;
  const asked = isComplete(inode.info) ? inode.checkedAt : Number.NEGATIVE_INFINITY;
  return ageOf(volume, asked) >= volume.options.openTtlMs;
}

/** Opens that come while one asks, and within the time that its answer counts, wait for that answer. */
export async function revalidate(volume: Volume, inode: Inode, writes: boolean, signal: AbortSignal): Promise<void> {
  const shared = inode.revalidation;
  if (shared !== undefined && ageOf(volume, shared.begunAt) < volume.options.openTtlMs) {
    try {
      return await untilAborted(shared.done, signal);
    } catch (error) {
      // The program that asked was interrupted, not this one.
      if (signal.aborted || !isS3Error(error, 'Aborted')) throw error;
    }
  }
  const done = ask(volume, inode, writes, signal);
  const own = { begunAt: volume.clock.monotonic(), done };
  inode.revalidation = own;
  try {
    await done;
  } finally {
    if (inode.revalidation === own) inode.revalidation = undefined;
  }
}

/**
 * Asks which version stands under the name now. For reading one GET also brings the first bytes, unless they are cached:
 * then it only asks whether the version is still the same. For writing HEAD tells what a later PUT has to keep.
 */
async function ask(volume: Volume, inode: Inode, writes: boolean, signal: AbortSignal): Promise<void> {
  if (!writes && (await revalidateByListing(volume, inode))) return;
  const askedAt = volume.clock.monotonic();
  const key = keyOf(volume, inode);
  try {
    if (writes || !inode.isRegular) await revalidateByHead(volume, inode, askedAt, signal);
    else await revalidateByGet(volume, inode, askedAt, signal);
  } catch (error) {
    if (!isS3Error(error, 'NotFound') || inode.parent === undefined) throw error;
    // Its object was moved meanwhile.
    if (keyOf(volume, inode) !== key) return ask(volume, inode, writes, signal);
    forgetName(volume, inode.parent, inode.name);
    throw new FsError(errno.ESTALE, inode.path);
  }
}

/**
 * When cached files of one directory are opened in series, one LIST tells of a thousand whether they are still the same.
 * False: it does not tell of this one.
 */
async function revalidateByListing(volume: Volume, inode: Inode): Promise<boolean> {
  const { parent } = inode;
  const state = parent?.directory;
  if (parent === undefined || state === undefined || !volume.options.canList || inode.info === undefined) return false;
  if (!firstBytesCached(volume, inode)) return false;
  const now = volume.clock.monotonic();
  state.opened = now - state.openedAt < LOOKUP_SERIES_MS ? state.opened + 1 : 1;
  state.openedAt = now;
  let listing = volume.listings.fresh(parent.nodeid, volume.options.openTtlMs);
  if (listing === undefined) {
    if (state.opened < LOOKUP_SERIES) return false;
    listing = startListing(volume, parent);
    await listing.page(0);
  }
  const entry = listing.find(inode.name);
  if (entry === undefined || entry.directory || inode.parent !== parent || inode.dirty) return false;
  const adopted = adoptFile(volume, parent, inode.name, entry, entry.info, listing.startedAt);
  mustBe(inode, adopted);
  return inode.info !== undefined;
}

async function revalidateByHead(volume: Volume, inode: Inode, askedAt: number, signal: AbortSignal): Promise<void> {
  const key = keyOf(volume, inode);
  const info = await headIfPresent(volume, key, signal);
  if (inode.parent === undefined || inode.dirty) return;
  if (info === undefined) throw new S3Error('NotFound', key, { operation: 'HeadObject', key });
  mustBeSince(volume, inode, inode.parent, adoptFile(volume, inode.parent, inode.name, info, info, askedAt));
}

async function revalidateByGet(volume: Volume, inode: Inode, askedAt: number, signal: AbortSignal): Promise<void> {
  const known = inode.version;
  const cached = known !== undefined && isComplete(inode.info) && firstBytesCached(volume, inode);
  try {
    const { info, file } = await volume.cache.probe(keyOf(volume, inode), cached ? known.etag : undefined, signal);
    volume.attributes.put(info.key, info);
    if (inode.parent === undefined || inode.dirty) {
      volume.cache.release(file);
      return;
    }
    const { parent } = inode;
    const adopted = adoptFile(volume, parent, inode.name, info, info, askedAt);
    if (adopted === inode && inode.cached === undefined) {
      holdCached(volume, inode, file);
      // Without an open handle nothing else lets go of it; the handle follows at once.
    } else volume.cache.release(file);
    mustBeSince(volume, inode, parent, adopted);
  } catch (error) {
    if (isS3Error(error, 'Archived')) throwArchived(volume, inode);
    if (!isS3Error(error, 'NotModified')) throw error;
    inode.checkedAt = askedAt;
  }
}

function firstBytesCached(volume: Volume, inode: Inode): boolean {
  const held = inode.cached !== undefined;
  const file = cachedOf(volume, inode);
  const valid = inode.size === 0 || (file !== undefined && volume.cache.has(file, 0));
  if (!held && inode.handles === 0) dropCached(volume, inode);
  return valid;
}

/** Another version stands there and this node keeps the old one: the kernel is to look the name up again. */
function mustBe(inode: Inode, adopted: Inode): void {
  if (adopted !== inode) throw new FsError(errno.ESTALE, inode.path);
}

/**
 * The same after one object was asked for. The kernel lets go of the new node before it looks the name up, and an older
 * listing would answer that with the version that is gone: the next open would fail for good.
 */
function mustBeSince(volume: Volume, inode: Inode, parent: Inode, adopted: Inode): void {
  if (adopted !== inode) volume.listings.drop(parent.nodeid);
  mustBe(inode, adopted);
}

export function throwArchived(volume: Volume, inode: Inode): never {
  const { bucket } = volume.options;
  volume.logger.warn(
    { path: inode.path },
    `the object is archived and must be restored before it can be read: aws s3api restore-object --bucket ${bucket} --key ${JSON.stringify(keyOf(volume, inode))} --restore-request Days=1`,
  );
  throw new FsError(errno.EREMOTEIO, inode.path);
}
