/**
 * Large writes of one staged file, which the thread pool does. A program may be answered before its write is done
 * (`isAnswered`): then it copies its next bytes while these go to the disk, and a large copy takes half of the time. What
 * it may rely on stays the same:
 *
 *   - the layout counts bytes only when they are in the file, so the journal and uploads never claim others;
 *   - who reads there, writes there, closes or syncs the file waits for them;
 *   - what is cut off, punched out or replaced while they are under way comes after them, and stays so;
 *   - a write that failed after its answer is told once, to the next write, close() or fsync().
 *
 * The data must not change until its write is done: it lies in the buffer of its request, and the number of those
 * bounds what is under way. They are done one after the other: threads that write to one file wait for its lock spinning,
 * and take the processor from the program (a sixth of the daemon's time).
 */
import { pwrite, type ShortWrite } from '../file-io.js';
import { type Extent, ExtentMap } from './extent-map.js';

export interface BehindFile {
  readonly fd: number;
  /** Bytes of it as programs see it, with what is under way. */
  readonly size: number;
  /** Bytes [start, end) become zeros, and the file has no more than `size`. */
  zero(start: number, end: number): void;
  /** Bytes [start, end) are in the file. */
  landed(start: number, end: number): void;
  /** It is at least so long (bytes). */
  reached(size: number): void;
}

interface Write extends Extent {
  readonly isAnswered: boolean;
  /** What of it came to nothing before it was done. */
  readonly cleared: ExtentMap;
  /** Where it would let the file end. */
  reach: number;
  done: Promise<unknown>;
}

/** Of the many files that wait few are written to. */
const NONE: readonly Write[] = [];

export class WritesBehind {
  readonly #file: BehindFile;
  readonly #pwrite: typeof pwrite;
  #underWay: readonly Write[] = NONE;
  #failure: Error | undefined;
  #last: Promise<unknown> | undefined;

  constructor(file: BehindFile, write = pwrite) {
    this.#file = file;
    this.#pwrite = write;
  }

  get isEmpty(): boolean {
    return this.#underWay.length === 0;
  }

  /** How far they let the file reach (bytes). */
  get end(): number {
    let end = 0;
    for (const { reach } of this.#underWay) end = Math.max(end, reach);
    return end;
  }

  /** Resolves with how much was written: less than all only where the disk is full. Rejects when nothing was. */
  begin(offset: number, data: Uint8Array, isAnswered: boolean): Promise<number> {
    const end = offset + data.length;
    const write: Write = {
      start: offset,
      end,
      isAnswered,
      cleared: new ExtentMap(),
      reach: end,
      done: Promise.resolve(),
    };
    this.#underWay = [...this.#underWay, write];
    const done = this.#last === undefined ? this.#run(write, data) : this.#last.then(() => this.#run(write, data));
    write.done = done.catch(() => undefined);
    const last = write.done.then(() => {
      if (this.#last === last) this.#last = undefined;
    });
    this.#last = last;
    return done;
  }

  /** It is under way no more. */
  #done(write: Write): void {
    this.#underWay = this.#underWay.length === 1 ? NONE : this.#underWay.filter((other) => other !== write);
  }

  async #run(write: Write, data: Uint8Array): Promise<number> {
    let count = data.length;
    try {
      await this.#pwrite(this.#file.fd, data, write.start);
    } catch (error) {
      count = (error as ShortWrite).written ?? 0;
      if (write.isAnswered) this.#failure ??= error as Error;
      if (count === 0) {
        this.#done(write);
        throw error;
      }
    }
    const counts = ExtentMap.from([{ start: write.start, end: write.start + count }]);
    for (const { start, end } of write.cleared.extents) {
      counts.remove(start, end);
      this.#file.zero(Math.max(start, write.start), Math.min(end, write.end));
    }
    this.#done(write);
    for (const { start, end } of counts.extents) this.#file.landed(start, end);
    // A hole that was punched into its end is part of the file too.
    this.#file.reached(Math.min(write.reach, write.start + count));
    return count;
  }

  /** Bytes [start, end) are something else from now on, whatever is still written there. */
  clear(start: number, end: number): void {
    for (const write of this.#underWay) {
      const to = Math.min(end, write.end);
      if (start < to && to > write.start) write.cleared.add(Math.max(start, write.start), to);
    }
  }

  /** The file ends at `size` from now on. */
  truncate(size: number): void {
    this.clear(size, Number.POSITIVE_INFINITY);
    for (const write of this.#underWay) write.reach = Math.min(write.reach, size);
  }

  isWriting(start: number, end: number): boolean {
    for (const write of this.#underWay) if (write.start < end && write.end > start) return true;
    return false;
  }

  /**
   * Resolves when those that were answered and touch [start, end) are done, whatever became of them; undefined: there are
   * none.
   */
  answeredDone(start = 0, end = Number.POSITIVE_INFINITY): Promise<unknown> | undefined {
    if (this.#underWay.length === 0) return undefined;
    const writes = this.#underWay.filter((write) => write.isAnswered && write.start < end && write.end > start);
    return writes.length === 0 ? undefined : Promise.all(writes.map(({ done }) => done));
  }

  /** The failure of a write that was answered, told once. */
  takeFailure(): Error | undefined {
    const failure = this.#failure;
    this.#failure = undefined;
    return failure;
  }
}
