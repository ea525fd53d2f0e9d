/**
 * Objects that lost their name here and are still in the store. They go in batches, a moment after the last of them came:
 * so that a thousand cost one request, and one whose name gets a new file costs none, because the upload replaces it. Each
 * is deleted only as the version that was removed. The marker of a directory goes after what lay in it, and what an open
 * file may still need stays until it is closed.
 */

import { DELETE_BATCH_KEYS, REMOVAL_LINGER_MS } from '../../constants.js';
import { crashPoint } from '../../crash-point.js';
import { isS3Error } from '../../s3/s3-error.js';
import { headIfPresent } from '../find-key.js';
import type { Inode, LeftName } from '../inode.js';
import { keepDirectory } from '../marker.js';
import { isSent, type Sent } from '../sent.js';
import { toErrno } from '../to-errno.js';
import { homeKeyOf, prefixOf, type Volume } from '../volume.js';
import { leftPaths, pathOf, type RemovalRecord } from './record.js';

export interface Removal {
  /** Of its entry in the journal. */
  readonly id: number;
  readonly key: string;
  /** Of the version that was removed; undefined: whatever stands there. */
  etag: string | undefined;
  readonly lastModified: number | undefined;
  /** Uploads of the file were under way when it was removed: what stands there may be one of them. */
  sent: readonly Sent[];
  /** Names that a listing may still show. */
  names: LeftName[];
  /** The file, as long as handles of it may need the object. */
  readonly orphan: Inode | undefined;
  /** The directory whose marker it is. */
  readonly directory: Inode | undefined;
  readonly isMarker: boolean;
  isRunning: boolean;
  failure: unknown;
}

/** After a failed batch (ms). */
const BACKOFF_FIRST_MS = 1_000;
const BACKOFF_MAX_MS = 60_000;

/** The longest that one waits for others to come along (ms). */
const MAX_REST_MS = 5_000;

export interface RemovalsOptions {
  /** Appends to the journal. */
  readonly append: (changes: ReadonlyArray<readonly [number, unknown]>) => void;
  /** Keys below these are left alone for now. */
  readonly isFrozen: (key: string) => boolean;
  readonly pending: () => Iterable<Inode>;
  /** A batch has ended: others may go on. */
  readonly onEnd: () => void;
  /** The journal forgets that a directory was removed. */
  readonly onForgotten: (directory: Inode) => void;
}

export class Removals {
  readonly #volume: Volume;
  readonly #options: RemovalsOptions;
  readonly #byKey = new Map<string, Removal>();
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;
  #attempts = 0;
  #retryAt = 0;
  #restingSince = 0;
  #closed = false;
  /** Counts what was dropped. */
  version = 0;

  constructor(volume: Volume, options: RemovalsOptions) {
    this.#volume = volume;
    this.#options = options;
  }

  get size(): number {
    return this.#byKey.size;
  }

  get isRunning(): boolean {
    return this.#running !== undefined;
  }

