/**
 * Multipart uploads: create, parts, copied parts, complete, abort, list. Each part carries its CRC32; where every part
 * has one, Complete sends the CRC of the whole object, which the server checks against what it assembled.
 */
import { parseUploadId, parseUploads } from './answers.js';
import { combineCrc32, crc32, decodeCrc32, encodeCrc32 } from './crc32.js';
import { addQuotes, multipartEtag, stripQuotes } from './etag.js';
import { type HttpHead, headerOf } from './http-transport.js';
import { keepTags } from './kept-tags.js';
import { encodeQueryValue } from './key.js';
import { recoverReply, type Standing, standing } from './lost-answer.js';
import type {
  CallOptions,
  CompleteOptions,
  CreateUploadOptions,
  PartCopyOptions,
  PendingUpload,
  UploadedPart,
  WriteReply,
} from './object-client.js';
import { pushAttributes, pushCondition, pushEncryption } from './object-headers.js';
import { parseDocument } from './reading.js';
import type { RequestSender, S3Request } from './request-sender.js';
import { isS3Error } from './s3-error.js';
import { copySource, documentOnce, pushCrc32, resultOnce, type WriteDefaults } from './writing.js';

const nothing = new Uint8Array(0);

/**
 * A lost answer leaves an upload behind that nobody knows; listUploads finds it. MinIO refuses a copied part where the
 * upload has a checksum algorithm, since it computes none for what it copies: such an upload is made without, and
 * begun anew where its own answer is the first to tell that this is MinIO.
 */
export async function createUpload(
  sender: RequestSender,
  defaults: WriteDefaults,
  key: string,
  options: CreateUploadOptions = {},
): Promise<string> {
  const operation = 'CreateMultipartUpload';
  const headers = [...defaults.headers];
  const takesChecksum = () => !(options.copies && sender.server === 'minio');
  const checksum = takesChecksum();
  if (checksum) headers.push('x-amz-checksum-algorithm', 'CRC32', 'x-amz-checksum-type', 'FULL_OBJECT');
  pushAttributes(operation, key, headers, options);
  if (!defaults.customerKey) pushEncryption(headers, options.encryption);
  const { signal } = options;
  const request: S3Request = { operation, method: 'POST', key, query: 'uploads=', headers, body: nothing, signal };
  const uploadId = parseDocument(sender, request, (await sender.text(request)).text, parseUploadId);
  if (takesChecksum() === checksum) return uploadId;
  await abortUpload(sender, key, uploadId, { signal });
  return createUpload(sender, defaults, key, options);
}

export async function uploadPart(
  sender: RequestSender,
  key: string,
  uploadId: string,
  number: number,
  body: Uint8Array,
  options: CallOptions = {},
): Promise<UploadedPart> {
  const operation = 'UploadPart';
  const query = `partNumber=${number}&uploadId=${encodeQueryValue(uploadId)}`;
  const crc = crc32(body);
  const headers: string[] = [];
  pushCrc32(headers, crc);
  const { head } = await sender.text({ operation, method: 'PUT', key, query, headers, body, signal: options.signal });
  const etag = stripQuotes(headerOf(head.rawHeaders, 'etag') ?? '');
  if (etag === '') throw sender.corrupt(operation, key, 'the answer has no ETag');
  return { number, etag, size: body.length, crc32: crc };
}

export async function uploadPartCopy(
  sender: RequestSender,
  bucket: string,
  target: { key: string; uploadId: string; number: number },
  source: string,
  options: PartCopyOptions & { sourceSize: number },
): Promise<UploadedPart> {
  const operation = 'UploadPartCopy';
  const { key, uploadId, number } = target;
  const { start, end, signal, sourceSize } = options;
  const query = `partNumber=${number}&uploadId=${encodeQueryValue(uploadId)}`;
  const headers = ['x-amz-copy-source', copySource(bucket, source)];
  if (start !== undefined || end !== undefined) {
    headers.push('x-amz-copy-source-range', `bytes=${start ?? 0}-${(end ?? sourceSize) - 1}`);
  }
  if (options.sourceIfMatch !== undefined) headers.push('x-amz-copy-source-if-match', addQuotes(options.sourceIfMatch));
  const request: S3Request = { operation, method: 'PUT', key, query, headers, body: nothing, signal, slow: true };
  const result = await sender.retrying(operation, key, signal, () => resultOnce(sender, request, 'CopyPartResult'));
  const sum = result.crc32 === undefined ? undefined : decodeCrc32(result.crc32);
  return { number, etag: result.etag, size: (end ?? sourceSize) - (start ?? 0), crc32: sum };
}

/** CRC32 of the parts one after the other; undefined where one is unknown. */
export function wholeCrc32(parts: readonly UploadedPart[]): number | undefined {
  let whole = 0;
  for (const part of parts) {
    if (part.crc32 === undefined) return undefined;
    whole = combineCrc32(whole, part.crc32, part.size);
  }
  return whole;
}

