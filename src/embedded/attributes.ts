/**
 * What a client attaches to an object: read from the headers of a write, told again in the headers of a read. User
 * metadata that is not ASCII travels as RFC 2047 words, in both directions and as AWS does it.
 */
import { MAX_METADATA_BYTES } from '../constants.js';
import type { Headers } from './answer.js';
import { encryptionHeaders, readEncryption } from './encryption.js';
import { Failure } from './failure.js';
import type { Attributes, ObjectRecord } from './record.js';
import { decode, header, type S3Request } from './request.js';

const CONTENT_HEADERS = [
  'cache-control',
  'content-disposition',
  'content-encoding',
  'content-language',
  'content-type',
  'expires',
];
const CLASSES = [
  'STANDARD',
  'REDUCED_REDUNDANCY',
  'STANDARD_IA',
  'ONEZONE_IA',
  'INTELLIGENT_TIERING',
  'GLACIER',
  'DEEP_ARCHIVE',
  'GLACIER_IR',
];
const CANNED_ACLS = [
  ...['private', 'public-read', 'public-read-write', 'authenticated-read', 'aws-exec-read'],
  ...['bucket-owner-read', 'bucket-owner-full-control'],
];
const PREFIX = 'x-amz-meta-';

export type Tags = NonNullable<Attributes['tags']>;

export function readAttributes(request: S3Request): Attributes {
  return {
    headers: readContentHeaders(request),
    metadata: readMetadata(request),
    tags: readTags(header(request, 'x-amz-tagging')),
    ...readPlacement(request),
  };
}

export function readContentHeaders(request: S3Request): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const name of CONTENT_HEADERS) {
    let value = header(request, name);
    // The coding of the transfer, not of the object.
    if (name === 'content-encoding') value = value?.replace(/\s*\baws-chunked\b\s*,?/g, '').replace(/,\s*$/, '');
    if (value !== undefined && value !== '') headers[name] = value;
  }
  headers['content-type'] ??= 'binary/octet-stream';
  return headers;
}

export type Placement = Omit<Attributes, 'headers' | 'metadata' | 'tags'>;

/** What no copy inherits: storage class, redirect, ACL and encryption. */
export function readPlacement(request: S3Request): Placement {
  const storageClass = header(request, 'x-amz-storage-class');
  if (storageClass !== undefined && !CLASSES.includes(storageClass)) throw new Failure('InvalidStorageClass');
  const acl = header(request, 'x-amz-acl');
  if (acl !== undefined && !CANNED_ACLS.includes(acl)) {
    throw new Failure('InvalidArgument', { fields: { ArgumentName: 'x-amz-acl', ArgumentValue: acl } });
  }
  return {
    storageClass: storageClass === 'STANDARD' ? undefined : storageClass,
    redirect: header(request, 'x-amz-website-redirect-location'),
    acl,
    ...readEncryption(request),
  };
}

export function readMetadata(request: S3Request): Record<string, string> {
  const metadata: Record<string, string> = {};
  let size = 0;
  for (const name of Object.keys(request.headers)) {
    if (!name.startsWith(PREFIX)) continue;
    // One character a byte, as node gives header values.
    const value = header(request, name)!;
    size += name.length - PREFIX.length + value.length;
    metadata[name.slice(PREFIX.length)] = decodeWords(Buffer.from(value, 'latin1').toString());
  }
  if (size > MAX_METADATA_BYTES) {
    throw new Failure('MetadataTooLarge', {
      fields: { Size: String(size), MaxSizeAllowed: String(MAX_METADATA_BYTES) },
    });
  }
  return metadata;
}

function decodeWords(value: string): string {
  return value.replace(/=\?utf-8\?([bq])\?([^?]*)\?=/gi, (_, coding: string, text: string) => {
    if (coding.toLowerCase() === 'b') return Buffer.from(text, 'base64').toString();
    const bytes = text.replaceAll('_', ' ').replace(/=([0-9a-f]{2})/gi, (_, hex: string) => {
      return String.fromCharCode(Number.parseInt(hex, 16));
    });
    return Buffer.from(bytes, 'latin1').toString();
  });
}

function encodeWords(value: string): string {
  return /^[\x20-\x7e\t]*$/.test(value) ? value : `=?UTF-8?B?${Buffer.from(value).toString('base64')}?=`;
}

/** Tags in the form of a query string. */
export function readTags(text: string | undefined): Tags | undefined {
  if (text === undefined || text === '') return undefined;
  const plain = (part: string) => decode(part.replaceAll('+', ' '));
  const pairs = text.split('&').filter((pair) => pair !== '');
  const tags = pairs.map((pair) => {
    const equals = pair.indexOf('=');
    return equals < 0
      ? ([plain(pair), ''] as const)
      : ([plain(pair.slice(0, equals)), plain(pair.slice(equals + 1))] as const);
  });
  return checkTags(tags);
}

/** What tags are made of (S3 User Guide, "Categorizing your storage using tags"). */
const tagCharacters = /^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$/u;

export function checkTags(tags: Tags): Tags | undefined {
  if (tags.length > 10) throw new Failure('BadRequest', { message: 'Object tags cannot be greater than 10' });
  const names = new Set(tags.map(([key]) => key));
  const fits = tags.every(([key, value]) => key.length > 0 && key.length <= 128 && value.length <= 256);
  const allowed = tags.flat().every((text) => tagCharacters.test(text));
  if (!fits || !allowed || names.size !== tags.length) throw new Failure('InvalidTag');
  return tags.length > 0 ? tags : undefined;
}

export function attributeHeaders(record: ObjectRecord): Headers {
  const headers: Headers = { ...record.headers, ...encryptionHeaders(record) };
  for (const [name, value] of Object.entries(record.metadata)) headers[PREFIX + name] = encodeWords(value);
  if (record.tags) headers['x-amz-tagging-count'] = record.tags.length;
  if (record.storageClass) headers['x-amz-storage-class'] = record.storageClass;
  if (record.redirect) headers['x-amz-website-redirect-location'] = record.redirect;
  return headers;
}
