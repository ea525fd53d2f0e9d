/** Between an object's HTTP headers and ObjectInfo / WriteAttributes, both ways. */
import { addQuotes, stripQuotes } from './etag.js';
import type { HttpHead } from './http-transport.js';
import { encodeQueryValue } from './key.js';
import type { ObjectHeaders, ObjectInfo, WriteAttributes, WriteCondition } from './object-client.js';
import { S3Error } from './s3-error.js';

const headerFields: Readonly<Record<string, keyof ObjectHeaders>> = {
  'content-type': 'contentType',
  'content-encoding': 'contentEncoding',
  'content-disposition': 'contentDisposition',
  'content-language': 'contentLanguage',
  'cache-control': 'cacheControl',
  expires: 'expires',
  'x-amz-storage-class': 'storageClass',
  'x-amz-website-redirect-location': 'websiteRedirect',
};

const headerNames = Object.entries(headerFields);
const archiveClasses = new Set(['GLACIER', 'DEEP_ARCHIVE']);
const META = 'x-amz-meta-';

/** Objects of this class have to be restored before they can be read. */
export const isArchiveClass = (storageClass: string | undefined): boolean => archiveClasses.has(storageClass ?? '');

/** What one pass over the raw headers finds. */
export interface ReceivedHeaders {
  readonly etag: string;
  readonly contentLength: number | undefined;
  readonly contentRange: string | undefined;
  readonly lastModified: number;
  readonly date: number | undefined;
  readonly info: Pick<ObjectInfo, 'headers' | 'metadata' | 'tagCount' | 'versionId' | 'encryption' | 'archived'>;
}

class HeaderReader {
  etag = '';
  contentLength: number | undefined;
  contentRange: string | undefined;
  lastModified = 0;
  date: number | undefined;
  readonly headers: Record<string, string> = {};
  readonly metadata: Record<string, string> = {};
  tagCount = 0;
  versionId: string | undefined;
  algorithm: string | undefined;
  keyId: string | undefined;
  restored = false;
  archiveStatus = false;

  take(name: string, value: string): void {
    switch (name) {
      case 'etag':
        this.etag = stripQuotes(value);
        break;
      case 'content-length':
        this.contentLength = Number(value);
        break;
      case 'content-range':
        this.contentRange = value;
        break;
      case 'last-modified':
        this.lastModified = Date.parse(value);
        break;
      case 'date':
        this.date = Date.parse(value);
        break;
      default:
        this.#rare(name, value);
    }
  }

  #rare(name: string, value: string): void {
    if (name.startsWith(META)) this.metadata[name.slice(META.length)] = value;
    else if (Object.hasOwn(headerFields, name)) this.headers[headerFields[name]] = value;
    else if (name === 'x-amz-tagging-count') this.tagCount = Number(value);
    else if (name === 'x-amz-version-id') this.versionId = value === 'null' ? undefined : value;
    else if (name === 'x-amz-server-side-encryption') this.algorithm = value;
    else if (name === 'x-amz-server-side-encryption-aws-kms-key-id') this.keyId = value;
    else if (name === 'x-amz-archive-status') this.archiveStatus = true;
    else if (name === 'x-amz-restore') this.restored = value.includes('ongoing-request="false"');
  }
}

/** One pass over an answer's headers. A latin-1 value that is UTF-8 in truth stays as received: bytes as code units. */
export function readObjectHeaders(head: HttpHead): ReceivedHeaders {
  const reader = new HeaderReader();
  const { rawHeaders } = head;
  for (let i = 0; i < rawHeaders.length; i += 2) reader.take(rawHeaders[i].toLowerCase(), rawHeaders[i + 1]);
  const { headers, metadata, tagCount, versionId, algorithm, keyId } = reader;
  const archived = !reader.restored && (reader.archiveStatus || isArchiveClass(headers.storageClass));
  const encryption = algorithm === undefined ? undefined : { algorithm, keyId };
  return {
    etag: reader.etag,
    contentLength: reader.contentLength,
    contentRange: reader.contentRange,
    lastModified: Math.floor((reader.lastModified || 0) / 1000) * 1000,
    date: reader.date === undefined || Number.isNaN(reader.date) ? undefined : reader.date,
    info: { headers, metadata, tagCount, versionId, encryption, archived },
  };
}

export function objectInfo(key: string, size: number, received: ReceivedHeaders, now: number): ObjectInfo {
  const { info } = received;
  return {
    key,
    etag: received.etag,
    size,
    lastModified: received.lastModified,
    versionId: info.versionId,
    headers: info.headers,
    metadata: info.metadata,
    tagCount: info.tagCount,
    encryption: info.encryption,
    archived: info.archived,
    date: received.date ?? now,
  };
}

const printable = /^[\x20-\x7e]*$/;
const token = /^[A-Za-z0-9!#$%&'*+\-.^_`|~]+$/;

function checked(operation: string, key: string, name: string, value: string): string {
  if (printable.test(value)) return value;
  throw new S3Error('InvalidRequest', `${operation}: ${name} has characters that a header cannot carry`, {
    operation,
    key,
  });
}

/** `k=v&k=v`, encoded, as x-amz-tagging wants it. */
export function encodeTags(tags: ReadonlyArray<readonly [string, string]>): string {
  return tags.map(([name, value]) => `${encodeQueryValue(name)}=${encodeQueryValue(value)}`).join('&');
}

/** Adds an object's headers, metadata and tags to a request. Values go as given; what a header cannot carry is refused. */
export function pushAttributes(operation: string, key: string, to: string[], attributes: WriteAttributes): void {
  const { headers, metadata, tags } = attributes;
  if (headers !== undefined) {
    for (const [name, field] of headerNames) {
      const value = headers[field];
      if (value !== undefined) to.push(name, checked(operation, key, name, value));
    }
  }
  for (const [name, value] of Object.entries(metadata ?? {})) {
    if (!token.test(name) || name !== name.toLowerCase()) {
      throw new S3Error('InvalidRequest', `${operation}: ${JSON.stringify(name)} cannot name metadata`, {
        operation,
        key,
      });
    }
    to.push(META + name, checked(operation, key, META + name, value));
  }
  if (tags !== undefined && tags.length > 0) to.push('x-amz-tagging', encodeTags(tags));
}

const SSE = 'x-amz-server-side-encryption';

/** Asks for an object's own encryption, unless the request asks for another already. */
export function pushEncryption(to: string[], encryption: ObjectInfo['encryption']): void {
  if (encryption === undefined || to.includes(SSE)) return;
  to.push(SSE, encryption.algorithm);
  if (encryption.keyId !== undefined) to.push(`${SSE}-aws-kms-key-id`, encryption.keyId);
}

export function pushCondition(to: string[], condition: WriteCondition, bare = false): void {
  if (condition.ifMatch !== undefined) to.push('if-match', bare ? condition.ifMatch : addQuotes(condition.ifMatch));
  else if (condition.ifAbsent) to.push('if-none-match', '*');
}
