/** Small files in a few directories: whatever can be done to one. */
import type { Operation } from '../ack-log.js';
import type { Workload } from '../workload.js';
import * as calls from './calls.js';

const MAX_FILES = 60;
const MAX_DIRECTORIES = 8;
const MAX_BYTES = 200_000;

function sizeOf(load: Workload): number {
  return Math.floor(load.random.next() ** 3 * MAX_BYTES);
}

/** A name in one of the directories that is free, or undefined after a few attempts. */
export function freeName(load: Workload, stem: string, names: number): string | undefined {
  for (let attempt = 0; attempt < 4; attempt++) {
    const directory = load.random.pick(['.', ...load.paths('directory')]);
    const name = `${stem}${load.random.below(names)}`;
    const path = directory === '.' ? name : `${directory}/${name}`;
    if (!load.tree.has(path)) return path;
  }
  return undefined;
}

function make(load: Workload): Operation | undefined {
  const path = freeName(load, 'f', 20);
  if (path === undefined || load.paths('file').length > MAX_FILES) return;
  if (load.random.chance(0.12)) calls.unnamed(load, path, sizeOf(load));
  else if (load.random.chance(0.1)) calls.symlink(load, `${path}-link-${load.random.seed()}`);
  else calls.put(load, path, sizeOf(load));
}

function change(load: Workload, path: string): Operation | undefined {
  const entry = load.tree.get(path);
  const size = entry?.type === 'file' ? entry.bytes.length : 0;
  const { random } = load;
  switch (random.below(8)) {
    case 0:
      return calls.append(load, path, 1 + random.below(30_000));
    case 1:
      return calls.patch(load, path, random.below(size + 5_000), 1 + random.below(20_000));
    case 2:
      return calls.truncate(load, path, random.below(size * 1.3 + 1));
    case 3:
      return calls.chmod(load, path);
    case 4:
      return calls.utimes(load, path);
    case 5:
      return calls.unlink(load, path);
    default:
      return calls.put(load, path, sizeOf(load));
  }
}

function changeDirectory(load: Workload): Operation | undefined {
  const directories = load.paths('directory');
  const empty = directories.filter((one) => ![...load.tree.keys()].some((path) => path.startsWith(`${one}/`)));
  if (empty.length > 0 && load.random.chance(0.5)) return calls.rmdir(load, load.random.pick(empty));
  if (directories.length > 0 && load.random.chance(0.2)) return calls.chmod(load, load.random.pick(directories));
  const path = freeName(load, 'd', 8);
  if (path !== undefined && directories.length < MAX_DIRECTORIES) calls.mkdir(load, path);
}

export function files(load: Workload): Operation | undefined {
  const present = load.paths('file');
  const links = load.paths('link');
  const roll = load.random.next();
  if (links.length > 6) return calls.unlink(load, links[0]);
  if (roll < 0.1) return changeDirectory(load);
  if (present.length === 0 || roll < 0.4) return make(load);
  const path = load.random.pick(present);
  if (roll < 0.55) {
    const to = load.random.chance(0.4) ? load.random.pick(present) : freeName(load, 'f', 20);
    if (to !== undefined && to !== path) calls.rename(load, path, to);
    return;
  }
  change(load, path);
}
