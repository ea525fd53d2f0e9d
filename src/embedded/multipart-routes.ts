/** The life of a multipart upload: create, upload or copy parts, complete, abort. */
import { createHash, randomBytes } from 'node:crypto';
import { MAX_PARTS, MIN_PART_BYTES } from '../constants.js';
import {
  checksumElements,
  emptyAnswer,
  type Handler,
  isoTime,
  namedAlgorithm,
  type Service,
  xmlAnswer,
} from './answer.js';
import { readAttributes } from './attributes.js';
import { receiveText } from './body.js';
import { canBeFullObject, compositeSum, elementOf, fullObjectSum } from './checksum.js';
import { checksumOf, findSource, opaqueEtag, sourceRange } from './copy-source.js';
import { checkPartKey, encryptionHeaders } from './encryption.js';
import { Failure } from './failure.js';
import { type Checksum, type ObjectRecord, type PartRecord, quoted, type UploadRecord, unquoted } from './record.js';
import { header, numberOf, type S3Request } from './request.js';
import type { Upload } from './store.js';
import { checkCondition, checkKey, etagOf, MAX_DOCUMENT_BYTES, receiveContent } from './write-routes.js';
import { childrenOf, element, parseXml, textOf, type XmlNode } from './xml.js';

const createUpload: Handler = (service, request) => {
  const { bucket, key } = request;
  service.store.bucket(bucket);
  checkKey(key);
  const checksum = wantedChecksum(request);
  const upload: UploadRecord = {
    id: randomBytes(24).toString('base64url'),
    bucket,
    key,
    created: service.now(),
    attributes: readAttributes(request),
    checksum,
  };
  service.store.createUpload(upload);
  const content = element('Bucket', bucket) + element('Key', key) + element('UploadId', upload.id);
  return xmlAnswer('InitiateMultipartUploadResult', content, {
    ...encryptionHeaders(upload.attributes),
    ...(checksum && {
      'x-amz-checksum-algorithm': checksum.algorithm.toUpperCase(),
      'x-amz-checksum-type': checksum.type,
    }),
  });
};

function wantedChecksum(request: S3Request): UploadRecord['checksum'] {
  const algorithm = namedAlgorithm(header(request, 'x-amz-checksum-algorithm'));
  const type = header(request, 'x-amz-checksum-type');
  const refuse = (message: string) => new Failure('InvalidRequest', { message });
  if (!algorithm) {
    if (type === undefined) return undefined;
    throw refuse('The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.');
  }
  const chosen = type ?? (algorithm === 'crc64nvme' ? 'FULL_OBJECT' : 'COMPOSITE');
  const possible =
    chosen === 'FULL_OBJECT' ? canBeFullObject(algorithm) : chosen === 'COMPOSITE' && algorithm !== 'crc64nvme';
  if (possible) return { algorithm, type: chosen as Checksum['type'] };
  throw refuse(`The ${chosen} checksum type cannot be used with the ${algorithm.toUpperCase()} checksum algorithm.`);
}

function uploadOf(service: Service, request: S3Request): Upload {
  service.store.bucket(request.bucket);
  return service.store.upload(request.bucket, request.key, request.query.get('uploadId'));
}

function partNumber(request: S3Request): number {
  const number = numberOf(request, 'partNumber', 1, MAX_PARTS);
  if (number === undefined) throw new Failure('InvalidArgument', { message: 'Part number must be an integer' });
  return number;
}

const uploadPart: Handler = async (service, request) => {
  const { record } = uploadOf(service, request);
  const number = partNumber(request);
  checkPartKey(request, record.attributes);
  const wanted = record.checksum?.algorithm ?? namedAlgorithm(header(request, 'x-amz-sdk-checksum-algorithm'));
  const { length, md5, checksum, segments } = await receiveContent(service, request, wanted);
  try {
    if (record.checksum && checksum?.algorithm !== record.checksum.algorithm) {
      throw new Failure('InvalidRequest', {
        message: `Checksum Type mismatch occurred, expected checksum Type: ${record.checksum.algorithm}, actual checksum Type: ${checksum?.algorithm}`,
      });
    }
    // It may have ended while the part was on its way.
    uploadOf(service, request);
  } catch (error) {
    service.store.blobs.release(segments);
    throw error;
  }
  const etag = etagOf(md5, record.attributes);
  service.store.putPart(record.id, { number, size: length, etag, modified: service.now(), segments, checksum });
  return emptyAnswer(200, {
    etag: quoted(etag),
    ...encryptionHeaders(record.attributes),
    ...(checksum && { [`x-amz-checksum-${checksum.algorithm}`]: checksum.value }),
  });
};

const uploadPartCopy: Handler = async (service, request) => {
  const { store } = service;
  const { record } = uploadOf(service, request);
  const number = partNumber(request);
  checkPartKey(request, record.attributes);
  const source = findSource(service, request).record;
  const { segments, size } = sourceRange(request, source);
  store.blobs.retain(segments);
  try {
    const checksum = record.checksum && (await checksumOf(store.blobs, record.checksum.algorithm, segments));
    uploadOf(service, request);
    const etag = opaqueEtag(source.etag, header(request, 'x-amz-copy-source-range') ?? `0-${size}`);
    const modified = service.now();
    store.putPart(record.id, { number, size, etag, modified, segments, checksum });
    const sum = checksum ? element(elementOf(checksum.algorithm), checksum.value) : '';
    const content = element('LastModified', isoTime(modified)) + element('ETag', quoted(etag)) + sum;
    return xmlAnswer('CopyPartResult', content, encryptionHeaders(record.attributes));
  } catch (error) {
    store.blobs.release(segments);
    throw error;
  }
};

