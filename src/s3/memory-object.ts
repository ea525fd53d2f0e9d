/** What the in-memory client keeps of one object. */
import type * as api from './object-client.js';

export interface StoredObject {
  readonly body: Uint8Array;
  readonly etag: string;
  readonly lastModified: number;
  readonly headers: api.ObjectHeaders;
  readonly metadata: Readonly<Record<string, string>>;
  readonly tags: ReadonlyArray<readonly [string, string]>;
}

export type StoredAttributes = Pick<StoredObject, 'headers' | 'metadata' | 'tags'>;

export function storedAttributes(given: api.WriteAttributes): StoredAttributes {
  const { contentType = 'binary/octet-stream', ...rest } = given.headers ?? {};
  return { headers: { contentType, ...rest }, metadata: { ...given.metadata }, tags: [...(given.tags ?? [])] };
}
