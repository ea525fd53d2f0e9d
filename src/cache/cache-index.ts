/**
 * The index of the cache: what lies in the block files, by which object versions it is known, and what was learnt of
 * objects' attributes. An LMDB environment: reads are synchronous and take microseconds. Everything in it can be had
 * from S3 again, so an index that does not open is thrown away and begun anew.
 */
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type Database, open, type RootDatabase } from 'lmdb';
import type { Logger } from '../log.js';
import type { BlockRecord } from './content.js';

export interface ContentRecord {
  readonly size: number;
  readonly diskBytes: number;
  /** Milliseconds since 1970. */
  readonly used: number;
  readonly blocks: readonly BlockRecord[];
}

/**
 * One table. LMDB commits behind: until then the values put stand here, so that a read always sees the last write. A
 * write that fails is logged: it costs asking S3 again, nothing else.
 */
export class Table<V> {
  readonly #database: Database<V, string>;
  readonly #logger: Logger;
  readonly #pending = new Map<string, { readonly value: V | undefined }>();
  readonly #writing = new Set<Promise<void>>();
  #closed = false;

  constructor(database: Database<V, string>, logger: Logger) {
    this.#database = database;
    this.#logger = logger;
  }

  get(key: string): V | undefined {
    const pending = this.#pending.get(key);
    return pending === undefined ? this.#database.get(key) : pending.value;
  }

  put(key: string, value: V): Promise<void> {
    return this.#write(key, value, () => this.#database.put(key, value));
  }

  remove(key: string): Promise<void> {
    return this.#write(key, undefined, () => this.#database.remove(key));
  }

  /** Takes no more writes, and resolves when those so far are committed: one that LMDB met closed would end the process. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all(this.#writing);
  }

  async #write(key: string, value: V | undefined, begin: () => Promise<boolean>): Promise<void> {
    if (this.#closed) return;
    const done = this.#attempt(key, { value }, begin);
    this.#writing.add(done);
    await done;
    this.#writing.delete(done);
  }

  async #attempt(key: string, pending: { value: V | undefined }, begin: () => Promise<boolean>): Promise<void> {
    this.#pending.set(key, pending);
    try {
      await begin();
    } catch (error) {
      this.#logger.warn({ err: error }, 'the cache index cannot be written');
    }
    if (this.#pending.get(key) === pending) this.#pending.delete(key);
  }

  /** All that is committed. */
  entries(): Iterable<{ key: string; value: V }> {
    return this.#database.getRange({});
  }
}

export class CacheIndex {
  readonly directory: string;
  readonly #root: RootDatabase;
  /** Content id -> what is on the disk. */
  readonly contents: Table<ContentRecord>;
  /** Object version -> content id. */
  readonly versions: Table<string>;
  /** Key -> what HEAD said of its version last seen. */
  readonly attributes: Table<unknown>;

  private constructor(directory: string, root: RootDatabase, logger: Logger) {
    this.directory = directory;
    this.#root = root;
    this.contents = new Table(root.openDB({ name: 'contents' }), logger);
    this.versions = new Table(root.openDB({ name: 'versions' }), logger);
    this.attributes = new Table(root.openDB({ name: 'attributes' }), logger);
  }

  static open(cacheDirectory: string, logger: Logger): CacheIndex {
    const path = join(cacheDirectory, 'index');
    mkdirSync(path, { recursive: true, mode: 0o700 });
    const attempt = (): CacheIndex => new CacheIndex(path, open({ path, maxDbs: 4, noSubdir: false }), logger);
    try {
      return attempt();
    } catch (error) {
      logger.warn({ err: error, path }, 'the cache index does not open and is begun anew');
      rmSync(path, { recursive: true, force: true });
      mkdirSync(path, { recursive: true, mode: 0o700 });
      return attempt();
    }
  }

  /** Resolves when everything put so far is committed. */
  async flush(): Promise<void> {
    await this.#root.committed;
  }

  async close(): Promise<void> {
    await Promise.all([this.contents.close(), this.versions.close(), this.attributes.close()]);
    await this.#root.committed;
    await this.#root.close();
  }
}
