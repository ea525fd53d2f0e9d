/**
 * Which bytes of a file being written are in its staged file. Pure: a sorted list of disjoint, non-adjacent half-open
 * ranges [start, end) in bytes, byte-granular, so that a small overwrite needs no surrounding block.
 */
export interface Extent {
  readonly start: number;
  readonly end: number;
}

export class ExtentMap {
  /** Invariant: sorted by start, disjoint, non-adjacent, none empty. */
  #extents: Extent[] = [];

  static from(extents: Iterable<Extent>): ExtentMap {
    const map = new ExtentMap();
    for (const extent of extents) map.add(extent.start, extent.end);
    return map;
  }

  get extents(): readonly Extent[] {
    return this.#extents;
  }

  /** Sum of all ranges (bytes). */
  get bytes(): number {
    let sum = 0;
    for (const extent of this.#extents) sum += extent.end - extent.start;
    return sum;
  }

  get isEmpty(): boolean {
    return this.#extents.length === 0;
  }

  /** Index of the first extent that ends behind `offset` (touching counts when `touching`). */
  #firstEndingBehind(offset: number, touching: boolean): number {
    let low = 0;
    let high = this.#extents.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const end = this.#extents[middle].end;
      if (touching ? end >= offset : end > offset) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  add(start: number, end: number): void {
    if (end <= start) return;
    const last = this.#extents[this.#extents.length - 1];
    // Appending is the common case: no search, no splice.
    if (last !== undefined && start === last.end) {
      this.#extents[this.#extents.length - 1] = { start: last.start, end };
      return;
    }
    if (last === undefined || start > last.end) {
      this.#extents.push({ start, end });
      return;
    }
    const from = this.#firstEndingBehind(start, true);
    let to = from;
    while (to < this.#extents.length && this.#extents[to].start <= end) {
      start = Math.min(start, this.#extents[to].start);
      end = Math.max(end, this.#extents[to].end);
      to++;
    }
    this.#extents.splice(from, to - from, { start, end });
  }

  remove(start: number, end: number): void {
    if (end <= start) return;
    const from = this.#firstEndingBehind(start, false);
    const kept: Extent[] = [];
    let to = from;
    while (to < this.#extents.length && this.#extents[to].start < end) {
      const extent = this.#extents[to];
      if (extent.start < start) kept.push({ start: extent.start, end: start });
      if (extent.end > end) kept.push({ start: end, end: extent.end });
      to++;
    }
    this.#extents.splice(from, to - from, ...kept);
  }

  /** Drops everything at and behind `size`. */
  truncate(size: number): void {
    this.remove(size, Number.MAX_SAFE_INTEGER);
  }

  covers(start: number, end: number): boolean {
    if (end <= start) return true;
    const extent = this.#extents[this.#firstEndingBehind(start, false)];
    return extent !== undefined && extent.start <= start && extent.end >= end;
  }

  /** Bytes of [start, end) that are not in the map. */
  missing(start: number, end: number): number {
    let bytes = 0;
    for (const run of this.runs(start, end)) if (!run.present) bytes += run.end - run.start;
    return bytes;
  }

  overlaps(start: number, end: number): boolean {
    const extent = this.#extents[this.#firstEndingBehind(start, false)];
    return extent !== undefined && extent.start < end && end > start;
  }

  /** Cuts [start, end) into runs that are wholly inside or wholly outside, in order. */
  *runs(start: number, end: number): Generator<Extent & { readonly present: boolean }> {
    let at = start;
    for (let i = this.#firstEndingBehind(start, false); at < end && i < this.#extents.length; i++) {
      const extent = this.#extents[i];
      if (extent.start >= end) break;
      if (extent.start > at) yield { start: at, end: extent.start, present: false };
      const from = Math.max(at, extent.start);
      at = Math.min(end, extent.end);
      yield { start: from, end: at, present: true };
    }
    if (at < end) yield { start: at, end, present: false };
  }
}
