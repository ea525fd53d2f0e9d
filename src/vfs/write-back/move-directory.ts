/**
 * Moving the keys of a renamed directory. Programs see the new name since the rename; here every key below the old prefix
 * is copied, then the directory stands for the new one, and the old keys are deleted like any that were removed.
 *
 * Crash points: until the switch is in the journal everything is read from the old keys, and a new start copies anew.
 * The switch is one change of the journal: the directory, what lies below it, and the removal of each old key. So no old
 * key goes before its copy is confirmed. What was renamed or removed below meanwhile keeps its old key until the switch,
 * which then takes its copy back.
 */
import { crashPoint } from '../../crash-point.js';
import type { Inode } from '../inode.js';
import { confirmName } from '../resolve.js';
import { type Copy, copyBelow, restampBelow } from '../tree-copy.js';
import { changing, frozen } from '../tree-lock.js';
import { homeKeyOf, type Volume } from '../volume.js';
import type { WriteBack } from './write-back.js';

/** MD5 of nothing. */
const EMPTY_ETAG = 'd41d8cd98f00b204e9800998ecf8427e';

export async function moveDirectory(volume: Volume, writeBack: WriteBack, inode: Inode): Promise<void> {
  const { parent } = inode;
  if (parent === undefined) return;
  while (writeBack.places.moving !== undefined) await writeBack.places.moved();
  writeBack.places.moving = inode;
  try {
    await changing([parent], () => frozen(inode, () => moveKeys(volume, writeBack, inode)));
  } finally {
    writeBack.places.moving = undefined;
    writeBack.removals.schedule();
  }
}

async function moveKeys(volume: Volume, writeBack: WriteBack, inode: Inode): Promise<void> {
  const { directory } = inode;
  const from = directory?.storedPrefix;
  if (directory === undefined || from === undefined) return;
  await writeBack.removals.idle();
  const to = homeKeyOf(volume, inode);
  // A file that lost its name there may still be on its way.
  await writeBack.places.unclaimedBelow(to);
  const wasBegun = directory.movingTo === to;
  directory.movingTo = to;
  writeBack.note(inode);
  const copied = await copyBelow(
    volume,
    from,
    to,
    (key) =>
      writeBack.removalAt(key) !== undefined ||
      writeBack.places.movedFrom(key) !== undefined ||
      writeBack.places.movedOut(inode, key) !== undefined,
  );
  crashPoint('directory-copied');
  if (inode.orphanKey === undefined && homeKeyOf(volume, inode) === to && inode.directory?.storedPrefix === from) {
    if (wasBegun) takeBack(writeBack, { from, to, copied });
    switchOver(volume, writeBack, inode, { from, to, copied });
    return;
  }
  // It was renamed again, or removed: what was copied goes, and the old keys are still where they were.
  for (const [key, { reply }] of copied) writeBack.bury(key, { etag: reply.etag, lastModified: reply.date }, []);
  writeBack.done();
}

interface Move {
  readonly from: string;
  readonly to: string;
  readonly copied: ReadonlyMap<string, Copy>;
}

/**
 * An earlier daemon had begun to copy: what was removed or renamed below since has a copy that nothing speaks of. Copies
 * have the ETag of their source, but for uploads in parts; markers are empty.
 */
function takeBack(writeBack: WriteBack, { from, to, copied }: Move): void {
  const bury = (key: string, etag: string | undefined): void => {
    const copy = to + key.slice(from.length);
    if (!copied.has(copy) && etag !== undefined && writeBack.removalAt(copy) === undefined)
      writeBack.bury(copy, { etag, lastModified: 0 }, []);
  };
  for (const { key, etag, isMarker } of [...writeBack.removals.values()])
    if (key.startsWith(from)) bury(key, isMarker ? EMPTY_ETAG : etag);
  for (const [key, inode] of writeBack.places.movedFromBelow(from)) bury(key, inode.version?.etag);
}

/** From here on the keys are the new ones. Nothing waits in between. */
function switchOver(volume: Volume, writeBack: WriteBack, inode: Inode, { from, to, copied }: Move): void {
  const { directory, leftNames } = inode;
  if (directory === undefined) return;
  directory.storedPrefix = undefined;
  directory.movingTo = undefined;
  directory.isStored = true;
  if (!copied.has(to)) {
    directory.marker = false;
    directory.needsMarker ||= copied.size === 0;
  }
  restampBelow(volume, inode, to, copied);
  for (const [key, copy] of copied) {
    const { oldKey, oldEtag, reply } = copy;
    const was = writeBack.removalAt(key);
    if (was !== undefined) writeBack.forgetRemoval(key);
    const isGone = writeBack.removalAt(oldKey) !== undefined || writeBack.places.movedFrom(oldKey) !== undefined;
    if (isGone) writeBack.bury(key, { etag: reply.etag, lastModified: reply.date }, []);
    else if (oldKey !== from) writeBack.bury(oldKey, { etag: oldEtag, lastModified: 0 }, []);
  }
  writeBack.bury(from, undefined, leftNames);
  inode.leftNames = [];
  dropListings(volume, inode);
  confirmName(volume, inode);
  inode.dirty = directory.needsMarker;
  writeBack.places.arrived(inode);
  writeBack.settle(inode);
  crashPoint('directory-moved');
}

/** Their entries are versions under the old keys. */
function dropListings(volume: Volume, directory: Inode): void {
  volume.listings.drop(directory.nodeid);
  for (const child of directory.directory?.children.values() ?? [])
    if (child.directory !== undefined) dropListings(volume, child);
}
