/**
 * Where each byte of a file that is being written comes from. Pure; layered, the upper one counts:
 *
 *   written   bytes in the staged file
 *   copied    ranges of other objects, to be copied inside the store at the upload
 *   zeros     ranges that were punched out of the base
 *   base      the first `baseBytes` bytes of the version that the file started from
 *   (none)    zeros: holes, up to `size`
 *
 * written, copied and zeros are disjoint. `stale` says which bytes of the staged file are no longer what the file has
 * there: they must not be taken for its content.
 */
import { CopiedRanges } from './copied-ranges.js';
import { type Extent, ExtentMap } from './extent-map.js';

export type Run<S> = Extent &
  (
    | { readonly kind: 'written' }
    | { readonly kind: 'base' }
    | { readonly kind: 'zero' }
    | { readonly kind: 'copied'; readonly source: S; readonly sourceStart: number }
  );

/** A layout without copied ranges, for the journal: [start, end] in bytes. */
export interface SavedLayout {
  readonly size: number;
  readonly base: number;
  readonly written: ReadonlyArray<readonly [number, number]>;
  readonly zeros?: ReadonlyArray<readonly [number, number]>;
  readonly stale?: ReadonlyArray<readonly [number, number]>;
}

const pairs = (map: ExtentMap): Array<readonly [number, number]> => map.extents.map(({ start, end }) => [start, end]);

export class Layout<S> {
  readonly written = new ExtentMap();
  readonly copied = new CopiedRanges<S>();
  readonly zeros = new ExtentMap();
  readonly #stale = new ExtentMap();
  /** Bytes at the start of the base version that are still part of the file; only ever shrinks. */
  baseBytes: number;
  /** Bytes of the file as programs see it. */
  size: number;

  constructor(baseBytes: number) {
    this.baseBytes = baseBytes;
    this.size = baseBytes;
  }

  static from<S>(saved: SavedLayout): Layout<S> {
    const layout = new Layout<S>(saved.base);
    layout.size = saved.size;
    for (const [start, end] of saved.written) layout.written.add(start, end);
    for (const [start, end] of saved.zeros ?? []) layout.zeros.add(start, end);
    for (const [start, end] of saved.stale ?? []) layout.#stale.add(start, end);
    return layout;
  }

  /** undefined: parts of it are copies of other objects, which cannot be kept like this. */
  save(): SavedLayout | undefined {
    if (!this.copied.isEmpty) return undefined;
    return {
      size: this.size,
      base: this.baseBytes,
      written: pairs(this.written),
      zeros: this.zeros.isEmpty ? undefined : pairs(this.zeros),
      stale: this.#stale.isEmpty ? undefined : pairs(this.#stale),
    };
  }

  /** Bytes [start, end) were written to the staged file. */
  write(start: number, end: number): void {
    this.written.add(start, end);
    this.copied.remove(start, end);
    this.zeros.remove(start, end);
    this.#stale.remove(start, end);
    this.size = Math.max(this.size, end);
  }

  /** The file ends at `size`, and so does the staged file. */
  truncate(size: number): void {
    for (const layer of [this.written, this.copied, this.zeros, this.#stale]) layer.truncate(size);
    this.baseBytes = Math.min(this.baseBytes, size);
    this.size = size;
  }

  /** Bytes [start, end) are zeros from now on; `inFile`: they are in the staged file too. Size stays. */
  clear(start: number, end: number, inFile: boolean): void {
    end = Math.min(end, this.size);
    if (end <= start) return;
    this.#uncover(start, end);
    if (inFile) this.#stale.remove(start, end);
    this.zeros.add(start, Math.min(end, this.baseBytes));
  }

  /** Bytes [start, end) are those of `source` from `sourceStart` on. */
  copy(start: number, end: number, source: S, sourceStart: number): void {
    this.#uncover(start, end);
    this.zeros.remove(start, end);
    this.copied.add(start, end, source, sourceStart);
    this.size = Math.max(this.size, end);
  }

  #uncover(start: number, end: number): void {
    for (const run of [...this.written.runs(start, end)]) if (run.present) this.#stale.add(run.start, run.end);
    this.written.remove(start, end);
    this.copied.remove(start, end);
  }

  /** Cuts [start, end) into runs of one kind each, in order; behind the size there are none. */
  *runs(start: number, end: number): Generator<Run<S>> {
    for (const run of this.written.runs(start, Math.min(end, this.size))) {
      if (run.present) yield { kind: 'written', start: run.start, end: run.end };
      else yield* this.#below(run.start, run.end);
    }
  }

  *#below(start: number, end: number): Generator<Run<S>> {
    let at = start;
    for (const range of this.copied.within(start, end)) {
      yield* this.#lowest(at, range.start);
      yield { kind: 'copied', ...range };
      at = range.end;
    }
    yield* this.#lowest(at, end);
  }

  *#lowest(start: number, end: number): Generator<Run<S>> {
    const baseEnd = Math.min(end, Math.max(start, this.baseBytes));
    let at = start;
    for (const run of this.zeros.runs(start, baseEnd)) {
      if (run.present) continue;
      if (run.start > at) yield { kind: 'zero', start: at, end: run.start };
      yield { kind: 'base', start: run.start, end: run.end };
      at = run.end;
    }
    if (end > at) yield { kind: 'zero', start: at, end };
  }

  /** No byte is needed but those of the staged file. */
  get isWhole(): boolean {
    if (!this.copied.isEmpty) return false;
    for (const run of this.runs(0, Math.min(this.baseBytes, this.size))) if (run.kind === 'base') return false;
    return true;
  }

  /** Where the staged file itself holds what the file has (holes of it are zeros). */
  inStagedFile(): ExtentMap {
    const valid = new ExtentMap();
    for (const run of this.runs(0, this.size)) {
      if (run.kind === 'written' || run.kind === 'zero') valid.add(run.start, run.end);
    }
    for (const { start, end } of this.#stale.extents) valid.remove(start, end);
    return valid;
  }

  /** Bytes that the staged file holds, whether they still count or not. */
  get stagedBytes(): number {
    return this.written.bytes + this.#stale.bytes;
  }

  /** Bytes that are no hole. */
  get dataBytes(): number {
    let sum = 0;
    for (const run of this.runs(0, this.size)) if (run.kind !== 'zero') sum += run.end - run.start;
    return sum;
  }

  /**
   * First byte at or behind `offset` that is data (or a hole); the end of the file counts as a hole. undefined: `offset`
   * is not within the file, or only a hole follows.
   */
  seek(offset: number, wanted: 'data' | 'hole'): number | undefined {
    if (offset >= this.size) return undefined;
    for (const run of this.runs(offset, this.size)) {
      if ((run.kind === 'zero') === (wanted === 'hole')) return run.start;
    }
    return wanted === 'hole' ? this.size : undefined;
  }
}
