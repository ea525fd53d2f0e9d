/**
 * PutObject and CopyObject. Bodies carry a CRC32 that the server checks; answers that were lost are recognised by
 * looking at the object; a copy's 200 may carry an error.
 */
import { parseError, parseResultEtag } from './answers.js';
import { crc32, encodeCrc32 } from './crc32.js';
import { addQuotes, md5Etag, stripQuotes } from './etag.js';
import { type HttpHead, headerOf } from './http-transport.js';
import { keepTags } from './kept-tags.js';
import { encodeKey } from './key.js';
import { recoverReply, type Standing, sameMetadata, standing } from './lost-answer.js';
import type { CopyOptions, PutOptions, WriteReply } from './object-client.js';
import { pushAttributes, pushCondition, pushEncryption } from './object-headers.js';
import { parseDocument } from './reading.js';
import { AttemptFailure, type RequestSender, type S3Request } from './request-sender.js';
import { isS3Error, S3Error } from './s3-error.js';

/** Options of the mount that every new object gets. */
export interface WriteDefaults {
  /** Flat pairs: x-amz-server-side-encryption, x-amz-acl and the like. */
  readonly headers: readonly string[];
  /** Every object gets the customer's key, which excludes any other encryption. */
  readonly customerKey?: boolean;
}

function versionOf(head: HttpHead): string | undefined {
  const version = headerOf(head.rawHeaders, 'x-amz-version-id');
  return version === 'null' ? undefined : version;
}

/** Both headers: some servers look at the value only beside the algorithm. */
export function pushCrc32(to: string[], crc: number): void {
  to.push('x-amz-checksum-crc32', encodeCrc32(crc), 'x-amz-sdk-checksum-algorithm', 'CRC32');
}

function replyOf(sender: RequestSender, request: S3Request, head: HttpHead): WriteReply {
  const etag = stripQuotes(headerOf(head.rawHeaders, 'etag') ?? '');
  if (etag === '') throw sender.corrupt(request.operation, request.key, 'the answer has no ETag');
  return { etag, versionId: versionOf(head), date: sender.dateOf(head) };
}

/**
 * A 412 under If-Match is believed only when another version stands: radosgw 16 compares the header as it is with its
 * ETag, so that a quoted one never matches. It also says 412 where nothing stands, which is NotFound.
 */
export async function putObject(
  sender: RequestSender,
  defaults: WriteDefaults,
  key: string,
  body: Uint8Array,
  options: PutOptions = {},
): Promise<WriteReply> {
  const put = (bare: boolean) => putUnderCondition(sender, defaults, key, body, options, bare);
  // Others that are sent meanwhile may find it out first: what counts is how this one was sent.
  const bare = sender.bareIfMatch;
  try {
    return await put(bare);
  } catch (error) {
    if (options.ifMatch === undefined || !isS3Error(error, 'PreconditionFailed')) throw error;
    const found = await standing(sender, key, options.signal).catch(() => Promise.reject(error));
    if (found === undefined) throw new S3Error('NotFound', error.message, error.details);
    if (bare || found.info.etag !== options.ifMatch) throw error;
    const reply = await put(true);
    sender.bareIfMatch = true;
    return reply;
  }
}

async function putUnderCondition(
  sender: RequestSender,
  defaults: WriteDefaults,
  key: string,
  body: Uint8Array,
  options: PutOptions,
  bare: boolean,
): Promise<WriteReply> {
  const operation = 'PutObject';
  const { signal } = options;
  const headers = [...defaults.headers];
  pushAttributes(operation, key, headers, options);
  if (!defaults.customerKey) pushEncryption(headers, options.encryption);
  pushCondition(headers, options, bare);
  const crc = crc32(body);
  pushCrc32(headers, crc);
  const request: S3Request = { operation, method: 'PUT', key, headers, body, signal };
  const state = sender.retryState();
  try {
    const { head } = await sender.retrying(operation, key, signal, () => sender.textOnce(request), state);
    return replyOf(sender, request, head);
  } catch (error) {
    const isOurs = ({ info, crc32: stands }: Standing) =>
      info.size === body.length &&
      sameMetadata(options.metadata ?? {}, info.metadata) &&
      (stands === crc || info.etag === md5Etag(body));
    return recoverReply(sender, key, error, state.failures, signal, isOurs);
  }
}

export interface ResultDocument {
  readonly head: HttpHead;
  readonly etag: string;
  readonly crc32?: string;
}

