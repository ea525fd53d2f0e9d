/**
 * HEAD, GET and GetObjectTagging. A GET is believed only when its status, range, length and ETag are what was asked:
 * servers ignore ranges, connections end early and objects are replaced while they are read. A body that breaks off
 * goes on behind its last byte under If-Match, so that the reader sees one version without gap.
 */
import { parseTags } from './answers.js';
import { addQuotes } from './etag.js';
import type { BodySink, HttpHead } from './http-transport.js';
import type { CallOptions, GetOptions, ObjectInfo } from './object-client.js';
import { objectInfo, type ReceivedHeaders, readObjectHeaders } from './object-headers.js';
import { AttemptFailure, type RequestSender, type S3Request } from './request-sender.js';
import type { RetryState } from './retry.js';
import { isS3Error, S3Error } from './s3-error.js';
import { XmlError } from './xml.js';

const ignore: BodySink = () => {};

function infoOf(sender: RequestSender, operation: string, key: string, head: HttpHead, size?: number): ObjectInfo {
  const received = readObjectHeaders(head);
  const length = size ?? received.contentLength;
  if (length === undefined || !Number.isSafeInteger(length) || received.etag === '') {
    throw sender.corrupt(operation, key, 'the answer has no length or no ETag');
  }
  return objectInfo(key, length, received, sender.options.clock.now());
}

/** Statuses of a HEAD whose cause only an error document tells. */
const unclear = new Set([301, 400, 403]);

export async function headObject(sender: RequestSender, key: string, options: CallOptions = {}): Promise<ObjectInfo> {
  const { signal } = options;
  return sender.retrying('HeadObject', key, signal, async () => {
    try {
      const head = await sender.once(
        { operation: 'HeadObject', method: 'HEAD', key, headers: [], signal },
        () => ignore,
      );
      return infoOf(sender, 'HeadObject', key, head);
    } catch (error) {
      if (!(error instanceof AttemptFailure) || error.remedy !== 'none') throw error;
      if (!unclear.has(error.error.details.status ?? 0)) throw error;
      return explainHead(sender, key, signal);
    }
  });
}

/** Repeats a refused HEAD as a GET of one byte, which carries an error document. It may also succeed. */
async function explainHead(sender: RequestSender, key: string, signal: AbortSignal | undefined): Promise<ObjectInfo> {
  const request: S3Request = { operation: 'GetObject', method: 'GET', key, headers: ['range', 'bytes=0-0'], signal };
  const head = await sender.once(
    request,
    () => ignore,
    (status) => status === 416,
  );
  const received = readObjectHeaders(head);
  const size = head.status === 206 ? parseContentRange(received.contentRange)?.total : (received.contentLength ?? 0);
  if (head.status === 416 || size === undefined) throw sender.corrupt('HeadObject', key, 'HEAD and GET contradict');
  return infoOf(sender, 'HeadObject', key, head, size);
}

interface ContentRange {
  readonly first: number;
  readonly last: number;
  readonly total: number;
}

export function parseContentRange(value: string | undefined): ContentRange | undefined {
  const match = /^bytes (\d{1,16})-(\d{1,16})\/(\d{1,16})$/.exec(value ?? '');
  return match === null ? undefined : { first: Number(match[1]), last: Number(match[2]), total: Number(match[3]) };
}

/** One call of get: what has arrived, and of which version. */
class GetCall {
  info: ObjectInfo | undefined;
  #position: number;
  #lookups = 0;

  constructor(
    readonly sender: RequestSender,
    readonly key: string,
    readonly options: GetOptions,
  ) {
    this.#position = options.start ?? 0;
  }

