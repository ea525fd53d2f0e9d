/** cp of large files and small ones, into the mount and within it, and changes in the middle of large ones. */
import type { Operation } from '../ack-log.js';
import type { Workload } from '../workload.js';
import * as calls from './calls.js';

const LARGE = ['large-a', 'large-b', 'large-c'] as const;
const MIB = 2 ** 20;

function sizeAt(load: Workload, path: string): number {
  const entry = load.tree.get(path);
  return entry?.type === 'file' ? entry.bytes.length : -1;
}

function changeLarge(load: Workload, path: string, size: number): Operation | undefined {
  const { random } = load;
  switch (random.below(4)) {
    case 0:
      return calls.append(load, path, random.between(1, MIB));
    case 1:
      return calls.patch(load, path, random.below(size), random.between(1, 300_000));
    case 2:
      return calls.truncate(load, path, random.below(size));
    default:
      return calls.unlink(load, path);
  }
}

export function copies(load: Workload): Operation | undefined {
  const { random } = load;
  if (random.chance(0.5)) {
    const path = `small-${random.below(12)}`;
    if (sizeAt(load, path) >= 0 && random.chance(0.3)) return calls.copy(load, path, `small-${random.below(6) + 12}`);
    return calls.putByCp(load, path, random.below(100_000));
  }
  const path = random.pick(LARGE);
  const size = sizeAt(load, path);
  if (size > 6 * MIB && random.chance(0.25)) {
    const to = random.pick(LARGE.filter((one) => one !== path));
    return calls.copy(load, path, to);
  }
  if (size > 0 && size < 24 * MIB && random.chance(0.5)) return changeLarge(load, path, size);
  const put = random.chance(0.5) ? calls.putByCp : calls.putSlowly;
  put(load, path, random.between(6 * MIB, 18 * MIB));
}
