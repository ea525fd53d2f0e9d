/**
 * What a daemon does for `pailfs umount` and `pailfs sync`, and answers: progress while it goes on, then how it ended.
 * Where umount fails the mount stays.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { counted } from './amount.js';
import type { Tell } from './control/server.js';
import { DrainMeter, dirtyBelow, drain, PROGRESS_MS, refused } from './drain.js';
import { type ExitCode, exitCode } from './exit-code.js';
import type { Mounted } from './fuse/driver.js';
import { MountError } from './fuse/mount.js';
import { behindNotice, isNothing, type Left, type LeftPlace, leftNotice, leftOf } from './left.js';
import type { DirtyFile, Filesystem } from './vfs/filesystem.js';

export interface UmountRequest {
  readonly lazy: boolean;
  readonly timeoutMs?: number;
}

export interface Answering {
  readonly mounted: Mounted;
  readonly filesystem: Filesystem;
  readonly place: LeftPlace;
  readonly sentBytes: () => number;
  /** Fires when the daemon no longer uploads. */
  readonly givenUp: AbortSignal;
  /** The daemon ends with what it has; the rest stays. */
  readonly giveUp: () => void;
  /** What is left when the mount is gone and nothing is uploaded any more. */
  readonly left: Promise<Left>;
}

type Outcome = 'done' | 'late' | 'gone';

/** Resolves when any of the signals fires. */
function fired(signals: readonly AbortSignal[], ended: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of signals) {
      if (signal.aborted) resolve();
      signal.addEventListener('abort', () => resolve(), { once: true, signal: ended });
    }
  });
}

/** Waits for work, with progress, until its end or that of the patience. Rejects with what the work does. */
async function follow(
  work: Promise<unknown>,
  meter: DrainMeter,
  tell: Tell,
  limits: { readonly gone: AbortSignal; readonly givenUp: AbortSignal; readonly deadline?: number },
): Promise<Outcome> {
  const ended = new AbortController();
  const timer = setInterval(() => tell({ progress: meter.look() }), PROGRESS_MS);
  const { gone, givenUp, deadline } = limits;
  const ends: Promise<Outcome>[] = [
    work.then(() => 'done'),
    fired([gone], ended.signal).then(() => 'gone'),
    fired([givenUp], ended.signal).then(() => 'late'),
  ];
  if (deadline !== undefined) {
    const rest = Math.max(0, deadline - performance.now());
    ends.push(
      sleep(rest, undefined, { signal: ended.signal }).then(
        () => 'late',
        () => 'late',
      ),
    );
  }
  try {
    return await Promise.race(ends);
  } finally {
    clearInterval(timer);
    ended.abort();
  }
}

/** A file as the user knows it, and why it failed. */
function shown({ path, failure, reason }: DirtyFile, { mountpoint }: Mounted): string {
  const why = reason ?? failure;
  const place = mountpoint.replace(/\/$/, '') + path;
  return why === undefined ? place : `${place} (${why})`;
}

export async function answerUmount(
  daemon: Answering,
  { lazy, timeoutMs }: UmountRequest,
  tell: Tell,
  gone: AbortSignal,
): Promise<void> {
  const { mounted, filesystem, place, givenUp } = daemon;
  const deadline = timeoutMs === undefined ? undefined : performance.now() + timeoutMs;
  if (lazy) {
    await mounted.unmount({ lazy: true });
    const left = leftOf(filesystem.status());
    tell({ done: { notice: isNothing(left) ? undefined : behindNotice(left, place) } });
    return;
  }
  const meter = new DrainMeter(filesystem, daemon.sentBytes);
  const stopped = new AbortController();
  const draining = drain(filesystem, AbortSignal.any([givenUp, stopped.signal]));
  const first = Promise.race([draining, daemon.left]);
  const outcome = await follow(first, meter, tell, { gone, givenUp, deadline }).finally(() => stopped.abort());
  if (outcome === 'gone') return;
  // A daemon that was told twice to stop unmounts by itself.
  if (!givenUp.aborted) {
    const refusal = refusalOf(daemon, outcome) ?? (await unmount(mounted));
    if (refusal !== undefined) {
      tell({ failed: refusal });
      return;
    }
  }
  // What was written until the mount was gone is uploaded as well.
  const end = await follow(daemon.left, meter, tell, { gone, givenUp, deadline });
  if (end === 'late') daemon.giveUp();
  const left = await daemon.left;
  if (isNothing(left)) tell({ done: {} });
  else {
    const code = end === 'late' ? exitCode.leftInJournal : exitCode.notSaved;
    tell({ done: { notice: leftNotice(left, place), exitCode: code } });
  }
}

