/**
 * Who signed a request, by Signature Version 4 in headers or in the query (AWS General Reference, "Signature Version 4
 * signing process"; S3 encodes the path once and never normalises it). Written apart from the client's signer, so that
 * a shared mistake cannot hide.
 */
import { createHash, createHmac } from 'node:crypto';
import type { EmbeddedCredentials } from './api.js';
import { Failure } from './failure.js';
import { header, type S3Request } from './request.js';

const SKEW_MS = 15 * 60 * 1000;
const LONGEST_PRESIGNED_S = 7 * 24 * 3600;

interface Claim {
  readonly accessKeyId: string;
  /** yyyymmdd, region, service, aws4_request */
  readonly scope: readonly string[];
  readonly signedHeaders: readonly string[];
  readonly signature: string;
  readonly date: string;
  readonly token: string | undefined;
  readonly payload: string;
  /** Seconds; only of presigned URLs. */
  readonly expires?: number;
}

export class Verifier {
  readonly #pairs = new Map<string, EmbeddedCredentials[]>();
  readonly #keys = new Map<string, Buffer>();

  constructor(
    readonly region: string,
    readonly now: () => number,
  ) {}

  add(pair: EmbeddedCredentials): void {
    this.#pairs.set(pair.accessKeyId, [...(this.#pairs.get(pair.accessKeyId) ?? []), pair]);
  }

  /** False: nobody signed. Throws when somebody did and it does not hold. */
  verify(request: S3Request): boolean {
    const claim = claimOf(request);
    if (!claim) return false;
    const pairs = this.#pairs.get(claim.accessKeyId);
    if (!pairs) throw new Failure('InvalidAccessKeyId', { fields: { AWSAccessKeyId: claim.accessKeyId } });
    this.#checkScope(claim);
    this.#checkTime(claim);
    const pair = this.#choose(pairs, claim);
    const key = this.#keyOf(pair.secretAccessKey, claim.scope);
    const canonical = canonicalRequest(request, claim);
    const scope = claim.scope.join('/');
    const toSign = `AWS4-HMAC-SHA256\n${claim.date}\n${scope}\n${sha256(canonical)}`;
    const expected = createHmac('sha256', key).update(toSign).digest('hex');
    if (expected !== claim.signature) {
      throw new Failure('SignatureDoesNotMatch', {
        fields: {
          AWSAccessKeyId: claim.accessKeyId,
          StringToSign: toSign,
          SignatureProvided: claim.signature,
          CanonicalRequest: canonical,
        },
      });
    }
    checkAllSigned(request, claim);
    if (claim.payload.startsWith('STREAMING-AWS4-HMAC-SHA256-PAYLOAD')) {
      request.chunkSigning = { key, date: claim.date, scope, seed: claim.signature };
    }
    return true;
  }

  #choose(pairs: readonly EmbeddedCredentials[], claim: Claim): EmbeddedCredentials {
    const pair = pairs.find(({ sessionToken }) => sessionToken === claim.token);
    if (!pair) throw new Failure('InvalidToken', { fields: { 'Token-0': claim.token ?? '' } });
    if (pair.expires !== undefined && this.now() > pair.expires) {
      throw new Failure('ExpiredToken', { fields: { 'Token-0': claim.token ?? '' } });
    }
    return pair;
  }

  #checkScope({ scope, date }: Claim): void {
    const [day, region, service, end] = scope;
    if (scope.length !== 4 || service !== 's3' || end !== 'aws4_request' || !date.startsWith(day!)) {
      throw new Failure('AuthorizationHeaderMalformed');
    }
    if (region === this.region) return;
    throw new Failure('AuthorizationHeaderMalformed', {
      message: `The authorization header is malformed; the region '${region}' is wrong; expecting '${this.region}'`,
      fields: { Region: this.region },
      headers: { 'x-amz-bucket-region': this.region },
    });
  }

  #checkTime({ date, expires }: Claim): void {
    const signed = timeOf(date);
    const now = this.now();
    if (Number.isNaN(signed)) {
      throw new Failure('AccessDenied', { message: 'AWS authentication requires a valid Date or x-amz-date header' });
    }
    if (expires !== undefined && now > signed + expires * 1000) {
      throw new Failure('AccessDenied', { message: 'Request has expired' });
    }
    if (signed - now > SKEW_MS || (expires === undefined && now - signed > SKEW_MS)) {
      throw new Failure('RequestTimeTooSkewed', {
        fields: {
          RequestTime: date,
          ServerTime: new Date(now).toISOString(),
          MaxAllowedSkewMilliseconds: String(SKEW_MS),
        },
      });
    }
  }

  #keyOf(secret: string, scope: readonly string[]): Buffer {
    const name = `${secret}\n${scope.join('/')}`;
    let key = this.#keys.get(name);
    if (!key) {
      key = Buffer.from(`AWS4${secret}`);
      for (const part of scope) key = createHmac('sha256', key).update(part).digest();
      if (this.#keys.size > 100) this.#keys.clear();
      this.#keys.set(name, key);
    }
    return key;
  }
}

