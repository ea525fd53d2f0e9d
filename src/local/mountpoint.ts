/**
 * The place of a mount, before it is one: resolved without a request to what may be mounted there, cleared of the dead
 * mount of a killed daemon, and refused where a live one has it.
 */
import { execFile } from 'node:child_process';
import { realpath } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { exitCode } from '../exit-code.js';
import { StartupFailure } from '../startup-failure.js';
import { isPailfs, mountedAt } from './mount-table.js';

/** A mount that does not answer within this (ms) is not dead, but stuck. */
const ANSWER_MS = 5_000;

/**
 * Without symbolic links. Works on a dead mount too: where the path itself does not resolve, its directory does, and
 * what is mounted is found by name.
 */
export async function resolvePlace(path: string): Promise<string> {
  const absolute = resolve(path);
  if (isPailfs(mountedAt(absolute))) return absolute;
  const parent = await realpath(dirname(absolute)).catch(() => dirname(absolute));
  const place = join(parent, basename(absolute));
  if (isPailfs(mountedAt(place))) return place;
  return realpath(absolute).catch(() => place);
}

export type Life = 'none' | 'alive' | 'dead' | 'stuck';

/**
 * Whether a mount of pailfs stands there, and its daemon with it. Asks from another process, which may hang, with statfs,
 * which always reaches the daemon: stat is answered from the kernel's memory, also for a daemon that is gone.
 */
export async function lifeOf(place: string, answerMs = ANSWER_MS): Promise<Life> {
  if (!isPailfs(mountedAt(place))) return 'none';
  return new Promise((done) => {
    const options = { timeout: answerMs, killSignal: 'SIGKILL', env: { ...process.env, LC_ALL: 'C' } } as const;
    execFile('stat', ['-f', '-c', '%i', '--', place], options, (error, _, stderr) => {
      if (error === null) done('alive');
      else if (error.killed) done('stuck');
      else done(/not connected|connection aborted/i.test(stderr) ? 'dead' : 'alive');
    });
  });
}

/** Takes away the mount of a daemon that is gone. Answers whether there was one. */
export async function clearDead(place: string): Promise<boolean> {
  let cleared = false;
  // A place may carry several, one over the other.
  while ((await lifeOf(place)) === 'dead') {
    const { unmount } = await import('../fuse/mount.js');
    await unmount(place, { lazy: true });
    cleared = true;
  }
  return cleared;
}

/** Makes sure that the place is free; answers it resolved, and whether something dead was cleared. */
export async function prepareMountpoint(path: string): Promise<{ place: string; cleared: boolean }> {
  const place = await resolvePlace(path);
  const cleared = await clearDead(place);
  if (isPailfs(mountedAt(place))) {
    const { source } = mountedAt(place)!;
    const line = `${place} is busy: ${source} is mounted there already; run "pailfs umount ${place}" first`;
    throw new StartupFailure(exitCode.mountpointBusy, line);
  }
  const { resolveMountpoint } = await import('../fuse/mount.js');
  return { place: await resolveMountpoint(path), cleared };
}
