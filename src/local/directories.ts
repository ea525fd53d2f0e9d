/**
 * Where a mount keeps what only this machine has (state) and what S3 can give again (cache): one directory each, named
 * after the bucket, that nobody else may write to and that does not lie in the mount itself.
 */
import { createHash } from 'node:crypto';
import { lstatSync, mkdirSync, realpathSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { type ExitCode, exitCode } from '../exit-code.js';
import { StartupFailure } from '../startup-failure.js';
import type { Source } from './source.js';

type Environment = Readonly<Record<string, string | undefined>>;

export interface Bases {
  readonly state: string;
  readonly cache: string;
  readonly runtime: string;
}

export interface BaseOptions {
  readonly stateDir?: string;
  readonly cacheDir?: string;
  readonly runtimeDir?: string;
}

/** Of root those of the system, of a user those of the XDG base directory specification. */
export function baseDirectories(options: BaseOptions, env: Environment, uid: number, home = homedir()): Bases {
  const root = uid === 0;
  const xdg = (variable: string, fallback: string) => join(env[variable] || join(home, fallback), 'pailfs');
  const state = options.stateDir ?? (root ? '/var/lib/pailfs' : xdg('XDG_STATE_HOME', '.local/state'));
  const cache = options.cacheDir ?? (root ? '/var/cache/pailfs' : xdg('XDG_CACHE_HOME', '.cache'));
  const session = env.XDG_RUNTIME_DIR ? join(env.XDG_RUNTIME_DIR, 'pailfs') : join(state, 'control');
  return { state, cache, runtime: options.runtimeDir ?? (root ? '/run/pailfs' : session) };
}

/** The same for the same bucket and prefix at the same server, and readable: `bucket-prefix-0123456789ab`. */
export function mountId(source: Source, endpoint: string): string {
  const identity = JSON.stringify([endpoint.replace(/\/+$/, ''), source.bucket, source.prefix]);
  const hash = createHash('sha256').update(identity).digest('hex').slice(0, 12);
  const readable = `${source.bucket}/${source.prefix}`.replace(/[^A-Za-z0-9.]+/g, '-').replace(/^[-.]+|[-.]+$/g, '');
  return `${readable.slice(0, 60)}-${hash}`;
}

function refuse(path: string, why: string, code: ExitCode = exitCode.directoryUnusable): never {
  throw new StartupFailure(code, `${path} ${why}`);
}

/** Without symbolic links, also where only the beginning of the path exists. */
function resolved(path: string): string {
  const absolute = resolve(path);
  try {
    return realpathSync(absolute);
  } catch {
    const parent = dirname(absolute);
    return parent === absolute ? absolute : join(resolved(parent), basename(absolute));
  }
}

/** Before anything is made or mounted. `option`: the one that moves the directory. */
export function refuseInside(path: string, mountpoint: string, option: string): void {
  const real = resolved(path);
  if (real !== mountpoint && !real.startsWith(`${mountpoint.replace(/\/$/, '')}/`)) return;
  refuse(
    real,
    `lies inside the mount point ${mountpoint}: choose another with --${option}`,
    exitCode.directoryInsideMount,
  );
}

/** A directory above may be writable by others only where they cannot move what is ours (sticky, as /tmp). */
function refuseWritableByOthers(path: string, uid: number): void {
  for (let at = path; ; at = dirname(at)) {
    const { uid: owner, mode } = statSync(at);
    const sticky = at !== path && (mode & 0o1000) !== 0;
    if (owner !== uid && owner !== 0) refuse(path, `is not safe: ${at} belongs to another user`);
    if ((mode & 0o022) !== 0 && !sticky) {
      refuse(path, `is not safe: others may write to ${at}; take that right away (chmod go-w) or choose another`);
    }
    if (at === dirname(at)) return;
  }
}

/** Makes a directory of mode 0700 that only we can write to; answers its real path. */
export function privateDirectory(path: string, uid = process.geteuid!()): string {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
    const real = realpathSync(path);
    if (!lstatSync(real).isDirectory()) refuse(path, 'is not a directory');
    refuseWritableByOthers(real, uid);
    return real;
  } catch (error) {
    if (error instanceof StartupFailure) throw error;
    refuse(
      path,
      `cannot be used (${(error as NodeJS.ErrnoException).code}): choose another directory, or fix its rights`,
    );
  }
}
