/** The directories that recovered things lie in, and the names that they left. */
import { errno } from '../../errno.js';
import type { Inode, LeftName } from '../inode.js';
import { FsError } from '../to-errno.js';
import { directoryAttributes } from '../versions.js';
import { keyOfName, type Volume } from '../volume.js';
import type { Everything } from './left-by-earlier.js';
import { pathOf, type RemovalRecord } from './record.js';
import type { WriteBack } from './write-back.js';

/** Of no change of any overlay. */
const NO_SEQUENCE = -1;

/** The inode of a directory by its path. One that nothing is known of stands in the store, or comes back with what is in it. */
export function directoryAt(volume: Volume, path: readonly string[]): Inode {
  let at = volume.inodes.root;
  for (const name of path) {
    const known = at.directory?.children.get(name);
    if (known !== undefined && known.directory === undefined) throw new FsError(errno.ENOTDIR, path.join('/'));
    const key = keyOfName(volume, at, name, true);
    const never = Number.NEGATIVE_INFINITY;
    at = known ?? volume.inodes.add(at, name, key, directoryAttributes(volume, undefined), never);
  }
  return at;
}

/**
 * The same, unless it was removed: then its marker is to go, wherever that lies, and it was not made anew. `gone`: the
 * names that markers left which are to go.
 */
function livingDirectoryAt(
  volume: Volume,
  writeBack: WriteBack,
  gone: ReadonlySet<string>,
  path: readonly string[],
): Inode | undefined {
  let at = volume.inodes.root;
  for (const [depth, name] of path.entries()) {
    const known = at.directory?.children.get(name);
    if (known === undefined && gone.has(JSON.stringify(path.slice(0, depth + 1)))) return undefined;
    if (known === undefined && writeBack.removalAt(keyOfName(volume, at, name, true)) !== undefined) return undefined;
    if (known !== undefined && known.directory === undefined) return undefined;
    at = known ?? directoryAt(volume, [...(pathOf(at) ?? []), name]);
  }
  return at;
}

/**
 * The names that something left, when all that has one is there. Nothing has to be hidden in their directories: what is
 * gone is known by its key (gone.ts), and the name may have been given anew since.
 */
export function recoverLeftNames(
  volume: Volume,
  writeBack: WriteBack,
  { files, directories, removals }: Everything,
): void {
  const markers = removals.filter(({ record }) => record.isMarker);
  const gone = new Set(markers.flatMap(({ record }) => record.left.map((path) => JSON.stringify(path))));
  const namesOf = (paths: RemovalRecord['left'] = []): LeftName[] => {
    const names: LeftName[] = [];
    for (const path of paths) {
      const directory = livingDirectoryAt(volume, writeBack, gone, path.slice(0, -1));
      if (directory !== undefined) names.push({ directory, name: path[path.length - 1], sequence: NO_SEQUENCE });
    }
    return names;
  };
  const byId = new Map([...writeBack.queue.items()].map((inode) => [inode.journalId, inode]));
  for (const { id, record } of [...files, ...directories]) {
    const inode = byId.get(id);
    if (inode === undefined) continue;
    inode.leftNames = namesOf(record.left);
    if (inode.leftNames.length !== (record.left ?? []).length) writeBack.note(inode);
  }
  for (const { id, record } of removals) {
    const removal = writeBack.removalAt(record.key);
    if (removal?.id !== id) continue;
    removal.names = namesOf(record.left);
    // The marker of a removed directory may go before this does, and the next start would take the directory for living.
    if (removal.names.length !== record.left.length) writeBack.alsoAppend([id, writeBack.removals.recordOf(removal)]);
  }
}
