/**
 * The background form: the command starts itself again, detached, and returns once the mount answers. What hinders the
 * worker from starting comes back over the IPC channel and is told as if it had happened here.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync } from 'node:fs';
import { type ExitCode, exitCode } from '../exit-code.js';
import { lifeOf } from '../local/mountpoint.js';
import type { Logger } from '../log.js';
import type { MountRequest } from '../main.js';
import { StartupFailure, startupFailure } from '../startup-failure.js';
import { say } from './say.js';

/** Set for the worker, and only there. */
export const WORKER_VARIABLE = 'PAILFS_WORKER';
/** A mount that stands answers a stat within this (ms). */
const ANSWER_MS = 30_000;

type WorkerMessage =
  /** The start goes on. */
  { readonly told: string } | LastMessage;

type LastMessage =
  | { readonly ready: { readonly mountpoint: string; readonly notices: readonly string[] } }
  | { readonly failed: { readonly line: string; readonly exitCode: number } };

function lastMessage(child: ChildProcess, logFile: string): Promise<LastMessage> {
  return new Promise((resolve, reject) => {
    child.on('message', (message: WorkerMessage) => {
      if ('told' in message) say(message.told);
      else resolve(message);
    });
    child.once('error', reject);
    child.once('exit', (code, signal) => {
      const how = signal === null ? `code ${code}` : signal;
      const line = `the daemon ended before the mount stood (${how}): see ${logFile}`;
      reject(new StartupFailure(exitCode.unexpected, line));
    });
  });
}

async function waitUntilItAnswers(mountpoint: string, child: ChildProcess): Promise<void> {
  const life = await lifeOf(mountpoint, ANSWER_MS);
  if (life === 'alive') return;
  child.kill('SIGTERM');
  throw new StartupFailure(exitCode.unexpected, `${mountpoint} was mounted but does not answer (${life})`);
}

/** `log`: the open file that takes what the worker writes to its standard output and error; closed here. */
export async function startInBackground(log: { fd: number; path: string }): Promise<ExitCode> {
  const child = spawn(process.execPath, [...process.execArgv, ...process.argv.slice(1)], {
    detached: true,
    stdio: ['ignore', log.fd, log.fd, 'ipc'],
    env: { ...process.env, [WORKER_VARIABLE]: '1' },
  });
  closeSync(log.fd);
  const interrupt = () => {
    child.kill('SIGTERM');
    process.exit(exitCode.interrupted);
  };
  process.once('SIGINT', interrupt).once('SIGTERM', interrupt);
  const message = await lastMessage(child, log.path);
  if ('failed' in message) throw new StartupFailure(message.failed.exitCode as ExitCode, message.failed.line);
  for (const notice of message.ready.notices) say(`warning: ${notice}`);
  await waitUntilItAnswers(message.ready.mountpoint, child);
  child.disconnect();
  child.unref();
  return exitCode.ok;
}

/** Whether this process is the detached child. */
export function isWorker(): boolean {
  return process.env[WORKER_VARIABLE] !== undefined && process.send !== undefined;
}

function send(message: WorkerMessage): Promise<void> {
  return new Promise((resolve) => {
    if (!process.connected) resolve();
    else process.send!(message, () => resolve());
  });
}

/** The detached child: says how the start went, and serves. */
export async function serveInBackground(request: MountRequest): Promise<ExitCode> {
  delete process.env[WORKER_VARIABLE];
  const left = new AbortController();
  let ready = false;
  process.once('disconnect', () => {
    if (!ready) left.abort();
  });
  try {
    // Who starts it has no use for all that it takes to serve.
    const { serveMount } = await import('./worker.js');
    return await serveMount(
      { ...request, tell: (line) => void send({ told: line }) },
      {
        stopped: left.signal,
        onReady: ({ mountpoint, notices }) => {
          ready = true;
          // A working directory would keep its disk from being unmounted.
          process.chdir('/');
          void send({ ready: { mountpoint, notices } });
        },
      },
    );
  } catch (error) {
    const failure = startupFailure(error);
    logFailure(request.log, failure);
    await send({ failed: { line: failure.message, exitCode: failure.exitCode } });
    return failure.exitCode;
  }
}

function logFailure(log: Logger, failure: StartupFailure): void {
  const { cause } = failure;
  log.error({ exitCode: failure.exitCode, cause: cause instanceof Error ? cause.stack : undefined }, failure.message);
}
