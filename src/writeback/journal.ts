/**
 * What this machine has and S3 has not yet, as an append-only file of checksummed frames (journal-format.ts): entries by
 * id, each with its last value. Opening it recovers what an earlier daemon left.
 */
import { closeSync, constants, fsyncSync, ftruncateSync, openSync, renameSync, writeSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { KiB, MiB } from '../constants.js';
import { crashPoint } from '../crash-point.js';
import { pwriteSync } from '../file-io.js';
import { IDENTITY_ID, type JournalLogger, mustBelongTo, readIfThere, tellDamage } from './journal-before.js';
import {
  type EncodedItem,
  encodeFileHeader,
  encodeFrame,
  FILE_HEADER_BYTES,
  MAX_PAYLOAD_BYTES,
  type Parsed,
  parseJournal,
} from './journal-format.js';

export interface JournalEntry {
  readonly value: unknown;
  /** Of the frame that set it. */
  readonly sequence: number;
}

/** Zeros written ahead (bytes), and how many of them are always there for frames that must not fail. */
const AHEAD_BYTES = 1 * MiB;
const RESERVE_BYTES = 64 * KiB;
/** A journal is written anew when it is longer than this and than so many times what it holds. */
const REWRITE_BYTES = 4 * MiB;
const REWRITE_FACTOR = 4;

/** One that failed is tried again at most so often (ms). */
const REVIVE_MS = 1_000;

/** The value of an entry that is gone. */
const GONE = 'null';

/** A switch of the crash test, which must fail with it: nothing is written. */
const isBlind = process.env.PAILFS_TEST_WITHOUT_JOURNAL === '1';

export class Journal {
  readonly path: string;
  /** Ids whose state is in doubt, because damaged bytes of the journal may have changed them. */
  readonly doubtful: ReadonlySet<number>;
  /** Something of it could not be read when it was opened: entries may be missing. */
  readonly wasDamaged: boolean;
  /** An earlier daemon wrote it. */
  readonly wasThere: boolean;
  readonly #logger: JournalLogger;
  /** Values as JSON: thousands of them may wait, and few are looked at again. */
  readonly #entries = new Map<number, { readonly json: string; readonly sequence: number }>();
  #liveBytes = 0;
  #fd: number;
  /** Where the next frame goes, and where the zeros behind it end (bytes). */
  #end: number;
  #allocated: number;
  #sequence = 0;
  #syncing: Promise<void> | undefined;
  /** Frames that came while the journal is written anew. */
  #tail: Buffer[] | undefined;
  #failed = false;
  /** When it was last tried to begin it anew after that (of performance.now(), ms). */
  #revivedAt = Number.NEGATIVE_INFINITY;
  /** A sync has failed: what it was to bring to the disk may never come there, though the next sync succeeds. */
  #mustRewrite = false;

  private constructor(path: string, parsed: Parsed | undefined, size: number, logger: JournalLogger) {
    this.path = path;
    this.#logger = logger;
    this.#fd = openSync(path, constants.O_RDWR | constants.O_CREAT, 0o600);
    for (const frame of parsed?.frames ?? []) {
      for (const [id, value, sequence] of frame.items) this.#put(id, JSON.stringify(value), sequence ?? frame.sequence);
      this.#sequence = frame.sequence;
    }
    const inDoubtBefore = Math.max(0, ...(parsed?.damages ?? []).map((damage) => damage.nextSequence));
    this.doubtful = new Set(
      [...this.#entries]
        .filter(([id, { sequence }]) => id !== IDENTITY_ID && sequence < inDoubtBefore)
        .map(([id]) => id),
    );
    this.wasThere = parsed !== undefined;
    this.wasDamaged = parsed !== undefined && (parsed.damages.length > 0 || parsed.isTorn);
    this.#end = parsed?.end ?? 0;
    this.#allocated = size;
  }

  /**
   * @param identity what the state belongs to (endpoint, bucket, prefix)
   * Throws JournalRefused for a journal of another identity or a newer format; leaves it alone then.
   */
  static open(path: string, identity: string, logger: JournalLogger): Journal {
    const bytes = readIfThere(path);
    const parsed = bytes === undefined || bytes.length === 0 ? undefined : parseJournal(bytes);
    if (bytes !== undefined && parsed !== undefined) {
      mustBelongTo(parsed, identity, path);
      tellDamage(path, bytes, parsed, logger);
    }
    const journal = new Journal(path, parsed, bytes?.length ?? 0, logger);
    if (parsed === undefined || parsed.damages.length > 0 || parsed.end === 0) journal.#begin();
    else if (parsed.isTorn) {
      ftruncateSync(journal.#fd, parsed.end);
      journal.#allocated = parsed.end;
    }
    if (journal.#entries.get(IDENTITY_ID) === undefined) journal.append([[IDENTITY_ID, identity]]);
    return journal;
  }

  /** Everything that waits, by id. */
  *entries(): Generator<[number, JournalEntry]> {
    for (const [id, { json, sequence }] of this.#entries)
      if (id !== IDENTITY_ID) yield [id, { value: JSON.parse(json), sequence }];
  }

  /** What an entry is now; undefined: there is none. */
  valueOf(id: number | undefined): unknown {
    const entry = id === undefined ? undefined : this.#entries.get(id);
    return entry === undefined ? undefined : JSON.parse(entry.json);
  }

  /** Of the last frame. */
  get sequence(): number {
    return this.#sequence;
  }

  /** It could not be written: what is noted from now on does not survive the daemon. */
  get hasFailed(): boolean {
    return this.#failed;
  }

  /** Throws with code EIO where it has. */
  mustBeWritten(): void {
    if (this.#failed) throw this.#failure();
  }

  #put(id: number, json: string, sequence: number): void {
    const before = this.#entries.get(id);
    // Roughly: what it takes in a frame.
    if (before !== undefined) this.#liveBytes -= 200;
    this.#entries.delete(id);
    if (json === GONE) return;
    this.#liveBytes += 200;
    this.#entries.set(id, { json, sequence });
  }

  /**
   * Before a change is made: its frame will not fail for want of room. Throws with code ENOSPC; with that of the disk's
   * failure while it cannot be written at all.
   */
  reserve(bytes = RESERVE_BYTES): void {
    if (isBlind) return;
    if (this.#failed) this.#revive();
    if (this.#end + bytes <= this.#allocated) return;
    const zeros = Buffer.alloc(Math.max(AHEAD_BYTES, bytes));
    for (let at = this.#end; at < this.#end + zeros.length; ) {
      at += writeSync(this.#fd, zeros, at - this.#end, zeros.length - (at - this.#end), at);
      this.#allocated = Math.max(this.#allocated, at);
    }
  }

  /** It is written anew, with everything that was appended since it failed. */
  #revive(): void {
    const now = performance.now();
    if (now - this.#revivedAt < REVIVE_MS || this.#syncing !== undefined) throw this.#failure();
    this.#revivedAt = now;
    try {
      this.#begin();
    } catch (error) {
      throw Object.assign(this.#failure(), { cause: error });
    }
    this.#failed = false;
    this.#mustRewrite = false;
    this.#logger.warn({ path: this.path }, 'the journal can be written again');
  }

  #failure(): Error {
    return Object.assign(new Error(`${this.path} cannot be written`), { code: 'EIO' });
  }

  /** One change, whole or not at all, that outlives this process when it returns. undefined: the entry is gone. */
  append(changes: ReadonlyArray<readonly [number, unknown]>): void {
    if (changes.length === 0) return;
    const items = changes.map(([id, value]): EncodedItem => [id, value === undefined ? GONE : JSON.stringify(value)]);
    this.#sequence++;
    for (const [id, json] of items) this.#put(id, json, this.#sequence);
    if (isBlind || this.#failed) return;
    const frame = encodeFrame(this.#sequence, items);
    this.#tail?.push(frame);
    try {
      this.#write(frame);
      crashPoint('journal-appended');
    } catch (error) {
      this.#failed = true;
      this.#logger.error(
        { err: error, path: this.path },
        'the journal cannot be written: until it can, closing a file waits for its upload, and names cannot be changed',
      );
    }
  }

  #write(frame: Buffer): void {
    pwriteSync(this.#fd, frame, this.#end);
    this.#end += frame.length;
    this.#allocated = Math.max(this.#allocated, this.#end);
  }

  /** What it holds, as frames of a file of its own. */
  #image(): Buffer {
    const pieces: Buffer[] = [encodeFileHeader()];
    let items: EncodedItem[] = [];
    const all = [...this.#entries];
    // The sequence before the next frame's, so that it follows.
    const chunks = Math.max(1, Math.ceil((all.length * 400) / (MAX_PAYLOAD_BYTES / 8)));
    const perChunk = Math.ceil(all.length / chunks);
    let sequence = this.#sequence - chunks;
    for (let chunk = 0; chunk < chunks; chunk++) {
      items = all
        .slice(chunk * perChunk, (chunk + 1) * perChunk)
        .map(([id, entry]) => [id, entry.json, entry.sequence]);
      pieces.push(encodeFrame(++sequence, items));
    }
    return Buffer.concat(pieces);
  }

  /** Replaces the file by what it holds, at once. */
  #begin(): void {
    this.#sequence += 1000;
    const image = this.#image();
    const path = `${this.path}.new`;
    const fd = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_TRUNC, 0o600);
    try {
      pwriteSync(fd, image, 0);
      fsyncSync(fd);
    } catch (error) {
      closeSync(fd);
      throw error;
    }
    this.#replace(fd, image.length);
  }

  #replace(fd: number, end: number): void {
    renameSync(`${this.path}.new`, this.path);
    const before = this.#fd;
    this.#fd = fd;
    this.#end = end;
    this.#allocated = end;
    try {
      closeSync(before);
    } catch (error) {
      // Of the disk's failure, which was told when the write of it failed.
      this.#logger.warn({ err: error, path: this.path }, 'the journal that was replaced could not be closed');
    }
  }

  /** Resolves when everything appended before the call is on the disk. */
  async sync(): Promise<void> {
    while (this.#syncing !== undefined) await this.#syncing;
    this.#syncing = this.#sync().finally(() => {
      this.#syncing = undefined;
    });
    return this.#syncing;
  }

  async #sync(): Promise<void> {
    if (isBlind || this.#failed) return;
    const isLong = this.#end > REWRITE_BYTES && this.#end > REWRITE_FACTOR * this.#liveBytes;
    if (isLong || this.#mustRewrite) return this.#rewrite();
    try {
      const file = await open(this.path, 'r+');
      await file.datasync().finally(() => file.close());
    } catch (error) {
      this.#mustRewrite = true;
      throw error;
    }
  }

  /** The file grows with every change; this leaves what still waits. */
  async #rewrite(): Promise<void> {
    this.#sequence += 1000;
    const image = this.#image();
    this.#tail = [];
    const path = `${this.path}.new`;
    try {
      const file = await open(path, 'w', 0o600);
      await file
        .writeFile(image)
        .then(() => file.sync())
        .finally(() => file.close());
      const frames = Buffer.concat(this.#tail);
      const fd = openSync(path, constants.O_RDWR);
      pwriteSync(fd, frames, image.length);
      this.#replace(fd, image.length + frames.length);
      this.#failed = false;
      this.#mustRewrite = false;
    } finally {
      this.#tail = undefined;
    }
    const directory = await open(dirname(this.path), 'r');
    await directory.sync().finally(() => directory.close());
  }

  async close(): Promise<void> {
    while (this.#syncing !== undefined) await this.#syncing.catch(() => undefined);
    try {
      // The zeros ahead of the last frame are of no use any more.
      if (!this.#failed && !isBlind) ftruncateSync(this.#fd, Math.max(FILE_HEADER_BYTES, this.#end));
      fsyncSync(this.#fd);
    } catch (error) {
      this.#logger.error({ err: error, path: this.path }, 'the journal could not be brought to the disk at the end');
    }
    closeSync(this.#fd);
  }
}
