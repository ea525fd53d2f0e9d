/** tar x of a small source tree, and rm -r of the one before. */
import { mkdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Operation, Packed } from '../ack-log.js';
import { contentOf, type Random } from '../content.js';
import type { Workload } from '../workload.js';
import { program } from './calls.js';

const DIRECTORIES = 4;
const FILES = 24;
const KEPT = 2;

function choose(random: Random, top: string): Packed[] {
  const time = () => 1_200_000_000 + random.below(300_000_000);
  const directories = [top, ...Array.from({ length: DIRECTORIES }, (_, i) => `${top}/src${i}`)];
  const packed: Packed[] = directories.map((path) => ({ path, mode: 0o755, mtime: time() }));
  for (let i = 0; i < FILES; i++) {
    const content = { seed: random.seed(), size: Math.floor(random.next() ** 2 * 60_000) };
    packed.push({
      path: `${random.pick(directories)}/file${i}.c`,
      content,
      mode: random.pick([0o644, 0o600, 0o755]),
      mtime: time(),
    });
  }
  return packed;
}

/** Makes the archive on the local disk. */
function pack(local: string, entries: readonly Packed[]): string {
  const place = join(local, 'pack');
  rmSync(place, { recursive: true, force: true });
  mkdirSync(place, { recursive: true });
  for (const { path, content, mode } of entries) {
    if (content === undefined) mkdirSync(join(place, path), { mode });
    else writeFileSync(join(place, path), contentOf(content.seed, content.size), { mode });
  }
  // Children first: a file that is made changes its directory's time.
  for (const { path, mtime } of [...entries].reverse()) utimesSync(join(place, path), mtime, mtime);
  const archive = join(local, 'archive.tar');
  program('tar', ['-C', place, '-cf', archive, entries[0].path]);
  return archive;
}

export function trees(load: Workload): Operation | undefined {
  const tops = load.paths('directory').filter((path) => !path.includes('/'));
  if (tops.length > KEPT) {
    const path = load.random.pick(tops);
    return load.step({ op: 'remove-tree', path }, () => program('rm', ['-r', load.at(path)]));
  }
  const path = `tree-${load.random.seed()}`;
  const entries = choose(load.random, path);
  const archive = pack(load.local, entries);
  load.step({ op: 'unpack', path, entries }, () => program('tar', ['-C', load.directory, '-xf', archive]));
}
