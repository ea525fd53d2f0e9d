/**
 * What HEAD told of object versions, kept so that each version is asked once on a machine: a LIST returns no user
 * metadata, but for MinIO's, where what it told is kept in the same way. An entry counts for the version with the same key, ETag, size and date (whole seconds). An ETag does not
 * change with the metadata, and a date has one second: so what was learnt within RACY_WINDOW_MS of the date is asked
 * again once it is older.
 */
import { LRUCache } from 'lru-cache';
import type { Clock } from '../clock.js';
import { RACY_WINDOW_MS } from '../constants.js';
import type { ObjectInfo } from '../s3/object-client.js';
import type { CacheIndex } from './cache-index.js';
import type { IndexTable } from './index-table.js';

/** An object version with all that is known of it. */
export interface KnownObject extends Omit<ObjectInfo, 'key'> {
  /**
   * A LIST told it: the metadata is whole and counts like a HEAD's, but headers, tags, encryption, version id and whether
   * it was restored are not known. What writes the object again has to ask for them.
   */
  readonly fromListing?: true;
}

/** Whether all is known that a HEAD tells. */
export function isComplete(info: KnownObject | undefined): info is KnownObject {
  return info !== undefined && !info.fromListing;
}

interface Entry {
  readonly info: KnownObject;
  /** Written by this mount: its date is not known, only the server's clock at the answer (`info.date`). */
  readonly written: boolean;
  /** This machine's clock when it was learnt (ms since 1970): the server's may differ. */
  readonly at: number;
}

/** The version of an object as a listing has it. */
export interface ListedVersion {
  readonly etag: string;
  readonly size: number;
  readonly lastModified: number;
  readonly storageClass?: string;
}

/** Prefixes of which it is remembered whether POSIX metadata were seen. */
const MAX_LEARNT_PREFIXES = 10_000;

/** Entries reach the index at most this long after they were put (ms). */
const LAST_COMMITS_MS = 10_000;

const seconds = (ms: number): number => Math.floor(ms / 1000);

export class AttributeStore {
  readonly #index: CacheIndex;
  readonly #entries: IndexTable<unknown>;
  readonly #clock: Clock;
  /** Prefixes (with their trailing slash) in which an object with, or only objects without, POSIX metadata were seen. */
  readonly #learnt = new LRUCache<string, boolean>({ max: MAX_LEARNT_PREFIXES });

  #version = 0;

  /** Changes with whatever is learnt or forgotten: of what was not known at one version nothing is known at the same. */
  get version(): number {
    return this.#version;
  }

  /** What this machine wrote since then (ms since 1970) and before this run may have been written once more. */
  #doubtfulFrom = Number.POSITIVE_INFINITY;
  readonly #startedAt: number;

  constructor(index: CacheIndex, clock: Clock) {
    this.#index = index;
    this.#entries = index.attributes;
    this.#clock = clock;
    this.#startedAt = clock.now();
    if (index.wasLeftOpen) this.#doubtLast();
  }

  /**
   * After a process that was killed: a write of its last seconds may have an entry of the write before, of the same
   * content and (within the second) date.
   */
  #doubtLast(): void {
    let last = 0;
    for (const { value } of this.#entries.entries()) last = Math.max(last, (value as Entry).at);
    this.#doubtfulFrom = last - LAST_COMMITS_MS;
  }

  /** The process that was killed kept account of what it wrote elsewhere: nothing is missing. */
  trustLast(): void {
    this.#doubtfulFrom = Number.POSITIVE_INFINITY;
  }

  /** Resolves when everything put before the call is committed. */
  committed(): Promise<void> {
    return this.#index.flush();
  }

  /** What is known of the key may be what it was before its last write: only the store can tell. */
  isInDoubt(key: string): boolean {
    const entry = this.#entries.get(key) as Entry | undefined;
    return entry !== undefined && this.#isDoubtful(entry);
  }

  #isDoubtful({ written, at }: Entry): boolean {
    return written && at >= this.#doubtfulFrom && at < this.#startedAt;
  }

  get(key: string, version: ListedVersion): KnownObject | undefined {
    const entry = this.#entries.get(key) as Entry | undefined;
    if (
      entry === undefined ||
      this.#isDoubtful(entry) ||
      entry.info.etag !== version.etag ||
      entry.info.size !== version.size
    )
      return undefined;
    if (entry.written) {
      if (Math.abs(version.lastModified - entry.info.date) > RACY_WINDOW_MS + 1000) return undefined;
      return { ...entry.info, lastModified: version.lastModified };
    }
    if (seconds(entry.info.lastModified) !== seconds(version.lastModified)) return undefined;
    const age = entry.info.date - entry.info.lastModified;
    const elapsed = this.#clock.now() - entry.at;
    // Not final: it counts for a while from when it was told, whatever its age then (whole seconds). If it did not, what
    // was just asked for a page would not be there when the page is shown.
    const fresh = elapsed >= 0 && elapsed <= RACY_WINDOW_MS;
    return age > RACY_WINDOW_MS || fresh ? entry.info : undefined;
  }

  /** Whether what was learnt stays true of its version: a later change of the metadata would show in the date. */
  isFinal(info: KnownObject): boolean {
    return info.date - info.lastModified > RACY_WINDOW_MS;
  }

  /** Whatever was known last of the key, of any version. */
  latest(key: string): KnownObject | undefined {
    const entry = this.#entries.get(key) as Entry | undefined;
    return entry === undefined || this.#isDoubtful(entry) ? undefined : entry.info;
  }

  put(key: string, info: KnownObject): void {
    this.#version++;
    void this.#entries.put(key, { info, written: false, at: this.#clock.now() } satisfies Entry);
  }

  /**
   * After our own upload or copy; `info.date` is the server's clock at its answer. Resolves when it is committed, or was
   * found impossible.
   */
  putWritten(key: string, info: KnownObject): Promise<void> {
    this.#version++;
    return this.#entries.put(key, { info, written: true, at: this.#clock.now() } satisfies Entry);
  }

  remove(key: string): void {
    this.#version++;
    void this.#entries.remove(key);
  }

  /** What was seen under a prefix; metadata seen below it counts for everything above and beside it. */
  learn(prefix: string, posix: boolean): void {
    if (!posix) {
      if (!this.#learnt.has(prefix)) this.#learnt.set(prefix, false);
      return;
    }
    for (let at = prefix; ; at = parentPrefix(at)) {
      if (this.#learnt.get(at) === true) return;
      this.#learnt.set(at, true);
      if (at === '') return;
    }
  }

  /** Whether objects under a prefix carry POSIX metadata; undefined where nothing was seen yet. */
  learnt(prefix: string): boolean | undefined {
    const own = this.#learnt.get(prefix);
    if (own === true) return true;
    return this.#learnt.get('') === true ? true : own;
  }
}

function parentPrefix(prefix: string): string {
  return prefix.slice(0, prefix.lastIndexOf('/', prefix.length - 2) + 1);
}