/** Who looks at the mount in passing (df, fuser, a program that is just ending) holds it for a moment (ms). */
const BUSY_PATIENCE_MS = 2_000;
const BUSY_STEP_MS = 100;

interface Refusal {
  readonly line: string;
  readonly exitCode: ExitCode;
}

async function unmount(mounted: Mounted): Promise<Refusal | undefined> {
  const end = performance.now() + BUSY_PATIENCE_MS;
  for (;;) {
    const error = await mounted.unmount().then(
      () => undefined,
      (failure: unknown) => failure,
    );
    if (error === undefined) return undefined;
    if (!(error instanceof MountError)) throw error;
    if (error.code === 'EBUSY' && performance.now() < end) {
      await sleep(BUSY_STEP_MS);
      continue;
    }
    if (error.code !== 'EBUSY') return { line: error.message, exitCode: exitCode.mountpointUnusable };
    const { mountpoint } = mounted;
    const line = `${mountpoint} is in use: close what is open ("fuser -vm ${mountpoint}"), or use --lazy`;
    return { line, exitCode: exitCode.mountpointBusy };
  }
}

/** Why the mount has to stay. */
function refusalOf({ filesystem, mounted }: Answering, outcome: Outcome): Refusal | undefined {
  const status = filesystem.status();
  const stays = `${mounted.mountpoint} stays mounted`;
  const left = leftOf(status);
  if (outcome === 'late') {
    if (left.hasJournal) return undefined;
    const size = `${counted(left.files, 'file')}, ${left.bytes} bytes`;
    return { exitCode: exitCode.timedOut, line: `${size} not in S3 yet; ${stays}: try again, or use --lazy` };
  }
  const files = refused(status);
  const line = (what: string) => `${what}; ${stays}: see the log${left.hasJournal ? ', or use --lazy' : ''}`;
  if (files.length > 0) {
    const what = `${counted(files.length, 'file')} cannot be uploaded, first ${shown(files[0], mounted)}`;
    return { exitCode: exitCode.notSaved, line: line(what) };
  }
  const { removals = 0, removalFailure } = status.waiting ?? {};
  if (removalFailure === undefined) return undefined;
  return {
    exitCode: exitCode.notSaved,
    line: line(`${counted(removals, 'object')} cannot be deleted (${removalFailure})`),
  };
}

/** `pailfs sync`: everything at or below a path (names from the root of the mount). */
export async function answerSync(
  daemon: Answering,
  path: readonly string[],
  tell: Tell,
  gone: AbortSignal,
): Promise<void> {
  const { filesystem, mounted, givenUp } = daemon;
  const top = `/${path.join('/')}`;
  const meter = new DrainMeter(filesystem, daemon.sentBytes, top);
  const failed = (line: string) => tell({ failed: { line, exitCode: exitCode.notSaved } });
  try {
    let isSynced = false;
    const synced = filesystem.sync(path).then(() => {
      isSynced = true;
    });
    await follow(Promise.race([synced, daemon.left]), meter, tell, { gone, givenUp });
    if (isSynced) tell({ done: {} });
    else failed('the daemon ended before everything was in S3');
  } catch (error) {
    const dirty = dirtyBelow(filesystem.status(), top).filter(
      ({ failure, reason }) => (reason ?? failure) !== undefined,
    );
    const [first] = dirty;
    if (first === undefined) failed(`not everything is in S3: ${(error as Error).message}`);
    else failed(`${counted(dirty.length, 'file')} could not be uploaded, first ${shown(first, mounted)}`);
  }
}