  get #ranged(): boolean {
    return this.options.start !== undefined || this.options.end !== undefined || this.info !== undefined;
  }

  async attempt(state: RetryState): Promise<ObjectInfo> {
    const { key, options, info } = this;
    const headers: string[] = [];
    const end = info === undefined ? options.end : Math.min(options.end ?? info.size, info.size);
    if (info !== undefined && this.#position >= end!) return info;
    if (this.#ranged) headers.push('range', `bytes=${this.#position}-${end === undefined ? '' : end - 1}`);
    const pinned = info?.etag ?? options.ifMatch;
    if (pinned !== undefined) headers.push('if-match', addQuotes(pinned));
    else if (options.ifNoneMatch !== undefined) headers.push('if-none-match', addQuotes(options.ifNoneMatch));
    const { signal } = options;
    const expectBytes = end === undefined ? undefined : end - this.#position;
    const request: S3Request = { operation: 'GetObject', method: 'GET', key, headers, signal, expectBytes };
    let left = 0;
    const onHead = (head: HttpHead): BodySink => {
      if (head.status === 416) return ignore;
      left = this.#begin(head, pinned, end);
      return (piece) => {
        left -= piece.length;
        if (left < 0) throw this.#corrupt('the body is longer than announced');
        this.#position += piece.length;
        state.progress();
        options.onData(piece);
      };
    };
    const head = await this.sender.once(request, onHead, (status) => status === 416);
    if (head.status === 416) return this.#behindTheEnd();
    if (left > 0) throw this.#short(left);
    return this.info!;
  }

  /** Checks an answer against what was asked; answers the bytes its body must have. */
  #begin(head: HttpHead, pinned: string | undefined, end: number | undefined): number {
    const received = readObjectHeaders(head);
    const { size, length } = this.#extent(head.status, received, end);
    if (received.etag === '') throw this.#corrupt('the answer has no ETag');
    if (pinned !== undefined && received.etag !== pinned) throw this.#corrupt('the answer is of another version');
    if (received.contentLength !== undefined && received.contentLength !== length) {
      throw this.#corrupt(`${received.contentLength} bytes announced where ${length} were asked`);
    }
    if (this.info === undefined) {
      this.info = objectInfo(this.key, size, received, this.sender.options.clock.now());
      this.options.onInfo?.(this.info);
    } else if (this.info.size !== size) throw this.#corrupt('the size changed under one ETag');
    return length;
  }

  #extent(status: number, received: ReceivedHeaders, end: number | undefined): { size: number; length: number } {
    if (status === 200) {
      const size = received.contentLength;
      if (size === undefined || !Number.isSafeInteger(size)) throw this.#corrupt('the answer has no length');
      const covers = this.#position === 0 && (end === undefined || end >= size);
      if (this.#ranged && !covers) throw this.#corrupt('the server ignored the range');
      return { size, length: size };
    }
    const range = status === 206 && this.#ranged ? parseContentRange(received.contentRange) : undefined;
    if (range === undefined) throw this.#corrupt(`status ${status} without the range that was asked`);
    const last = Math.min(end ?? range.total, range.total) - 1;
    if (range.first !== this.#position || range.last !== last) throw this.#corrupt('the answer is another range');
    return { size: range.total, length: range.last - range.first + 1 };
  }

  /** 416 tells neither ETag nor size: HEAD does. The object may have grown in between; then the range is asked again. */
  async #behindTheEnd(): Promise<ObjectInfo> {
    const { sender, key, options } = this;
    if (this.info !== undefined) throw this.#corrupt('the object ended before its size');
    const info = await headObject(sender, key, { signal: options.signal });
    checkVersion(info, options);
    if (this.#position >= info.size) {
      this.info = info;
      options.onInfo?.(info);
      return info;
    }
    this.#lookups++;
    if (this.#lookups > 3) throw this.#corrupt('the server refuses a range inside the object');
    return this.attempt(sender.retryState());
  }

  #short(left: number): AttemptFailure {
    const error = this.sender.corrupt('GetObject', this.key, `the body ended ${left} bytes early`);
    return new AttemptFailure(error, 'wait');
  }

  #corrupt(what: string): S3Error {
    return this.sender.corrupt('GetObject', this.key, what);
  }
}

/** The conditions of a GET, decided here where the server was asked with HEAD. */
function checkVersion(info: ObjectInfo, options: GetOptions): void {
  const details = { operation: 'GetObject', key: info.key, etag: info.etag };
  if (options.ifMatch !== undefined && options.ifMatch !== info.etag) {
    throw new S3Error('PreconditionFailed', 'GetObject: another version stands', details);
  }
  if (options.ifNoneMatch !== undefined && options.ifNoneMatch === info.etag) {
    throw new S3Error('NotModified', 'GetObject: not modified', details);
  }
}

export async function getObject(sender: RequestSender, key: string, options: GetOptions): Promise<ObjectInfo> {
  const { start, end, signal } = options;
  const from = start ?? 0;
  if (!Number.isSafeInteger(from) || from < 0 || (end !== undefined && !(Number.isSafeInteger(end) && end >= from))) {
    throw new S3Error('InvalidRequest', `GetObject: ${start}-${end} is no range`, { operation: 'GetObject', key });
  }
  if (end !== undefined && end === from) {
    const info = await headObject(sender, key, { signal });
    checkVersion(info, options);
    options.onInfo?.(info);
    return info;
  }
  const call = new GetCall(sender, key, options);
  return sender.retrying('GetObject', key, signal, (state) => call.attempt(state));
}

export async function getTags(
  sender: RequestSender,
  key: string,
  options: CallOptions = {},
): Promise<Array<[string, string]>> {
  const request: S3Request = {
    operation: 'GetObjectTagging',
    method: 'GET',
    key,
    query: 'tagging=',
    headers: [],
    signal: options.signal,
  };
  try {
    return parseDocument(sender, request, (await sender.text(request)).text, parseTags);
  } catch (error) {
    if (isS3Error(error) && error.details.code === 'NoSuchTagSet') return [];
    throw error;
  }
}

/** A document that does not parse is Corrupt; its text stays out of the error, as it may hold keys of others. */
export function parseDocument<T>(
  sender: RequestSender,
  request: S3Request,
  text: string,
  parse: (text: string) => T,
): T {
  try {
    return parse(text);
  } catch (error) {
    if (!(error instanceof XmlError || error instanceof URIError)) throw error;
    throw sender.corrupt(request.operation, request.key, `the answer does not parse: ${error.message}`, error);
  }
}
