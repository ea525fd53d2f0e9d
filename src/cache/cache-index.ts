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

export class CacheIndex {
  readonly directory: string;
  readonly #root: RootDatabase;
  /** Content id -> what is on the disk. */
  readonly contents: Database<ContentRecord, string>;
  /** Object version -> content id. */
  readonly versions: Database<string, string>;
  /** Key -> what HEAD said of its version last seen. */
  readonly attributes: Database<unknown, string>;

  private constructor(directory: string, root: RootDatabase) {
    this.directory = directory;
    this.#root = root;
    this.contents = root.openDB({ name: 'contents' });
    this.versions = root.openDB({ name: 'versions' });
    this.attributes = root.openDB({ name: 'attributes' });
  }

  static open(cacheDirectory: string, logger: Logger): CacheIndex {
    const path = join(cacheDirectory, 'index');
    mkdirSync(path, { recursive: true, mode: 0o700 });
    const attempt = (): CacheIndex => new CacheIndex(path, open({ path, maxDbs: 4, noSubdir: false }));
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
    await this.#root.committed;
    await this.#root.close();
  }
}
