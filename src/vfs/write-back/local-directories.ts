/** Directories that change here first: MKDIR, RMDIR and the rename of one. The store follows. */
import { setImmediate } from 'node:timers/promises';
import { errno } from '../../errno.js';
import type { Inode, LeftName } from '../inode.js';
import { findFolderMarker } from '../marker.js';
import { confirmName, revealObject, setName, shadowsObject, startListing } from '../resolve.js';
import { FsError } from '../to-errno.js';
import { homeKeyOf, keyOf, keyOfNew, prefixOf, type Volume } from '../volume.js';
import { moveName } from './local-names.js';
import { takeBackCopies } from './move-directory.js';
import type { WriteBack } from './write-back.js';

/** Makes a directory; its marker follows. */
export async function mkdirHere(
  volume: Volume,
  writeBack: WriteBack,
  parent: Inode,
  name: string,
  attributes: Inode['attributes'],
): Promise<Inode> {
  await writeBack.room();
  writeBack.reserve();
  const prefix = keyOfNew(volume, parent, name, true);
  const inode = volume.inodes.add(parent, name, prefix, attributes, volume.clock.monotonic());
  const { directory } = inode;
  if (directory === undefined) throw new FsError(errno.EIO, name);
  Object.assign(directory, { marker: false, folderMarker: false, needsMarker: true, isStored: false });
  directory.filledUntil = volume.clock.monotonic() + volume.options.metadataTtlMs;
  // Nothing is in it but what this mount will put there: no listing needs to be asked.
  volume.listings.beginEmpty(inode.nodeid, () => prefixOf(volume, inode));
  inode.dirty = true;
  setName(volume, parent, name, inode);
  writeBack.note(inode);
  writeBack.mustBeNoted();
  return inode;
}

/** What this mount knows to be removed does not count; a listing that is fresh enough for ls is fresh enough here. */
export async function isEmptyHere(volume: Volume, inode: Inode): Promise<boolean> {
  const overlay = inode.directory?.overlay;
  const listing = volume.listings.fresh(inode.nodeid, volume.options.metadataTtlMs) ?? startListing(volume, inode);
  for (const [name] of overlay?.entries() ?? [])
    if (overlay?.over(name, listing.startedAt)?.present?.parent === inode) return false;
  for (let number = 0; ; number++) {
    const page = await listing.page(number);
    if (page === undefined) return true;
    for (const entry of page.entries) {
      if (!entry.directory && entry.isFolderMarker) continue;
      if (overlay?.over(entry.name, page.startedAt) === undefined) return false;
    }
  }
}

export async function rmdirHere(volume: Volume, writeBack: WriteBack, inode: Inode): Promise<number> {
  await writeBack.room();
  if (!(await isEmptyHere(volume, inode))) return -errno.ENOTEMPTY;
  await untilWhole(volume, writeBack, inode);
  const { parent } = inode;
  if (parent === undefined) return -errno.ENOENT;
  const key = keyOf(volume, inode);
  const folder = await findFolderMarker(volume, parent, inode);
  const shadows = shadowsObject(volume, inode);
  writeBack.reserve();
  buryFolderMarker(volume, writeBack, parent, folder);
  removeHere(volume, writeBack, parent, inode);
  writeBack.done();
  writeBack.mustBeNoted();
  if (!shadows) return 0;
  // An object gets the name back, which nothing of the directory must hide any more.
  await writeBack.removals.flush((removal) => removal.key.startsWith(key));
  revealObject(volume, parent, inode.name, inode);
  return 0;
}

/** The zero-byte `NAME_$folder$` of a directory goes with it. Part of a change that the caller writes down. */
function buryFolderMarker(
  volume: Volume,
  writeBack: WriteBack,
  parent: Inode,
  folder: { readonly key: string; readonly name: string } | undefined,
): void {
  if (folder === undefined) return;
  const { key, name } = folder;
  const known = parent.directory?.children.get(name);
  if (known !== undefined) volume.inodes.detach(known, key);
  writeBack.bury(key, undefined, [{ directory: parent, name, sequence: setName(volume, parent, name, undefined) }]);
}

