/**
 * Moving the keys of a renamed directory. Programs see the new name since the rename; here every key below the old prefix
 * is copied, then the directory stands for the new one, and the old keys are deleted like any that were removed.
 *
 * Crash points: until the switch is in the journal everything is read from the old keys, and a new start copies anew.
 * The switch is one change of the journal: the directory, what lies below it, and the removal of each old key. So no old
 * key goes before its copy is confirmed. What was renamed or removed below meanwhile keeps its old key until the switch,
 * which then takes its copy back.
 */

import { randomUUID } from 'node:crypto';
import { LIST_PAGE_KEYS } from '../../constants.js';
import { crashPoint } from '../../crash-point.js';
import type { ListedObject } from '../../s3/object-client.js';
import type { Inode } from '../inode.js';
import { confirmName } from '../resolve.js';
import { copyBelow, type Move, restampBelow } from '../tree-copy.js';
import { changing, frozen } from '../tree-lock.js';
import { homeKeyOf, type Volume } from '../volume.js';
import type { WriteBack } from './write-back.js';

/** `to`: another prefix than the one its name stands for. */
export async function moveDirectory(volume: Volume, writeBack: WriteBack, inode: Inode, to?: string): Promise<void> {
  const { parent } = inode;
  if (parent === undefined) return;
  while (writeBack.places.moving !== undefined) await writeBack.places.moved();
  writeBack.places.moving = inode;
  try {
    await changing([parent], () => frozen(inode, () => moveKeys(volume, writeBack, inode, to)));
  } finally {
    writeBack.places.moving = undefined;
    writeBack.removals.schedule();
  }
}

async function moveKeys(volume: Volume, writeBack: WriteBack, inode: Inode, aside?: string): Promise<void> {
  const { directory } = inode;
  const from = directory?.storedPrefix;
  if (directory === undefined || from === undefined) return;
  await writeBack.removals.idle();
  const home = homeKeyOf(volume, inode);
  const to = aside ?? home;
  // A file that lost its name there may still be on its way.
  await writeBack.places.unclaimedBelow(to);
  const wasBegun = directory.movingTo === to;
  directory.movingTo = to;
  writeBack.markStored(inode.parent);
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
  // What was removed or renamed below since an earlier daemon had begun to copy has a copy that nothing speaks of.
  const stray = wasBegun ? await copiesOf(volume, { from, to }, (key) => isGoneFrom(writeBack, key)) : [];
  // A kill behind the switch finds what is known of the copies.
  await volume.attributes.committed();
  crashPoint('directory-copied');
  if (inode.orphanKey === undefined && homeKeyOf(volume, inode) === home && inode.directory?.storedPrefix === from) {
    for (const copy of stray) if (!copied.has(copy.key)) writeBack.bury(copy.key, copy, []);
    switchOver(volume, writeBack, inode, { from, to, copied });
    return;
  }
  // It was renamed again, or removed: what was copied goes, and the old keys are still where they were.
  for (const [key, { reply }] of copied) writeBack.bury(key, { etag: reply.etag, lastModified: reply.date }, []);
  directory.movingTo = undefined;
  writeBack.done();
}

const isGoneFrom = ({ removals, places }: WriteBack, key: string): boolean =>
  removals.at(key) !== undefined || places.movedFrom(key) !== undefined;

/** The objects below a prefix that are copies of what lies below another and is chosen. */
async function copiesOf(
  { client }: Volume,
  { from, to }: { readonly from: string; readonly to: string },
  isChosen: (source: string) => boolean,
): Promise<ListedObject[]> {
  const copies: ListedObject[] = [];
  let token: string | undefined;
  do {
    const page = await client.list({ prefix: to, token, maxKeys: LIST_PAGE_KEYS });
    copies.push(...page.objects.filter(({ key }) => isChosen(from + key.slice(to.length))));
    token = page.nextToken;
  } while (token !== undefined);
  return copies;
}

/**
 * Before a directory loses its name while its keys are half copied to there (a daemon was killed, or a copy failed): what
 * was copied goes. Whoever calls this looks again afterwards whether there is anything left of it.
 */
export async function takeBackCopies(volume: Volume, writeBack: WriteBack, inode: Inode): Promise<void> {
  const { directory } = inode;
  const { storedPrefix: from, movingTo: to } = directory ?? {};
  if (directory === undefined || to === undefined) return;
  const sources = new Map<string, ListedObject>();
  if (from !== undefined)
    for (const source of await copiesOf(volume, { from, to: from }, () => true)) sources.set(source.key, source);
  const copies = await copiesOf(volume, { from: from ?? to, to }, (key) => sources.has(key));
  if (writeBack.places.moving === inode || directory.movingTo !== to || directory.storedPrefix !== from) return;
  for (const copy of copies) {
    const source = sources.get((from ?? to) + copy.key.slice(to.length));
    // A copy has the ETag of its source, but for what was uploaded in parts.
    const isCopy = source?.size === copy.size && (source.etag === copy.etag || source.etag.includes('-'));
    if (isCopy) writeBack.bury(copy.key, copy, []);
  }
  directory.movingTo = undefined;
  writeBack.note(inode);
}

/** Beside everything else of the mount; the journal says whose it is, and it is in no listing. */
const ASIDE = '.pailfs-exchange-';

/** Directories that changed names wait for each other's place: the keys of one are moved out of the way. */
export async function moveAside(volume: Volume, writeBack: WriteBack, inode: Inode): Promise<void> {
  const begun = inode.directory?.movingTo;
  const stem = volume.options.prefix + ASIDE;
  let to = begun?.startsWith(stem) ? begun : undefined;
  while (to === undefined) {
    const prefix = `${stem}${randomUUID()}/`;
    const { objects } = await volume.client.list({ prefix, maxKeys: 1 });
    if (objects.length === 0) to = prefix;
  }
  await moveDirectory(volume, writeBack, inode, to);
}

/** From here on the keys are the new ones. Nothing waits in between. */
function switchOver(volume: Volume, writeBack: WriteBack, inode: Inode, { from, to, copied }: Move): void {
  const { directory } = inode;
  if (directory === undefined) return;
  writeBack.places.arrived(inode);
  directory.storedPrefix = undefined;
  const isHome = homeKeyOf(volume, inode) === to;
  if (!isHome) directory.storedPrefix = to;
  directory.movingTo = undefined;
  directory.isStored = true;
  if (!copied.has(to)) {
    directory.marker = false;
    directory.needsMarker ||= copied.size === 0;
  }
  restampBelow(volume, inode, { from, to, copied });
  for (const [key, copy] of copied) {
    const { oldKey, oldEtag, reply } = copy;
    const was = writeBack.removalAt(key);
    if (was !== undefined) writeBack.forgetRemoval(key);
    if (isGoneFrom(writeBack, oldKey)) writeBack.bury(key, { etag: reply.etag, lastModified: reply.date }, []);
    else if (oldKey !== from) writeBack.bury(oldKey, { etag: oldEtag, lastModified: 0 }, []);
  }
  writeBack.bury(from, undefined, isHome ? inode.leftNames : []);
  if (isHome) inode.leftNames = [];
  dropListings(volume, inode);
  confirmName(volume, inode);
  inode.dirty = directory.needsMarker || !isHome;
  writeBack.noteBelow(inode);
  writeBack.settle(inode);
  crashPoint('directory-moved');
}

/** Their entries are versions under the old keys. */
function dropListings(volume: Volume, directory: Inode): void {
  volume.listings.drop(directory.nodeid);
  for (const child of directory.directory?.children.values() ?? [])
    if (child.directory !== undefined) dropListings(volume, child);
}
