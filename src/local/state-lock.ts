/**
 * One daemon at a time uses a state directory. The lock is a file that names its owner so exactly (machine, boot, PID
 * namespace, process and its start) that after kill -9 or a reboot it is known to be nobody's, and a process that got the
 * same number is not taken for the owner. It appears whole (link(2) of a finished file), and a stale one is taken away by
 * rename, so that of two daemons that find it one wins.
 */
import { linkSync, readFileSync, readlinkSync, renameSync, unlinkSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { exitCode } from '../exit-code.js';
import { StartupFailure } from '../startup-failure.js';

export interface LockOwner {
  readonly pid: number;
  /** Field 22 of /proc/PID/stat: clock ticks since boot. */
  readonly started: string;
  readonly boot: string;
  readonly pidNamespace: string;
  readonly host: string;
  /** What it mounted where, for the message. */
  readonly mountpoint: string;
}

export interface StateLock {
  release(): void;
}

/** Another daemon has it. */
export class StateHeld extends StartupFailure {
  readonly owner: LockOwner;
  /** On this machine and in our PID namespace, so that it can be asked. */
  readonly isHere: boolean;

  constructor(line: string, owner: LockOwner, isHere: boolean) {
    super(exitCode.stateLocked, line);
    this.owner = owner;
    this.isHere = isHere;
  }
}

/** Attempts to take a lock that changes hands under us. */
const ATTEMPTS = 5;

function startOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The name, in parentheses, may hold anything; field 3 follows the last of them.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19];
  } catch {
    return undefined;
  }
}

export function thisProcess(mountpoint: string): LockOwner {
  return {
    pid: process.pid,
    started: startOf(process.pid)!,
    boot: readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim(),
    pidNamespace: readlinkSync('/proc/self/ns/pid'),
    host: hostname(),
    mountpoint,
  };
}

/** False only where it is certain that the owner is gone. */
export function mayLive(owner: LockOwner, us: LockOwner): boolean {
  if (owner.boot !== us.boot) return owner.host !== us.host;
  if (owner.pidNamespace !== us.pidNamespace) return true;
  return startOf(owner.pid) === owner.started;
}

function read(path: string): { text: string; owner: LockOwner | undefined } | undefined {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  try {
    return { text, owner: JSON.parse(text) as LockOwner };
  } catch {
    // It is linked whole, so this was torn by a loss of power: no owner is alive.
    return { text, owner: undefined };
  }
}

function tryLink(own: string, path: string): boolean {
  try {
    linkSync(own, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** Takes away the stale lock that was read; a fresh one that came in its place is put back. */
function takeAway(path: string, stale: string): void {
  const aside = `${path}.stale.${process.pid}`;
  try {
    renameSync(path, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  if (readFileSync(aside, 'utf8') !== stale) tryLink(aside, path);
  unlinkSync(aside);
}

export function lockState(directory: string, mountpoint: string): StateLock {
  const path = join(directory, 'lock');
  const own = `${path}.${process.pid}`;
  const us = thisProcess(mountpoint);
  const text = JSON.stringify(us);
  writeFileSync(own, text, { mode: 0o600 });
  try {
    for (let i = 0; i < ATTEMPTS; i++) {
      if (tryLink(own, path)) return { release: () => releaseLock(path, text) };
      const found = read(path);
      if (found === undefined) continue;
      if (found.owner !== undefined && mayLive(found.owner, us)) throw held(found.owner, us, path);
      takeAway(path, found.text);
    }
  } finally {
    unlinkSync(own);
  }
  throw new StartupFailure(exitCode.stateLocked, `${path} changes hands all the time: another daemon is starting`);
}

function held(owner: LockOwner, us: LockOwner, path: string): StateHeld {
  const here = owner.boot === us.boot && owner.pidNamespace === us.pidNamespace;
  const who = here ? `process ${owner.pid}` : `process ${owner.pid} of another machine or container (${owner.host})`;
  const remedy = here
    ? `run "pailfs umount ${owner.mountpoint}" first, or give this mount its own --state-dir`
    : `where that one is gone, remove ${path}`;
  return new StateHeld(`this bucket is mounted on ${owner.mountpoint} by ${who}: ${remedy}`, owner, here);
}

function releaseLock(path: string, text: string): void {
  if (read(path)?.text === text) unlinkSync(path);
}
