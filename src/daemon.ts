/**
 * A mount that stands, and its end. Whichever way it ends (pailfs umount, a signal, umount(8)), what is dirty is uploaded
 * first or behind it, what could not be is named with its place, and everything is given back once.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Tell } from './control/server.js';
import { type ExitCode, exitCode } from './exit-code.js';
import type { Mounted } from './fuse/driver.js';
import { MountError } from './fuse/mount.js';
import type { Logger } from './log.js';
import type { DirtyFile, Filesystem } from './vfs/filesystem.js';

/** How often progress is told (ms). */
const PROGRESS_MS = 500;
/** After a signal, files that programs still have open are waited for this long (ms). */
const OPEN_FILES_MS = 30_000;
/** Closing the caches may take this long (ms). */
const CLOSE_MS = 10_000;

export interface DaemonParts {
  readonly mounted: Mounted;
  readonly filesystem: Filesystem;
  readonly log: Logger;
  /** Where files lie that are not in S3. */
  readonly stagedDirectory: string;
  /** Gives back what is left (control socket, client, lock) when nothing needs it any more. */
  readonly release: () => Promise<void>;
}

interface UmountRequest {
  readonly lazy: boolean;
  readonly timeoutMs?: number;
}

function count(files: readonly DirtyFile[]): string {
  return files.length === 1 ? '1 file' : `${files.length} files`;
}

function bytesOf(files: readonly DirtyFile[]): number {
  return files.reduce((sum, { size }) => sum + size, 0);
}

export class Daemon {
  /** Resolves with the exit code when everything is given back. */
  readonly ended: Promise<ExitCode>;
  readonly #parts: DaemonParts;
  #end!: (code: ExitCode) => void;
  #ending = false;
  #stopping = false;
  /** Answers to `pailfs umount` that are on their way; the process must not end before they are written. */
  readonly #asked = new Set<Promise<void>>();
  readonly #givenUp: Promise<'given up'>;
  #giveUp!: (how: 'given up') => void;

