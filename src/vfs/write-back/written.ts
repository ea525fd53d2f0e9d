/**
 * What the store has of a key since this mount wrote it stays in the journal until the index of the cache has it: LMDB
 * commits a moment later, and a kill in that moment must not leave a listing with the date of the object in place of the
 * file's own times.
 */
import type { KnownObject } from '../../cache/attribute-store.js';
import type { WrittenRecord } from './record.js';

type Change = readonly [number, unknown];

export class WrittenNotes {
  readonly #newId: () => number;
  /** Resolves when the index has what was noted last. */
  #committed: Promise<unknown> = Promise.resolve();
  /** Entries of the journal that nobody needs any more. */
  #done: Change[] = [];

  constructor(newId: () => number) {
    this.#newId = newId;
  }

  /** Answers what the journal is to keep. `committed`: resolves when the index has it. */
  note(key: string, info: KnownObject, committed: Promise<void>): Change {
    const id = this.#newId();
    this.takeUp(id, committed);
    return [id, { kind: 'written', key, info } satisfies WrittenRecord];
  }

  /** The journal has it already. */
  takeUp(id: number, committed: Promise<void>): void {
    const done = committed.then(() => {
      this.#done.push([id, undefined]);
    });
    this.#committed = Promise.all([this.#committed, done]);
  }

  /** Changes that belong into the next frame. */
  takeDone(): Change[] {
    const done = this.#done;
    this.#done = [];
    return done;
  }

  /** Resolves when the index has everything that was noted. */
  async committed(): Promise<void> {
    await this.#committed;
  }
}
