/**
 * CopyObject. A copy is a new record over the same segments. What AWS loses on a copy (storage class, redirect,
 * encryption, the parts of a multipart object) is lost here too.
 */
import { checksumElements, type Handler, isoTime, namedAlgorithm, type Service, xmlAnswer } from './answer.js';
import { readContentHeaders, readMetadata, readPlacement, readTags } from './attributes.js';
import { type CopySource, checksumOf, findSource, md5Of, opaqueEtag, sourceRange } from './copy-source.js';
import { encryptionHeaders, hidesDigest } from './encryption.js';
import { Failure } from './failure.js';
import { type Attributes, type Checksum, type ObjectRecord, quoted } from './record.js';
import { header, type S3Request } from './request.js';
import { checkCondition, checkKey, etagOf } from './write-routes.js';
import { element } from './xml.js';

/** Copies of larger multipart objects get an opaque ETag: the MD5 would take seconds. */
const HASHED_COPY_BYTES = 64 << 20;

const copyObject: Handler = async (service, request) => {
  const { store } = service;
  store.bucket(request.bucket);
  checkKey(request.key);
  const source = findSource(service, request);
  const { record: from } = source;
  sourceRange(request, from);
  const attributes = attributesOf(request, source);
  checkCondition(service, request);
  // One reference for the copy, taken now because the source may go while digests are read.
  store.blobs.retain(from.segments);
  try {
    const etag = etagOf(await contentEtag(service, from), attributes);
    const checksum = await copiedChecksum(service, request, from);
    checkCondition(service, request);
    const { segments, size } = from;
    const modified = service.now();
    store.put(request.bucket, { ...attributes, key: request.key, size, etag, modified, segments, checksum });
    const content = element('LastModified', isoTime(modified)) + element('ETag', quoted(etag));
    return xmlAnswer('CopyObjectResult', content + checksumElements(checksum), encryptionHeaders(attributes));
  } catch (error) {
    store.blobs.release(from.segments);
    throw error;
  }
};

function directive(request: S3Request, name: string): 'COPY' | 'REPLACE' {
  const value = header(request, name) ?? 'COPY';
  if (value === 'COPY' || value === 'REPLACE') return value;
  throw new Failure('InvalidArgument', {
    message: `Unknown ${name === 'x-amz-metadata-directive' ? 'metadata' : 'tagging'} directive.`,
    fields: { ArgumentName: name, ArgumentValue: value },
  });
}

function attributesOf(request: S3Request, { bucket, record }: CopySource): Attributes {
  const replace = directive(request, 'x-amz-metadata-directive') === 'REPLACE';
  const placement = readPlacement(request);
  const changes = [
    ...['x-amz-storage-class', 'x-amz-website-redirect-location', 'x-amz-server-side-encryption'],
    'x-amz-server-side-encryption-customer-algorithm',
  ];
  const same = bucket === request.bucket && record.key === request.key;
  if (same && !replace && !changes.some((name) => header(request, name) !== undefined)) {
    throw new Failure('InvalidRequest', {
      message:
        "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes.",
    });
  }
  const retag = directive(request, 'x-amz-tagging-directive') === 'REPLACE';
  return {
    headers: replace ? readContentHeaders(request) : record.headers,
    metadata: replace ? readMetadata(request) : record.metadata,
    tags: retag ? readTags(header(request, 'x-amz-tagging')) : record.tags,
    ...placement,
  };
}

async function contentEtag({ store }: Service, from: ObjectRecord): Promise<string> {
  if (!from.parts && !hidesDigest(from)) return from.etag;
  return from.size <= HASHED_COPY_BYTES ? md5Of(store.blobs, from.segments) : opaqueEtag(from.etag, 'copy');
}

async function copiedChecksum(
  { store }: Service,
  request: S3Request,
  from: ObjectRecord,
): Promise<Checksum | undefined> {
  const algorithm = namedAlgorithm(header(request, 'x-amz-checksum-algorithm')) ?? from.checksum?.algorithm;
  if (!algorithm) return undefined;
  if (from.checksum?.algorithm === algorithm && from.checksum.type === 'FULL_OBJECT') return from.checksum;
  return { ...(await checksumOf(store.blobs, algorithm, from.segments)), type: 'FULL_OBJECT' };
}

export const copyRoutes: Record<string, Handler> = { CopyObject: copyObject };
