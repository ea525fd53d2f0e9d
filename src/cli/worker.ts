/**
 * The process that serves a mount, from its start to its exit code: in the foreground form the command itself, in the
 * background form its detached child.
 */
import { spawn } from 'node:child_process';
import { type ExitCode, exitCode } from '../exit-code.js';
import type { Logger } from '../log.js';
import { type MountRequest, type Started, startDaemon } from '../main.js';

export interface WorkerHooks {
  readonly onReady: (started: Started) => void;
  /** Told to stop by something else than a signal: the starter went away before the mount stood. */
  readonly stopped?: AbortSignal;
}

/** Tells systemd that the mount stands, where it started us with Type=notify. */
function notifySystemd(log: Logger): void {
  if (!process.env.NOTIFY_SOCKET) return;
  const child = spawn('systemd-notify', ['--ready'], { stdio: 'ignore' });
  child.on('error', (error) => log.warn({ err: error }, 'systemd-notify does not run'));
}

/** A bug: the mount is taken away, so that nobody waits for a daemon that is not there. */
function endOnBug(log: Logger, started: () => Started | undefined): void {
  const end = (error: unknown) => {
    log.fatal({ err: error }, 'an error that nobody expected; the mount ends');
    const mount = started();
    if (mount === undefined) process.exit(exitCode.unexpected);
    setTimeout(() => process.exit(exitCode.unexpected), 5_000);
    mount.daemon.stop('bug');
    void mount.daemon.ended.then(() => process.exit(exitCode.unexpected));
  };
  process.on('uncaughtException', end);
  process.on('unhandledRejection', end);
}

/** Serves until the end. Rejects with StartupFailure where the mount cannot start. */
export async function serveMount(request: MountRequest, hooks: WorkerHooks): Promise<ExitCode> {
  let started: Started | undefined;
  let mounting = false;
  let asked: string | undefined;
  const stop = (signal: string) => {
    if (started !== undefined) started.daemon.stop(signal);
    else if (!mounting) process.exit(exitCode.interrupted);
    else asked = signal;
  };
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => stop(signal));
  hooks.stopped?.addEventListener('abort', () => stop('starter'), { once: true });
  endOnBug(request.log, () => started);
  process.umask(0o077);
  started = await startDaemon({
    ...request,
    onMounting: () => {
      mounting = true;
    },
  });
  if (asked === undefined) {
    hooks.onReady(started);
    notifySystemd(request.log);
  } else started.daemon.stop(asked);
  return started.daemon.ended;
}
