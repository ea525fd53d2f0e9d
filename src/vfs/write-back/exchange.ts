/**
 * RENAME_EXCHANGE: two names change what they stand for, at once and in one change of the journal. Neither is ever
 * without something. The keys of two directories wait for each other's place then; the queue finds them in a circle, and
 * moves those of one out of the way (move-directory.ts).
 */
import { setImmediate } from 'node:timers/promises';
import { errno } from '../../errno.js';
import type { Inode } from '../inode.js';
import { findFolderMarker } from '../marker.js';
import { confirmName, setName, shadowsObject } from '../resolve.js';
import { takeSent } from '../sent.js';
import { homeKeyOf, keyOf, keyOfName, prefixOf, type Volume } from '../volume.js';
import { isAtOrBelow, untilWhole } from './local-directories.js';
import { isAtHome, touchName } from './local-names.js';
import type { WriteBack } from './write-back.js';

export async function exchangeHere(volume: Volume, writeBack: WriteBack, a: Inode, b: Inode): Promise<number> {
  if (isAtOrBelow(a, b) || isAtOrBelow(b, a)) return -errno.EINVAL;
  await writeBack.room();
  for (const inode of [a, b])
    if (inode.directory !== undefined && (await isTwofold(volume, inode))) return -errno.EOPNOTSUPP;
  if (a.directory !== undefined || b.directory !== undefined) await untilSettled(volume, writeBack, [a, b]);
  const { parent: parentA, name: nameA } = a;
  const { parent: parentB, name: nameB } = b;
  if (parentA === undefined || parentB === undefined) return -errno.ENOENT;
  writeBack.reserve();
  const sides = [placeOf(volume, a, parentB, nameB), placeOf(volume, b, parentA, nameA)];
  volume.inodes.exchange(a, b, { a: sides[0], b: sides[1] });
  setName(volume, parentA, nameA, b);
  setName(volume, parentB, nameB, a);
  for (const { inode } of sides) touchName(volume, inode);
  for (const side of sides) arrive(writeBack, side);
  for (const { inode } of sides) if (!inode.dirty) arrived(volume, writeBack, inode);
  for (const { inode } of sides) if (inode.directory !== undefined) writeBack.noteBelow(inode);
  writeBack.note(...sides.map(({ inode }) => inode).filter(({ dirty }) => dirty));
  writeBack.mustBeNoted();
  return 0;
}

interface Side {
  readonly inode: Inode;
  /** Where it lies. */
  readonly key: string;
  /** What its name stood for, and what it stands for now. */
  readonly from: string;
  readonly to: string;
}

function placeOf(volume: Volume, inode: Inode, parent: Inode, name: string): Side {
  const isDirectory = inode.directory !== undefined;
  const key = isDirectory ? prefixOf(volume, inode) : keyOf(volume, inode);
  return { inode, key, from: homeKeyOf(volume, inode), to: keyOfName(volume, parent, name, isDirectory) };
}

/** An object shares its name, or a zero-byte `NAME_$folder$` says that it exists: more than one name would change. */
async function isTwofold(volume: Volume, inode: Inode): Promise<boolean> {
  if (inode.parent === undefined || shadowsObject(volume, inode)) return true;
  return (await findFolderMarker(volume, inode.parent, inode)) !== undefined;
}

/** Nothing at or above them lies elsewhere than its name says, and nothing else lies where they go. */
async function untilSettled(volume: Volume, writeBack: WriteBack, inodes: readonly Inode[]): Promise<void> {
  for (;;) {
    for (const inode of inodes) if (inode.directory !== undefined) await untilWhole(volume, writeBack, inode);
    const waiting = inodes.map((inode) => inWay(volume, writeBack, inode)).find((one) => one !== undefined);
    if (waiting === undefined) return;
    await writeBack.flush(waiting);
    await setImmediate();
  }
}

function inWay(volume: Volume, { places }: WriteBack, inode: Inode): Inode | undefined {
  const above = inode.directory === undefined ? inode.parent : inode;
  const redirect = above === undefined ? undefined : places.redirectAbove(above);
  return redirect ?? places.redirectOver(homeKeyOf(volume, inode), inode);
}

function arrive(writeBack: WriteBack, { inode, key, from, to }: Side): void {
  const { directory } = inode;
  writeBack.places.arrived(inode);
  if (directory !== undefined) {
    directory.storedPrefix = directory.isStored ? key : undefined;
    inode.dirty = directory.storedPrefix !== undefined || directory.needsMarker;
    return;
  }
  if (inode.version !== undefined && !isAtHome(writeBack, key, to)) inode.storedKey = key;
  if (inode.version === undefined || key !== from) writeBack.sentGone(from, [], takeSent(inode, from));
  inode.dirty = inode.storedKey !== undefined || inode.staged !== undefined || inode.attributesChanged;
}

/** It has nothing for the store: it is back where it was. Part of a change that the caller writes down. */
function arrived(volume: Volume, writeBack: WriteBack, inode: Inode): void {
  writeBack.confirmLeft(inode);
  confirmName(volume, inode);
  writeBack.forget(inode);
}
