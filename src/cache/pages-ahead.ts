/**
 * Pages of a large directory that are listed side by side: LIST tells where a page begins only once the one before is
 * there, so where those further on begin is guessed (key-guess.ts). What two pages both have is taken once. The reader
 * still gets one page after the other; what was asked too much, for guesses that were off and behind the end, is kept within a
 * fifth of what had to be asked.
 */
import type { Clock } from '../clock.js';
import { LIST_PAGE_KEYS, MAX_PAGES_AHEAD, MAX_PAGES_AHEAD_IN_ALL, PAGES_BEFORE_AHEAD } from '../constants.js';
import { compareKeys } from '../s3/key.js';
import type { ListPage } from '../s3/object-client.js';
import { guessBehind, type Stride, strideOf } from './key-guess.js';
import { keyOfItem, mergeByKey } from './listing-entries.js';

/** A LIST, and when it began (monotonic, ms). */
export interface DatedPage extends ListPage {
  readonly startedAt: number;
  readonly asked: number;
}

/** The pages that all directories together have ahead. Past the limit the oldest goes: its reader may never come. */
export class AheadLimit {
  readonly #drops = new Map<object, () => void>();

  get used(): number {
    return this.#drops.size;
  }

  add(ahead: object, drop: () => void): void {
    for (const oldest of this.#drops.values()) {
      if (this.#drops.size < MAX_PAGES_AHEAD_IN_ALL) break;
      oldest();
    }
    this.#drops.set(ahead, drop);
  }

  remove(ahead: object): void {
    this.#drops.delete(ahead);
  }
}

interface Ahead {
  /** Keys behind this one. */
  readonly after: string;
  readonly startedAt: number;
  /** Of the last item; undefined: not there yet, or the last page of the directory. */
  last: string | undefined;
  readonly page: Promise<DatedPage | undefined>;
}

/** Of the pages that had to be asked, the share that may be asked in vain. */
const MAX_WASTE = 0.17;
/** What a page reaches over is taken from so many: one alone says little of names that are spread by chance. */
const PAGES_FOR_STRIDE = 4;
/** Guesses are that much of a page apart: a gap costs more than an overlap. */
const STEP = 0.96;

export class PagesAhead {
  readonly #ask: (prefix: string, after: string) => Promise<DatedPage>;
  readonly #clock: Clock;
  readonly #limit: AheadLimit;
  readonly #maxAgeMs: number;
  #ahead: Ahead[] = [];
  /** Names on the latest pages. */
  readonly #latest: string[][] = [];
  #stride: Stride | undefined;
  /** Pages that the reader got, and what was asked in vain, in pages. */
  #pages = 0;
  #waste = 0;
  #ended = false;

  constructor(
    ask: (prefix: string, after: string) => Promise<DatedPage>,
    clock: Clock,
    { limit, maxAgeMs }: { readonly limit: AheadLimit; readonly maxAgeMs: number },
  ) {
    this.#ask = ask;
    this.#clock = clock;
    this.#limit = limit;
    this.#maxAgeMs = maxAgeMs;
  }

  /** The page behind a key; those behind it are asked too, if there is reason to. */
  async page(prefix: string, after: string): Promise<DatedPage> {
    const present = this.#take(prefix, after);
    if (present === undefined) this.#lookAhead(prefix, after);
    const asked = (await present) ?? (await this.#ask(prefix, after));
    this.#pages++;
    const page = this.#without(asked, after);
    if (page.nextToken === undefined || page.unordered) {
      this.#end();
      return page;
    }
    const items = mergeByKey(page.objects, page.prefixes).map(keyOfItem);
    // A key within a prefix of the listing is no place to begin at: servers disagree about it.
    this.#latest.push(items.map((key) => key.slice(prefix.length, key.endsWith('/') ? -1 : undefined)));
    if (this.#latest.length > PAGES_FOR_STRIDE) this.#latest.shift();
    if (this.#room > 0) this.#stride = strideOf(this.#latest.flat(), LIST_PAGE_KEYS);
    if (items.length > 0) this.#lookAhead(prefix, items[items.length - 1]);
    return page;
  }

  /** What was asked and is of no use any more. */
  #drop(ahead: Ahead): void {
    this.#remove(ahead);
    this.#waste++;
  }

  #remove(ahead: Ahead): void {
    this.#ahead = this.#ahead.filter((other) => other !== ahead);
    this.#limit.remove(ahead);
  }

  #end(): void {
    this.#ended = true;
    for (const ahead of this.#ahead) this.#drop(ahead);
  }

  /** The page ahead that goes on behind a key. */
  #take(prefix: string, after: string): Promise<DatedPage | undefined> | undefined {
    const oldest = this.#clock.monotonic() - this.#maxAgeMs;
    for (const ahead of this.#ahead) {
      const isPassed = ahead.last !== undefined && compareKeys(ahead.last, after) <= 0;
      if (isPassed || ahead.startedAt < oldest || !ahead.after.startsWith(prefix)) this.#drop(ahead);
    }
    const at = this.#ahead.findLastIndex((ahead) => compareKeys(ahead.after, after) <= 0);
    if (at < 0) return undefined;
    const taken = this.#ahead[at];
    for (const passed of this.#ahead.slice(0, at)) this.#drop(passed);
    this.#remove(taken);
    this.#lookAhead(prefix, taken.after);
    return taken.page.then((page) => {
      // It ends before the key: the guess was far too low.
      const last = page === undefined ? undefined : lastOf(page);
      if (page?.nextToken === undefined || (last !== undefined && compareKeys(last, after) > 0)) return page;
      this.#waste++;
      return undefined;
    });
  }

  /** Without what the page before had. */
  #without(page: DatedPage, after: string): DatedPage {
    if (after === '') return page;
    const objects = page.objects.filter(({ key }) => compareKeys(key, after) > 0);
    const prefixes = page.prefixes.filter((key) => compareKeys(key, after) > 0);
    const dropped = page.objects.length - objects.length + page.prefixes.length - prefixes.length;
    this.#waste += dropped / LIST_PAGE_KEYS;
    return { ...page, objects, prefixes };
  }

  get #room(): number {
    if (this.#ended || this.#pages < PAGES_BEFORE_AHEAD) return 0;
    return Math.min(MAX_PAGES_AHEAD, Math.floor(this.#pages * MAX_WASTE - this.#waste)) - this.#ahead.length;
  }

  /** @param from where the page begins that is being asked, or where the last one ended */
  #lookAhead(prefix: string, from: string): void {
    const stride = this.#stride;
    if (stride === undefined) return;
    for (let room = this.#room; room > 0; room--) {
      const before = this.#ahead.at(-1);
      const exact = before?.last;
      const guess = guessBehind((before?.after ?? from).slice(prefix.length), stride, STEP);
      const after = exact ?? (guess === undefined ? undefined : prefix + guess);
      if (after === undefined || compareKeys(after, from) <= 0) return;
      this.#begin(prefix, after);
    }
  }

  #begin(prefix: string, after: string): void {
    const page = this.#ask(prefix, after).then(
      (answer) => {
        if (answer.nextToken !== undefined) ahead.last = lastOf(answer);
        return answer;
      },
      // Who comes there asks again, and hears why.
      () => undefined,
    );
    const ahead: Ahead = { after, startedAt: this.#clock.monotonic(), last: undefined, page };
    this.#limit.add(ahead, () => this.#drop(ahead));
    this.#ahead.push(ahead);
  }
}

function lastOf(page: ListPage): string | undefined {
  const items = mergeByKey(page.objects, page.prefixes);
  return items.length === 0 ? undefined : keyOfItem(items[items.length - 1]);
}
