/** A content in use: where its bytes can be had now (the key may change by a rename while it is read), and its fetches. */
import type { Content } from './content.js';
import type { Fetch } from './fetch.js';

/** Where a content's bytes can be had in the store. */
export interface Source {
  readonly key: string;
  readonly etag: string;
}

export interface CachedFile {
  readonly content: Content;
  /** Asked anew for each request: a rename moves it. */
  source: () => Source;
  /** As it was acquired first. */
  origin: Source;
  readonly fetches: Set<Fetch>;
  /** Acquired and not released, fetches included. */
  users: number;
}

/**
 * Where to fetch from now. A source that names a version which these bytes are not known as (its owner has gone on to
 * another version) would mix two versions in one content, so then the first one is asked, which fails at worst.
 */
export function sourceOf(file: CachedFile): Source {
  const source = file.source();
  return file.content.knows(source.etag) ? source : file.origin;
}

export function fetchAt(file: CachedFile, at: number): Fetch | undefined {
  for (const fetch of file.fetches) if (fetch.start <= at && at < fetch.end) return fetch;
  return undefined;
}

/** Where a fetch that begins at `start` must end: at what is cached or under way already. */
export function gapEnd(file: CachedFile, start: number, end: number): number {
  let gap = file.content.runEnd(start, end, false);
  for (const fetch of file.fetches) if (fetch.start > start && fetch.start < gap) gap = fetch.start;
  return gap;
}
