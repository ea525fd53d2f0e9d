/**
 * Directory listings as LIST pages with a delimiter. A listing is loaded page by page as a reader goes on, the page after
 * the one in use ahead of time. Small directories are kept whole and indexed by name, so that a lookup needs no request;
 * of large ones only the pages near the reader are kept, and a page that was dropped is listed again.
 */
import { LRUCache } from 'lru-cache';
import type { Clock } from '../clock.js';
import { LIST_PAGE_KEYS, MAX_INDEXED_ENTRIES, MAX_LISTED_ENTRIES } from '../constants.js';
import { compareKeys } from '../s3/key.js';
import type { ListPage, ObjectClient } from '../s3/object-client.js';
import {
  type Carry,
  entriesOf,
  folderOf,
  type Item,
  keyOfItem,
  type ListedEntry,
  type Marker,
  mergeByKey,
  type NameIn,
  nothingCarried,
} from './listing-entries.js';

export interface ListingPage {
  /** In the order of their keys; a directory's key ends in a slash. */
  readonly entries: readonly ListedEntry[];
  /** Keys after this one (relative to the directory) belong to this page; '' for the first. */
  readonly after: string;
  /** The last key of this page; undefined when it is the last page. */
  readonly last: string | undefined;
  /** Monotonic time at which its LIST began (ms). */
  readonly startedAt: number;
  /**
   * The server's clock then (ms since 1970), or when the LIST of the page before began, whose last object is shown here:
   * what is told of the entries was true at some time after it.
   */
  readonly date: number;
}

export interface ListingOptions {
  readonly client: ObjectClient;
  readonly clock: Clock;
  readonly nameIn: NameIn;
  /** Runs before a page is shown: brings in attributes. */
  readonly hydrate: (prefix: string, page: ListingPage) => Promise<void>;
  /** Objects that are still in the store and are not to be shown any more. */
  readonly isHidden?: (key: string) => boolean;
  /** Asks for metadata too, where the server tells it in listings. */
  readonly metadata?: boolean;
}

interface PageSlot {
  readonly after: string;
  /** From the page before. */
  carry: Carry;
  page: ListingPage | undefined;
  loading: Promise<ListingPage> | undefined;
}

export class Listing {
  readonly #options: ListingOptions;
  readonly #prefix: () => string;
  /** The beginning of the components in it, where it is no directory of the bucket; it is the end of the prefix. */
  readonly #begun: string;
  /** Monotonic time at which the first LIST began (ms); what the listing shows is no older. */
  readonly startedAt: number;
  readonly #slots: PageSlot[] = [{ after: '', carry: nothingCarried, page: undefined, loading: undefined }];
  #index: Map<string, ListedEntry> | undefined = new Map();
  #complete = false;
  #entryCount = 0;
  marker: Marker | undefined;
  /** Called when the number of entries in memory changes. */
  onGrow: (() => void) | undefined;

  constructor(prefix: () => string, options: ListingOptions, begun = '') {
    this.#prefix = prefix;
    this.#begun = begun;
    this.#options = options;
    this.startedAt = options.clock.monotonic();
  }

