/**
 * What the model test does, and how a seed chooses it. A program is a list of stages; the operations of one stage run in
 * several processes side by side, each in a directory of its own, so that what each sees has to be the same on the mount
 * and in a plain directory. driver.py does them.
 */
import { Random } from '../crash/content.js';

/** One operation as driver.py knows it; `path` below both directories. */
export type ModelOperation = { readonly op: string; readonly path?: string } & Readonly<Record<string, unknown>>;

/** A change by another S3 client. */
export type ForeignChange =
  | { readonly kind: 'put'; readonly path: string; readonly seed: number; readonly size: number }
  | { readonly kind: 'delete'; readonly path: string };

export type Stage =
  /** One list for each process; the trees are compared behind it. */
  | { readonly kind: 'work'; readonly lists: ReadonlyArray<readonly ModelOperation[]> }
  /** `cold`: with an empty cache. `strict`: what S3 has counts at once (all TTLs 0). */
  | { readonly kind: 'remount'; readonly cold: boolean; readonly strict: boolean }
  /** Only while strict. Which files it strikes is chosen from those that are there, by these numbers. */
  | { readonly kind: 'foreign'; readonly seed: number; readonly changes: number };

export const PROCESSES = 3;
const OPERATIONS_IN_A_LIST = 120;
const names = ['a', 'b', 'c', 'd.txt', 'e-', 'ab', 'ü x'] as const;
const NOREPLACE = 1;

class Chooser {
  constructor(
    readonly random: Random,
    readonly home: string,
  ) {}

  path(): string {
    const { random } = this;
    const depth = random.pick([1, 1, 1, 2, 2, 3]);
    return [this.home, ...Array.from({ length: depth }, () => random.pick(names))].join('/');
  }

  size(): number {
    const { random } = this;
    const roll = random.next();
    if (roll < 0.15) return 0;
    if (roll < 0.8) return random.below(6_000);
    return roll < 0.995 ? random.below(200_000) : random.between(5_500_000, 12_000_000);
  }

  data(most?: number): { seed: number; size: number } {
    return { seed: this.random.seed(), size: most === undefined ? this.size() : this.random.below(most) };
  }

  handle(): number {
    return this.random.below(3);
  }

  offset(): number {
    return this.random.chance(0.7) ? this.random.below(8_000) : this.random.below(250_000);
  }
}

type Choose = (one: Chooser) => ModelOperation;

const choices: ReadonlyArray<readonly [weight: number, choose: Choose]> = [
  [6, (one) => ({ op: 'create', path: one.path(), ...one.data() })],
  [8, (one) => ({ op: 'write', path: one.path(), ...one.data(), piece: one.random.pick([999, 4_096, 131_072]) })],
  [5, (one) => ({ op: 'append', path: one.path(), ...one.data(20_000) })],
  [5, (one) => ({ op: 'pwrite', path: one.path(), ...one.data(20_000), offset: one.offset() })],
  [2, (one) => ({ op: 'fsync', path: one.path(), ...one.data(5_000), offset: one.offset() })],
  [3, (one) => ({ op: 'mmap', path: one.path(), ...one.data(9_000), offset: one.offset() })],
  [5, (one) => ({ op: 'truncate', path: one.path(), length: one.offset() })],
  [9, (one) => ({ op: 'rename', path: one.path(), to: one.path(), flags: one.random.chance(0.3) ? NOREPLACE : 0 })],
  [5, (one) => ({ op: 'unlink', path: one.path() })],
  [3, (one) => ({ op: 'rmdir', path: one.path() })],
  [6, (one) => ({ op: 'mkdir', path: one.path(), mode: one.random.pick([0o755, 0o700, 0o750]) })],
  [2, (one) => ({ op: 'symlink', path: one.path(), target: one.random.pick(['a', 'b', 'nowhere', 'c/d.txt']) })],
  [1, (one) => ({ op: 'readlink', path: one.path() })],
  [3, (one) => ({ op: 'chmod', path: one.path(), mode: one.random.pick([0o600, 0o644, 0o755, 0o700]) })],
  [3, (one) => ({ op: 'utimes', path: one.path(), ns: one.random.below(1_400_000_000) * 1e9 + one.random.below(1e9) })],
  [4, (one) => ({ op: 'stat', path: one.path() })],
  [6, (one) => ({ op: 'read', path: one.path(), offset: one.random.below(5_000), length: one.offset() })],
  [3, (one) => ({ op: 'readdir', path: one.random.chance(0.4) ? one.home : one.path() })],
  [
    4,
    (one) => ({ op: 'hopen', path: one.path(), handle: one.handle(), how: one.random.pick(['r', 'rw', 'new', 'a']) }),
  ],
  [5, (one) => ({ op: 'hread', handle: one.handle(), offset: one.random.below(3_000), length: one.offset() })],
  [4, (one) => ({ op: 'hwrite', handle: one.handle(), ...one.data(9_000), offset: one.offset() })],
  [1, (one) => ({ op: 'htruncate', handle: one.handle(), length: one.offset() })],
  [2, (one) => ({ op: 'hstat', handle: one.handle() })],
  [3, (one) => ({ op: 'hclose', handle: one.handle() })],
];

const totalWeight = choices.reduce((sum, [weight]) => sum + weight, 0);

function chooseOperation(one: Chooser): ModelOperation {
  let roll = one.random.below(totalWeight);
  for (const [weight, choose] of choices) {
    if (roll < weight) return choose(one);
    roll -= weight;
  }
  throw new Error('the weights do not add up');
}

/** The directory of a process in a stage: they change places, so that one finds what another left. */
const homeOf = (process: number, stage: number): string => `p${(process + stage) % PROCESSES}`;

export function chooseProgram(seed: number, operations: number): Stage[] {
  const random = new Random(seed);
  for (let i = 0; i < 4; i++) random.next();
  const stages: Stage[] = [];
  const homes = Array.from({ length: PROCESSES }, (_, i) => [{ op: 'mkdir', path: homeOf(i, 0), mode: 0o755 }]);
  let strict = random.chance(0.5);
  stages.push({ kind: 'remount', cold: false, strict }, { kind: 'work', lists: homes });
  let left = operations - PROCESSES;
  for (let round = 0; left > 0; round++) {
    const count = Math.min(OPERATIONS_IN_A_LIST, Math.ceil(left / PROCESSES));
    const lists = Array.from({ length: PROCESSES }, (_, process) => {
      const chooser = new Chooser(new Random(random.seed()), homeOf(process, round));
      return Array.from({ length: count }, () => chooseOperation(chooser));
    });
    stages.push({ kind: 'work', lists });
    left -= count * PROCESSES;
    const roll = random.next();
    if (strict && roll < 0.5) stages.push({ kind: 'foreign', seed: random.seed(), changes: random.between(1, 8) });
    else if (roll < 0.85) {
      strict = random.chance(0.5);
      stages.push({ kind: 'remount', cold: random.chance(0.5), strict });
    }
  }
  return stages;
}

export function countOperations(stages: readonly Stage[]): number {
  return stages.reduce((sum, stage) => sum + (stage.kind === 'work' ? stage.lists.flat().length : 0), 0);
}
