/** Each operation of the log as the system calls or the program that does it. */
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  closeSync,
  fsyncSync,
  lutimesSync,
  mkdirSync,
  openSync,
  renameSync,
  rmdirSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import type { Operation } from '../ack-log.js';
import { contentOf } from '../content.js';
import type { Workload } from '../workload.js';

const PROGRAM_LIMIT_MS = 30_000;

/** Runs a program that has to succeed; answers what it printed. */
export function program(command: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): string {
  const options = {
    encoding: 'utf8',
    timeout: PROGRAM_LIMIT_MS,
    killSignal: 'SIGKILL',
    env: { ...process.env, ...env },
  } as const;
  const { status, stdout, stderr, signal, error } = spawnSync(command, args, { ...options, maxBuffer: 2 ** 26 });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`${command} ${args.slice(0, 4).join(' ')}: ${signal ?? status}: ${stderr}`);
  return stdout;
}

/** Writes in pieces, closes, and closes also where a write failed (whose error then counts). */
function write(path: string, flags: string, bytes: Buffer, at: number | null, piece: number, sync = false): void {
  const fd = openSync(path, flags);
  let open = true;
  try {
    for (let done = 0; done < bytes.length; ) {
      const count = Math.min(piece, bytes.length - done);
      done += writeSync(fd, bytes, done, count, at === null ? null : at + done);
    }
    if (sync) fsyncSync(fd);
    open = false;
    closeSync(fd);
  } finally {
    if (open) closeQuietly(fd);
  }
}

function closeQuietly(fd: number): void {
  try {
    closeSync(fd);
  } catch {
    // The failure before it counts.
  }
}

export function put(load: Workload, path: string, size: number): Operation {
  const seed = load.random.seed();
  const piece = load.random.pick([4_096, 70_001, 2 ** 20]);
  const sync = load.random.chance(0.15);
  return load.step({ op: 'put', path, seed, size }, () =>
    write(load.at(path), 'w', contentOf(seed, size), null, piece, sync),
  );
}

const SLOW_PIECE_BYTES = 2 ** 20;
const SLOW_PAUSE_MS = 12;

/** By a program that takes its time: the file is uploaded while it is written, where the daemon streams. */
export function putSlowly(load: Workload, path: string, size: number): Operation {
  const seed = load.random.seed();
  return load.step({ op: 'put', path, seed, size }, () => {
    const bytes = contentOf(seed, size);
    const fd = openSync(load.at(path), 'w');
    try {
      for (let done = 0; done < size; ) {
        done += writeSync(fd, bytes, done, Math.min(SLOW_PIECE_BYTES, size - done));
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, SLOW_PAUSE_MS);
      }
    } catch (error) {
      closeQuietly(fd);
      throw error;
    }
    closeSync(fd);
  });
}

/** cp from outside. */
export function putByCp(load: Workload, path: string, size: number): Operation {
  const seed = load.random.seed();
  const source = join(load.local, 'source');
  writeFileSync(source, contentOf(seed, size));
  return load.step({ op: 'put', path, seed, size, by: 'cp' }, () => program('cp', [source, load.at(path)]));
}

export function append(load: Workload, path: string, size: number): Operation {
  const seed = load.random.seed();
  return load.step({ op: 'append', path, seed, size }, () =>
    write(load.at(path), 'a', contentOf(seed, size), null, 50_000),
  );
}

export function patch(load: Workload, path: string, at: number, size: number): Operation {
  const seed = load.random.seed();
  return load.step({ op: 'patch', path, at, seed, size }, () =>
    write(load.at(path), 'r+', contentOf(seed, size), at, 50_000),
  );
}

export function truncate(load: Workload, path: string, size: number): Operation {
  return load.step({ op: 'truncate', path, size }, () => truncateSync(load.at(path), size));
}

export function copy(load: Workload, from: string, path: string): Operation {
  return load.step({ op: 'copy', from, path }, () => program('cp', [load.at(from), load.at(path)]));
}

export function rename(load: Workload, from: string, path: string): Operation {
  return load.step({ op: 'rename', from, path }, () => renameSync(load.at(from), load.at(path)));
}

export function unlink(load: Workload, path: string): Operation {
  return load.step({ op: 'unlink', path }, () => unlinkSync(load.at(path)));
}

export function mkdir(load: Workload, path: string): Operation {
  return load.step({ op: 'mkdir', path }, () => mkdirSync(load.at(path)));
}

export function rmdir(load: Workload, path: string): Operation {
  return load.step({ op: 'rmdir', path }, () => rmdirSync(load.at(path)));
}

export function chmod(load: Workload, path: string): Operation {
  const mode = load.random.pick([0o600, 0o640, 0o644, 0o755, 0o700]);
  return load.step({ op: 'chmod', path, mode }, () => chmodSync(load.at(path), mode));
}

export function utimes(load: Workload, path: string): Operation {
  const mtime = 1_000_000_000_000 + load.random.below(500_000_000) * 1000;
  return load.step({ op: 'utimes', path, mtime }, () => lutimesSync(load.at(path), mtime / 1000, mtime / 1000));
}

export function symlink(load: Workload, path: string): Operation {
  const target = `target-${load.random.seed()}`;
  return load.step({ op: 'symlink', path, target }, () => symlinkSync(target, load.at(path)));
}

/** Nothing of it may ever be seen again, whatever happens. */
export function unnamed(load: Workload, path: string, size: number): Operation {
  const seed = load.random.seed();
  return load.step({ op: 'unnamed', path, seed, size }, () => {
    const bytes = contentOf(seed, size);
    const fd = openSync(load.at(path), 'wx');
    try {
      writeSync(fd, bytes, 0, size >> 1);
      unlinkSync(load.at(path));
      writeSync(fd, bytes, size >> 1);
    } catch (error) {
      closeQuietly(fd);
      throw error;
    }
    closeSync(fd);
  });
}
