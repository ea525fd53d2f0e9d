/**
 * A process that works in its own directory of the mount until it is stopped or the daemon dies, and logs what it was
 * told: `node workload.js NAME DIRECTORY LOG MIRROR LOCAL SEED`. MIRROR is what the directory holds at the start. It ends
 * with 0 when the file LOG.stop appears, and with 3 when an operation fails, which the log then tells.
 */
import { existsSync, mkdirSync } from 'node:fs';
import { AckLog, type Operation } from './ack-log.js';
import { Random } from './content.js';
import { apply, readMirror, type Tree } from './tree.js';
import { copies } from './workloads/copies.js';
import { files } from './workloads/files.js';
import { git } from './workloads/git.js';
import { sqlite } from './workloads/sqlite.js';
import { storm } from './workloads/storm.js';
import { trees } from './workloads/trees.js';

export class Workload {
  readonly log: AckLog;
  readonly random: Random;

  constructor(
    readonly directory: string,
    logPath: string,
    /** What the directory holds, as far as acknowledged. */
    public tree: Tree,
    /** A directory of this workload that is not mounted. */
    readonly local: string,
    seed: number,
  ) {
    this.log = new AckLog(logPath);
    this.random = new Random(seed);
  }

  get stopped(): boolean {
    return existsSync(`${this.log.path}.stop`);
  }

  at(path: string): string {
    return `${this.directory}/${path}`;
  }

  /** One operation: logged, done, acknowledged. A text that `work` answers goes into the acknowledgement. */
  step(operation: Operation, work: () => unknown): Operation {
    this.log.begin(operation);
    const result = work();
    this.log.acknowledge(typeof result === 'string' ? result : undefined);
    this.tree = apply(this.tree, operation);
    return operation;
  }

  /** Paths of one type. */
  paths(type: 'file' | 'directory' | 'link'): string[] {
    return [...this.tree].filter(([path, entry]) => entry.type === type && path !== '.').map(([path]) => path);
  }
}

/** Does one thing, of one step or a few; answers the last of them, if there was any. */
export type Turn = (workload: Workload) => Operation | undefined;

export const workloads: Readonly<Record<string, Turn>> = { files, storm, copies, trees, git, sqlite };

function main([name, directory, logPath, mirror, local, seed]: string[]): void {
  process.umask(0o022);
  mkdirSync(local, { recursive: true });
  const workload = new Workload(directory, logPath, readMirror(mirror), local, Number(seed));
  try {
    if (!workload.tree.has('.')) workload.step({ op: 'mkdir', path: '.' }, () => mkdirSync(directory));
    while (!workload.stopped) workloads[name](workload);
  } catch (error) {
    workload.log.fail(`${(error as NodeJS.ErrnoException).code ?? ''} ${error}`.slice(0, 2_000));
    process.exitCode = 3;
  }
}

if (process.argv[1]?.endsWith('/workload.js')) main(process.argv.slice(2));
