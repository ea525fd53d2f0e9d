/** Multipart uploads are in the journal while they are under way: the next start aborts what this one could not end. */
import type { Clock } from '../../clock.js';
import type { Journal } from '../../writeback/journal.js';
import type { UploadAccount } from '../../writeback/upload.js';
import type { UploadRecord } from './record.js';

export class UploadAccounts {
  /** One entry a key: where a beginning was not answered, the next try of the same file takes it over. */
  readonly #ids = new Map<string, number>();
  readonly #journal: Journal;
  readonly #clock: Clock;
  readonly #newId: () => number;

  constructor(journal: Journal, clock: Clock, newId: () => number) {
    this.#journal = journal;
    this.#clock = clock;
    this.#newId = newId;
  }

  of(key: string): UploadAccount {
    const id = this.#ids.get(key) ?? this.#newId();
    this.#ids.set(key, id);
    return this.#account(key, id, () => this.#ids.delete(key));
  }

  /** Of an upload that others of the same key may come beside. */
  apart(key: string): UploadAccount {
    return this.#account(key, this.#newId(), () => undefined);
  }

  #account(key: string, id: number, forget: () => unknown): UploadAccount {
    const note = (uploadId?: string): void => {
      const record: UploadRecord = { kind: 'upload', key, uploadId, at: this.#clock.now() };
      this.#journal.append([[id, record]]);
    };
    const ended = (): void => {
      forget();
      this.#journal.append([[id, undefined]]);
    };
    return { begin: note, begun: note, ended };
  }
}