  /** Resolves when no batch is under way. */
  async idle(): Promise<void> {
    while (this.#running !== undefined) await this.#running.catch(() => undefined);
  }

  values(): IterableIterator<Removal> {
    return this.#byKey.values();
  }

  at(key: string): Removal | undefined {
    return this.#byKey.get(key);
  }

  /** Answers what the journal is to keep of it. */
  add(removal: Removal): readonly [number, RemovalRecord] {
    this.#byKey.set(removal.key, removal);
    this.schedule();
    return [removal.id, this.recordOf(removal)];
  }

  recordOf({ key, etag, lastModified, sent, names, isMarker }: Removal): RemovalRecord {
    const left = leftPaths({ leftNames: names });
    const maySent = sent.length === 0 ? undefined : sent;
    return { kind: 'removal', key, etag, lastModified, sent: maySent, left, isMarker: isMarker || undefined };
  }

  /** It is not to be deleted any more, or is gone. Answers the change of the journal. */
  drop(removal: Removal): readonly [number, undefined] {
    if (this.#byKey.get(removal.key) === removal) this.#byKey.delete(removal.key);
    this.version++;
    if (removal.directory !== undefined) this.#options.onForgotten(removal.directory);
    return [removal.id, undefined];
  }

  schedule(): void {
    if (this.#closed || this.#byKey.size === 0) return;
    const now = performance.now();
    if (this.#timer === undefined) this.#restingSince = now;
    clearTimeout(this.#timer);
    // A full batch goes at once, and a stream of single ones does not hold the first back for good.
    const rest = Math.min(REMOVAL_LINGER_MS, this.#restingSince + MAX_REST_MS - now);
    const wait = this.#byKey.size < DELETE_BATCH_KEYS ? Math.max(0, rest) : 0;
    this.#timer = setTimeout(
      () => {
        this.#timer = undefined;
        void this.flush().catch(() => undefined);
      },
      Math.max(wait, this.#retryAt - now),
    );
    this.#timer.unref();
  }

  /** Deletes what can go, and what can go then. Rejects with the first failure. */
  async flush(wanted: (removal: Removal) => boolean = () => true): Promise<void> {
    let before = Number.POSITIVE_INFINITY;
    for (;;) {
      while (this.#running !== undefined) await this.#running.catch(() => undefined);
      const batch = this.#eligible(wanted);
      if (batch.length === 0 || this.#byKey.size >= before) break;
      before = this.#byKey.size;
      this.#running = this.#run(batch).finally(() => {
        this.#running = undefined;
        this.#options.onEnd();
      });
      await this.#running;
    }
    // What is held back goes on when what holds it does.
    if (!this.#closed && this.#byKey.size > 0 && this.#timer === undefined) this.schedule();
    const failed = [...this.#byKey.values()].find((removal) => wanted(removal) && removal.failure !== undefined);
    if (failed !== undefined) throw failed.failure;
  }

  #eligible(wanted: (removal: Removal) => boolean): Removal[] {
    const awaited = new Set<string>();
    for (const inode of this.#options.pending()) awaited.add(homeKeyOf(this.#volume, inode));
    const batch: Removal[] = [];
    for (const removal of this.#byKey.values()) {
      if (batch.length === DELETE_BATCH_KEYS) break;
      const { key, directory } = removal;
      if (!wanted(removal) || awaited.has(key) || this.#isFrozen(removal) || isHeld(removal)) continue;
      const isInUse = directory === undefined ? this.#hasBelow(key) : directory.directory?.overlay.hasUnconfirmed;
      if (removal.isMarker && isInUse) continue;
      batch.push(removal);
    }
    return batch;
  }

  /** Also where the directory that a name left may need a marker, and its keys are being moved. */
  #isFrozen({ key, names }: Removal): boolean {
    const { isFrozen } = this.#options;
    return isFrozen(key) || names.some(({ directory }) => isFrozen(prefixOf(this.#volume, directory)));
  }

  /** Something that lay in a directory of which only the journal knew is still to go. */
  #hasBelow(prefix: string): boolean {
    for (const key of this.#byKey.keys()) if (key.length > prefix.length && key.startsWith(prefix)) return true;
    return false;
  }

  async #run(batch: readonly Removal[]): Promise<void> {
    for (const removal of batch) removal.isRunning = true;
    try {
      await this.#keepDirectories(batch);
      const failures = new Map<string, unknown>();
      const targets: Array<{ key: string; ifMatch: string | undefined }> = [];
      for (const removal of batch) {
        const etag = removal.sent.length === 0 ? removal.etag : await this.#etagOfSent(removal);
        if (etag !== undefined || removal.sent.length === 0) targets.push({ key: removal.key, ifMatch: etag });
      }
      for (const { key, error } of await this.#volume.client.deleteMany(targets)) failures.set(key, error);
      crashPoint('old-key-deleted');
      this.#conclude(batch, failures);
    } catch (error) {
      this.#conclude(batch, new Map(batch.map(({ key }) => [key, error])));
    } finally {
      for (const removal of batch) removal.isRunning = false;
    }
  }

  /** What stands there is the version that was removed, or the upload that was under way then; or somebody else's. */
  async #etagOfSent({ key, etag, sent }: Removal): Promise<string | undefined> {
    const now = await headIfPresent(this.#volume, key);
    if (now === undefined) return undefined;
    return now.etag === etag || sent.some((one) => isSent(now, one)) ? now.etag : undefined;
  }

  /**
   * Before something else is written in its place, and when nothing is on its way there any more: which version that
   * replaces.
   */
  async learn(key: string): Promise<void> {
    const removal = this.#byKey.get(key);
    if (removal === undefined || removal.sent.length === 0) return;
    const etag = await this.#etagOfSent(removal);
    if (this.#byKey.get(key) !== removal) return;
    if (etag === undefined) this.#volume.writeBack?.forgetRemoval(key);
    removal.etag = etag;
    removal.sent = [];
  }

  /** Directories whose last entries go must stay. */
  async #keepDirectories(batch: readonly Removal[]): Promise<void> {
    const parents = new Map<Inode, Removal>();
    for (const removal of batch) for (const { directory } of removal.names) parents.set(directory, removal);
    const isGoing = (key: string): boolean => this.#byKey.has(key);
    for (const [parent, { key, names }] of parents) {
      if (pathOf(parent) === undefined || parent.directory?.needsMarker) continue;
      await keepDirectory(this.#volume, parent, names[0].name, key, isGoing);
    }
  }

  #conclude(batch: readonly Removal[], failures: ReadonlyMap<string, unknown>): void {
    const changes: Array<readonly [number, undefined]> = [];
    let hasFailed = false;
    for (const removal of batch) {
      const error = failures.get(removal.key);
      removal.failure = undefined;
      if (error === undefined || isS3Error(error, 'NotFound')) {
        changes.push(this.drop(removal));
        this.#volume.attributes.remove(removal.key);
        this.#volume.writeBack?.confirmNames(removal.names);
      } else if (isS3Error(error, 'PreconditionFailed')) {
        // Somebody wrote it anew: theirs stays.
        changes.push(this.drop(removal));
        for (const { directory, name } of removal.names) {
          directory.directory?.overlay.drop(name);
          this.#volume.listings.drop(directory.nodeid);
        }
      } else {
        removal.failure = error;
        hasFailed = true;
      }
    }
    this.#options.append(changes);
    if (!hasFailed) {
      this.#attempts = 0;
      this.#retryAt = 0;
      return;
    }
    const [error] = batch.map(({ failure }) => failure).filter((failure) => failure !== undefined);
    toErrno(error, this.#volume.logger, 'delete');
    this.#retryAt = performance.now() + Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** this.#attempts++);
  }

  /** Starts nothing more; resolves when nothing runs. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#running?.catch(() => undefined);
  }
}

/** An open file may need bytes that only the store has. */
function isHeld({ orphan }: Removal): boolean {
  if (orphan === undefined || orphan.handles === 0 || orphan.staged?.isWhole) return false;
  return orphan.cached?.content.isComplete !== true;
}
