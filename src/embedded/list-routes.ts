/** Listings of objects (both versions), of uploads and of parts, as XML. */
import { LIST_PAGE_KEYS } from '../constants.js';
import { type Handler, isoTime, OWNER, type Service, xmlAnswer } from './answer.js';
import { elementOf } from './checksum.js';
import { Failure } from './failure.js';
import { KeyIndex } from './key-index.js';
import { listPage, type Page } from './listing.js';
import { type ObjectRecord, quoted } from './record.js';
import { numberOf, type S3Request } from './request.js';
import type { Upload } from './store.js';
import { element, escapeXml, optional } from './xml.js';

const MAX_NUMBER = 2 ** 31 - 1;
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what XML 1.0 cannot carry.
const unwritable = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g;
const owner = `<Owner>${element('ID', OWNER)}</Owner>`;

type Encode = (text: string) => string;

function encoder(request: S3Request): Encode {
  const type = request.query.get('encoding-type');
  if (type === undefined || type === '') return (text) => text;
  if (type !== 'url') throw new Failure('InvalidArgument', { message: 'Invalid Encoding Method specified in Request' });
  return (text) =>
    encodeURIComponent(text)
      .replace(/%20|%2F/g, (code) => (code === '%20' ? '+' : '/'))
      .replace(/[!'()~]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
}

interface Listing {
  readonly page: Page;
  readonly maxKeys: number;
  readonly encode: Encode;
  /** Elements that both versions have. */
  readonly common: string;
  readonly entries: string;
}

function list(service: Service, request: S3Request, after: string, owned: boolean): Listing {
  const bucket = service.store.bucket(request.bucket);
  const encode = encoder(request);
  const prefix = request.query.get('prefix') ?? '';
  const delimiter = request.query.get('delimiter') ?? '';
  const maxKeys = Math.min(numberOf(request, 'max-keys', 0, MAX_NUMBER) ?? LIST_PAGE_KEYS, LIST_PAGE_KEYS);
  const page = listPage(bucket.index.view(), { prefix, delimiter, after, maxKeys });
  const common =
    element('Name', bucket.name) +
    element('Prefix', encode(prefix)) +
    element('MaxKeys', maxKeys) +
    (delimiter && element('Delimiter', encode(delimiter))) +
    optional('EncodingType', request.query.get('encoding-type') || undefined) +
    element('IsTruncated', page.next !== undefined);
  const more = owned ? owner : '';
  const metadata = service.imitatesMinio && request.query.get('metadata') === 'true' ? minioMetadata : () => '';
  let entries = '';
  for (const key of page.keys) {
    const record = bucket.objects.get(key)!;
    entries += contents(encode(key), record, more + metadata(record));
  }
  for (const one of page.prefixes) entries += `<CommonPrefixes>${element('Prefix', encode(one))}</CommonPrefixes>`;
  return { page, maxKeys, encode, common, entries };
}

/**
 * As MinIO writes it (cmd/api-response.go): the names of the headers are elements, and what XML cannot carry becomes
 * U+FFFD.
 */
function minioMetadata(record: ObjectRecord): string {
  const headers = [
    ...Object.entries(record.headers),
    ...Object.entries(record.metadata).map(([name, value]) => [`X-Amz-Meta-${capitalised(name)}`, value]),
  ];
  const told = headers.map(([name, value]) => element(name, value.replace(unwritable, '\ufffd'))).join('');
  const tags = record.tags?.map((tag) => tag.map(encodeURIComponent).join('=')).join('&');
  return `<UserMetadata>${told}</UserMetadata>${optional('UserTags', tags)}<Internal><K>1</K><M>0</M></Internal>`;
}

function capitalised(name: string): string {
  return name.replace(/(^|-)[a-z]/g, (letter) => letter.toUpperCase());
}

function contents(key: string, record: ObjectRecord, more: string): string {
  const { checksum } = record;
  const sum = checksum
    ? `<ChecksumAlgorithm>${checksum.algorithm.toUpperCase()}</ChecksumAlgorithm><ChecksumType>${checksum.type}</ChecksumType>`
    : '';
  return `<Contents><Key>${escapeXml(key)}</Key><LastModified>${isoTime(record.modified)}</LastModified><ETag>&quot;${
    record.etag
  }&quot;</ETag>${sum}<Size>${record.size}</Size><StorageClass>${record.storageClass ?? 'STANDARD'}</StorageClass>${
    more
  }</Contents>`;
}

const listObjectsV2: Handler = (service, request) => {
  const token = request.query.get('continuation-token');
  const startAfter = request.query.get('start-after');
  const after = token === undefined ? (startAfter ?? '') : Buffer.from(token, 'base64url').toString();
  if (token === '') {
    throw new Failure('InvalidArgument', { message: 'The continuation token provided is incorrect' });
  }
  const { page, common, entries, encode } = list(service, request, after, request.query.get('fetch-owner') === 'true');
  const next = page.next === undefined ? undefined : Buffer.from(page.next).toString('base64url');
  return xmlAnswer(
    'ListBucketResult',
    common +
      element('KeyCount', page.keys.length + page.prefixes.length) +
      optional('StartAfter', startAfter && encode(startAfter)) +
      optional('ContinuationToken', token) +
      optional('NextContinuationToken', next) +
      entries,
  );
};

const listObjects: Handler = (service, request) => {
  const marker = request.query.get('marker') ?? '';
  const { page, common, entries, encode } = list(service, request, marker, true);
  // Without delimiter the last key is the next marker, and AWS does not say it again.
  const next = request.query.get('delimiter') ? page.next && encode(page.next) : undefined;
  return xmlAnswer(
    'ListBucketResult',
    common + element('Marker', encode(marker)) + optional('NextMarker', next) + entries,
  );
};

const listParts: Handler = (service, request) => {
  const { bucket, key, query } = request;
  const { record, parts } = service.store.upload(bucket, key, query.get('uploadId'));
  const marker = numberOf(request, 'part-number-marker', 0, MAX_NUMBER) ?? 0;
  const limit = Math.min(numberOf(request, 'max-parts', 0, MAX_NUMBER) ?? LIST_PAGE_KEYS, LIST_PAGE_KEYS);
  const rest = [...parts.values()].filter(({ number }) => number > marker).sort((a, b) => a.number - b.number);
  const page = rest.slice(0, limit);
  const entries = page.map(({ number, modified, etag, size, checksum }) => {
    const sum = checksum ? element(elementOf(checksum.algorithm), checksum.value) : '';
    const told = element('PartNumber', number) + element('LastModified', isoTime(modified));
    return `<Part>${told}${element('ETag', quoted(etag))}${element('Size', size)}${sum}</Part>`;
  });
  return xmlAnswer(
    'ListPartsResult',
    element('Bucket', bucket) +
      element('Key', encoder(request)(key)) +
      element('UploadId', record.id) +
      element('PartNumberMarker', marker) +
      optional('NextPartNumberMarker', page.at(-1)?.number) +
      element('MaxParts', limit) +
      element('IsTruncated', rest.length > page.length) +
      optional('ChecksumAlgorithm', record.checksum?.algorithm.toUpperCase()) +
      optional('ChecksumType', record.checksum?.type) +
      element('StorageClass', record.attributes.storageClass ?? 'STANDARD') +
      owner +
      entries.join(''),
  );
};

/** Uploads in the order of their keys, those of one key in the order of their begin. */
function sortedUploads(service: Service, bucket: string): { index: KeyIndex; byKey: Map<string, Upload[]> } {
  const index = new KeyIndex();
  const byKey = new Map<string, Upload[]>();
  for (const upload of service.store.uploads.values()) {
    const { key } = upload.record;
    if (upload.record.bucket !== bucket) continue;
    if (!byKey.has(key)) index.add(key);
    byKey.set(key, [...(byKey.get(key) ?? []), upload]);
  }
  for (const uploads of byKey.values()) uploads.sort((a, b) => a.record.created - b.record.created);
  return { index, byKey };
}

const listUploads: Handler = (service, request) => {
  const { bucket, query } = request;
  service.store.bucket(bucket);
  const encode = encoder(request);
  const limit = Math.min(numberOf(request, 'max-uploads', 1, MAX_NUMBER) ?? LIST_PAGE_KEYS, LIST_PAGE_KEYS);
  const prefix = query.get('prefix') ?? '';
  const delimiter = query.get('delimiter') ?? '';
  const keyMarker = query.get('key-marker') ?? '';
  const idMarker = query.get('upload-id-marker') ?? '';
  const { index, byKey } = sortedUploads(service, bucket);
  // The rest of the marker's own key first; upload ids mean nothing without their key.
  const own = idMarker === '' ? [] : (byKey.get(keyMarker) ?? []);
  const begun = own.findIndex(({ record }) => record.id === idMarker);
  const page = listPage(index.view(), { prefix, delimiter, after: keyMarker, maxKeys: limit });
  const all = [...(begun < 0 ? [] : own.slice(begun + 1)), ...page.keys.flatMap((key) => byKey.get(key)!)];
  const shown = all.slice(0, limit);
  const truncated = shown.length < all.length || page.next !== undefined;
  const last = shown.at(-1)?.record;
  const entries = shown.map(({ record }) => {
    const told = element('Key', encode(record.key)) + element('UploadId', record.id);
    const kind = element('StorageClass', record.attributes.storageClass ?? 'STANDARD');
    return `<Upload>${told}${owner}${kind}${element('Initiated', isoTime(record.created))}</Upload>`;
  });
  const groups = page.prefixes.map((one) => `<CommonPrefixes>${element('Prefix', encode(one))}</CommonPrefixes>`);
  return xmlAnswer(
    'ListMultipartUploadsResult',
    element('Bucket', bucket) +
      element('KeyMarker', encode(keyMarker)) +
      element('UploadIdMarker', idMarker) +
      (truncated ? element('NextKeyMarker', encode(last?.key ?? page.next!)) : '') +
      (truncated && last ? element('NextUploadIdMarker', last.id) : '') +
      element('Prefix', encode(prefix)) +
      (delimiter && element('Delimiter', encode(delimiter))) +
      optional('EncodingType', query.get('encoding-type') || undefined) +
      element('MaxUploads', limit) +
      element('IsTruncated', truncated) +
      entries.join('') +
      groups.join(''),
  );
};

export const listRoutes: Record<string, Handler> = {
  ListObjectsV2: listObjectsV2,
  ListObjects: listObjects,
  ListParts: listParts,
  ListMultipartUploads: listUploads,
};