  assumeEmpty(): void {
    this.#accept(
      this.#slots[0],
      { entries: [], after: '', last: undefined, startedAt: this.startedAt, date: 0 },
      nothingCarried,
    );
  }

  /** All pages were read, and all names are in memory: what is not found here did not exist. */
  get isComplete(): boolean {
    return this.#complete && this.#index !== undefined;
  }

  get entryCount(): number {
    return this.#entryCount;
  }

  find(name: string): ListedEntry | undefined {
    return this.#index?.get(name);
  }

  /** Names known so far; undefined when they are not all in memory. */
  get names(): ReadonlyMap<string, ListedEntry> | undefined {
    return this.#index;
  }

  /** Page by number; undefined behind the last. Loads it if needed, and the next one ahead. */
  async page(number: number): Promise<ListingPage | undefined> {
    while (number >= this.#slots.length) {
      const last = this.#slots[this.#slots.length - 1];
      const page = await this.#load(last);
      if (page.last === undefined) return undefined;
    }
    const page = await this.#load(this.#slots[number]);
    if (page.last !== undefined) {
      const next = this.#slots[number + 1];
      if (next.page === undefined) this.#load(next).catch(() => undefined);
    }
    return page;
  }

  /** A page that is in memory, without waiting. */
  pageNow(number: number): ListingPage | undefined {
    return this.#slots[number]?.page;
  }

  /** Reads all pages of a directory that fits in memory; false when it is too large. */
  async loadAll(): Promise<boolean> {
    for (let number = 0; (await this.page(number)) !== undefined; number++) {
      if (this.#index === undefined) return false;
    }
    return this.isComplete;
  }

  #load(slot: PageSlot): Promise<ListingPage> {
    if (slot.page !== undefined) return Promise.resolve(slot.page);
    slot.loading ??= this.#request(slot).finally(() => {
      slot.loading = undefined;
    });
    return slot.loading;
  }

  async #request(slot: PageSlot): Promise<ListingPage> {
    const prefix = this.#prefix();
    const startedAt = this.#options.clock.monotonic();
    const until = this.#slots[this.#slots.indexOf(slot) + 1]?.after;
    const { carry } = slot;
    const { items, last, date } = await this.#collect(prefix, slot.after, until);
    const { nameIn } = this.#options;
    const found = entriesOf({ prefix, begun: this.#begun, items, last, carry }, nameIn);
    this.marker = found.marker ?? this.marker;
    const entries = await this.#withFolders(prefix, found.entries);
    const page = { entries, after: slot.after, last, startedAt, date: Math.min(date, carry.date ?? date) };
    await this.#options.hydrate(prefix, page);
    this.#accept(slot, page, { ...found.carry, date });
    return page;
  }

  /**
   * One LIST. More where the answer was empty, or the marker alone, and not the last (S3 may do that), and, of a page that was listed before,
   * up to the key at which the next one begins: names that came meanwhile must not fall between the two.
   */
  async #collect(
    prefix: string,
    after: string,
    until: string | undefined,
  ): Promise<{ items: Item[]; last: string | undefined; date: number }> {
    const relative = (item: Item): string => keyOfItem(item).slice(prefix.length);
    const items: Item[] = [];
    const { clock, metadata } = this.#options;
    const begun = clock.monotonic();
    let token: string | undefined;
    for (;;) {
      const answer: ListPage = await this.#options.client.list({
        prefix,
        delimiter: '/',
        startAfter: after === '' || token !== undefined ? undefined : prefix + after,
        token,
        maxKeys: LIST_PAGE_KEYS,
        metadata,
      });
      const date = answer.date - (clock.monotonic() - begun);
      token = answer.nextToken;
      const merged = mergeByKey(answer.objects, answer.prefixes);
      const last = merged.length === 0 ? undefined : relative(merged[merged.length - 1]);
      for (const item of merged) {
        const key = relative(item);
        // Some servers show the prefix once more that the page before ended with.
        if (after !== '' && compareKeys(key, after) <= 0) continue;
        if (until !== undefined && compareKeys(key, until) > 0) continue;
        if (!this.#options.isHidden?.(keyOfItem(item))) items.push(item);
      }
      if (until !== undefined) {
        if (token === undefined || (last !== undefined && compareKeys(last, until) >= 0))
          return { items, last: until, date };
      } else if (token === undefined) return { items, last: undefined, date };
      else if (items.length > 0 && last !== '') return { items, last, date };
    }
  }

  /**
   * Directories that exist through a Hadoop marker alone, beside their markers: neither an object nor a prefix of the
   * name comes before it. Of a directory that is not kept whole the store has to be asked.
   */
  async #withFolders(prefix: string, entries: readonly ListedEntry[]): Promise<ListedEntry[]> {
    const shown: ListedEntry[] = [];
    const names = new Set(entries.map((entry) => entry.name));
    for (const entry of entries) {
      shown.push(entry);
      const folder = entry.directory || !entry.isFolderMarker ? undefined : folderOf(entry.part);
      if (folder === undefined) continue;
      const name = this.#options.nameIn('', folder, false)?.name;
      if (name === undefined || names.has(name) || this.#index?.has(name)) continue;
      if (this.#index === undefined && (await this.#exists(prefix + folder))) continue;
      shown.push({ name, directory: true, part: `${folder}/` });
    }
    return shown;
  }

  async #exists(key: string): Promise<boolean> {
    const { client } = this.#options;
    const [same, below] = await Promise.all([
      client.list({ prefix: key, maxKeys: 1 }),
      client.list({ prefix: `${key}/`, maxKeys: 1 }),
    ]);
    return below.objects.length > 0 || same.objects[0]?.key === key;
  }

  #accept(slot: PageSlot, page: ListingPage, carry: Carry): void {
    slot.page = page;
    this.#entryCount += page.entries.length;
    const number = this.#slots.indexOf(slot);
    if (number === this.#slots.length - 1) {
      if (page.last === undefined) this.#complete = true;
      else this.#slots.push({ after: page.last, carry, page: undefined, loading: undefined });
      for (const entry of page.entries) this.#index?.set(entry.name, entry);
      if ((this.#index?.size ?? 0) > MAX_INDEXED_ENTRIES) this.#index = undefined;
    } else if (this.#slots[number + 1].page === undefined) this.#slots[number + 1].carry = carry;
    if (this.#index === undefined) this.#dropFar(number);
    this.onGrow?.();
  }

  /** Of a directory that is not kept whole, only pages next to the one just loaded stay. */
  #dropFar(number: number): void {
    for (const [other, slot] of this.#slots.entries()) {
      if (slot.page === undefined || Math.abs(other - number) <= 2) continue;
      this.#entryCount -= slot.page.entries.length;
      slot.page = undefined;
    }
  }
}

/** Listings by directory (node id), bounded by their entries. */
export class ListingCache {
  readonly #listings: LRUCache<number, Listing>;
  readonly #options: ListingOptions;

  constructor(options: ListingOptions) {
    this.#options = options;
    this.#listings = new LRUCache({
      maxSize: MAX_LISTED_ENTRIES,
      sizeCalculation: (listing) => 1 + listing.entryCount,
    });
  }

  get entryCount(): number {
    return this.#listings.calculatedSize;
  }

  /** The listing of a directory if it began at most `maxAgeMs` ago. */
  fresh(directory: number, maxAgeMs: number): Listing | undefined {
    const listing = this.#listings.get(directory);
    if (listing === undefined || this.#options.clock.monotonic() - listing.startedAt > maxAgeMs) return undefined;
    return listing;
  }

  /** @param begun see Listing: the prefix ends in it where the directory stands for the beginning of components */
  begin(directory: number, prefix: () => string, begun = ''): Listing {
    const listing = new Listing(prefix, this.#options, begun);
    listing.onGrow = () => {
      if (this.#listings.peek(directory) !== listing) return;
      // The size of a value that is set again is not computed again.
      this.#listings.delete(directory);
      this.#listings.set(directory, listing);
    };
    this.#listings.set(directory, listing);
    return listing;
  }

  /** A listing that is not kept. */
  detached(prefix: string, begun: string): Listing {
    return new Listing(() => prefix, this.#options, begun);
  }

  /** The listing of a directory that was just made: it is known to hold nothing. */
  beginEmpty(directory: number, prefix: () => string): void {
    const listing = this.begin(directory, prefix);
    listing.assumeEmpty();
  }

  drop(directory: number): void {
    this.#listings.delete(directory);
  }
}
