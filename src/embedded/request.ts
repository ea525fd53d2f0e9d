/**
 * A request as the handlers see it. Paths are taken raw from the request line and decoded once: a key may hold `..`,
 * `//` or `%2F`, and none of them means anything to S3.
 */
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { Failure } from './failure.js';
import { nameOperation } from './operation.js';

export interface S3Request {
  readonly message: IncomingMessage;
  readonly method: string;
  readonly headers: IncomingHttpHeaders;
  /** Decoded; the first value of a repeated name. */
  readonly query: ReadonlyMap<string, string>;
  /** Every pair in order, for the signature. */
  readonly pairs: ReadonlyArray<readonly [name: string, value: string]>;
  /** Empty: the request is for the service. */
  readonly bucket: string;
  /** Empty: the request is for the bucket. */
  readonly key: string;
  readonly operation: string;
  readonly id: string;
  /** Set by the signature check when the body comes in signed chunks. */
  chunkSigning?: ChunkSigning;
  bytesReceived: number;
}

export interface ChunkSigning {
  readonly key: Buffer;
  readonly date: string;
  readonly scope: string;
  readonly seed: string;
}

let count = 0;

export function parseRequest(message: IncomingMessage): S3Request {
  const target = message.url!;
  const mark = target.indexOf('?');
  const path = mark < 0 ? target : target.slice(0, mark);
  const pairs = mark < 0 ? [] : parseQuery(target.slice(mark + 1));
  const query = new Map<string, string>();
  for (const [name, value] of pairs) if (!query.has(name)) query.set(name, value);
  const slash = path.indexOf('/', 1);
  const bucket = decode(slash < 0 ? path.slice(1) : path.slice(1, slash));
  const key = slash < 0 ? '' : decode(path.slice(slash + 1));
  const method = message.method!;
  const operation = nameOperation(method, bucket, key, query, message.headers);
  const id = (++count).toString(16).toUpperCase().padStart(16, '0');
  return { message, method, headers: message.headers, query, pairs, bucket, key, operation, id, bytesReceived: 0 };
}

function parseQuery(text: string): Array<readonly [string, string]> {
  const pairs: Array<readonly [string, string]> = [];
  for (const pair of text.split('&')) {
    if (pair === '') continue;
    const equals = pair.indexOf('=');
    const name = equals < 0 ? pair : pair.slice(0, equals);
    const value = equals < 0 ? '' : pair.slice(equals + 1);
    pairs.push([decode(name.replaceAll('+', ' ')), decode(value.replaceAll('+', ' '))]);
  }
  return pairs;
}

/** Percent-decodes; what is not UTF-8 then is refused, as S3 keys are. */
export function decode(text: string): string {
  if (!text.includes('%')) return text;
  try {
    return decodeURIComponent(text);
  } catch {
    throw new Failure('InvalidURI', { fields: { URI: text } });
  }
}

/** One value of a header that is not repeated. */
export function header(request: S3Request, name: string): string | undefined {
  const value = request.headers[name];
  return typeof value === 'string' ? value : value?.join(', ');
}

/** A whole number from the query. */
export function numberOf(request: S3Request, name: string, low: number, high: number): number | undefined {
  const text = request.query.get(name);
  if (text === undefined || text === '') return undefined;
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < low || value > high) {
    throw new Failure('InvalidArgument', {
      message: `Argument ${name} must be an integer between ${low} and ${high}`,
      fields: { ArgumentName: name, ArgumentValue: text },
    });
  }
  return value;
}