/** Part of a change that the caller writes down. The directory is empty. */
function removeHere(volume: Volume, writeBack: WriteBack, parent: Inode, inode: Inode): void {
  const { name, directory } = inode;
  const key = keyOf(volume, inode);
  const home = homeKeyOf(volume, inode);
  const sequence = setName(volume, parent, name, undefined);
  const names: LeftName[] = [{ directory: parent, name, sequence }, ...inode.leftNames];
  inode.leftNames = [];
  // What only stands for the beginning of components goes with the last of what was in it.
  const isWaiting = directory?.overlay.hasUnconfirmed ?? false;
  // Its marker may be on its way right now.
  const isOnItsWay = writeBack.places.isClaimed(key);
  if (inode.isBeginning) writeBack.confirmNames(isWaiting ? [] : names);
  else if (directory?.isStored || isWaiting || isOnItsWay) writeBack.bury(key, undefined, names, { directory: inode });
  else writeBack.nameGone(home, names);
  writeBack.places.arrived(inode);
  writeBack.forget(inode);
  inode.dirty = false;
  if (directory !== undefined) {
    directory.needsMarker = false;
    directory.storedPrefix = undefined;
  }
  volume.attributes.remove(key);
  volume.listings.drop(inode.nodeid);
  volume.inodes.detach(inode, key);
  volume.inodes.removed(inode, home);
}

/** Gives a directory another name; its keys stay where they are until they are moved. */
export async function renameDirectoryHere(
  volume: Volume,
  writeBack: WriteBack,
  move: { readonly inode: Inode; readonly to: Inode; readonly name: string; readonly target: Inode | undefined },
): Promise<number> {
  const { inode, to, name, target } = move;
  if (isAtOrBelow(to, inode)) return -errno.EINVAL;
  await writeBack.room();
  if (target !== undefined && !(await isEmptyHere(volume, target))) return -errno.ENOTEMPTY;
  if (target !== undefined) await untilWhole(volume, writeBack, target);
  await untilFree(volume, writeBack, inode, to, name);
  const { parent: from, name: oldName, directory } = inode;
  if (from === undefined || directory === undefined) return -errno.ENOENT;
  const folder = await findFolderMarker(volume, from, inode);
  const shadows = shadowsObject(volume, inode);
  writeBack.reserve();
  buryFolderMarker(volume, writeBack, from, folder);
  if (target?.parent !== undefined) removeHere(volume, writeBack, target.parent, target);
  const stored = prefixOf(volume, inode);
  // What is on its way to the store right now will lie there.
  directory.isStored ||= directory.changing > 0;
  moveName(volume, writeBack, inode, to, name);
  directory.storedPrefix = undefined;
  const home = homeKeyOf(volume, inode);
  directory.storedPrefix = directory.isStored && stored !== home ? stored : undefined;
  // Only that said that it exists.
  if (folder !== undefined) {
    directory.folderMarker = false;
    directory.needsMarker ||= directory.marker !== true;
  }
  inode.dirty = directory.storedPrefix !== undefined || directory.needsMarker;
  writeBack.noteBelow(inode);
  if (inode.dirty) writeBack.note(inode);
  else {
    writeBack.confirmLeft(inode);
    confirmName(volume, inode);
    writeBack.forget(inode);
    writeBack.done();
  }
  writeBack.mustBeNoted();
  if (shadows) {
    if (inode.journalId !== undefined) await writeBack.flush(inode);
    await writeBack.removals.flush((removal) => removal.key.startsWith(stored));
    revealObject(volume, from, oldName, inode);
  }
  directory.shadows = false;
  return 0;
}

export function isAtOrBelow(inode: Inode, top: Inode): boolean {
  for (let at: Inode | undefined = inode; at !== undefined; at = at.parent) if (at === top) return true;
  return false;
}

/** No key of it lies where it is only being copied to. */
function isWhole({ places }: WriteBack, inode: Inode): boolean {
  return places.moving !== inode && inode.directory?.movingTo === undefined;
}

export async function untilWhole(volume: Volume, writeBack: WriteBack, inode: Inode): Promise<void> {
  while (!isWhole(writeBack, inode)) {
    if (writeBack.places.moving === inode) await writeBack.places.moved();
    else await takeBackCopies(volume, writeBack, inode);
  }
}

/** Keys of another directory may still lie where this one goes, or its own may be on their way. */
async function untilFree(volume: Volume, writeBack: WriteBack, inode: Inode, to: Inode, name: string): Promise<void> {
  for (;;) {
    // What lies in a directory that is to be moved goes along first: one prefix never lies within another's.
    const above = inode.parent === undefined ? undefined : writeBack.places.redirectAbove(inode.parent);
    const other =
      above ??
      writeBack.places.redirectAbove(to) ??
      writeBack.places.redirectOver(keyOfNew(volume, to, name, true), inode);
    if (!isWhole(writeBack, inode)) await untilWhole(volume, writeBack, inode);
    else if (other !== undefined) await writeBack.flush(other);
    else return;
    await setImmediate();
  }
}