const completeUpload: Handler = async (service, request) => {
  const { store } = service;
  store.bucket(request.bucket);
  const earlier = () => store.completed(request.bucket, request.key, request.query.get('uploadId') ?? '');
  if (!earlier()) uploadOf(service, request);
  const root = parseXml(await receiveText(request, MAX_DOCUMENT_BYTES));
  // Asked behind the body: another Complete may have come first meanwhile.
  const before = earlier();
  if (before) return completed(service, request, before);
  const upload = uploadOf(service, request);
  const parts = chosenParts(upload, childrenOf(root, 'Part'));
  const record = joinParts(upload.record, parts);
  checkWhole(request, record);
  // A condition that is false is 412 or 404; one that holds is refused all the same when the key was touched.
  if (checkCondition(service, request) && upload.record.disturbed && service.strictMultipart) {
    const condition = header(request, 'if-match') === undefined ? 'If-None-Match' : 'If-Match';
    throw new Failure('ConditionalRequestConflict', { fields: { Condition: condition, Key: request.key } });
  }
  store.complete(upload.record.id, record);
  return completed(service, request, record);
};

function completed(service: Service, request: S3Request, record: ObjectRecord) {
  const content =
    element('Location', `${service.endpoint}/${request.bucket}/${encodeURIComponent(record.key)}`) +
    element('Bucket', request.bucket) +
    element('Key', record.key) +
    element('ETag', quoted(record.etag));
  const headers = encryptionHeaders(record);
  return xmlAnswer('CompleteMultipartUploadResult', content + checksumElements(record.checksum), headers);
}

function chosenParts(upload: Upload, nodes: readonly XmlNode[]): PartRecord[] {
  if (nodes.length === 0 || nodes.length > MAX_PARTS) throw new Failure('MalformedXML');
  let previous = 0;
  const parts = nodes.map((node) => {
    const number = Number(textOf(node, 'PartNumber'));
    const etag = textOf(node, 'ETag');
    if (!Number.isInteger(number) || etag === undefined) throw new Failure('MalformedXML');
    if (number <= previous) throw new Failure('InvalidPartOrder', { fields: { UploadId: upload.record.id } });
    previous = number;
    const part = upload.parts.get(number);
    const told = part?.checksum && textOf(node, elementOf(part.checksum.algorithm));
    if (!part || part.etag !== unquoted(etag) || (told !== undefined && told !== part.checksum!.value)) {
      throw new Failure('InvalidPart', {
        fields: { UploadId: upload.record.id, PartNumber: String(number), ETag: unquoted(etag) },
      });
    }
    return part;
  });
  const small = parts.find((part, index) => part.size < MIN_PART_BYTES && index < parts.length - 1);
  if (!small) return parts;
  throw new Failure('EntityTooSmall', {
    fields: {
      ProposedSize: String(small.size),
      MinSizeAllowed: String(MIN_PART_BYTES),
      PartNumber: String(small.number),
      ETag: small.etag,
    },
  });
}

function joinParts(upload: UploadRecord, parts: readonly PartRecord[]): ObjectRecord {
  const md5 = createHash('md5');
  for (const { etag } of parts) md5.update(etag, 'hex');
  return {
    ...upload.attributes,
    key: upload.key,
    size: parts.reduce((sum, { size }) => sum + size, 0),
    etag: `${etagOf(md5.digest('hex'), upload.attributes)}-${parts.length}`,
    // AWS dates the object at its Create, not at its Complete.
    modified: upload.created,
    segments: parts.flatMap(({ segments }) => segments),
    parts: parts.map(({ number, size, checksum }) => ({ number, size, checksum: upload.checksum && checksum?.value })),
    checksum: joinedChecksum(upload, parts),
  };
}

function joinedChecksum({ checksum }: UploadRecord, parts: readonly PartRecord[]): Checksum | undefined {
  if (!checksum) return undefined;
  const sums = parts.map((part) => ({ value: part.checksum!.value, size: part.size }));
  const { algorithm, type } = checksum;
  const value = type === 'FULL_OBJECT' ? fullObjectSum(algorithm, sums) : compositeSum(algorithm, sums);
  return { algorithm, type, value };
}

/** What the client says about the whole object must be so. */
function checkWhole(request: S3Request, record: ObjectRecord): void {
  const size = header(request, 'x-amz-mp-object-size');
  if (size !== undefined && Number(size) !== record.size) {
    throw new Failure('InvalidRequest', {
      message: `The provided 'x-amz-mp-object-size' header value ${size} does not match what was computed: ${record.size}`,
    });
  }
  const type = header(request, 'x-amz-checksum-type');
  if (type !== undefined && type !== record.checksum?.type) {
    throw new Failure('InvalidRequest', { message: 'The checksum type is not that of the upload' });
  }
  const { algorithm, value } = record.checksum ?? {};
  const told = algorithm && header(request, `x-amz-checksum-${algorithm}`);
  if (told === undefined || told === value) return;
  const label = algorithm!.toUpperCase();
  throw new Failure('BadDigest', { message: `The ${label} you specified did not match the calculated checksum.` });
}

const abortUpload: Handler = (service, request) => {
  const id = request.query.get('uploadId') ?? '';
  // As MinIO and AWS: aborting what is complete does nothing.
  if (!service.store.completed(request.bucket, request.key, id)) {
    service.store.abort(uploadOf(service, request).record.id);
  }
  return emptyAnswer(204);
};

export const multipartRoutes: Record<string, Handler> = {
  CreateMultipartUpload: createUpload,
  UploadPart: uploadPart,
  UploadPartCopy: uploadPartCopy,
  CompleteMultipartUpload: completeUpload,
  AbortMultipartUpload: abortUpload,
};
