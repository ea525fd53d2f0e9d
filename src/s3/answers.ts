/**
 * The documents S3 answers with, one parser each: listing pages, errors, results of copies, completions, deletions,
 * uploads and tags. Parsers throw XmlError (or URIError) on what is not such a document; nothing is guessed.
 */
import { stripQuotes } from './etag.js';
import { decodeListedKey } from './key.js';
import type { ListedObject, PendingUpload } from './object-client.js';
import { scanXml, XmlError } from './xml.js';

export interface ErrorDocument {
  readonly code: string;
  readonly message: string;
  readonly region?: string;
  readonly requestId?: string;
}

/** All leaves of a small document by name; the last wins. */
function leaves(xml: string, root: string): Map<string, string> {
  const found = new Map<string, string>();
  const actual = scanXml(xml, { leaf: (name, text) => found.set(name, text) });
  if (actual !== root) throw new XmlError(`<${actual.slice(0, 64)}> where <${root}> was expected`);
  return found;
}

/** Undefined where the text is no error document (a proxy's HTML page, for example). */
export function parseError(text: string): ErrorDocument | undefined {
  if (!text.includes('<Error')) return undefined;
  try {
    const found = leaves(text, 'Error');
    const code = found.get('Code');
    if (code === undefined || code === '') return undefined;
    return {
      code,
      message: found.get('Message') ?? '',
      region: found.get('Region') || undefined,
      requestId: found.get('RequestId'),
    };
  } catch (error) {
    if (error instanceof XmlError) return undefined;
    throw error;
  }
}

function wholeNumber(text: string): number {
  const value = Number(text);
  if (text === '' || !Number.isSafeInteger(value) || value < 0) throw new XmlError('not a size');
  return value;
}

function date(text: string): number {
  const value = Date.parse(text);
  if (Number.isNaN(value)) throw new XmlError('not a date');
  return value;
}

export interface ListingDocument {
  readonly objects: ListedObject[];
  readonly prefixes: string[];
  readonly nextToken?: string;
}

