/**
 * `pailfs umount`: asks the daemon, which uploads first and then unmounts; where there is none any more, takes away what
 * it left.
 */
import { rmSync } from 'node:fs';
import type { Settings } from '../config.js';
import { ask, NoDaemonError } from '../control/client.js';
import type { ControlAnswer } from '../control/messages.js';
import { socketPath } from '../control/socket-path.js';
import { type ExitCode, exitCode } from '../exit-code.js';
import { baseDirectories } from '../local/directories.js';
import { mountedAt } from '../local/mount-table.js';
import { clearDead, lifeOf, resolvePlace } from '../local/mountpoint.js';
import type { Progress } from '../progress.js';
import { StartupFailure } from '../startup-failure.js';
import { progressOnStderr } from './progress-on-stderr.js';
import { say } from './say.js';

export interface UmountArguments {
  readonly mountpoint: string;
  readonly lazy: boolean;
  readonly timeoutMs?: number;
  readonly settings: Settings;
}

function conclude(answer: ControlAnswer): ExitCode {
  if ('failed' in answer) throw new StartupFailure(answer.failed.exitCode as ExitCode, answer.failed.line);
  if (!('done' in answer)) return exitCode.ok;
  const { notice, exitCode: code = exitCode.ok } = answer.done;
  if (notice !== undefined) say(notice);
  return code as ExitCode;
}

/** Nobody answers at the socket: what stands there is dead, or not ours to ask. */
async function withoutDaemon(place: string, socket: string, lazy: boolean): Promise<ExitCode> {
  const life = await lifeOf(place);
  const source = mountedAt(place)?.source;
  if (life === 'none') throw new StartupFailure(exitCode.notMounted, `no bucket is mounted on ${place}`);
  if (life === 'dead') {
    await clearDead(place);
    rmSync(socket, { force: true });
    const rest = `what waited in its journal, if it had one, the next "pailfs mount ${source} ${place}" takes up`;
    say(`${place}: its daemon was gone; the dead mount was cleared; ${rest}`);
    return exitCode.ok;
  }
  if (life === 'stuck' && !lazy) {
    throw new StartupFailure(exitCode.mountpointBusy, `${place} does not answer: use --lazy to detach it`);
  }
  const { unmount } = await import('../fuse/mount.js');
  await unmount(place, { lazy });
  say(`${place}: its daemon does not answer here; it was unmounted, and the daemon uploads what is left by itself`);
  return exitCode.ok;
}

export async function runUmount({ mountpoint, lazy, timeoutMs, settings }: UmountArguments): Promise<ExitCode> {
  const place = await resolvePlace(mountpoint);
  const { runtime } = baseDirectories(settings, process.env, process.geteuid!());
  const socket = socketPath(runtime, place);
  const progress = progressOnStderr();
  try {
    const options = { onProgress: (now: Progress) => progress.tell(now), untilEnd: !lazy };
    const answer = await ask(socket, { ask: 'umount', lazy, timeoutMs }, options).finally(() => progress.end());
    return conclude(answer);
  } catch (error) {
    if (!(error instanceof NoDaemonError)) throw error;
    return withoutDaemon(place, socket, lazy);
  }
}
