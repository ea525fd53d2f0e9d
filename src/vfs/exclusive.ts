/**
 * `--exclusive=s3`: what has to be new is made in the store before the operation answers, under the condition that nothing
 * stands there, so that of several hosts one has it made and the others get EEXIST. Before, the store is asked about the
 * name: a condition looks at one key only, and a directory may be there without one of its own.
 */
import { errno } from '../errno.js';
import { isConflict } from '../writeback/upload.js';
import { commitLocked } from './commit.js';
import type { Inode } from './inode.js';
import { resolve, resolveNow, type Waiter } from './resolve.js';
import { takeSent } from './sent.js';
import { FsError } from './to-errno.js';
import { changing } from './tree-lock.js';
import { homeKeyOf, type Volume } from './volume.js';
import { renameHere } from './write-back/local-names.js';
import type { WriteBack } from './write-back/write-back.js';

/** What has a name that is to be made: as far as is known here, or as the store says now. */
export function resolveForNew(
  volume: Volume,
  parent: Inode,
  name: string,
  waiter: Waiter,
): Inode | undefined | Promise<Inode | undefined> {
  const ask = volume.options.exclusive === 's3' ? resolveNow : resolve;
  return ask(volume, parent, name, waiter);
}

/** Brings a new file, or with write-back a new directory, to the store; it is not there any more when this rejects. */
export async function makeInStore(volume: Volume, inode: Inode): Promise<void> {
  const { parent, name } = inode;
  if (parent === undefined) throw new FsError(errno.ENOENT, name);
  inode.mustBeNew = true;
  try {
    await bring(volume, inode);
  } catch (error) {
    const isTaken = isConflict(error);
    const home = homeKeyOf(volume, inode);
    const sent = takeSent(inode, home);
    // Where only the answer was lost, the store has it.
    if (!isTaken && inode.directory === undefined) volume.writeBack?.sentGone(home, [], sent);
    await unmake(volume, parent, inode);
    throw isTaken ? new FsError(errno.EEXIST, name) : error;
  } finally {
    inode.mustBeNew = false;
  }
  // With nothing to wait for it may have left the table.
  volume.inodes.revive(inode);
}

function bring(volume: Volume, inode: Inode): Promise<void> {
  if (volume.writeBack !== undefined) return volume.writeBack.flush(inode);
  return changing([inode], () => inode.mutex.run(() => commitLocked(volume, inode)));
}

/** Takes away what could not be made. What has the name is to be asked. */
async function unmake(volume: Volume, parent: Inode, inode: Inode): Promise<void> {
  const { name, directory, staged } = inode;
  const home = homeKeyOf(volume, inode);
  volume.writeBack?.forget(inode);
  inode.dirty = false;
  inode.attributesChanged = false;
  inode.staged = undefined;
  if (directory !== undefined) {
    directory.needsMarker = false;
    volume.listings.drop(inode.nodeid);
  }
  askAnew(volume, parent, name);
  volume.inodes.detach(inode, home);
  volume.inodes.removed(inode, home);
  volume.writeBack?.done();
  await staged?.remove();
}

/** Somebody else has the name: what is known of it here is older. */
export function askAnew(volume: Volume, parent: Inode, name: string): void {
  parent.directory?.overlay.drop(name);
  parent.directory?.absent.delete(name);
  volume.listings.drop(parent.nodeid);
  volume.notifier?.invalEntry(parent.nodeid, name);
}

/** With write-back: renames a file under the condition that nothing has the name; it has its old one when this rejects. */
export async function renameInStore(
  volume: Volume,
  writeBack: WriteBack,
  move: { readonly inode: Inode; readonly to: Inode; readonly name: string },
): Promise<number> {
  const { inode, to, name } = move;
  const { parent: from, name: oldName } = inode;
  if (from === undefined) throw new FsError(errno.ENOENT, oldName);
  await renameHere(volume, writeBack, { ...move, target: undefined });
  inode.mustBeNew = true;
  try {
    await writeBack.flush(inode);
    return 0;
  } catch (error) {
    if (inode.parent !== to || inode.name !== name) throw error;
    // A new turn in the queue: what failed would wait for its next try.
    writeBack.forget(inode);
    // Who has the name may have the same bytes.
    takeSent(inode, homeKeyOf(volume, inode));
    await renameHere(volume, writeBack, { inode, to: from, name: oldName, target: undefined });
    askAnew(volume, to, name);
    throw isConflict(error) ? new FsError(errno.EEXIST, name) : error;
  } finally {
    inode.mustBeNew = false;
  }
}
