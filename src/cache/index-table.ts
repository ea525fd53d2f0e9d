/**
 * One table of the cache's index. LMDB shows a put only once its transaction is committed, rejects what cannot be
 * written (a full disk), and throws outside of any call when something is put after it was closed. Here a put is seen
 * at once, never fails its caller (the index only costs speed), and is ignored after the close.
 */
import { createHash } from 'node:crypto';
import type { Database } from 'lmdb';

/** LMDB takes keys of at most 1,978 bytes, and writes a control character as two. */
const MAX_INDEX_KEY_CHARS = 600;

interface Pending<V> {
  /** undefined: removed. */
  readonly value: V | undefined;
}

export class IndexTable<V> {
  readonly #database: Database<V, string>;
  readonly #onError: (error: unknown) => void;
  /** What was put and is not committed yet. */
  readonly #pending = new Map<string, Pending<V>>();
  #closed = false;

  constructor(database: Database<V, string>, onError: (error: unknown) => void) {
    this.#database = database;
    this.#onError = onError;
  }

  /** undefined also where the entry cannot be read. */
  get(key: string): V | undefined {
    const name = indexKey(key);
    const pending = this.#pending.get(name);
    if (pending !== undefined) return pending.value;
    if (this.#closed) return undefined;
    try {
      return this.#database.get(name);
    } catch (error) {
      this.#onError(error);
      return undefined;
    }
  }

  /** Resolves when it is committed, or was found impossible. */
  put(key: string, value: V): Promise<void> {
    return this.#write(indexKey(key), value);
  }

  remove(key: string): Promise<void> {
    return this.#write(indexKey(key), undefined);
  }

  async #write(name: string, value: V | undefined): Promise<void> {
    if (this.#closed) return;
    const entry: Pending<V> = { value };
    this.#pending.set(name, entry);
    try {
      await (value === undefined ? this.#database.remove(name) : this.#database.put(name, value));
    } catch (error) {
      this.#onError(error);
    }
    // Only the last of several puts of one key ends its wait.
    if (this.#pending.get(name) === entry) this.#pending.delete(name);
  }

  /** All committed entries, by their key in the index (a long key is not told). Throws where the index is damaged. */
  *entries(): Generator<{ readonly key: string; readonly value: V }> {
    if (this.#closed) return;
    yield* this.#database.getRange({});
  }

  close(): void {
    this.#closed = true;
  }
}

function indexKey(key: string): string {
  if (key.length <= MAX_INDEX_KEY_CHARS) return key;
  // No key of the store begins like this and is as long.
  return `\u0002${createHash('sha256').update(key).digest('hex')}`;
}
