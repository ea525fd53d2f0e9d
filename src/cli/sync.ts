/**
 * `pailfs sync`: waits until everything at or below a path is in S3. The path is taken as the bytes that were given and as
 * the kernel resolves it, so that every name arrives at the daemon as the daemon knows it.
 */
import { lstatSync, readFileSync, readlinkSync, realpathSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import type { Settings } from '../config.js';
import { ask, NoDaemonError } from '../control/client.js';
import { socketPath } from '../control/socket-path.js';
import { type ExitCode, exitCode } from '../exit-code.js';
import { decodeName, encodeName } from '../fuse/name.js';
import { baseDirectories } from '../local/directories.js';
import { type MountEntry, pailfsMounts } from '../local/mount-table.js';
import type { Progress } from '../progress.js';
import { StartupFailure } from '../startup-failure.js';
import { progressOnStderr } from './progress-on-stderr.js';

export interface SyncArguments {
  /** As the command line has it. */
  readonly path: string;
  readonly settings: Settings;
}

/** What Node makes of bytes that are not UTF-8. */
const REPLACEMENT = '\ufffd';

/** An argument in the bytes that were given: Node has replaced those that are not UTF-8. Names as in fuse/name.ts. */
export function givenArgument(argument: string, args: readonly string[], commandLine: Buffer): string {
  if (!argument.includes(REPLACEMENT)) return argument;
  const given = commandLine.subarray(0, -1).toString('latin1').split('\0').slice(-args.length);
  const at = args.lastIndexOf(argument);
  return at < 0 ? argument : decodeName(Buffer.from(given[at], 'latin1'));
}

function refuse(path: string, error: unknown): never {
  const { code = 'EIO' } = error as NodeJS.ErrnoException;
  const why: Record<string, string> = {
    ENOENT: 'does not exist',
    ENOTDIR: 'does not exist: something above it is no directory',
    ENOTCONN: 'is in a dead mount: run "pailfs mount" again, which takes up what is left',
  };
  throw new StartupFailure(exitCode.usage, `${path} ${why[code] ?? `cannot be found (${code})`}`);
}

function absolute(path: string): string {
  if (path.startsWith('/')) return path;
  const directory = decodeName(readlinkSync('/proc/self/cwd', { encoding: 'buffer' }));
  return `${directory === '/' ? '' : directory}/${path}`;
}

function resolved(path: string): string {
  return decodeName(realpathSync.native(encodeName(path), { encoding: 'buffer' }));
}

/** The place itself and, of a symbolic link, also where it leads. */
function placesOf(path: string): string[] {
  const whole = absolute(path);
  const places = new Set<string>();
  try {
    const name = basename(whole);
    if (!['', '.', '..'].includes(name)) {
      const parent = resolved(dirname(whole));
      const place = `${parent === '/' ? '' : parent}/${name}`;
      lstatSync(encodeName(place));
      places.add(place);
    }
    places.add(resolved(whole));
  } catch (error) {
    // A link that leads nowhere is there all the same.
    if (places.size === 0) refuse(path, error);
  }
  return [...places];
}

interface Target {
  readonly mountpoint: string;
  /** From the root of the mount. */
  readonly names: readonly string[];
}

export function targetOf(place: string, mounts: readonly MountEntry[]): Target | undefined {
  const isBelow = ({ mountpoint }: MountEntry): boolean =>
    place === mountpoint || place.startsWith(mountpoint === '/' ? '/' : `${mountpoint}/`);
  // The innermost; of several at one place the last covers the others.
  const found = mounts.filter(isBelow).sort((a, b) => a.mountpoint.length - b.mountpoint.length);
  const { mountpoint } = found.at(-1) ?? {};
  if (mountpoint === undefined) return undefined;
  return { mountpoint, names: place.slice(mountpoint.length).split('/').filter(Boolean) };
}

async function syncTarget({ mountpoint, names }: Target, runtime: string): Promise<void> {
  const progress = progressOnStderr();
  const onProgress = (now: Progress) => progress.tell(now);
  try {
    const answer = await ask(socketPath(runtime, mountpoint), { ask: 'sync', path: names }, { onProgress });
    if ('failed' in answer) throw new StartupFailure(answer.failed.exitCode as ExitCode, answer.failed.line);
  } catch (error) {
    if (!(error instanceof NoDaemonError)) throw error;
    const line = `the daemon of ${mountpoint} does not answer (${error.message}): it is gone, another user's, or has another --runtime-dir`;
    throw new StartupFailure(exitCode.notMounted, line);
  } finally {
    progress.end();
  }
}

export async function runSync({ path, settings }: SyncArguments): Promise<ExitCode> {
  const { runtime } = baseDirectories(settings, process.env, process.geteuid!());
  const given = givenArgument(path, process.argv.slice(2), readFileSync('/proc/self/cmdline'));
  const mounts = pailfsMounts();
  const targets = placesOf(given).map((place) => targetOf(place, mounts));
  const found = targets.filter((target) => target !== undefined);
  if (found.length === 0) throw new StartupFailure(exitCode.notMounted, `${given} is in no bucket that pailfs mounts`);
  for (const target of found) await syncTarget(target, runtime);
  return exitCode.ok;
}
