/**
 * Keys that are still in the store and that no name of this mount stands for there any more: of objects that were removed
 * or renamed, and of directories that were moved. A listing must not show them.
 */
import { LIST_PAGE_KEYS } from '../../constants.js';
import { homeKeyOf, type Volume } from '../volume.js';
import type { WriteBack } from './write-back.js';

/** Whether an object is not to be shown. */
export function isGone({ writeBack }: Volume, key: string): boolean {
  if (writeBack === undefined || key.endsWith('/')) return false;
  return writeBack.removalAt(key) !== undefined || writeBack.places.movedFrom(key) !== undefined;
}

/** Changes when such a key has left the store: what was asked before may still tell of it. */
export function goneVersion({ writeBack }: Volume): number {
  return writeBack === undefined ? 0 : writeBack.removals.version + writeBack.places.version;
}

/** How many keys below a prefix may be such (at least). */
function goneBelow({ removals, places }: WriteBack, prefix: string): number {
  let count = places.movedAwayBelow(prefix);
  for (const { key } of removals.values()) if (key.startsWith(prefix)) count++;
  return count;
}

/** Whether all keys below a prefix are such. Costs a LIST only where there are any. */
export async function isAllGone(volume: Volume, prefix: string, signal?: AbortSignal): Promise<boolean> {
  const { writeBack, client } = volume;
  if (writeBack === undefined) return false;
  const gone = goneBelow(writeBack, prefix);
  if (gone === 0) return false;
  // Something that is not in the store yet keeps it.
  for (const inode of writeBack.queue.items()) {
    const { parent } = inode;
    // What is below a directory that was moved only seems to go there.
    if (parent === undefined || writeBack.places.redirectAbove(parent) !== undefined) continue;
    if (homeKeyOf(volume, inode).startsWith(prefix)) return false;
  }
  const isGoneFrom = (key: string): boolean =>
    writeBack.removalAt(key) !== undefined || writeBack.places.isMovedAway(prefix, key);
  let token: string | undefined;
  do {
    const page = await client.list({ prefix, token, maxKeys: Math.min(LIST_PAGE_KEYS, gone + 1), signal });
    if (page.objects.some(({ key }) => !isGoneFrom(key))) return false;
    token = page.nextToken;
  } while (token !== undefined);
  return true;
}
