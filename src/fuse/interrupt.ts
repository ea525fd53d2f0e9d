/**
 * Whether an INTERRUPT means that the waiting program is to end. The kernel sends INTERRUPT for any signal, also for the
 * timer of a progress display, and passes our EINTR on to the program even where it asked for restarts: answering every
 * one would break programs that use timers. So only signals that end the program count, and, where the caller says so, those
 * that people send to get out of a wait; the kernel sends no second INTERRUPT, so a request that got one is looked at again
 * from time to time.
 * Source: fs/fuse/dev.c (request_wait_answer), proc_pid_status(5).
 */
import { readFileSync } from 'node:fs';

const bit = (signal: number): bigint => 1n << BigInt(signal - 1);
const SIGHUP = 1;
const SIGINT = 2;
const SIGQUIT = 3;
const SIGKILL = 9;
const SIGTERM = 15;
/** Sent to get out of a wait: where the program has a handler, it can only run once we answer. */
const WANTED_OUT = [SIGHUP, SIGINT, SIGQUIT, SIGTERM].map(bit).reduce((mask, one) => mask | one);
/** SIGCHLD, SIGCONT, SIGURG, SIGWINCH and the stop signals do not end a program by default. */
const HARMLESS = [17, 18, 19, 20, 21, 22, 23, 28].map(bit).reduce((mask, one) => mask | one);

/** The signal masks of a thread, by their name in /proc. */
function maskOf(status: string, name: string): bigint {
  const match = new RegExp(`^${name}:\\s*([0-9a-f]+)$`, 'm').exec(status);
  return match === null ? 0n : BigInt(`0x${match[1]}`);
}

/** @param alsoHandled whether a signal to get out counts though the program has a handler, and goes on after it */
export function isEnding(status: string, alsoHandled: boolean): boolean {
  const pending = maskOf(status, 'SigPnd') | maskOf(status, 'ShdPnd');
  if ((pending & bit(SIGKILL)) !== 0n) return true;
  const effective = pending & ~maskOf(status, 'SigIgn') & ~maskOf(status, 'SigBlk');
  if (alsoHandled && (effective & WANTED_OUT) !== 0n) return true;
  return (effective & ~maskOf(status, 'SigCgt') & ~HARMLESS) !== 0n;
}

/** @param pid the thread that waits, as the request names it; 0 when it lives in another pid namespace */
export function isThreadEnding(pid: number, alsoHandled: boolean): boolean {
  if (pid === 0) return true;
  try {
    return isEnding(readFileSync(`/proc/${pid}/status`, 'latin1'), alsoHandled);
  } catch {
    // It is gone: nobody waits.
    return true;
  }
}
