/**
 * A mount that stands, and its end. Whichever way it ends (pailfs umount, a signal, umount(8)), what is dirty is uploaded
 * first or behind it; what could not be is named with its place, and waits in the journal where there is one; and
 * everything is given back once.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Tell } from './control/server.js';
import { DrainMeter, drain, PROGRESS_MS } from './drain.js';
import { type ExitCode, exitCode } from './exit-code.js';
import type { Mounted } from './fuse/driver.js';
import { MountError } from './fuse/mount.js';
import { isNothing, type Left, leftOf, logLeft } from './left.js';
import type { Logger } from './log.js';
import type { ProgressLine } from './progress.js';
import { type Answering, answerSync, answerUmount, type UmountRequest } from './umount-answer.js';
import type { Filesystem } from './vfs/filesystem.js';

/** After a signal, files that programs still have open are waited for this long (ms). */
const OPEN_FILES_MS = 30_000;
/** Closing the caches may take this long (ms). */
const CLOSE_MS = 10_000;

export interface DaemonParts {
  readonly mounted: Mounted;
  readonly filesystem: Filesystem;
  readonly log: Logger;
  /** What is mounted, as the user writes it. */
  readonly source: string;
  /** Where the journal lies, and in `staged` files that are not in S3. */
  readonly stateDirectory: string;
  /** Sent to the store by now (bytes). */
  readonly sentBytes: () => number;
  /** Shows how far the end of the daemon is. */
  readonly progress: ProgressLine;
  /** Ends requests that are under way, and takes no more. */
  readonly abort: () => Promise<void>;
  /** Gives back what is left (control socket, lock) when nothing needs it any more. `isClosed`: nothing writes any more. */
  readonly release: (isClosed: boolean) => Promise<void>;
}

export class Daemon {
  /** Resolves with the exit code when everything is given back. */
  readonly ended: Promise<ExitCode>;
  readonly #parts: DaemonParts;
  #end!: (code: ExitCode) => void;
  #ending = false;
  #stopping = false;
  /** Answers that are on their way; the process must not end before they are written. */
  readonly #asked = new Set<Promise<void>>();
  readonly #giveUp = new AbortController();
  readonly #givenUp: Promise<void>;
  readonly #left: Promise<Left>;
  #settleLeft!: (left: Left) => void;
  #progress: NodeJS.Timeout | undefined;

  constructor(parts: DaemonParts) {
    this.#parts = parts;
    this.ended = new Promise((resolve) => {
      this.#end = resolve;
    });
    this.#left = new Promise((resolve) => {
      this.#settleLeft = resolve;
    });
    this.#givenUp = new Promise((resolve) => {
      this.#giveUp.signal.addEventListener('abort', () => resolve(), { once: true });
    });
    void parts.mounted.closed.then(() => this.#finish());
  }

  /** The mount is gone, and what is left is uploaded. */
  get isDraining(): boolean {
    return this.#ending;
  }

  /** SIGTERM and SIGINT: flushes and unmounts; the second time no longer waits. */
  stop(signal: string): void {
    const { log } = this.#parts;
    if (this.#stopping) {
      log.warn({ signal }, 'told to stop again: no longer waiting');
      this.#giveUp.abort();
      return;
    }
    this.#stopping = true;
    log.info({ signal }, 'stopping: uploading what is not in S3 yet');
    if (this.#ending) return;
    void this.#stop().catch((error) => {
      log.error({ err: error }, 'stopping failed');
      void this.#finish();
    });
  }

  async #stop(): Promise<void> {
    const { mounted, filesystem } = this.#parts;
    this.#showProgress();
    await Promise.race([drain(filesystem, this.#giveUp.signal), this.#givenUp]);
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

  #showProgress(): void {
    if (this.#progress !== undefined) return;
    const { filesystem, sentBytes, progress } = this.#parts;
    const meter = new DrainMeter(filesystem, sentBytes);
    this.#progress = setInterval(() => progress.tell(meter.look()), PROGRESS_MS);
  }

  /** Uploads what is left and gives everything back, once. */
  async #finish(): Promise<void> {
    if (this.#ending) return;
    this.#ending = true;
    const { filesystem, log, release, progress } = this.#parts;
    this.#showProgress();
    let code: ExitCode = exitCode.ok;
    let isClosed = false;
    try {
      await Promise.race([drain(filesystem, this.#giveUp.signal), this.#givenUp]);
      isClosed = await this.#close();
      code = this.#conclude();
    } catch (error) {
      log.error({ err: error }, 'the end of the mount failed');
      code = exitCode.unexpected;
    }
    clearInterval(this.#progress);
    progress.end();
    this.#settleLeft(leftOf(filesystem.status()));
    await Promise.allSettled(this.#asked);
    await release(isClosed);
    this.#end(code);
  }

  /** Answers whether nothing writes to the state directory any more. */
  async #close(): Promise<boolean> {
    const { filesystem, log, abort } = this.#parts;
    filesystem.keepOpen();
    const closing = filesystem.close().then(() => true);
    if (this.#giveUp.signal.aborted) await abort();
    const isClosed = await Promise.race([closing, sleep(CLOSE_MS, false, { ref: false })]);
    if (!isClosed) log.error('the cache could not be closed in time: it will be checked at the next mount');
    return isClosed;
  }

  #conclude(): ExitCode {
    const status = this.#parts.filesystem.status();
    logLeft(this.#parts.log, status, this.#parts);
    if (isNothing(leftOf(status))) return exitCode.ok;
    const isLeft = status.waiting !== undefined && this.#giveUp.signal.aborted;
    return isLeft ? exitCode.leftInJournal : exitCode.notSaved;
  }

  get #answering(): Answering {
    const { mounted, filesystem, sentBytes } = this.#parts;
    const giveUp = () => this.#giveUp.abort();
    const givenUp = this.#giveUp.signal;
    return { mounted, filesystem, sentBytes, place: this.#parts, givenUp, giveUp, left: this.#left };
  }

  /** `pailfs umount`: answers with progress, then `done` or `failed`; where it fails the mount stays. */
  umount(request: UmountRequest, tell: Tell, gone: AbortSignal): Promise<void> {
    return this.#answer(answerUmount(this.#answering, request, tell, gone));
  }

  /** `pailfs sync`: answers with progress, then `done` or `failed`. */
  sync(path: readonly string[], tell: Tell, gone: AbortSignal): Promise<void> {
    return this.#answer(answerSync(this.#answering, path, tell, gone));
  }

  #answer(answer: Promise<void>): Promise<void> {
    const asked = answer.finally(() => this.#asked.delete(asked));
    this.#asked.add(asked);
    return asked;
  }

  /** Another mount wants to go on: with a journal and without a mount, ends with what is done. */
  handOver(tell: Tell): void {
    const { filesystem, log } = this.#parts;
    if (!this.#ending || filesystem.status().waiting === undefined) {
      const line = this.#ending ? 'without a journal nothing can be handed over' : 'the mount stands';
      tell({ failed: { line, exitCode: exitCode.stateLocked } });
      return;
    }
    log.info('another mount of this bucket takes up what is left');
    this.#giveUp.abort();
    tell({ done: {} });
  }
}
