/**
 * Files that are uploaded while programs still write them. Which: those written from their beginning on, for several
 * seconds, no faster than the store can follow. Others gain nothing: they are all there before the store could have had
 * much of them, and the end of a stream costs a copy inside the store, for the time of the last write.
 *
 *   watched --several seconds, two full parts--> begun --full part--> sent, sent, ... --close, fsync--> taken by the commit
 *                  ^                               |                                      |
 *                  +-- renamed, cut off: aborted --+-- idle, failed: aborted, for good    +-- superseded: goes on
 *
 * Nothing of it is ever visible before the commit completes it, under the conditions of any upload (commit.ts). What
 * fails here is nobody's business: the commit then sends the whole file.
 */
import {
  MAX_STREAMS,
  PARALLEL_STREAMED_PARTS,
  STREAM_AFTER_MS,
  STREAM_FIRST_PARTS,
  STREAM_IDLE_MS,
  STREAM_LOOK_MS,
  STREAM_MAX_RATE,
  STREAM_TRIES,
} from '../constants.js';
import { EarlyUpload } from '../writeback/early-upload.js';
import type { StagedFile } from '../writeback/staged-file.js';
import type { UploadAccount } from '../writeback/upload.js';
import { readBytes } from './content-reader.js';
import type { Inode } from './inode.js';
import { writeAttributes } from './inode-upload.js';
import { isProvisionalName } from './provisional-name.js';
import { Stream, writtenTo } from './stream.js';
import { homeKeyOf, type Volume } from './volume.js';

/** Storage classes of which a copy onto itself costs a request and nothing else: no shortest stay, no restore. */
const copiedForNothing: ReadonlySet<string | undefined> = new Set([
  undefined,
  'STANDARD',
  'REDUCED_REDUNDANCY',
  'INTELLIGENT_TIERING',
]);

/** How long the end of the mount waits for the store to forget what was begun (ms); the journal knows of it. */
const CLOSE_MS = 2_000;

/** Whether a file of which so many bytes came in so long (ms) is worth a stream: not so slow that it would be given up. */
export function takesLong(ms: number, bytes: number, partBytes: number): boolean {
  return ms >= STREAM_AFTER_MS && bytes * 1000 <= STREAM_MAX_RATE * ms && bytes * STREAM_IDLE_MS >= partBytes * ms;
}

interface Watched {
  readonly inode: Inode;
  readonly staged: StagedFile;
  /** When it was first seen (monotonic, ms), and how much was written then (bytes). */
  since: number;
  sinceBytes: number;
  /** How many uploads were begun. */
  tries: number;
  /** No more is begun. */
  isSpent: boolean;
  beginning: Promise<void> | undefined;
  stream: Stream | undefined;
  /** When a part was last begun or sent (monotonic, ms). */
  progressAt: number;
  /** A commit has the stream. */
  isTaken: boolean;
}

export class Streams {
  readonly #volume: Volume;
  readonly #watched = new Map<StagedFile, Watched>();
  /** Those with an upload, or about to have one; in the order in which their next part is looked at. */
  readonly #begun = new Set<Watched>();
  readonly #ending = new Set<Promise<void>>();
  readonly #leastBytes: number;
  /** A switch of tests: so long (ms), and no matter how fast. */
  readonly #forcedMs = process.env.PAILFS_TEST_STREAM_AFTER_MS;
  #sending = 0;
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;
  #hasEnded = false;
  #isForbidden = false;

  constructor(volume: Volume) {
    this.#volume = volume;
    this.#leastBytes = STREAM_FIRST_PARTS * volume.options.partBytes;
  }

  /** The end of a stream may not be done: no file is begun any more. */
  forbid(error: Error): void {
    if (!this.#isForbidden)
      this.#volume.logger.warn(
        { err: error },
        'the times of a file that was uploaded while it was written cannot be stored: files are uploaded at their end from now on',
      );
    this.#isForbidden = true;
  }

