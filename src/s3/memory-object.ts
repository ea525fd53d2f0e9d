/** What the in-memory client keeps of one object. */
import type * as api from './object-client.js';

export interface StoredObject {
  readonly body: Uint8Array;
  readonly etag: string;
  readonly lastModified: number;
  readonly headers: api.ObjectHeaders;
  readonly metadata: Readonly<Record<string, string>>;
  readonly tags: ReadonlyArray<readonly [string, string]>;
  readonly encryption?: api.ObjectInfo['encryption'];
}

export type StoredAttributes = Pick<StoredObject, 'headers' | 'metadata' | 'tags' | 'encryption'>;

export function storedAttributes(given: api.WriteAttributes): StoredAttributes {
  const { contentType = 'binary/octet-stream', ...rest } = given.headers ?? {};
  const { encryption, metadata, tags = [] } = given;
  return { headers: { contentType, ...rest }, metadata: { ...metadata }, tags: [...tags], encryption };
}
