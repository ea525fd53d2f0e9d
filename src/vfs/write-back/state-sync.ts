/**
 * Every few seconds what waits is synced to this machine's disk: the staged files first, then a note in the journal up to
 * which frame they are safe, then the journal. After the machine lost its power, what was noted later is not trusted.
 *
 * A sync that failed has told of lost writes once, and the next one succeeds without them: such a file is not safe any more
 * until the store has it, and is brought there at once, while the page cache still has its bytes.
 */
import { access, open } from 'node:fs/promises';
import { bootId } from '../../boot-id.js';
import type { Logger } from '../../log.js';
import type { Journal } from '../../writeback/journal.js';
import type { StagedFile } from '../../writeback/staged-file.js';
import type { SafeRecord } from './record.js';

/** The entry of the journal that says how far it is safe. */
export const SAFE_ID = 1;

export interface StateSyncHooks {
  /** Notes what the journal is to have with it. */
  readonly beforeSync: () => void;
  /** What waits is not safe here. */
  readonly onFailure: () => void;
}

export class StateSync {
  readonly #journal: Journal;
  readonly #logger: Logger;
  readonly #hooks: StateSyncHooks;
  readonly #files = new Set<string>();
  /** Files whose sync failed. */
  readonly #unsafe = new Set<string>();
  /** Why the last sync failed, if it did. */
  failure: Error | undefined;
  readonly #timer: NodeJS.Timeout;
  /** Sequence of the journal that is on the disk; none of this run's yet. */
  #syncedAt = -1;
  #running: Promise<void> | undefined;

  constructor(journal: Journal, intervalMs: number, logger: Logger, hooks: StateSyncHooks) {
    this.#journal = journal;
    this.#logger = logger;
    this.#hooks = hooks;
    this.#timer = setInterval(() => void this.run().catch(() => undefined), intervalMs);
    this.#timer.unref();
  }

  /** Bytes of it are in the journal's account now. */
  add(staged: StagedFile): void {
    this.#files.add(staged.path);
  }

  /** Resolves when everything noted before the call is on the disk. */
  async run(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
    this.#hooks.beforeSync();
    if (this.#syncedAt === this.#journal.sequence) return;
    this.#running = this.#run().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #run(): Promise<void> {
    const files = [...this.#files];
    this.#files.clear();
    const { sequence } = this.#journal;
    try {
      await this.#syncFiles(files);
      this.#journal.append([[SAFE_ID, { kind: 'safe', boot: bootId(), sequence } satisfies SafeRecord]]);
      await this.#journal.sync();
      if (this.#journal.hasFailed) throw new Error(`${this.#journal.path} cannot be written`);
      this.#syncedAt = this.#journal.sequence;
      this.failure = undefined;
    } catch (error) {
      for (const path of files) this.#files.add(path);
      this.#logger.error(
        { err: error },
        'what waits for its upload cannot be synced to the disk: it is uploaded at once',
      );
      this.failure = error as Error;
      this.#hooks.onFailure();
      throw error;
    }
  }

  /** Rejects where one is not on the disk, after all others are. */
  async #syncFiles(files: readonly string[]): Promise<void> {
    let failure: unknown;
    for (const path of files) {
      try {
        await syncFile(path);
      } catch (error) {
        failure = error;
        this.#unsafe.add(path);
      }
    }
    for (const path of this.#unsafe) {
      if (await isThere(path)) failure ??= new Error(`${path} may lack bytes on the disk: an earlier sync failed`);
      else this.#unsafe.delete(path);
    }
    if (failure !== undefined) throw failure;
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#running?.catch(() => undefined);
    await this.run().catch(() => undefined);
  }
}

function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    (error: NodeJS.ErrnoException) => error.code !== 'ENOENT',
  );
}

/** One that has gone was uploaded meanwhile. */
async function syncFile(path: string): Promise<void> {
  try {
    const file = await open(path, 'r');
    await file.datasync().finally(() => file.close());
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}
