/**
 * Real mounts for tests. Nothing here may touch the mount from the daemon's own thread, which would wait for itself:
 * every file operation is a child process with a time limit, and teardown ends in an abort of the connection, so that a
 * test that goes wrong leaves neither a hanging process nor a mount.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type KernelDriverOptions, type KernelMount, mountKernel } from '../../src/fuse/kernel-driver.js';
import type { Operations } from '../../src/fuse/operations.js';
import { silentLogger } from '../../src/log.js';

/** Why real mounts cannot be tested here, or false; for tap's skip option. */
export const noKernelMounts: string | false = !existsSync('/dev/fuse')
  ? '/dev/fuse is absent'
  : process.geteuid?.() !== 0
    ? 'mount(2) needs root'
    : false;

export interface RunResult {
  /** null: killed by a signal. */
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
  /** It did not end in time and was killed. */
  readonly timedOut: boolean;
}

export interface RunOptions {
  /** Milliseconds. */
  readonly timeout?: number;
  readonly input?: string;
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
}

export const DEFAULT_TIMEOUT_MS = 20_000;
/** How long after the end of a program its output is waited for. */
const LAST_WORDS_MS = 2_000;

/** Starts a program and collects what it says. */
export function start(command: string, args: string[], options: RunOptions = {}) {
  const child: ChildProcess = spawn(command, args, { cwd: options.cwd, env: options.env, stdio: 'pipe' });
  let stdout = '';
  let stderr = '';
  let timedOut = false;
  child.stdout!.setEncoding('utf8').on('data', (text) => {
    stdout += text;
  });
  child.stderr!.setEncoding('utf8').on('data', (text) => {
    stderr += text;
  });
  child.stdin!.on('error', () => {});
  child.stdin!.end(options.input ?? '');
  const result = new Promise<RunResult>((resolve, reject) => {
    const timer = setTimeout(() => {
      timedOut = true;
      child.kill('SIGKILL');
    }, options.timeout ?? DEFAULT_TIMEOUT_MS);
    child.on('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
    child.on('exit', (code, signal) => {
      clearTimeout(timer);
      const settle = (): void => resolve({ code, signal, stdout, stderr, timedOut });
      // All it said has been read at 'close'; but a grandchild that hangs in the mount may keep the pipes open for good.
      child.once('close', settle);
      setTimeout(settle, LAST_WORDS_MS).unref();
    });
  });
  return { child, result };
}

/** Runs a program to its end. */
export function run(command: string, args: string[], options: RunOptions = {}): Promise<RunResult> {
  return start(command, args, options).result;
}

/** Runs a shell script with `set -e`. */
export function sh(script: string, options: RunOptions = {}): Promise<RunResult> {
  return run('/bin/sh', ['-ec', script], options);
}

/** Runs a shell script that has to succeed; answers what it printed. */
export async function check(script: string, options: RunOptions = {}): Promise<string> {
  const result = await sh(script, options);
  if (result.code === 0) return result.stdout;
  const how = result.timedOut ? 'timed out' : `exit ${result.code ?? result.signal}`;
  throw new Error(`${how}: ${script}\n${result.stdout}${result.stderr}`);
}

/** Cleans up and ends the process when it is told to end before its time. Answers how to take that back. */
export function onInterrupt(cleanUp: () => Promise<void>): () => void {
  const end = () => void cleanUp().finally(() => process.exit(1));
  process.once('SIGINT', end).once('SIGTERM', end);
  return () => void process.off('SIGINT', end).off('SIGTERM', end);
}

/** Rejects when a promise takes too long. */
export async function within<T>(ms: number, what: string, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} took more than ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Waits until a condition holds. */
export async function until(what: string, condition: () => boolean | Promise<boolean>, ms = 10_000): Promise<void> {
  const end = Date.now() + ms;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`${what}: not within ${ms} ms`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/**
 * Ends a connection whatever state it is in. MNT_FORCE aborts it, also where it then finds the mount busy, so that every
 * request in it fails; what is left of the mount goes lazily.
 */
export async function abortMount(mountpoint: string): Promise<void> {
  await run('umount', ['-f', mountpoint], { timeout: 5_000 });
  await run('umount', ['-l', mountpoint], { timeout: 5_000 });
}

async function tearDown(mounted: KernelMount): Promise<void> {
  try {
    await within(5_000, 'unmount', mounted.unmount());
  } catch {
    await abortMount(mounted.mountpoint);
  }
  // It has taken more than ten seconds, once in hundreds of runs, on a machine that was busy.
  await within(30_000, 'end of the connection', mounted.closed);
}

export type MountOverrides = Partial<Omit<KernelDriverOptions, 'mountpoint'>>;

/** Mounts a filesystem in a fresh directory, runs `body`, and takes everything away again, whatever happened. */
export async function withMount<T>(
  operations: Operations,
  body: (mounted: KernelMount, directory: string) => Promise<T>,
  options: MountOverrides = {},
): Promise<T> {
  const directory = mkdtempSync(join(tmpdir(), 'pailfs-mount-'));
  try {
    const log = silentLogger;
    const mounted = await mountKernel(operations, { fsname: 's3://test', log, ...options, mountpoint: directory });
    try {
      return await body(mounted, mounted.mountpoint);
    } finally {
      await tearDown(mounted);
    }
  } finally {
    rmdirSync(directory);
  }
}
