/** Listings that are kept for a while, by directory, so that the next reader and look-ups need no request. */
import { LRUCache } from 'lru-cache';
import { MAX_LISTED_ENTRIES, MAX_RENEWED_ENTRIES, RENEW_SHARE } from '../constants.js';
import { type Beginning, Listing, type ListingOptions } from './listing.js';

/** Listings by directory (node id), bounded by their entries. */
export class ListingCache {
  readonly #listings: LRUCache<number, Listing>;
  readonly #options: ListingOptions;
  /** Directories that are being listed anew. */
  readonly #renewing = new Set<number>();

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
    this.#keep(directory, listing);
    return listing;
  }

  #keep(directory: number, listing: Listing): void {
    listing.onGrow = () => {
      if (this.#listings.peek(directory) !== listing) return;
      // The size of a value that is set again is not computed again.
      this.#listings.delete(directory);
      this.#listings.set(directory, listing);
    };
    this.#listings.set(directory, listing);
  }

  /**
   * A listing is used: if it ends soon it is asked anew meanwhile, so that who comes next need not wait. Not those that came
   * with a walk: one by one they would cost far more than the next walk does.
   */
  renew(directory: number, prefix: () => string, how: Beginning, maxAgeMs: number): void {
    const present = this.#listings.peek(directory);
    if (present === undefined || !present.isComplete || present.isOfWalk) return;
    const age = this.#options.clock.monotonic() - present.startedAt;
    if (age < maxAgeMs * RENEW_SHARE || age > maxAgeMs) return;
    if (present.entryCount > MAX_RENEWED_ENTRIES || this.#renewing.has(directory)) return;
    const renewed = new Listing(prefix, this.#options, how);
    this.#renewing.add(directory);
    renewed
      .loadAll()
      .then((isWhole) => {
        // Dropped, or begun anew meanwhile: that stands.
        if (isWhole && this.#listings.peek(directory) === present) this.#keep(directory, renewed);
      })
      // Whoever comes when the present one has ended asks again, and hears why.
      .catch(() => undefined)
      .finally(() => this.#renewing.delete(directory));
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
