/**
 * Attributes for a page of a listing, before it is shown: a LIST returns no user metadata, but for MinIO's, which needs
 * nothing more for files. With `auto` one unknown object
 * is sampled for every ten pages begun; where a sample, or what is already known here, shows POSIX metadata, all unknown
 * entries of the page are asked in parallel. With `full` they always are, with `listing` never.
 */
import type { KnownObject } from '../cache/attribute-store.js';
import type { ListingPage } from '../cache/listing.js';
import type { ListedEntry, ListedFile } from '../cache/listing-entries.js';
import { PAGES_PER_SAMPLE, PARALLEL_HEADS } from '../constants.js';
import { isArchiveClass } from '../s3/object-headers.js';
import { hasPosixMetadata } from './attribute.js';
import { headIfPresent } from './find-key.js';
import type { Volume } from './volume.js';

export class Hydrator {
  #pages = 0;
  #samples = 0;

  async hydrate(volume: Volume, prefix: string, page: ListingPage): Promise<void> {
    const { attributes } = volume.options;
    if (attributes === 'listing') return;
    for (const entry of page.entries) if (!entry.directory) takeTold(volume, prefix + entry.part, entry, page.date);
    this.#pages += page.asked;
    const unknown = page.entries.filter((entry) => !this.#isKnown(volume, prefix, entry));
    if (unknown.length === 0) return;
    const inDoubt = unknown.filter(({ part }) => volume.attributes.isInDoubt(prefix + part));
    await forEach(inDoubt, PARALLEL_HEADS, async (entry) => {
      await this.#ask(volume, prefix, entry);
    });
    if (attributes === 'auto' && !(await this.#isWorthwhile(volume, prefix, unknown))) return;
    await forEach(unknown, PARALLEL_HEADS, async (entry) => {
      if (!this.#isKnown(volume, prefix, entry)) await this.#ask(volume, prefix, entry);
    });
  }

  #isKnown(volume: Volume, prefix: string, entry: ListedEntry): boolean {
    if (entry.directory && entry.isBeginning) return true;
    if (!entry.directory) {
      const known = volume.attributes.get(prefix + entry.part, entry);
      if (known !== undefined && !volume.attributes.learnt(prefix) && hasPosixMetadata(known.metadata)) {
        volume.attributes.learn(prefix, true);
      }
      keepForListing(volume, entry, known);
      if (known === undefined) entry.unknownAt = volume.attributes.version;
      return known !== undefined;
    }
    const known = volume.attributes.latest(prefix + entry.part);
    return known !== undefined && volume.clock.now() - known.date < volume.options.metadataTtlMs;
  }

  async #isWorthwhile(volume: Volume, prefix: string, unknown: readonly ListedEntry[]): Promise<boolean> {
    if (volume.attributes.learnt(prefix)) return true;
    if (this.#samples * PAGES_PER_SAMPLE >= this.#pages) return false;
    // A page of nothing but directories is sampled by a marker: their modes are kept nowhere else.
    const sample = unknown.find((entry) => !entry.directory) ?? unknown[0];
    this.#samples++;
    const info = await this.#ask(volume, prefix, sample);
    if (info !== undefined) volume.attributes.learn(prefix, hasPosixMetadata(info.metadata));
    return volume.attributes.learnt(prefix) ?? false;
  }

  /** A failed HEAD costs the attributes of that entry, not the listing; it is asked again when it is used. */
  async #ask(volume: Volume, prefix: string, entry: ListedEntry): Promise<KnownObject | undefined> {
    const key = prefix + entry.part;
    try {
      const info = await headIfPresent(volume, key);
      if (!entry.directory && info?.etag === entry.etag && info.size === entry.size)
        keepForListing(volume, entry, info);
      return info;
    } catch (error) {
      volume.logger.debug({ err: error, key }, 'an entry could not be hydrated');
      return undefined;
    }
  }
}

/** What the LIST told of an entry counts like the answer to a HEAD, but for what that alone tells. */
function takeTold(volume: Volume, key: string, entry: ListedFile, date: number): void {
  const { etag, size, storageClass, metadata } = entry;
  entry.metadata = undefined;
  if (metadata === undefined || volume.attributes.get(key, entry) !== undefined) return;
  const lastModified = Math.floor(entry.lastModified / 1000) * 1000;
  const archived = isArchiveClass(storageClass);
  const headers = { storageClass };
  const info: KnownObject = {
    ...{ etag, size, lastModified, headers, metadata, tagCount: 0, archived, date },
    fromListing: true,
  };
  volume.attributes.put(key, info);
  keepForListing(volume, entry, info);
}

/** What counts for moments only must not be gone by the time the page is shown. */
function keepForListing(volume: Volume, entry: ListedFile, info: KnownObject | undefined): void {
  if (info !== undefined && !volume.attributes.isFinal(info)) entry.info = info;
}

/** Runs `work` over all items, at most `parallel` at a time. Rejects with the first failure, after all have ended. */
export async function forEach<T>(
  items: readonly T[],
  parallel: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  let next = 0;
  const failures: unknown[] = [];
  const lane = async (): Promise<void> => {
    while (next < items.length && failures.length === 0) {
      const item = items[next++];
      try {
        await work(item);
      } catch (error) {
        failures.push(error);
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(parallel, items.length) }, lane));
  if (failures.length > 0) throw failures[0];
}
