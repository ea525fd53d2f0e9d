/**
 * The listing of one directory, loaded page by page as a reader goes on, the page after the one in use ahead of time. A
 * small directory is kept whole and indexed by name, so that a lookup needs no request; of a large one only the pages
 * near the reader are kept, and a page that was dropped is listed again.
 */
import { MAX_INDEXED_ENTRIES } from '../constants.js';
import {
  type Carry,
  entriesOf,
  folderOf,
  type Item,
  type ListedEntry,
  type Marker,
  type NameIn,
  nothingCarried,
} from './listing-entries.js';
import { PageSource, type SourceOptions } from './page-source.js';
import type { Walk } from './walks.js';

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
  /** LISTs that were sent for it; none where those for another directory told of this one too. */
  readonly asked: number;
}

export interface ListingOptions extends SourceOptions {
  readonly nameIn: NameIn;
  /** Runs before a page is shown: brings in attributes. */
  readonly hydrate: (prefix: string, page: ListingPage) => Promise<void>;
  /** As isHidden, of all that lies below a prefix. */
  readonly isHiddenPrefix?: (prefix: string) => Promise<boolean>;
  /** Changes when something that was hidden has gone from the store. */
  readonly hiddenVersion?: () => number;
}

/** How a listing began. */
export interface Beginning {
  /** The beginning of the components in it, where it is no directory of the bucket; it is the end of the prefix. */
  readonly begun?: string;
  /** The walk that came to it. */
  readonly walk?: Walk;
}

interface PageSlot {
  readonly after: string;
  /** From the page before. */
  carry: Carry;
  page: ListingPage | undefined;
  loading: Promise<ListingPage> | undefined;
}

/** While much is being removed; after so many tries a name that just went may be shown for once. */
const MAX_ATTEMPTS = 5;

export class Listing {
  readonly #options: ListingOptions;
  readonly #prefix: () => string;
  readonly #begun: string;
  readonly #source: PageSource;
  /** Its keys may have come with those of other directories. */
  readonly isOfWalk: boolean;
  #startedAt: number;
  readonly #slots: PageSlot[] = [{ after: '', carry: nothingCarried, page: undefined, loading: undefined }];
  #index: Map<string, ListedEntry> | undefined = new Map();
  #complete = false;
  #entryCount = 0;
  marker: Marker | undefined;
  /** Called when the number of entries in memory changes. */
  onGrow: (() => void) | undefined;

  constructor(prefix: () => string, options: ListingOptions, { begun = '', walk }: Beginning = {}) {
    this.#prefix = prefix;
    this.#begun = begun;
    this.#source = new PageSource(options, walk);
    this.isOfWalk = walk !== undefined;
    this.#options = options;
    this.#startedAt = options.clock.monotonic();
  }

  /** Monotonic time at which the first LIST began (ms); what the listing shows is no older. */
  get startedAt(): number {
    return this.#startedAt;
  }

  assumeEmpty(): void {
    this.#accept(
      this.#slots[0],
      { entries: [], after: '', last: undefined, startedAt: this.startedAt, date: 0, asked: 0 },
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

  async #request(slot: PageSlot, attempt = 1): Promise<ListingPage> {
    const prefix = this.#prefix();
    const version = this.#options.hiddenVersion?.();
    const until = this.#slots[this.#slots.indexOf(slot) + 1]?.after;
    const { carry } = slot;
    const { last, date, startedAt, asked, ...collected } = await this.#source.collect(prefix, slot.after, until);
    const items = await this.#shown(collected.items);
    const { nameIn } = this.#options;
    const found = entriesOf({ prefix, begun: this.#begun, items, last, carry }, nameIn);
    this.marker = found.marker ?? this.marker;
    const entries = await this.#withFolders(prefix, found.entries);
    const page = { entries, after: slot.after, last, startedAt, date: Math.min(date, carry.date ?? date), asked };
    await this.#options.hydrate(prefix, page);
    // Its keys were moved meanwhile: what lies under the old prefix is not it any more.
    if (this.#prefix() !== prefix) return this.#request(slot);
    // It went between the answer and now: the answer still has it.
    if (version !== this.#options.hiddenVersion?.() && attempt < MAX_ATTEMPTS) return this.#request(slot, attempt + 1);
    this.#accept(slot, page, { ...found.carry, date });
    return page;
  }

  /** Without the directories of which nothing is to be shown. */
  async #shown(items: Item[]): Promise<Item[]> {
    const { isHiddenPrefix } = this.#options;
    if (isHiddenPrefix === undefined) return items;
    const shown: Item[] = [];
    for (const item of items) if (typeof item !== 'string' || !(await isHiddenPrefix(item))) shown.push(item);
    return shown;
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
    this.#startedAt = Math.min(this.#startedAt, page.startedAt);
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
