/**
 * Where a mount logs: standard error in the foreground, and in the background one file for all mounts of a user, whose
 * lines name their mount point.
 */
import { openSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Settings } from '../config.js';
import { exitCode } from '../exit-code.js';
import { baseDirectories, privateDirectory, refuseInside } from '../local/directories.js';
import { resolvePlace } from '../local/mountpoint.js';
import { StartupFailure } from '../startup-failure.js';

/** A default log file larger than this (bytes) is put aside as pailfs.log.1 when a mount starts. */
const LARGE_LOG_BYTES = 16 * 1024 * 1024;

/** Absent: standard error. */
export async function logFileOf(
  settings: Settings,
  mountpoint: string,
  env: Readonly<Record<string, string | undefined>>,
): Promise<string | undefined> {
  if (settings.logFile !== undefined || settings.foreground) return settings.logFile;
  const { state } = baseDirectories(settings, env, process.geteuid!());
  // Asked before the directory is made: it could lie in the mount point.
  refuseInside(state, await resolvePlace(mountpoint), 'state-dir');
  return join(privateDirectory(state), 'pailfs.log');
}

function putLargeAside(path: string): void {
  const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  if (size > LARGE_LOG_BYTES) renameSync(path, `${path}.1`);
}

/** Opens it for appending. */
export function openLog(path: string, { chosen }: { chosen: boolean }): { fd: number; path: string } {
  try {
    if (!chosen) putLargeAside(path);
    return { fd: openSync(path, 'a', 0o600), path };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const line = `the log file ${path} cannot be written (${code}): choose another with --log-file`;
    throw new StartupFailure(exitCode.directoryUnusable, line);
  }
}
