/**
 * The index of the cache: what lies in the block files, by which object versions it is known, and what was learnt of
 * objects' attributes. An LMDB environment: reads are synchronous and take microseconds. Everything in it can be had
 * from S3 again, so an index that does not open is thrown away and begun anew.
 *
 * LMDB maps its file and trusts it: a damaged one can end the process. So the file's two meta pages are looked at before,
 * and a mark stands beside it until the index was opened and read; a mark found at the start means that it never was.
 *
 * Nothing is synced while it is in use: what was written survives the death of the process, but not that of the machine.
 * So the boot in which it was opened is noted beside it until it was closed in order and synced; an index that another
 * boot left open is begun anew.
 */
import {
  closeSync,
  existsSync,
  fstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { open as openFile } from 'node:fs/promises';
import { join } from 'node:path';
import { open, type RootDatabase } from 'lmdb';
import { bootId } from '../boot-id.js';
import type { Logger } from '../log.js';
import type { BlockRecord } from './content.js';
import { IndexTable } from './index-table.js';

export interface ContentRecord {
  readonly size: number;
  readonly diskBytes: number;
  /** Milliseconds since 1970. */
  readonly used: number;
  readonly blocks: readonly BlockRecord[];
  /** The object versions it is known by; see BlockStore.versionKey. */
  readonly versions: readonly string[];
}

/** mdb.c as npm lmdb builds it: MDB_meta behind the 24 bytes of a page header; mm_magic, and md_pad of its first table. */
const LMDB_MAGIC = 0xbeefc0de;
const META_MAGIC_AT = 24;
const META_PAGE_SIZE_AT = 48;
const META_BYTES = 64;

export class CacheIndex {
  readonly directory: string;
  /** The process that had it last did not close it: what it put in its last moments may be missing. */
  readonly wasLeftOpen: boolean;
  readonly #root: RootDatabase;
  readonly #logger: Logger;
  #closed: Promise<void> | undefined;
  #failed = false;
  /** Content id -> what is on the disk. */
  readonly contents: IndexTable<ContentRecord>;
  /** Object version -> content id. */
  readonly versions: IndexTable<string>;
  /** Key -> what HEAD said of its version last seen. */
  readonly attributes: IndexTable<unknown>;

  private constructor(directory: string, logger: Logger, wasLeftOpen: boolean) {
    this.directory = directory;
    this.wasLeftOpen = wasLeftOpen;
    this.#logger = logger;
    // The batches of an event turn have a promise that nobody is given: when a commit fails on a full disk, its rejection would
    // end the process.
    const options = { noSubdir: false, noSync: true, eventTurnBatching: false };
    this.#root = open({ path: directory, maxDbs: 4, ...options });
    const onError = (error: unknown): void => this.#onError(error);
    this.contents = new IndexTable(this.#root.openDB({ name: 'contents' }), onError);
    this.versions = new IndexTable(this.#root.openDB({ name: 'versions' }), onError);
    this.attributes = new IndexTable(this.#root.openDB({ name: 'attributes' }), onError);
  }

  static open(cacheDirectory: string, logger: Logger): CacheIndex {
    const path = join(cacheDirectory, 'index');
    const mark = join(cacheDirectory, 'index.opening');
    const boot = join(cacheDirectory, 'index.boot');
    mkdirSync(path, { recursive: true, mode: 0o700 });
    const wasLeftOpen = existsSync(boot);
    const attempt = (): CacheIndex => {
      setMark(mark, '');
      const index = new CacheIndex(path, logger, wasLeftOpen);
      for (const _ of index.contents.entries());
      for (const _ of index.versions.entries());
      rmSync(mark, { force: true });
      setMark(boot, bootId());
      return index;
    };
    try {
      if (existsSync(mark)) throw new Error('it was not opened completely the last time');
      if (existsSync(boot) && readFileSync(boot, 'utf8').trim() !== bootId())
        throw new Error('the machine stopped while it was open');
      checkMeta(join(path, 'data.mdb'));
      return attempt();
    } catch (error) {
      logger.warn({ err: error, path }, 'the cache index does not open and is begun anew');
      rmSync(path, { recursive: true, force: true });
      mkdirSync(path, { recursive: true, mode: 0o700 });
      return attempt();
    }
  }

  /** One line, however many entries cannot be kept. */
  #onError(error: unknown): void {
    // LMDB hands the reason over as a promise of its own, which rejects later and that nobody else looks at.
    const { commitError } = (error ?? {}) as { commitError?: PromiseLike<unknown> };
    commitError?.then(undefined, () => undefined);
    if (!this.#failed) this.#logger.warn({ err: error }, 'the cache index cannot be read or written; going on without');
    this.#failed = true;
  }

  /** Resolves when everything put so far is committed. */
  async flush(): Promise<void> {
    if (this.#closed !== undefined) return;
    try {
      await this.#root.committed;
    } catch (error) {
      this.#onError(error);
    }
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    for (const table of [this.contents, this.versions, this.attributes]) table.close();
    try {
      await this.#root.committed;
      await this.#root.close();
      await syncFile(join(this.directory, 'data.mdb'));
      rmSync(`${this.directory}.boot`, { force: true });
    } catch (error) {
      this.#onError(error);
    }
  }
}

async function syncFile(path: string): Promise<void> {
  const file = await openFile(path, 'r');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

/** On a full disk there is no mark, and the index is opened without its protection. */
function setMark(path: string, text: string): void {
  try {
    writeFileSync(path, text);
  } catch {
    // What matters is said when the index itself cannot be opened.
  }
}

/** Throws when the file, if there is one, cannot be an LMDB environment. */
function checkMeta(path: string): void {
  if (!existsSync(path)) return;
  const fd = openSync(path, 'r');
  try {
    const bytes = Buffer.alloc(META_BYTES);
    const count = readSync(fd, bytes, 0, META_BYTES, 0);
    const page = bytes.readUInt32LE(META_PAGE_SIZE_AT);
    const second = Buffer.alloc(META_BYTES);
    const isMeta = (meta: Buffer): boolean => meta.readUInt32LE(META_MAGIC_AT) === LMDB_MAGIC;
    if (count < META_BYTES || !isMeta(bytes)) throw new Error('not an LMDB file');
    if (page < 256 || fstatSync(fd).size < 2 * page) throw new Error('the LMDB file is cut');
    readSync(fd, second, 0, META_BYTES, page);
    if (!isMeta(second)) throw new Error('the second meta page of the LMDB file is damaged');
  } finally {
    closeSync(fd);
  }
}
