/**
 * The keys of one bucket in the order of their UTF-8 bytes. New keys wait unsorted until somebody lists, deleted ones
 * stay in place as dead until they are many: so neither a burst of writes nor one of deletes costs a move of the array
 * per key.
 */

/** So few new keys are put into place one by one; more are sorted and merged. */
const INSERT_AT_MOST = 64;

// UTF-16 order differs from UTF-8 order only in that surrogates (code points from U+10000) come before U+E000 to
// U+FFFF. Swapping the two ranges gives a form that the native string comparison puts into UTF-8 order.
const high = /[\ud800-\uffff]/;

export function toOrdered(key: string): string {
  return high.test(key) ? shift(key, 0x2000, -0x800) : key;
}

export function fromOrdered(form: string): string {
  return high.test(form) ? shift(form, 0x800, -0x2000, 0xf800) : form;
}

function shift(text: string, low: number, rest: number, border = 0xe000): string {
  let shifted = '';
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    shifted += String.fromCharCode(unit < 0xd800 ? unit : unit + (unit < border ? low : rest));
  }
  return shifted;
}

export class KeyIndex {
  /** Ordered forms, without repetition; contains the dead and not the new ones. */
  #sorted: string[] = [];
  readonly #fresh = new Set<string>();
  readonly #dead = new Set<string>();

  get size(): number {
    return this.#sorted.length - this.#dead.size + this.#fresh.size;
  }

  /** The key must not be in the index. */
  add(key: string): void {
    const form = toOrdered(key);
    if (!this.#dead.delete(form)) this.#fresh.add(form);
  }

  /** The key must be in the index. */
  remove(key: string): void {
    const form = toOrdered(key);
    if (!this.#fresh.delete(form)) this.#dead.add(form);
  }

  /** A view for one listing; valid until the next add or remove. */
  view(): KeyView {
    if (this.#dead.size > 1000 && this.#dead.size * 2 > this.#sorted.length) {
      this.#sorted = this.#sorted.filter((form) => !this.#dead.has(form));
      this.#dead.clear();
    }
    if (this.#fresh.size > INSERT_AT_MOST) this.#merge();
    else for (const form of this.#fresh) this.#sorted.splice(lowerBound(this.#sorted, form), 0, form);
    this.#fresh.clear();
    return { sorted: this.#sorted, dead: this.#dead };
  }

  #merge(): void {
    const fresh = [...this.#fresh].sort();
    const old = this.#sorted;
    const merged: string[] = [];
    let next = 0;
    for (const form of fresh) {
      while (next < old.length && old[next]! < form) merged.push(old[next++]!);
      merged.push(form);
    }
    while (next < old.length) merged.push(old[next++]!);
    this.#sorted = merged;
  }
}

export interface KeyView {
  /** Ordered forms. */
  readonly sorted: readonly string[];
  readonly dead: ReadonlySet<string>;
}

/** Index of the first form that is not below `bound`. */
export function lowerBound(sorted: readonly string[], bound: string, from = 0): number {
  return search(sorted, (form) => form < bound, from);
}

/** Index of the first form behind all that begin with `prefix`. Nothing before `from` is looked at. */
export function behindPrefix(sorted: readonly string[], prefix: string, from: number): number {
  return search(sorted, (form) => form < prefix || form.startsWith(prefix), from);
}

function search(sorted: readonly string[], before: (form: string) => boolean, from: number): number {
  let low = from;
  let end = sorted.length;
  while (low < end) {
    const middle = (low + end) >>> 1;
    if (before(sorted[middle]!)) low = middle + 1;
    else end = middle;
  }
  return low;
}
