/**
 * Which ranges of a file being written are copies of ranges of other objects, not yet moved anywhere. Pure: a sorted list
 * of disjoint half-open ranges [start, end) in bytes; neighbours that go on in the same source are one range.
 */
export interface CopiedRange<S> {
  readonly start: number;
  readonly end: number;
  readonly source: S;
  /** Where the range begins in its source (bytes). */
  readonly sourceStart: number;
}

export class CopiedRanges<S> {
  /** Invariant: sorted by start, disjoint, none empty, no two that could be one. */
  #ranges: CopiedRange<S>[] = [];

  get ranges(): readonly CopiedRange<S>[] {
    return this.#ranges;
  }

  get isEmpty(): boolean {
    return this.#ranges.length === 0;
  }

  /** Index of the first range that ends behind `offset`. */
  #firstEndingBehind(offset: number): number {
    let low = 0;
    let high = this.#ranges.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#ranges[middle].end > offset) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /** Replaces whatever was known of [start, end). */
  add(start: number, end: number, source: S, sourceStart: number): void {
    if (end <= start) return;
    this.remove(start, end);
    let added: CopiedRange<S> = { start, end, source, sourceStart };
    let at = this.#firstEndingBehind(start);
    let replaced = 0;
    const after = this.#ranges[at];
    if (after !== undefined && continues(added, after)) {
      added = { ...added, end: after.end };
      replaced = 1;
    }
    const before = this.#ranges[at - 1];
    if (before !== undefined && continues(before, added)) {
      added = { ...before, end: added.end };
      at--;
      replaced++;
    }
    this.#ranges.splice(at, replaced, added);
  }

  remove(start: number, end: number): void {
    if (end <= start) return;
    const from = this.#firstEndingBehind(start);
    const kept: CopiedRange<S>[] = [];
    let to = from;
    while (to < this.#ranges.length && this.#ranges[to].start < end) {
      const range = this.#ranges[to];
      if (range.start < start) kept.push({ ...range, end: start });
      if (range.end > end) kept.push({ ...range, start: end, sourceStart: range.sourceStart + end - range.start });
      to++;
    }
    if (to > from) this.#ranges.splice(from, to - from, ...kept);
  }

  /** Drops everything at and behind `size`. */
  truncate(size: number): void {
    this.remove(size, Number.MAX_SAFE_INTEGER);
  }

  /** The ranges that lie in [start, end), cut to it, in order. */
  *within(start: number, end: number): Generator<CopiedRange<S>> {
    for (let i = this.#firstEndingBehind(start); i < this.#ranges.length; i++) {
      const range = this.#ranges[i];
      if (range.start >= end) return;
      const from = Math.max(start, range.start);
      yield {
        start: from,
        end: Math.min(end, range.end),
        source: range.source,
        sourceStart: range.sourceStart + from - range.start,
      };
    }
  }
}

function continues<S>(a: CopiedRange<S>, b: CopiedRange<S>): boolean {
  return a.end === b.start && a.source === b.source && a.sourceStart + (a.end - a.start) === b.sourceStart;
}