const META = 'x-amz-meta-';
/** What is the same in a header and in XML, byte for byte. */
const plainValue = /^(?:[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?)?$/;

/**
 * <UserMetadata> of MinIO's listings: one element for each header of the object, named like it, values as text. XML cannot
 * carry every value, and says something else in its place: an object with such a value counts as not told of.
 */
class UserMetadata {
  #found: Record<string, string> | undefined;
  #isPlain = true;

  add(name: string, value: string): void {
    this.#found ??= {};
    const lower = name.toLowerCase();
    if (!lower.startsWith(META)) return;
    const own = lower.slice(META.length);
    if (!plainValue.test(value) || Object.hasOwn(this.#found, own)) this.#isPlain = false;
    this.#found[own] = value;
  }

  get value(): Record<string, string> | undefined {
    return this.#isPlain ? this.#found : undefined;
  }
}

/** Collects <Contents> and <CommonPrefixes> as they pass. */
class ListingReader {
  readonly objects: Array<{ -readonly [K in keyof ListedObject]: ListedObject[K] }> = [];
  readonly prefixes: string[] = [];
  truncated = false;
  encoded = false;
  token = '';
  #key: string | undefined;
  #etag = '';
  #size = -1;
  #date = -1;
  #class: string | undefined;
  #metadata: UserMetadata | undefined;

  leaf(name: string, text: string, parent: string): void {
    if (parent === 'Contents') this.#field(name, text);
    else if (parent === 'UserMetadata') {
      this.#metadata ??= new UserMetadata();
      this.#metadata.add(name, text);
    } else if (parent === 'CommonPrefixes') {
      if (name === 'Prefix') this.prefixes.push(text);
    } else if (parent === 'ListBucketResult') {
      if (name === 'IsTruncated') this.truncated = text === 'true';
      else if (name === 'EncodingType') this.encoded = text === 'url';
      else if (name === 'NextContinuationToken') this.token = text;
    }
  }

  #field(name: string, text: string): void {
    if (name === 'Key') this.#key = text;
    else if (name === 'ETag') this.#etag = stripQuotes(text);
    else if (name === 'Size') this.#size = wholeNumber(text);
    else if (name === 'LastModified') this.#date = date(text);
    else if (name === 'StorageClass') this.#class = text;
  }

  close(name: string): void {
    if (name !== 'Contents') return;
    if (this.#key === undefined || this.#size < 0 || this.#date < 0) throw new XmlError('an entry is incomplete');
    const metadata = this.#metadata?.value;
    this.objects.push({
      key: this.#key,
      etag: this.#etag,
      size: this.#size,
      lastModified: this.#date,
      storageClass: this.#class,
      ...(metadata && { metadata }),
    });
    this.#key = undefined;
    this.#etag = '';
    this.#size = -1;
    this.#date = -1;
    this.#class = undefined;
    this.#metadata = undefined;
  }
}

/** ListObjectsV2. */
export function parseListing(xml: string): ListingDocument {
  const reader = new ListingReader();
  if (scanXml(xml, reader) !== 'ListBucketResult') throw new XmlError('not a listing');
  const { objects, prefixes } = reader;
  if (reader.encoded) {
    for (const object of objects) object.key = decodeListedKey(object.key);
    for (let i = 0; i < prefixes.length; i++) prefixes[i] = decodeListedKey(prefixes[i]);
  }
  if (reader.truncated && reader.token === '') throw new XmlError('truncated without a token');
  return { objects, prefixes, nextToken: reader.truncated ? reader.token : undefined };
}

/** The ETag in the result of CopyObject, UploadPartCopy or CompleteMultipartUpload; '' where it is there and empty. */
export function parseResultEtag(xml: string, root: string): { etag: string; crc32?: string } {
  const found = leaves(xml, root);
  const etag = found.get('ETag');
  if (etag === undefined) throw new XmlError('no ETag');
  return { etag: stripQuotes(etag), crc32: found.get('ChecksumCRC32') };
}

/** InitiateMultipartUpload. */
export function parseUploadId(xml: string): string {
  const id = leaves(xml, 'InitiateMultipartUploadResult').get('UploadId');
  if (id === undefined || id === '') throw new XmlError('no UploadId');
  return id;
}

export interface DeleteErrorEntry {
  readonly key: string;
  readonly code: string;
  readonly message: string;
}

/** The errors of a DeleteObjects answer. */
export function parseDeleteResult(xml: string): DeleteErrorEntry[] {
  const errors: DeleteErrorEntry[] = [];
  let key = '';
  let code = '';
  let message = '';
  const root = scanXml(xml, {
    leaf(name, text, parent) {
      if (parent !== 'Error') return;
      if (name === 'Key') key = text;
      else if (name === 'Code') code = text;
      else if (name === 'Message') message = text;
    },
    close(name) {
      if (name !== 'Error') return;
      errors.push({ key, code, message });
      key = code = message = '';
    },
  });
  if (root !== 'DeleteResult') throw new XmlError('not a delete result');
  return errors;
}

export interface UploadsDocument {
  readonly uploads: PendingUpload[];
  readonly nextKey?: string;
  readonly nextId?: string;
}

/** ListMultipartUploads. */
export function parseUploads(xml: string): UploadsDocument {
  const uploads: Array<{ key: string; uploadId: string; initiated: number }> = [];
  const top = new Map<string, string>();
  let entry = new Map<string, string>();
  const root = scanXml(xml, {
    leaf(name, text, parent) {
      if (parent === 'Upload') entry.set(name, text);
      else if (parent === 'ListMultipartUploadsResult') top.set(name, text);
    },
    close(name) {
      if (name !== 'Upload') return;
      const key = entry.get('Key');
      const uploadId = entry.get('UploadId');
      if (key === undefined || uploadId === undefined) throw new XmlError('an entry is incomplete');
      uploads.push({ key, uploadId, initiated: date(entry.get('Initiated') ?? '') });
      entry = new Map();
    },
  });
  if (root !== 'ListMultipartUploadsResult') throw new XmlError('not a list of uploads');
  const decode = top.get('EncodingType') === 'url' ? decodeListedKey : (key: string) => key;
  for (const upload of uploads) upload.key = decode(upload.key);
  if (top.get('IsTruncated') !== 'true') return { uploads };
  const nextKey = top.get('NextKeyMarker');
  return { uploads, nextKey: nextKey && decode(nextKey), nextId: top.get('NextUploadIdMarker') };
}

/** GetObjectTagging. */
export function parseTags(xml: string): Array<[string, string]> {
  const tags: Array<[string, string]> = [];
  let key = '';
  let value = '';
  const root = scanXml(xml, {
    leaf(name, text, parent) {
      if (parent !== 'Tag') return;
      if (name === 'Key') key = text;
      else if (name === 'Value') value = text;
    },
    close(name) {
      if (name !== 'Tag') return;
      tags.push([key, value]);
      key = value = '';
    },
  });
  if (root !== 'Tagging') throw new XmlError('not a tag set');
  return tags;
}
