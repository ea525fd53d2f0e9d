/** GetObject, HeadObject and GetObjectAttributes. */
import { type Answer, checksumHeaders, type Handler, type Headers, type Service, xmlAnswer } from './answer.js';
import { attributeHeaders } from './attributes.js';
import { elementOf } from './checksum.js';
import { checkRead } from './conditions.js';
import { checkDecryption } from './encryption.js';
import { Failure } from './failure.js';
import { type Checksum, type ObjectRecord, quoted, sliceSegments } from './record.js';
import { header, numberOf, type S3Request } from './request.js';
import { element, optional } from './xml.js';

interface Span {
  readonly start: number;
  readonly length: number;
  readonly partial: boolean;
}

export function findObject(service: Service, request: S3Request): ObjectRecord {
  const record = service.store.bucket(request.bucket).objects.get(request.key);
  if (record) return record;
  // Who may not list must not learn from a read what is there.
  if (service.denied.has('ListObjectsV2')) throw new Failure('AccessDenied');
  throw new Failure('NoSuchKey', { fields: { Key: request.key } });
}

export function checkReadable(record: ObjectRecord): void {
  if (record.storageClass === 'GLACIER' || record.storageClass === 'DEEP_ARCHIVE') {
    throw new Failure('InvalidObjectState', { fields: { StorageClass: record.storageClass } });
  }
}

const getObject: Handler = (service, request) => {
  const record = findObject(service, request);
  checkRead(request, record);
  checkDecryption(request, record);
  if (request.method === 'GET') checkReadable(record);
  const span = spanOf(request, record);
  const headers: Headers = {
    'last-modified': new Date(record.modified).toUTCString(),
    etag: quoted(record.etag),
    'accept-ranges': 'bytes',
    ...attributeHeaders(record),
    ...overrides(request),
    'content-length': span.length,
  };
  if (span.partial) headers['content-range'] = `bytes ${span.start}-${span.start + span.length - 1}/${record.size}`;
  if (request.query.has('partNumber') && record.parts) headers['x-amz-mp-parts-count'] = record.parts.length;
  if (header(request, 'x-amz-checksum-mode')?.toUpperCase() === 'ENABLED') {
    Object.assign(headers, checksumHeaders(checksumOf(record, span)));
  }
  const status = span.partial ? 206 : 200;
  if (request.method === 'HEAD') return { status, headers };
  const whole = span.length === record.size;
  const segments = whole ? record.segments : sliceSegments(record.segments, span.start, span.length);
  service.store.blobs.retain(segments);
  return { status, headers, body: { segments, length: span.length } };
};

function spanOf(request: S3Request, record: ObjectRecord): Span {
  const part = numberOf(request, 'partNumber', 1, 10_000);
  const range = header(request, 'range');
  if (part === undefined) return rangeOf(range, record.size);
  if (range !== undefined) {
    throw new Failure('InvalidRequest', { message: 'Cannot specify both Range header and partNumber query parameter' });
  }
  if (!record.parts && part === 1) return { start: 0, length: record.size, partial: record.size > 0 };
  const span = record.parts && partSpans(record).find(({ number }) => number === part);
  if (!span) {
    throw new Failure('InvalidPartNumber', {
      fields: { PartNumberRequested: String(part), ActualPartCount: String(record.parts?.length ?? 1) },
    });
  }
  return { start: span.start, length: span.size, partial: true };
}

function partSpans(record: ObjectRecord) {
  let start = 0;
  return record.parts!.map((part) => {
    const span = { ...part, start };
    start += part.size;
    return span;
  });
}

/** Ranges that S3 does not understand (several, reversed, malformed) count as none. */
function rangeOf(range: string | undefined, size: number): Span {
  const whole = { start: 0, length: size, partial: false };
  const match = /^bytes=(\d*)-(\d*)$/.exec(range?.trim() ?? '');
  if (!match || (match[1] === '' && match[2] === '')) return whole;
  const last = match[2] === '' ? size - 1 : Math.min(Number(match[2]), size - 1);
  if (match[1] === '') {
    const length = Math.min(Number(match[2]), size);
    if (length === 0) throw unsatisfiable(range!, size);
    return { start: size - length, length, partial: true };
  }
  const start = Number(match[1]);
  if (match[2] !== '' && Number(match[2]) < start) return whole;
  if (start >= size) throw unsatisfiable(range!, size);
  return { start, length: last - start + 1, partial: true };
}

function unsatisfiable(range: string, size: number): Failure {
  return new Failure('InvalidRange', {
    fields: { RangeRequested: range, ActualObjectSize: String(size) },
    headers: { 'content-range': `bytes */${size}` },
  });
}

// For a range, AWS sends a checksum only when it is that of exactly these bytes: all of them, or one part.
function checksumOf(record: ObjectRecord, span: Span): Checksum | undefined {
  if (!record.checksum || span.length === record.size) return record.checksum;
  if (!record.parts) return undefined;
  const part = partSpans(record).find(({ start, size }) => start === span.start && size === span.length);
  return part?.checksum === undefined ? undefined : { ...record.checksum, value: part.checksum };
}

function overrides(request: S3Request): Headers {
  const headers: Headers = {};
  for (const [name, value] of request.query) {
    const match = /^response-(cache-control|content-(?:disposition|encoding|language|type)|expires)$/.exec(name);
    if (match) headers[match[1]!] = value;
  }
  return headers;
}

const getObjectAttributes: Handler = (service, request): Answer => {
  const record = findObject(service, request);
  checkDecryption(request, record);
  const wanted = (header(request, 'x-amz-object-attributes') ?? '').split(',').map((name) => name.trim());
  let content = '';
  if (wanted.includes('ETag')) content += element('ETag', record.etag);
  if (wanted.includes('Checksum') && record.checksum) {
    const { algorithm, value, type } = record.checksum;
    content += `<Checksum>${element(elementOf(algorithm), value)}${element('ChecksumType', type)}</Checksum>`;
  }
  if (wanted.includes('ObjectParts') && record.parts) content += partsElement(request, record);
  if (wanted.includes('StorageClass')) content += element('StorageClass', record.storageClass ?? 'STANDARD');
  if (wanted.includes('ObjectSize')) content += element('ObjectSize', record.size);
  return xmlAnswer('GetObjectAttributesResponse', content, {
    'last-modified': new Date(record.modified).toUTCString(),
  });
};

function partsElement(request: S3Request, record: ObjectRecord): string {
  const count = element('PartsCount', record.parts!.length);
  // AWS lists the single parts only when they were uploaded with checksums.
  if (!record.parts!.every(({ checksum }) => checksum !== undefined)) return `<ObjectParts>${count}</ObjectParts>`;
  const marker = Number(header(request, 'x-amz-part-number-marker') ?? 0);
  const limit = Math.min(Number(header(request, 'x-amz-max-parts') ?? 1000), 1000);
  const rest = record.parts!.filter(({ number }) => number > marker);
  const page = rest.slice(0, limit);
  const parts = page.map(({ number, size, checksum }) => {
    const sum = optional(elementOf(record.checksum!.algorithm), checksum);
    return `<Part>${element('PartNumber', number)}${element('Size', size)}${sum}</Part>`;
  });
  return `<ObjectParts>${count}${element('PartNumberMarker', marker)}${element('MaxParts', limit)}${optional(
    'NextPartNumberMarker',
    page.at(-1)?.number,
  )}${element('IsTruncated', rest.length > page.length)}${parts.join('')}</ObjectParts>`;
}

export const readRoutes: Record<string, Handler> = {
  GetObject: getObject,
  HeadObject: getObject,
  GetObjectAttributes: getObjectAttributes,
};