/** As documentOnce, where the result is nothing without an ETag. */
export async function resultOnce(sender: RequestSender, request: S3Request, root: string): Promise<ResultDocument> {
  const result = await documentOnce(sender, request, root);
  if (result.etag === '') throw sender.corrupt(request.operation, request.key, 'the answer has no ETag');
  return result;
}

/**
 * One attempt of an operation whose 200 carries the result as a document, or an error that came up later. An empty
 * body is an error too (the connection of the work was lost behind the answer's head).
 */
export async function documentOnce(sender: RequestSender, request: S3Request, root: string): Promise<ResultDocument> {
  const { head, text } = await sender.textOnce(request);
  const trimmed = text.trimStart();
  if (trimmed === '') {
    const { operation, key } = request;
    throw new AttemptFailure(
      new S3Error('Server', `${operation}: the answer is empty`, { operation, key, status: 200 }),
      'wait',
    );
  }
  if (parseError(trimmed) !== undefined) throw sender.failure(request, head, trimmed);
  return { head, ...parseDocument(sender, request, trimmed, (xml) => parseResultEtag(xml, root)) };
}

export function copySource(bucket: string, key: string): string {
  return `/${bucket}/${encodeKey(key)}`;
}

function copyHeaders(
  bucket: string,
  defaults: WriteDefaults,
  source: string,
  key: string,
  options: CopyOptions,
): string[] {
  const headers = ['x-amz-copy-source', copySource(bucket, source), ...defaults.headers];
  if (options.sourceIfMatch !== undefined) headers.push('x-amz-copy-source-if-match', addQuotes(options.sourceIfMatch));
  if (options.sourceIfUnmodifiedSince !== undefined) {
    headers.push('x-amz-copy-source-if-unmodified-since', new Date(options.sourceIfUnmodifiedSince).toUTCString());
  }
  if (options.replace !== undefined) {
    headers.push('x-amz-metadata-directive', 'REPLACE');
    pushAttributes('CopyObject', key, headers, options.replace);
    if (options.replace.tags !== undefined) headers.push('x-amz-tagging-directive', 'REPLACE');
  }
  if (!defaults.customerKey) pushEncryption(headers, options.encryption ?? options.replace?.encryption);
  pushCondition(headers, options);
  return headers;
}

export async function copyObject(
  sender: RequestSender,
  bucket: string,
  defaults: WriteDefaults,
  source: string,
  key: string,
  options: CopyOptions = {},
): Promise<WriteReply> {
  const reply = await copyOnce(sender, bucket, defaults, source, key, options);
  await keepTags(sender, 'copies', key, reply, { tags: options.replace?.tags, signal: options.signal });
  return reply;
}

async function copyOnce(
  sender: RequestSender,
  bucket: string,
  defaults: WriteDefaults,
  source: string,
  key: string,
  options: CopyOptions,
): Promise<WriteReply> {
  const operation = 'CopyObject';
  const { signal } = options;
  const headers = copyHeaders(bucket, defaults, source, key, options);
  const request: S3Request = { operation, method: 'PUT', key, headers, signal, slow: true, body: new Uint8Array(0) };
  const state = sender.retryState();
  const begun = sender.now();
  try {
    const attempt = () => resultOnce(sender, request, 'CopyObjectResult');
    const { head, etag } = await sender.retrying(operation, key, signal, attempt, state);
    return { etag, versionId: versionOf(head), date: sender.dateOf(head) };
  } catch (error) {
    const isOurs = (found: Standing) => isOurCopy(sender, source, found, begun, options);
    return recoverReply(sender, key, error, state.failures, signal, isOurs);
  }
}

/** Clocks of client and server may differ by this much, and dates have whole seconds (ms). */
const DATE_SLACK_MS = 2_000;

async function isOurCopy(
  sender: RequestSender,
  source: string,
  { info, crc32: sum }: Standing,
  begun: number,
  options: CopyOptions,
): Promise<boolean> {
  const from = await standing(sender, source, options.signal);
  if (from === undefined || from.info.size !== info.size) return false;
  if (!sameMetadata(options.replace?.metadata ?? from.info.metadata, info.metadata)) return false;
  if (info.lastModified < begun - DATE_SLACK_MS) return false;
  return info.etag === from.info.etag || (sum !== undefined && sum === from.crc32) || from.info.etag.includes('-');
}