  /** Called with every write: has to cost nothing where nothing is to be done. */
  wrote(inode: Inode, staged: StagedFile): void {
    if (staged.size < this.#leastBytes || staged.baseBytes > 0 || this.#isClosed || this.#isForbidden) return;
    const watched = this.#watched.get(staged);
    if (watched === undefined) this.#watch(inode, staged);
    else this.#advance(watched);
  }

  #watch(inode: Inode, staged: StagedFile): void {
    const now = this.#now;
    const isSpent = isProvisionalName(inode.name);
    const none = { tries: 0, isSpent, beginning: undefined, stream: undefined, progressAt: now, isTaken: false };
    this.#watched.set(staged, { inode, staged, since: now, sinceBytes: writtenTo(staged), ...none });
    this.#timer ??= setInterval(() => this.#look(), STREAM_LOOK_MS).unref();
  }

  get #now(): number {
    return this.#volume.clock.monotonic();
  }

  #advance(watched: Watched): void {
    if (watched.stream !== undefined) this.#pump();
    else if (!watched.isSpent && watched.beginning === undefined && this.#isWorthIt(watched)) {
      this.#begun.add(watched);
      watched.beginning = this.#begin(watched).finally(() => {
        watched.beginning = undefined;
        if (watched.stream === undefined) this.#begun.delete(watched);
        this.#pump();
      });
    }
  }

  #isWorthIt(watched: Watched): boolean {
    const { inode, staged, since, sinceBytes } = watched;
    const ms = this.#now - since;
    const end = writtenTo(staged);
    const { partBytes } = this.#volume.options;
    const isLong =
      this.#forcedMs === undefined ? takesLong(ms, end - sinceBytes, partBytes) : ms >= Number(this.#forcedMs);
    return isLong && end >= this.#leastBytes && this.#begun.size < MAX_STREAMS && this.#canBegin(inode, staged);
  }

  /** An upload under its key would not be in anybody's way now. */
  #canBegin(inode: Inode, staged: StagedFile): boolean {
    const { writeBack } = this.#volume;
    if (inode.staged !== staged || inode.parent === undefined || inode.orphanKey !== undefined) return false;
    if (inode.writers === 0 || inode.storedKey !== undefined || inode.mustBeNew || inode.isDoubtful) return false;
    if (inode.mutex.busy || inode.leaving !== undefined) return false;
    return writeBack === undefined || (!writeBack.queue.isAway && writeBack.places.blockersOf(inode).length === 0);
  }

  async #begin(watched: Watched): Promise<void> {
    const { inode, staged } = watched;
    const volume = this.#volume;
    const { client, cache, options, writeBack } = volume;
    const key = homeKeyOf(volume, inode);
    watched.tries++;
    try {
      const attributes = await writeAttributes(volume, inode);
      if (!copiedForNothing.has(attributes.headers.storageClass)) {
        watched.isSpent = true;
        return;
      }
      const read = (start: number, end: number): Promise<Uint8Array> => readBytes(volume, inode, staged, start, end);
      const account = writeBack === undefined ? undefined : this.#whileOpen(writeBack.uploads.apart(key));
      const input = { key, attributes, partBytes: options.partBytes, read, account };
      const upload = await EarlyUpload.begin(input, client, cache.transfers);
      staged.onChange = (start, end) => upload.changed(start, end);
      watched.progressAt = this.#now;
      watched.stream = new Stream(inode, staged, upload, attributes);
    } catch (error) {
      this.#gaveUp(watched, error);
    }
  }

  /** What the store answers after the end is for the next start to find out: the journal is closed by then. */
  #whileOpen(account: UploadAccount): UploadAccount {
    const unlessEnded = (work: () => void): void => {
      if (!this.#hasEnded) work();
    };
    return {
      begin: () => unlessEnded(() => account.begin()),
      begun: (uploadId) => unlessEnded(() => account.begun(uploadId)),
      ended: () => unlessEnded(() => account.ended()),
    };
  }

  #gaveUp(watched: Watched, error: unknown): void {
    watched.isSpent = true;
    this.#volume.logger.debug(
      { err: error, path: watched.inode.path },
      'what is written cannot be uploaded yet: it will be, when it is whole',
    );
  }

  /** Begins to send what is ready, one part of each file in turn. */
  #pump(): void {
    for (let isIdle = false; !isIdle; ) {
      isIdle = true;
      for (const watched of this.#begun) {
        if (this.#sending >= PARALLEL_STREAMED_PARTS) return;
        if (this.#send(watched)) isIdle = false;
      }
    }
  }

  #send(watched: Watched): boolean {
    const { stream, staged, isTaken } = watched;
    if (stream === undefined || isTaken || this.#isClosed || !stream.upload.canSend(writtenTo(staged))) return false;
    if (!this.#isAlive(watched, stream)) {
      this.#drop(watched, stream);
      return false;
    }
    this.#sending++;
    watched.progressAt = this.#now;
    void stream.upload.sendNext().then(() => {
      this.#sending--;
      watched.progressAt = this.#now;
      const { failure } = stream.upload;
      if (failure !== undefined && watched.stream === stream && !watched.isTaken) {
        this.#gaveUp(watched, failure);
        this.#drop(watched, stream);
      }
      this.#pump();
    });
    return true;
  }

  /** The file has the name still under which it would become visible, and nothing of what was sent was cut off. */
  #isAlive({ inode, staged }: Watched, { upload }: Stream): boolean {
    if (inode.staged !== staged || inode.parent === undefined || inode.orphanKey !== undefined) return false;
    return homeKeyOf(this.#volume, inode) === upload.key && staged.size >= upload.end;
  }

  /** Ends an upload. The file may begin another, unless it has been tried enough. */
  #drop(watched: Watched, stream: Stream, signal?: AbortSignal): void {
    this.#forget(watched);
    watched.since = this.#now;
    watched.sinceBytes = writtenTo(watched.staged);
    if (watched.tries >= STREAM_TRIES || isProvisionalName(watched.inode.name)) watched.isSpent = true;
    const ending = stream.upload.abort(signal).finally(() => this.#ending.delete(ending));
    this.#ending.add(ending);
  }

  #forget(watched: Watched): void {
    this.#begun.delete(watched);
    watched.stream = undefined;
    watched.isTaken = false;
    watched.staged.onChange = undefined;
  }

  /** What no write would tell: names that went, writers that stopped. */
  #look(): void {
    for (const watched of this.#watched.values()) {
      const { inode, staged, stream, isTaken, progressAt } = watched;
      if (isTaken || watched.beginning !== undefined) continue;
      if (stream !== undefined && !this.#isAlive(watched, stream)) this.#drop(watched, stream);
      // What is closed waits for its commit, however long that takes.
      const isIdle = inode.journalId === undefined && this.#now - progressAt > STREAM_IDLE_MS;
      if (stream !== undefined && watched.stream === stream && isIdle && !stream.upload.isSending) {
        this.#drop(watched, stream);
        watched.isSpent = true;
      }
      if (inode.staged === staged) this.#advance(watched);
      else this.#watched.delete(staged);
    }
    if (this.#watched.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** For a commit of the inode under its key: nothing more is begun until it is given back. */
  async take(staged: StagedFile, key: string): Promise<Stream | undefined> {
    const watched = this.#watched.get(staged);
    if (watched === undefined) return undefined;
    watched.isTaken = true;
    await watched.beginning;
    const { stream } = watched;
    const isOfUse = stream !== undefined && stream.upload.key === key && this.#isAlive(watched, stream);
    if (isOfUse && stream.plan(this.#volume) !== undefined) return stream;
    if (stream !== undefined) this.#drop(watched, stream);
    watched.isTaken = false;
    return undefined;
  }

  /** The commit has ended, and has completed the stream, ended it, or left it as it was. */
  giveBack(stream: Stream): void {
    const watched = this.#watched.get(stream.staged);
    if (watched === undefined) return;
    watched.isTaken = false;
    watched.progressAt = this.#now;
    if (stream.upload.isOver) {
      this.#forget(watched);
      watched.isSpent = true;
    } else this.#pump();
  }

  /** Everything that no commit took is aborted, as far as the store answers soon. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearInterval(this.#timer);
    const late = new Promise((resolve) => setTimeout(resolve, CLOSE_MS).unref());
    await Promise.race([this.#endAll(AbortSignal.timeout(CLOSE_MS)), late]);
    this.#hasEnded = true;
  }

  async #endAll(signal: AbortSignal): Promise<void> {
    for (const watched of this.#begun) {
      await watched.beginning;
      if (watched.stream !== undefined && !watched.isTaken) this.#drop(watched, watched.stream, signal);
    }
    await Promise.all(this.#ending);
  }
}
