/**
 * One pass through a directory, for one open handle or several that began at the same state: pages of the listing merged with what this mount did to the names,
 * in the order of the keys. A page is merged once, when the reader comes to it, and stays as it was for this handle, so
 * that offsets are stable while files come and go; pages far behind are let go and merged again if somebody seeks back.
 */
import type { Listing, ListingPage } from '../cache/listing.js';
import type { ListedEntry } from '../cache/listing-entries.js';
import { compareKeys } from '../s3/key.js';
import type { Inode } from './inode.js';

export interface ReaderEntry {
  readonly name: string;
  /** From the listing; undefined where only this mount knows the name. */
  readonly listed: ListedEntry | undefined;
  /** What this mount made or put there. */
  readonly inode: Inode | undefined;
}

export interface ReaderPage {
  /** Number of its first entry; the first page begins with 0. */
  readonly first: number;
  readonly entries: readonly ReaderEntry[];
  /** When what it shows was asked (monotonic, ms). */
  readonly askedAt: number;
  readonly isLast: boolean;
}

interface Slot {
  readonly first: number;
  page: ReaderPage | undefined;
}

const KEPT_PAGES = 4;

export class DirectoryReader {
  readonly listing: Listing;
  readonly #directory: Inode;
  readonly #slots: Slot[] = [];

  constructor(directory: Inode, listing: Listing) {
    this.#directory = directory;
    this.listing = listing;
  }

  /** All of it can be read again as it was: nothing was let go. */
  get isWhole(): boolean {
    return this.listing.names !== undefined;
  }

  /** The page that holds entry `index`; undefined behind the end. Waits only where the listing has to be asked. */
  async pageAt(index: number): Promise<ReaderPage | undefined> {
    for (let number = Math.max(0, this.#numberOf(index)); ; number++) {
      const page = await this.#page(number);
      if (page === undefined || index < page.first + page.entries.length) return page;
      if (page.isLast) return undefined;
    }
  }

  /** The page if it is merged already. */
  pageNow(index: number): ReaderPage | undefined {
    const page = this.#slots[this.#numberOf(index)]?.page;
    return page !== undefined && index < page.first + page.entries.length ? page : undefined;
  }

  #numberOf(index: number): number {
    for (let number = this.#slots.length - 1; number >= 0; number--)
      if (this.#slots[number].first <= index) return number;
    return -1;
  }

  async #page(number: number): Promise<ReaderPage | undefined> {
    const present = this.#slots[number]?.page;
    if (present !== undefined) return present;
    const before = number === 0 ? undefined : this.#slots[number - 1];
    const listed = await this.listing.page(number);
    if (listed === undefined) return undefined;
    // Another handle may have come to it meanwhile: it is merged once.
    const merged = this.#slots[number]?.page;
    if (merged !== undefined) return merged;
    const first =
      this.#slots[number]?.first ?? (before?.page === undefined ? 0 : before.page.first + before.page.entries.length);
    const page: ReaderPage = {
      first,
      entries: this.#merge(listed),
      askedAt: listed.startedAt,
      isLast: listed.last === undefined,
    };
    this.#slots[number] = { first, page };
    if (!this.isWhole) for (let far = 0; far <= number - KEPT_PAGES; far++) this.#slots[far].page = undefined;
    return page;
  }

  #merge(page: ListingPage): ReaderEntry[] {
    const overlay = this.#directory.directory?.overlay;
    const entries: ReaderEntry[] = [];
    for (const listed of page.entries) {
      if (!listed.directory && listed.isFolderMarker) continue;
      const record = overlay?.over(listed.name, page.startedAt);
      // What stands in the overlay is added below, in its own place.
      if (record === undefined) entries.push({ name: listed.name, listed, inode: undefined });
    }
    const ours = this.#overlayIn(page);
    return ours.length === 0 ? entries : mergeSorted(entries, ours);
  }

  /** Names that this mount put into the key range of a page. */
  #overlayIn(page: ListingPage): ReaderEntry[] {
    const found: ReaderEntry[] = [];
    for (const [name, record] of this.#directory.directory?.overlay.entries() ?? []) {
      if (record.present === undefined || (record.confirmedAt ?? page.startedAt) < page.startedAt) continue;
      const entry: ReaderEntry = { name, listed: undefined, inode: record.present };
      const key = keyIn(entry);
      if (page.after !== '' && compareKeys(key, page.after) <= 0) continue;
      if (page.last !== undefined && compareKeys(key, page.last) > 0) continue;
      found.push(entry);
    }
    return found.sort((a, b) => compareKeys(keyIn(a), keyIn(b)));
  }
}

/** Key relative to the directory, as S3 orders it. */
function keyIn(entry: ReaderEntry): string {
  return entry.inode?.keyPart ?? entry.listed?.part ?? entry.name;
}

function mergeSorted(a: readonly ReaderEntry[], b: readonly ReaderEntry[]): ReaderEntry[] {
  const merged: ReaderEntry[] = [];
  let next = 0;
  for (const entry of a) {
    while (next < b.length && compareKeys(keyIn(b[next]), keyIn(entry)) < 0) merged.push(b[next++]);
    merged.push(entry);
  }
  while (next < b.length) merged.push(b[next++]);
  return merged;
}

/** Whether a name that a page shows is still there. */
export function isStillThere(directory: Inode, entry: ReaderEntry, askedAt: number): boolean {
  const record = directory.directory?.overlay.over(entry.name, askedAt);
  return record === undefined || record.present !== undefined;
}
