/**
 * Keys of a subtree as LIST tells them without a delimiter, page after page without a gap, and what of them a LIST with
 * a delimiter would answer for one directory in it. Pure: who asks, and when, is walks.ts.
 */
import { LIST_PAGE_KEYS } from '../constants.js';
import { compareKeys } from '../s3/key.js';
import type { ListedObject } from '../s3/object-client.js';

/** All keys of the subtree after `after` and up to `last`. */
export interface FlatPage {
  readonly objects: readonly ListedObject[];
  readonly after: string;
  /** undefined: nothing of the subtree comes behind. */
  readonly last: string | undefined;
  /** Monotonic time at which its LIST began (ms), and the server's clock then (ms since 1970). */
  readonly startedAt: number;
  readonly date: number;
}

/** Items for each page that went in, of an answer that is not the whole directory. */
const ENOUGH = LIST_PAGE_KEYS / 2;

export class FlatRun {
  readonly pages: FlatPage[] = [];
  readonly #start: string;

  /** @param start a key below the one that is wanted first */
  constructor(start: string) {
    this.#start = start;
  }

  /** Keys after this one are here, or come with the next page. */
  get after(): string {
    return this.pages[0]?.after ?? this.#start;
  }

  /** The last key that is here; undefined: all to the end of the subtree are. */
  get end(): string | undefined {
    return this.pages.length === 0 ? this.#start : this.pages[this.pages.length - 1].last;
  }

  /** Number of the page that has the first key of a directory behind `after` ('': its very first), or would have it. */
  pageOf(prefix: string, after: string): number {
    const from = after === '' ? prefix : after;
    const isBefore = ({ last }: FlatPage): boolean =>
      last !== undefined && (after === '' ? compareKeys(last, from) < 0 : compareKeys(last, from) <= 0);
    let at = 0;
    while (at < this.pages.length && isBefore(this.pages[at])) at++;
    return at;
  }

  /** Whether the first key that is here, or comes next, is behind the beginning of a directory. */
  isBehind(prefix: string): boolean {
    return compareKeys(this.after, prefix) >= 0;
  }

  /** Whether what a directory has behind `after` is here from its first key on, or would come with the next page. */
  reaches(prefix: string, after: string): boolean {
    if (after === '' ? this.isBehind(prefix) : compareKeys(this.after, after) > 0) return false;
    return this.end === undefined || compareKeys(this.end, after === '' ? prefix : after) >= 0;
  }
}

/** One answer in the making: pages go in as they come, objects and common prefixes of the directory come out. */
export class FlatAnswer {
  readonly objects: ListedObject[] = [];
  readonly prefixes: string[] = [];
  readonly #prefix: string;
  readonly #after: string;
  /** The last item, which is where the next answer goes on. */
  #last = '';
  #end: string | undefined;
  #pages = 0;

  /** @param after keys of the directory up to this one, and all below it if it is a prefix, are left out */
  constructor(prefix: string, after: string) {
    this.#prefix = prefix;
    this.#after = after;
    this.#end = after;
  }

  take({ objects, last }: FlatPage): void {
    this.#pages++;
    const prefix = this.#prefix;
    for (let at = firstFrom(objects, prefix); at < objects.length; at++) {
      const { key } = objects[at];
      if (!key.startsWith(prefix)) break;
      const slash = key.indexOf('/', prefix.length);
      const item = slash < 0 ? key : key.slice(0, slash + 1);
      if (item === this.#last && slash >= 0) continue;
      if (this.#after !== '' && compareKeys(item, this.#after) <= 0) continue;
      if (slash < 0) this.objects.push(objects[at]);
      else this.prefixes.push(item);
      this.#last = item;
    }
    this.#end = last;
  }

  /** Whether the last page that went in has the end of the directory. */
  get isWhole(): boolean {
    const end = this.#end;
    return end === undefined || (compareKeys(end, this.#prefix) > 0 && !end.startsWith(this.#prefix));
  }

  /** Not the whole, but about as much as a LIST with a delimiter would have told for so many requests. */
  get isEnough(): boolean {
    return this.#pages > 0 && this.objects.length + this.prefixes.length >= ENOUGH * this.#pages;
  }

  /** Behind which key the rest comes; undefined when it is whole. */
  get next(): string | undefined {
    return this.isWhole ? undefined : this.#last;
  }
}

/** Index of the first object whose key is not below `key`. */
function firstFrom(objects: readonly ListedObject[], key: string): number {
  let low = 0;
  let high = objects.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compareKeys(objects[middle].key, key) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** A key shortly before those of a directory: LIST answers what comes after a key. */
export function keyBefore(prefix: string): string {
  // '.' is the character below '/', and '~' the last that every server takes without ado.
  return `${prefix.slice(0, -1)}.~~~~`;
}
