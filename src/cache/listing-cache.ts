/** Listings that are kept for a while, by directory, so that the next reader and look-ups need no request. */
import { LRUCache } from 'lru-cache';
import { MAX_LISTED_ENTRIES } from '../constants.js';
import { type Beginning, Listing, type ListingOptions } from './listing.js';

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

  begin(directory: number, prefix: () => string, how: Beginning = {}): Listing {
    const listing = new Listing(prefix, this.#options, how);
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
    return new Listing(() => prefix, this.#options, { begun });
  }

  /** The listing of a directory that was just made: it is known to hold nothing. */
  beginEmpty(directory: number, prefix: () => string): Listing {
    const listing = this.begin(directory, prefix);
    listing.assumeEmpty();
    return listing;
  }

  drop(directory: number): void {
    this.#listings.delete(directory);
  }
}
