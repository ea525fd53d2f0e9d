/** Renames of files and of whole directories, one upon the other: editors' saves, atomic replacements, moved trees. */

import type { Operation } from '../ack-log.js';
import { isBelow } from '../tree.js';
import type { Workload } from '../workload.js';
import * as calls from './calls.js';
import { freeName } from './files.js';

const MAX_FILES = 40;
const CHILDREN = 6;

function makeDirectory(load: Workload): Operation | undefined {
  const path = freeName(load, 'tree', 6);
  if (path === undefined || path.split('/').length > 4) return;
  calls.mkdir(load, path);
  for (let i = 0; i < CHILDREN; i++) calls.put(load, `${path}/child${i}`, load.random.below(8_000));
}

function moveDirectory(load: Workload): Operation | undefined {
  const from = load.random.pick(load.paths('directory'));
  const to = freeName(load, 'tree', 6);
  if (to === undefined || to === from || isBelow(to, from) || to.split('/').length > 4) return;
  calls.rename(load, from, to);
}

/** What an editor does: writes beside the file, and renames over it. */
function save(load: Workload, path: string): Operation | undefined {
  const draft = `${path}.draft`;
  if (load.tree.has(draft)) return calls.rename(load, draft, path);
  calls.put(load, draft, load.random.below(20_000));
  calls.rename(load, draft, path);
}

export function storm(load: Workload): Operation | undefined {
  const present = load.paths('file');
  const directories = load.paths('directory');
  const roll = load.random.next();
  if (present.length > MAX_FILES) {
    const directory = load.random.pick(directories);
    const path = directory ?? load.random.pick(present);
    return load.step({ op: 'remove-tree', path }, () => void calls.program('rm', ['-rf', load.at(path)]));
  }
  if (directories.length < 2 || roll < 0.08) return makeDirectory(load);
  if (roll < 0.25) return moveDirectory(load);
  if (present.length === 0 || roll < 0.3) return calls.put(load, `new${load.random.below(10)}`, 3_000);
  const path = load.random.pick(present);
  if (roll < 0.6) return save(load, path);
  const to = load.random.chance(0.3) ? load.random.pick(present) : freeName(load, 'moved', 12);
  if (to !== undefined && to !== path) calls.rename(load, path, to);
}