function completeBody(parts: readonly UploadedPart[]): Uint8Array {
  let xml = '<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">';
  for (const part of parts) {
    const sum = part.crc32 === undefined ? '' : `<ChecksumCRC32>${encodeCrc32(part.crc32)}</ChecksumCRC32>`;
    xml += `<Part><PartNumber>${part.number}</PartNumber><ETag>&quot;${part.etag}&quot;</ETag>${sum}</Part>`;
  }
  return Buffer.from(`${xml}</CompleteMultipartUpload>`);
}

export async function completeUpload(
  sender: RequestSender,
  key: string,
  uploadId: string,
  parts: readonly UploadedPart[],
  options: CompleteOptions,
): Promise<WriteReply> {
  const reply = await completeOnce(sender, key, uploadId, parts, options);
  await keepTags(sender, 'uploads', key, reply, options);
  return reply;
}

async function completeOnce(
  sender: RequestSender,
  key: string,
  uploadId: string,
  parts: readonly UploadedPart[],
  options: CompleteOptions,
): Promise<WriteReply> {
  const operation = 'CompleteMultipartUpload';
  const { signal, size } = options;
  const query = `uploadId=${encodeQueryValue(uploadId)}`;
  const headers = ['content-type', 'application/xml', 'x-amz-mp-object-size', String(size)];
  const crc = wholeCrc32(parts);
  if (crc !== undefined) headers.push('x-amz-checksum-crc32', encodeCrc32(crc), 'x-amz-checksum-type', 'FULL_OBJECT');
  pushCondition(headers, options);
  const body = completeBody(parts);
  const request: S3Request = { operation, method: 'POST', key, query, headers, body, signal, slow: true };
  const state = sender.retryState();
  const expected = multipartEtag(parts.map((part) => part.etag));
  const isOurs = ({ info, crc32: stands }: Standing) =>
    info.size === size && (info.etag === expected || (crc !== undefined && stands === crc));
  try {
    const attempt = () => documentOnce(sender, request, 'CompleteMultipartUploadResult');
    const { head, etag } = await sender.retrying(operation, key, signal, attempt, state);
    const reply = { etag, versionId: versionOf(head), date: sender.dateOf(head) };
    return etag === '' ? await lookUpEtag(sender, key, reply, isOurs, signal) : reply;
  } catch (error) {
    return recoverReply(sender, key, error, state.failures, signal, isOurs);
  }
}

/** radosgw 16 leaves the ETag in its answer to Complete empty; the object has it. */
async function lookUpEtag(
  sender: RequestSender,
  key: string,
  reply: WriteReply,
  isOurs: (found: Standing) => boolean,
  signal: AbortSignal | undefined,
): Promise<WriteReply> {
  const found = await standing(sender, key, signal);
  if (found !== undefined && isOurs(found)) return { ...reply, etag: found.info.etag };
  throw sender.corrupt('CompleteMultipartUpload', key, 'the answer has no ETag, and another object stands');
}

function versionOf(head: HttpHead): string | undefined {
  const version = headerOf(head.rawHeaders, 'x-amz-version-id');
  return version === 'null' ? undefined : version;
}

export async function abortUpload(
  sender: RequestSender,
  key: string,
  uploadId: string,
  options: CallOptions = {},
): Promise<void> {
  const query = `uploadId=${encodeQueryValue(uploadId)}`;
  try {
    await sender.text({
      operation: 'AbortMultipartUpload',
      method: 'DELETE',
      key,
      query,
      headers: [],
      signal: options.signal,
    });
  } catch (error) {
    if (!isS3Error(error, 'NotFound')) throw error;
  }
}

export async function listUploads(
  sender: RequestSender,
  prefix: string,
  options: CallOptions = {},
): Promise<PendingUpload[]> {
  const operation = 'ListMultipartUploads';
  const found: PendingUpload[] = [];
  let marker: { key: string; id: string } | undefined;
  for (;;) {
    let query = 'encoding-type=url';
    if (marker !== undefined) query += `&key-marker=${encodeQueryValue(marker.key)}`;
    query += '&max-uploads=1000';
    if (prefix !== '') query += `&prefix=${encodeQueryValue(prefix)}`;
    if (marker !== undefined && marker.id !== '') query += `&upload-id-marker=${encodeQueryValue(marker.id)}`;
    query += '&uploads=';
    const request: S3Request = { operation, method: 'GET', query, headers: [], signal: options.signal };
    const page = parseDocument(sender, request, (await sender.text(request)).text, parseUploads);
    found.push(...page.uploads);
    if (page.nextKey === undefined) return found;
    const next = { key: page.nextKey, id: page.nextId ?? '' };
    if (next.key === marker?.key && next.id === marker.id) {
      throw sender.corrupt(operation, undefined, 'the list of uploads does not advance');
    }
    marker = next;
  }
}
