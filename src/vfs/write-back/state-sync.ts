/**
 * Every few seconds what waits is synced to this machine's disk: the staged files first, then a note in the journal up to
 * which frame they are safe, then the journal. After the machine lost its power, what was noted later is not trusted.
 */
import { open } from 'node:fs/promises';
import { bootId } from '../../boot-id.js';
import type { Logger } from '../../log.js';
import type { Journal } from '../../writeback/journal.js';
import type { StagedFile } from '../../writeback/staged-file.js';
import type { SafeRecord } from './record.js';

/** The entry of the journal that says how far it is safe. */
export const SAFE_ID = 1;

export class StateSync {
  readonly #journal: Journal;
  readonly #logger: Logger;
  readonly #beforeSync: () => void;
  readonly #files = new Set<string>();
  readonly #timer: NodeJS.Timeout;
  /** Sequence of the journal that is on the disk; none of this run's yet. */
  #syncedAt = -1;
  #running: Promise<void> | undefined;

  /** @param beforeSync notes what the journal is to have with it */
  constructor(journal: Journal, intervalMs: number, logger: Logger, beforeSync: () => void) {
    this.#journal = journal;
    this.#logger = logger;
    this.#beforeSync = beforeSync;
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
    this.#beforeSync();
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
      for (const path of files) await syncFile(path);
      this.#journal.append([[SAFE_ID, { kind: 'safe', boot: bootId(), sequence } satisfies SafeRecord]]);
      await this.#journal.sync();
      this.#syncedAt = this.#journal.sequence;
    } catch (error) {
      for (const path of files) this.#files.add(path);
      this.#logger.error({ err: error }, 'what waits for its upload cannot be synced to the disk');
      throw error;
    }
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#running?.catch(() => undefined);
    await this.run().catch(() => undefined);
  }
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
