/**
 * The daemon of an earlier mount of the same bucket, whose mount is gone and which still uploads. A new mount waits for it
 * a while; then it takes over what is left, which the journal has. Without a journal it can only wait.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { ask, askStatus, NoDaemonError } from './control/client.js';
import type { DaemonStatus } from './control/messages.js';
import { socketPath } from './control/socket-path.js';
import { exitCode } from './exit-code.js';
import { isPailfs, readMountTable } from './local/mount-table.js';
import { lockState, StateHeld, type StateLock } from './local/state-lock.js';
import { leftText } from './progress.js';
import { StartupFailure } from './startup-failure.js';

export interface Succession {
  readonly stateDirectory: string;
  readonly runtimeDirectory: string;
  /** Of the new mount. */
  readonly mountpoint: string;
  /** Takes a line for the user. */
  readonly tell: (line: string) => void;
  /** How long the earlier daemon may go on by itself, and how long it is waited for at all (ms). */
  readonly patienceMs?: number;
  readonly limitMs?: number;
}

/** What it uploads in this time need not be begun anew. */
const PATIENCE_MS = 10_000;
/** Shorter than mount(8) and systemd wait for a mount. */
const LIMIT_MS = 60_000;
const LOOK_MS = 200;
const ASK_MS = 2_000;

/** mounted: or not ours to know. unmounted: it drains, or is about to mount. gone: it has just ended. */
function placeOf({ owner, isHere }: StateHeld): 'mounted' | 'unmounted' | 'gone' {
  if (!isHere) return 'mounted';
  try {
    const isThere = readMountTable(owner.pid).some((entry) => isPailfs(entry) && entry.mountpoint === owner.mountpoint);
    return isThere ? 'mounted' : 'unmounted';
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    // EINVAL: it is ending.
    return ['ENOENT', 'ESRCH', 'EINVAL'].includes(code) ? 'gone' : 'mounted';
  }
}

/** What the earlier daemon does, as far as it tells. */
async function told({ owner }: StateHeld, runtimeDirectory: string): Promise<string> {
  const status = await statusAt(socketPath(runtimeDirectory, owner.mountpoint));
  const who = `the daemon of the mount that was on ${owner.mountpoint} (process ${owner.pid})`;
  if (status === undefined) return `${who} has not ended`;
  if (!status.draining) return `${who} still has open files`;
  const bytes = status.dirty.reduce((sum, { size }) => sum + size, 0);
  const left = leftText({ files: status.dirty.length, bytes, removals: status.waiting?.removals ?? 0 });
  return `${who} still uploads (left: ${left})`;
}

function tryLock({ stateDirectory, mountpoint }: Succession): StateLock | StateHeld {
  try {
    return lockState(stateDirectory, mountpoint);
  } catch (error) {
    if (error instanceof StateHeld) return error;
    throw error;
  }
}

/** Takes the lock of a state directory. Rejects with StartupFailure. */
export async function lockWhenFree(succession: Succession): Promise<StateLock> {
  const { runtimeDirectory, tell, patienceMs = PATIENCE_MS, limitMs = LIMIT_MS } = succession;
  const begun = performance.now();
  let hasTold = false;
  let hasAsked = false;
  for (;;) {
    const lock = tryLock(succession);
    if (!(lock instanceof StateHeld)) return lock;
    if (placeOf(lock) === 'mounted') throw lock;
    const waited = performance.now() - begun;
    if (waited > limitMs) {
      const line = `${await told(lock, runtimeDirectory)}: try again when it has ended`;
      throw new StartupFailure(exitCode.stateLocked, line);
    }
    if (!hasTold && waited >= LOOK_MS) {
      hasTold = true;
      tell(`${await told(lock, runtimeDirectory)}: waiting for it`);
    }
    if (waited > patienceMs && !hasAsked) {
      hasAsked = true;
      if (await handsOver(socketPath(runtimeDirectory, lock.owner.mountpoint)))
        tell('taking over: what it has not uploaded, this mount will');
    }
    await sleep(LOOK_MS);
  }
}

async function statusAt(socket: string): Promise<DaemonStatus | undefined> {
  try {
    return await askStatus(socket, ASK_MS);
  } catch (error) {
    if (error instanceof NoDaemonError) return undefined;
    throw error;
  }
}

async function handsOver(socket: string): Promise<boolean> {
  try {
    return 'done' in (await ask(socket, { ask: 'hand over' }, { timeoutMs: ASK_MS }));
  } catch (error) {
    if (error instanceof NoDaemonError) return false;
    throw error;
  }
}