  constructor(parts: DaemonParts) {
    this.#parts = parts;
    this.ended = new Promise((resolve) => {
      this.#end = resolve;
    });
    this.#givenUp = new Promise((resolve) => {
      this.#giveUp = resolve;
    });
    void parts.mounted.closed.then(() => this.#finish());
  }

  /** SIGTERM and SIGINT: flushes and unmounts; the second time no longer waits. */
  stop(signal: string): void {
    const { log } = this.#parts;
    if (this.#stopping) {
      log.warn({ signal }, 'told to stop again: no longer waiting');
      this.#giveUp('given up');
      return;
    }
    this.#stopping = true;
    log.info({ signal }, 'stopping: uploading what is not in S3 yet');
    void this.#stop().catch((error) => {
      log.error({ err: error }, 'stopping failed');
      void this.#finish();
    });
  }

  async #stop(): Promise<void> {
    const { mounted, filesystem } = this.#parts;
    await Promise.race([filesystem.flushAll(), this.#givenUp]);
    await this.#detach();
    // A working directory in the mount, or an open directory, loses nothing; an open file may still be written.
    await Promise.race([mounted.closed, this.#nothingOpen(), this.#givenUp]);
    await this.#finish();
  }

  async #detach(): Promise<void> {
    const { mounted, log } = this.#parts;
    try {
      await mounted.unmount();
    } catch (error) {
      if (!(error instanceof MountError) || error.code !== 'EBUSY') throw error;
      await mounted.unmount({ lazy: true });
      const { openFiles } = this.#parts.filesystem.status();
      log.warn({ mountpoint: mounted.mountpoint, openFiles }, 'the mount is in use: it was detached lazily');
    }
  }

  async #nothingOpen(): Promise<void> {
    const { filesystem, log } = this.#parts;
    const end = performance.now() + OPEN_FILES_MS;
    while (filesystem.status().openFiles > 0) {
      if (performance.now() > end) {
        log.warn({ openFiles: filesystem.status().openFiles }, 'files are still open: their programs will see errors');
        return;
      }
      await sleep(50);
    }
  }

  /** Uploads what is left and gives everything back, once. */
  async #finish(): Promise<void> {
    if (this.#ending) return;
    this.#ending = true;
    const { filesystem, log, release } = this.#parts;
    let code: ExitCode = exitCode.ok;
    try {
      await Promise.race([filesystem.flushAll(), this.#givenUp]);
      if (this.#tellUnsaved()) code = exitCode.notSaved;
      const closing = filesystem.close().then(() => 'closed');
      if ((await Promise.race([closing, sleep(CLOSE_MS, 'late', { ref: false })])) === 'late') {
        log.error('the cache could not be closed in time: it will be checked at the next mount');
      }
    } catch (error) {
      log.error({ err: error }, 'the end of the mount failed');
      code = exitCode.unexpected;
    }
    await Promise.race([Promise.allSettled(this.#asked), this.#givenUp]);
    await release();
    this.#end(code);
  }

  /** One line for each file that S3 does not have. */
  #tellUnsaved(): boolean {
    const { filesystem, log, stagedDirectory } = this.#parts;
    const { dirty } = filesystem.status();
    for (const { path, size, failure } of dirty) {
      log.error(
        { path, size, failure, stagedDirectory },
        'not uploaded: what was written stays in the state directory',
      );
    }
    return dirty.length > 0;
  }

  /** `pailfs umount`: answers with progress, then `done` or `failed`; where it fails the mount stays. */
  umount(request: UmountRequest, tell: Tell, gone: AbortSignal): Promise<void> {
    const asked = this.#umount(request, tell, gone).finally(() => this.#asked.delete(asked));
    this.#asked.add(asked);
    return asked;
  }

  async #umount({ lazy, timeoutMs }: UmountRequest, tell: Tell, gone: AbortSignal): Promise<void> {
    const { mounted, filesystem } = this.#parts;
    const failed = (code: ExitCode, line: string) => tell({ failed: { line, exitCode: code } });
    const place = mounted.mountpoint;
    if (lazy) {
      await mounted.unmount({ lazy: true });
      const { dirty } = filesystem.status();
      const notice =
        dirty.length === 0 ? undefined : `${count(dirty)} still to be uploaded: the daemon stays until then`;
      tell({ done: { notice } });
      return;
    }
    const outcome = await this.#drain(tell, gone, timeoutMs);
    if (outcome === 'gone') return;
    const { dirty } = filesystem.status();
    if (outcome === 'late') {
      const size = `${count(dirty)}, ${bytesOf(dirty)} bytes`;
      failed(exitCode.timedOut, `${size} not in S3 yet; ${place} stays mounted: try again, or use --lazy`);
      return;
    }
    if (outcome.length > 0) {
      const [{ path, failure }] = outcome;
      const first = `${path}${failure === undefined ? '' : ` (${failure})`}`;
      failed(
        exitCode.notSaved,
        `${count(outcome)} cannot be uploaded, first ${first}; ${place} stays mounted: see the log`,
      );
      return;
    }
    try {
      await mounted.unmount();
    } catch (error) {
      if (!(error instanceof MountError)) throw error;
      const busy = error.code === 'EBUSY';
      const line = busy
        ? `${place} is in use: close what is open ("fuser -vm ${place}"), or use --lazy`
        : error.message;
      failed(busy ? exitCode.mountpointBusy : exitCode.mountpointUnusable, line);
      return;
    }
    tell({ done: {} });
  }

  async #drain(tell: Tell, gone: AbortSignal, timeoutMs?: number): Promise<readonly DirtyFile[] | 'late' | 'gone'> {
    const { filesystem } = this.#parts;
    const ended = new AbortController();
    const timer = setInterval(() => {
      const { dirty } = filesystem.status();
      tell({ progress: { files: dirty.length, bytes: bytesOf(dirty) } });
    }, PROGRESS_MS);
    const limits: Promise<readonly DirtyFile[] | 'late' | 'gone'>[] = [
      filesystem.flushAll(),
      new Promise((resolve) => {
        gone.addEventListener('abort', () => resolve('gone'), { once: true, signal: ended.signal });
      }),
    ];
    const late = (): 'late' => 'late';
    if (timeoutMs !== undefined) limits.push(sleep(timeoutMs, undefined, { signal: ended.signal }).then(late, late));
    try {
      return await Promise.race(limits);
    } finally {
      clearInterval(timer);
      ended.abort();
    }
  }
}
