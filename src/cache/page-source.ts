/**
 * What one page of a listing is made of: a LIST with a delimiter, several where the answer tells too little, or what a walk
 * knows of the directory.
 */
import type { Clock } from '../clock.js';
import { LIST_PAGE_KEYS } from '../constants.js';
import { compareKeys } from '../s3/key.js';
import type { ListOptions, ObjectClient } from '../s3/object-client.js';
import { type Item, keyOfItem, mergeByKey } from './listing-entries.js';
import { type AheadLimit, type DatedPage, PagesAhead } from './pages-ahead.js';
import type { Walk, Walks } from './walks.js';

export interface SourceOptions {
  readonly client: ObjectClient;
  readonly clock: Clock;
  /** Objects that are still in the store and are not to be shown any more. */
  readonly isHidden?: (key: string) => boolean;
  /** Asks for metadata too, where the server tells it in listings. */
  readonly metadata?: boolean;
  /** Absent: each directory is asked for itself. */
  readonly walks?: Walks;
  /** Absent: one page of a directory is asked after the other. */
  readonly ahead?: { readonly limit: AheadLimit; readonly maxAgeMs: number };
}

/** A page as the store, or a walk, told it. */
interface Answer extends DatedPage {
  /** In place of a token: the rest comes behind this key. */
  readonly next?: string;
}

/** What was asked for one page. */
export interface Collected {
  readonly items: Item[];
  readonly last: string | undefined;
  readonly date: number;
  readonly startedAt: number;
  readonly asked: number;
}

export class PageSource {
  readonly #options: SourceOptions;
  readonly #walk: Walk | undefined;
  readonly #ahead: PagesAhead | undefined;

  /** @param walk the one that came to the directory */
  constructor(options: SourceOptions, walk?: Walk) {
    this.#options = options;
    this.#walk = walk;
    const { ahead, clock } = options;
    this.#ahead = ahead && new PagesAhead((prefix, after) => this.#list(prefix, after, undefined), clock, ahead);
  }

  /**
   * One LIST. More where the answer was empty, or the marker alone, and not the last (S3 may do that), and, of a page that was listed before,
   * up to the key at which the next one begins: names that came meanwhile must not fall between the two.
   */
  async collect(prefix: string, after: string, until: string | undefined): Promise<Collected> {
    const relative = (item: Item): string => keyOfItem(item).slice(prefix.length);
    const items: Item[] = [];
    let [startedAt, date, asked] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY, 0];
    let token: string | undefined;
    let from = after === '' ? '' : prefix + after;
    for (;;) {
      const answer = await this.#ask(prefix, from, token);
      startedAt = Math.min(startedAt, answer.startedAt);
      date = Math.min(date, answer.date);
      asked += answer.asked;
      token = answer.nextToken;
      from = answer.next ?? from;
      const isEnd = token === undefined && answer.next === undefined;
      const merged = mergeByKey(answer.objects, answer.prefixes);
      const last = merged.length === 0 ? undefined : relative(merged[merged.length - 1]);
      for (const item of merged) {
        const key = relative(item);
        // Some servers show the prefix once more that the page before ended with.
        if (after !== '' && compareKeys(key, after) <= 0) continue;
        if (until !== undefined && compareKeys(key, until) > 0) continue;
        if (!this.#options.isHidden?.(keyOfItem(item))) items.push(item);
      }
      const found = { items, date, startedAt, asked };
      if (until !== undefined) {
        if (isEnd || (last !== undefined && compareKeys(last, until) >= 0)) return { ...found, last: until };
      } else if (isEnd) return { ...found, last: undefined };
      else if (items.length > 0 && last !== '') return { ...found, last };
    }
  }

  async #ask(prefix: string, after: string, token: string | undefined): Promise<Answer> {
    if (token !== undefined) return this.#list(prefix, after, token);
    const told = this.#walk && (await this.#options.walks?.list(this.#walk, prefix, after));
    return told ?? this.#ahead?.page(prefix, after) ?? this.#list(prefix, after, undefined);
  }

  async #list(prefix: string, after: string, token: string | undefined): Promise<DatedPage> {
    const { client, clock, metadata } = this.#options;
    const startedAt = clock.monotonic();
    const startAfter = after === '' || token !== undefined ? undefined : after;
    const options: ListOptions = { prefix, delimiter: '/', startAfter, token, maxKeys: LIST_PAGE_KEYS, metadata };
    const answer = await client.list(options);
    return { ...answer, date: answer.date - (clock.monotonic() - startedAt), startedAt, asked: 1 };
  }
}
