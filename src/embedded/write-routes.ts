/** PutObject, the deletes, and tagging. */
import { randomBytes } from 'node:crypto';
import { DELETE_BATCH_KEYS, MAX_KEY_BYTES, MAX_PART_BYTES } from '../constants.js';
import { checksumHeaders, emptyAnswer, type Handler, namedAlgorithm, type Service, xmlAnswer } from './answer.js';
import { checkTags, readAttributes } from './attributes.js';
import { type Received, receive, receiveText } from './body.js';
import type { Algorithm } from './checksum.js';
import { checkEtag, checkWrite } from './conditions.js';
import { type Encryption, encryptionHeaders, hidesDigest } from './encryption.js';
import { Failure } from './failure.js';
import { findObject } from './read-routes.js';
import { type ObjectRecord, quoted, type Segment } from './record.js';
import { header, type S3Request } from './request.js';
import { childrenOf, element, parseXml, textOf } from './xml.js';

/** Largest request document (bytes): 1,000 keys of 1,024 bytes as references, or 10,000 parts. */
export const MAX_DOCUMENT_BYTES = 8 << 20;

export function checkKey(key: string): void {
  const size = Buffer.byteLength(key);
  if (size <= MAX_KEY_BYTES) return;
  throw new Failure('KeyTooLongError', { fields: { Size: String(size), MaxSizeAllowed: String(MAX_KEY_BYTES) } });
}

export function checkCondition(service: Service, request: S3Request): boolean {
  // S3 asks for the right to read before it compares an ETag, which would tell about the content.
  if (header(request, 'if-match') !== undefined && service.denied.has('GetObject')) throw new Failure('AccessDenied');
  return checkWrite(request, service.store.bucket(request.bucket).objects.get(request.key));
}

/** Body to blob. The segments belong to the caller. */
export async function receiveContent(
  service: Service,
  request: S3Request,
  wanted?: Algorithm,
): Promise<Received & { segments: Segment[] }> {
  const writer = service.store.blobs.writer();
  try {
    const received = await receive(request, MAX_PART_BYTES, (data) => writer.write(data), wanted);
    return { ...received, segments: await writer.finish() };
  } catch (error) {
    await writer.discard();
    throw error;
  }
}

/** Without MD5 in it under a key of somebody's, as on AWS. */
export function etagOf(md5: string, encryption: Encryption): string {
  return hidesDigest(encryption) ? randomBytes(16).toString('hex') : md5;
}

const putObject: Handler = async (service, request) => {
  service.store.bucket(request.bucket);
  checkKey(request.key);
  const attributes = readAttributes(request);
  const wanted = namedAlgorithm(header(request, 'x-amz-sdk-checksum-algorithm'));
  checkCondition(service, request);
  const { length, md5, checksum, segments } = await receiveContent(service, request, wanted);
  const record: ObjectRecord = {
    ...attributes,
    key: request.key,
    size: length,
    etag: etagOf(md5, attributes),
    modified: service.now(),
    segments,
    checksum: checksum && { ...checksum, type: 'FULL_OBJECT' },
  };
  try {
    checkCondition(service, request);
  } catch (error) {
    service.store.blobs.release(segments);
    throw error;
  }
  service.store.put(request.bucket, record);
  return emptyAnswer(200, {
    etag: quoted(record.etag),
    ...encryptionHeaders(record),
    ...checksumHeaders(record.checksum),
  });
};

const deleteObject: Handler = (service, request) => {
  const existing = service.store.bucket(request.bucket).objects.get(request.key);
  const directoryOnly = ['x-amz-if-match-size', 'x-amz-if-match-last-modified-time'];
  if (directoryOnly.some((name) => header(request, name) !== undefined)) throw new Failure('NotImplemented');
  const match = header(request, 'if-match');
  if (match !== undefined) checkEtag(match, existing, request.key);
  service.store.delete(request.bucket, request.key);
  return emptyAnswer(204);
};

const deleteObjects: Handler = async (service, request) => {
  const bucket = service.store.bucket(request.bucket);
  const names = Object.keys(request.headers);
  if (!names.includes('content-md5') && !names.some((name) => /^x-amz-checksum-|^x-amz-trailer$/.test(name))) {
    throw new Failure('InvalidRequest', {
      message: 'Missing required header for this request: Content-MD5 OR x-amz-checksum-*',
    });
  }
  const root = parseXml(await receiveText(request, MAX_DOCUMENT_BYTES));
  const wanted = childrenOf(root, 'Object').map((node) => ({
    key: textOf(node, 'Key') ?? '',
    etag: textOf(node, 'ETag'),
  }));
  if (wanted.length === 0 || wanted.length > DELETE_BATCH_KEYS || wanted.some(({ key }) => key === '')) {
    throw new Failure('MalformedXML');
  }
  const quiet = textOf(root, 'Quiet') === 'true';
  let result = '';
  for (const { key, etag } of wanted) {
    try {
      if (service.denied.has('DeleteObject')) throw new Failure('AccessDenied');
      if (etag !== undefined) checkEtag(etag, bucket.objects.get(key), key);
      service.store.delete(request.bucket, key);
      if (!quiet) result += `<Deleted>${element('Key', key)}</Deleted>`;
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      const told = element('Code', error.code) + element('Message', error.message);
      result += `<Error>${element('Key', key)}${told}</Error>`;
    }
  }
  return xmlAnswer('DeleteResult', result);
};

const getTagging: Handler = (service, request) => {
  const { tags } = findObject(service, request);
  const set = (tags ?? []).map(([key, value]) => `<Tag>${element('Key', key)}${element('Value', value)}</Tag>`);
  return xmlAnswer('Tagging', `<TagSet>${set.join('')}</TagSet>`);
};

const putTagging: Handler = async (service, request) => {
  const root = parseXml(await receiveText(request, MAX_DOCUMENT_BYTES));
  const set = root.children.find(({ name }) => name === 'TagSet');
  if (!set) throw new Failure('MalformedXML');
  const tags = childrenOf(set, 'Tag').map((tag) => [textOf(tag, 'Key') ?? '', textOf(tag, 'Value') ?? ''] as const);
  service.store.amend(request.bucket, { ...findObject(service, request), tags: checkTags(tags) });
  return emptyAnswer(200);
};

const deleteTagging: Handler = (service, request) => {
  service.store.amend(request.bucket, { ...findObject(service, request), tags: undefined });
  return emptyAnswer(204);
};

export const writeRoutes: Record<string, Handler> = {
  PutObject: putObject,
  DeleteObject: deleteObject,
  DeleteObjects: deleteObjects,
  GetObjectTagging: getTagging,
  PutObjectTagging: putTagging,
  DeleteObjectTagging: deleteTagging,
};
