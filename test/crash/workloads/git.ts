/** git clone, commits in the clone, and rm -r of an old clone. What must hold is git's own word: see programs.ts. */
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Operation } from '../ack-log.js';
import { contentOf } from '../content.js';
import type { Workload } from '../workload.js';
import { program } from './calls.js';

const COMMITS = 6;

/** Identity and no configuration of this machine. */
export const gitEnvironment = {
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_AUTHOR_NAME: 'Crash',
  GIT_AUTHOR_EMAIL: 'crash@example.com',
  GIT_COMMITTER_NAME: 'Crash',
  GIT_COMMITTER_EMAIL: 'crash@example.com',
};

const run = (directory: string, ...args: string[]): string =>
  program('git', ['-C', directory, ...args], gitEnvironment);

/** A repository on the local disk to clone from; made once. */
function sourceOf(local: string): string {
  const place = join(local, 'source.git');
  if (existsSync(join(place, 'complete'))) return place;
  rmSync(place, { recursive: true, force: true });
  mkdirSync(place, { recursive: true });
  run(place, 'init', '-q', '-b', 'main');
  for (let i = 0; i < 12; i++) writeFileSync(join(place, `begin-${i}.txt`), contentOf(i, 500 * i));
  run(place, 'add', '.');
  run(place, 'commit', '-qm', 'begin');
  writeFileSync(join(place, 'complete'), '');
  return place;
}

/** What a git that was killed leaves, and says itself that one may remove. */
function removeLocks(directory: string): void {
  for (const entry of readdirSync(join(directory, '.git'), { recursive: true, encoding: 'utf8' }))
    if (entry.endsWith('.lock')) rmSync(join(directory, '.git', entry));
}

function commit(load: Workload, path: string, number: number): Operation {
  const { random } = load;
  return load.step({ op: 'commit', path, number }, () => {
    const directory = load.at(path);
    const name = `file-${random.below(8)}.txt`;
    writeFileSync(join(directory, name), contentOf(random.seed(), random.below(5_000)));
    run(directory, 'add', name);
    run(directory, 'commit', '-q', '--allow-empty', '-m', `commit ${number}`);
    return run(directory, 'rev-parse', 'HEAD').trim();
  });
}

export function git(load: Workload): Operation | undefined {
  const source = sourceOf(load.local);
  const known = existsSync(load.directory) ? readdirSync(load.directory).sort() : [];
  for (const path of known) load.step({ op: 'remove-tree', path }, () => program('rm', ['-rf', load.at(path)]));
  const number = load.random.seed();
  const path = `clone-${number}`;
  load.step({ op: 'clone', path, number }, () => {
    program('git', ['clone', '-q', '--no-hardlinks', source, load.at(path)], gitEnvironment);
  });
  for (let i = 0; i < COMMITS && !load.stopped; i++) commit(load, path, i);
  removeLocks(load.at(path));
  return undefined;
}
