/** `pailfs mount`: from a parsed command line to a mount, in the foreground or behind. */
import { closeSync } from 'node:fs';
import { resolve } from 'node:path';
import { type Settings, unknownVariables } from '../config.js';
import type { ExitCode } from '../exit-code.js';
import { isWorker, serveInBackground, startInBackground } from './background.js';
import { logFileOf, openLog } from './log-place.js';
import { progressOnStderr } from './progress-on-stderr.js';
import { say } from './say.js';

export interface MountArguments {
  readonly source: string;
  readonly mountpoint: string;
  readonly settings: Settings;
}

export async function runMount({ source, mountpoint, settings }: MountArguments): Promise<ExitCode> {
  const { env } = process;
  const place = resolve(mountpoint);
  const file = await logFileOf(settings, place, env);
  const worker = isWorker();
  if (!worker) {
    for (const name of unknownVariables(env)) say(`warning: the variable ${name} is no option`);
    const opened = file === undefined ? undefined : openLog(file, { chosen: settings.logFile !== undefined });
    if (!settings.foreground) return startInBackground(opened!);
    if (opened !== undefined) closeSync(opened.fd);
  }
  // Loaded here and not above: the process that only starts another one waits for nothing else.
  const { createLogger } = await import('../log.js');
  const log = createLogger({ level: settings.logLevel, file }).child(file === undefined ? {} : { mountpoint: place });
  const request = { source, mountpoint: place, settings, env, log };
  if (worker) return serveInBackground(request);
  // Where the log goes to the terminal too, one line of it shows how far the end is.
  const progress = process.stderr.isTTY ? progressOnStderr() : undefined;
  const { serveMount } = await import('./worker.js');
  return serveMount({ ...request, progress, tell: say }, { onReady: () => {} });
}