function claimOf(request: S3Request): Claim | undefined {
  const authorization = header(request, 'authorization');
  if (authorization !== undefined) return claimOfHeader(request, authorization);
  return request.query.has('X-Amz-Algorithm') ? claimOfQuery(request) : undefined;
}

const form = /^AWS4-HMAC-SHA256 +Credential=([^,\s]+), *SignedHeaders=([^,\s]+), *Signature=([0-9a-f]{64})$/;

function claimOfHeader(request: S3Request, authorization: string): Claim {
  const match = form.exec(authorization);
  if (!match) throw new Failure('AuthorizationHeaderMalformed');
  const payload = header(request, 'x-amz-content-sha256');
  if (payload === undefined) {
    throw new Failure('InvalidRequest', { message: 'Missing required header for this request: x-amz-content-sha256' });
  }
  const [accessKeyId, ...scope] = match[1]!.split('/');
  return {
    accessKeyId: accessKeyId!,
    scope,
    signedHeaders: match[2]!.split(';'),
    signature: match[3]!,
    date: header(request, 'x-amz-date') ?? '',
    token: header(request, 'x-amz-security-token'),
    payload,
  };
}

function claimOfQuery(request: S3Request): Claim {
  const wanted = (name: string) => {
    const value = request.query.get(name);
    if (value === undefined) throw new Failure('AuthorizationQueryParametersError');
    return value;
  };
  const [accessKeyId, ...scope] = wanted('X-Amz-Credential').split('/');
  const expires = Number(wanted('X-Amz-Expires'));
  if (!(expires >= 0 && expires <= LONGEST_PRESIGNED_S) || wanted('X-Amz-Algorithm') !== 'AWS4-HMAC-SHA256') {
    throw new Failure('AuthorizationQueryParametersError');
  }
  return {
    accessKeyId: accessKeyId!,
    scope,
    signedHeaders: wanted('X-Amz-SignedHeaders').split(';'),
    signature: wanted('X-Amz-Signature'),
    date: wanted('X-Amz-Date'),
    token: request.query.get('X-Amz-Security-Token'),
    payload: header(request, 'x-amz-content-sha256') ?? 'UNSIGNED-PAYLOAD',
    expires,
  };
}

function canonicalRequest(request: S3Request, claim: Claim): string {
  const path = request.bucket === '' ? '/' : rawPath(request);
  const query = request.pairs
    .filter(([name]) => name !== 'X-Amz-Signature')
    .map(([name, value]) => [encode(name), encode(value)] as const)
    .sort(([a, x], [b, y]) => (a < b ? -1 : a > b ? 1 : x < y ? -1 : x > y ? 1 : 0))
    .map(([name, value]) => `${name}=${value}`)
    .join('&');
  let headers = '';
  for (const name of claim.signedHeaders) {
    headers += `${name}:${(header(request, name) ?? '').trim().replace(/ +/g, ' ')}\n`;
  }
  return `${request.method}\n${path}\n${query}\n${headers}\n${claim.signedHeaders.join(';')}\n${claim.payload}`;
}

// Encoded anew from the decoded path: what the client left bare on the wire does not matter to S3.
function rawPath(request: S3Request): string {
  const path = request.message.url!.split('?', 1)[0]!;
  return path
    .split('/')
    .map((part) => encode(decodeURIComponent(part)))
    .join('/');
}

const plain = /^[A-Za-z0-9\-._~]*$/;

/** Every byte but the unreserved ones of RFC 3986. */
function encode(text: string): string {
  if (plain.test(text)) return text;
  return encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
}

// S3 refuses headers of its own that somebody on the way could have added.
function checkAllSigned(request: S3Request, claim: Claim): void {
  const loose = Object.keys(request.headers).filter(
    (name) => name.startsWith('x-amz-') && name !== 'x-amz-content-sha256' && !claim.signedHeaders.includes(name),
  );
  if (loose.length === 0 && claim.signedHeaders.includes('host')) return;
  throw new Failure('AccessDenied', {
    message: 'There were headers present in the request which were not signed',
    fields: { HeadersNotSigned: loose.join(', ') || 'host' },
  });
}

/** Milliseconds since 1970, or NaN. */
function timeOf(date: string): number {
  const match = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(date);
  if (!match) return Number.NaN;
  const [, year, month, day, hour, minute, second] = match.map(Number);
  return Date.UTC(year!, month! - 1, day, hour, minute, second);
}

// Header values reach us as latin1, one character a byte.
function sha256(text: string): string {
  return createHash('sha256').update(text, 'latin1').digest('hex');
}
