/**
 * Names that change here first: UNLINK, and what was made or changed without an open handle. Each is in the journal when
 * it answers, and visible at once; the store follows.
 */
import { errno } from '../../errno.js';
import type { Inode, LeftName } from '../inode.js';
import { confirmName, setName } from '../resolve.js';
import { takeSent } from '../sent.js';
import { carriesChangeTime, touchStatus } from '../staging.js';
import { FsError } from '../to-errno.js';
import { homeKeyOf, keyOf, keyOfName, type Volume } from '../volume.js';
import type { WriteBack } from './write-back.js';

/** Takes the name of a file away. What the store has of it goes later. */
export async function unlinkHere(volume: Volume, writeBack: WriteBack, inode: Inode): Promise<number> {
  await writeBack.room();
  writeBack.reserve();
  if (inode.parent === undefined) return -errno.ENOENT;
  takeNameAway(volume, writeBack, inode);
  writeBack.done();
  writeBack.mustBeNoted();
  await removeStaged(inode);
  return 0;
}

/** Part of a change that the caller writes down. */
export function takeNameAway(volume: Volume, writeBack: WriteBack, inode: Inode): void {
  const { parent, name } = inode;
  if (parent === undefined) return;
  const key = keyOf(volume, inode);
  const home = homeKeyOf(volume, inode);
  const sequence = setName(volume, parent, name, undefined);
  const here: LeftName = { directory: parent, name, sequence };
  const { leftNames, version } = inode;
  inode.leftNames = [];
  writeBack.places.arrived(inode);
  // An upload that is under way finds that it has no name any more; if the daemon is gone by then, the next one has to look.
  const sent = takeSent(inode, home);
  const isThere = version !== undefined && home === key;
  if (version !== undefined) {
    const names = isThere ? [here, ...leftNames] : leftNames;
    writeBack.bury(key, version, names, { orphan: inode, sent: isThere ? sent : takeSent(inode, key) });
  }
  if (!isThere) writeBack.sentGone(home, [here], sent);
  if (version === undefined) writeBack.confirmNames(leftNames);
  writeBack.forget(inode);
  inode.dirty = false;
  inode.attributesChanged = false;
  volume.attributes.remove(key);
  volume.inodes.detach(inode, key);
  volume.inodes.removed(inode, home);
}

/** The bytes of a file without a name are for its handles only. */
export async function removeStaged(inode: Inode): Promise<void> {
  if (inode.handles > 0) return;
  const { staged } = inode;
  inode.staged = undefined;
  await staged?.remove();
}

/** Gives a file another name in place of `target`; its object stays where it is until it is copied. */
export async function renameHere(
  volume: Volume,
  writeBack: WriteBack,
  move: { readonly inode: Inode; readonly to: Inode; readonly name: string; readonly target: Inode | undefined },
): Promise<number> {
  const { inode, to, name, target } = move;
  await writeBack.room();
  writeBack.reserve();
  if (inode.parent === undefined) throw new FsError(errno.ENOENT, inode.path);
  if (target !== undefined && target.parent !== undefined) takeNameAway(volume, writeBack, target);
  moveName(volume, writeBack, inode, to, name);
  finishMove(volume, writeBack, inode);
  writeBack.mustBeNoted();
  if (target !== undefined) await removeStaged(target);
  return 0;
}

/** The inode gets the name; the change is not written down yet. */
export function moveName(volume: Volume, writeBack: WriteBack, inode: Inode, to: Inode, name: string): void {
  const { parent: from, name: oldName } = inode;
  if (from === undefined) return;
  const oldHome = homeKeyOf(volume, inode);
  const key = keyOf(volume, inode);
  const other = to.directory?.children.get(name);
  if (other !== undefined && other !== inode) volume.inodes.detach(other, keyOf(volume, other));
  const left: LeftName = { directory: from, name: oldName, sequence: setName(volume, from, oldName, undefined) };
  volume.inodes.move(inode, to, name, {
    from: oldHome,
    to: keyOfName(volume, to, name, inode.directory !== undefined),
  });
  setName(volume, to, name, inode);
  touchName(volume, inode);
  const home = homeKeyOf(volume, inode);
  const isStored = inode.directory === undefined ? inode.version !== undefined : inode.directory.isStored;
  writeBack.places.arrived(inode);
  if (inode.directory === undefined && inode.version !== undefined && !isAtHome(writeBack, key, home))
    inode.storedKey = key;
  // Back where its object lies: nothing was renamed, as far as the store is concerned.
  if (key === home) inode.leftNames = inode.leftNames.filter((one) => one.directory !== to || one.name !== name);
  if (isStored && oldHome === key) inode.leftNames.push(left);
  else writeBack.sentGone(oldHome, [left], takeSent(inode, oldHome));
}

/** ctime of what got another name is now; an object that carries one gets it with the copy that follows. */
export function touchName(volume: Volume, inode: Inode): void {
  touchStatus(volume, inode);
  if (carriesChangeTime(inode)) inode.attributesChanged = true;
}

/** Where an object is, it stays: not among keys that are still those of a directory that was renamed. */
export function isAtHome({ places }: WriteBack, key: string, home: string): boolean {
  return key === home && places.redirectOver(key) === undefined;
}

/** Notes a renamed file, unless it is back where it was and has nothing for the store. */
export function finishMove(volume: Volume, writeBack: WriteBack, inode: Inode): void {
  const isWaiting = inode.storedKey !== undefined || inode.staged !== undefined || inode.attributesChanged;
  inode.dirty = isWaiting;
  if (isWaiting) writeBack.note(inode);
  else {
    writeBack.forget(inode);
    writeBack.confirmLeft(inode);
    confirmName(volume, inode);
    writeBack.done();
  }
}
