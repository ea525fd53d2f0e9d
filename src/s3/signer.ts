/**
 * AWS Signature Version 4 for S3 (docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html). Our own,
 * because the SDK's signer costs more than the request it signs. The signing key changes once a day and is kept.
 */
import { createHmac, createSecretKey, hash, type KeyObject } from 'node:crypto';

export interface SigningCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

export interface SigningScope {
  readonly region: string;
  /** `s3`, or `s3-outposts` and the like for access points. */
  readonly service: string;
}

/** SHA-256 of nothing. */
export const EMPTY_BODY_HASH = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';
export const UNSIGNED_PAYLOAD = 'UNSIGNED-PAYLOAD';

export function sha256Hex(data: string | Uint8Array): string {
  return hash('sha256', data, 'hex');
}

/**
 * What x-amz-content-sha256 says of a body: nothing where the way is protected (TLS, or it does not leave this machine),
 * its hash over plain HTTP: SHA-256 of 1 GiB takes 0.6 to 0.9 s.
 */
export function payloadHash(body: Uint8Array | undefined, isProtected: boolean): string {
  if (body === undefined || body.length === 0) return EMPTY_BODY_HASH;
  return isProtected ? UNSIGNED_PAYLOAD : sha256Hex(body);
}

function hmac(key: string | Buffer | KeyObject, data: string): Buffer {
  return createHmac('sha256', key).update(data).digest();
}

const spaces = / {2,}/g;

function canonicalValue(value: string): string {
  const trimmed = value.trim();
  return trimmed.includes('  ') ? trimmed.replace(spaces, ' ') : trimmed;
}

/** Sorts [name, value, name, value, …] by name, in place; insertion sort, as there are about ten. */
function sortPairs(headers: string[]): void {
  for (let i = 2; i < headers.length; i += 2) {
    const name = headers[i];
    const value = headers[i + 1];
    let j = i - 2;
    for (; j >= 0 && headers[j] > name; j -= 2) {
      headers[j + 2] = headers[j];
      headers[j + 3] = headers[j + 1];
    }
    headers[j + 2] = name;
    headers[j + 3] = value;
  }
}

export class Signer {
  #second = Number.NaN;
  #dateTime = '';
  #keyFor: { secret: string; day: string; region: string; service: string; key: KeyObject } | undefined;

  /** `20130524T000000Z`; made once a second. */
  dateTime(nowMs: number): string {
    const second = Math.floor(nowMs / 1000);
    if (second !== this.#second) {
      this.#second = second;
      this.#dateTime = `${new Date(second * 1000).toISOString().slice(0, 19).replaceAll(/[-:]/g, '')}Z`;
    }
    return this.#dateTime;
  }

  /**
   * Adds date, payload hash, token and authorization to `headers`: flat pairs, names in lower case, `host` among them,
   * each of which gets signed. `path` and `query` are as sent; the query's parameters are encoded and in order.
   */
  sign(
    method: string,
    path: string,
    query: string,
    headers: string[],
    bodyHash: string,
    nowMs: number,
    credentials: SigningCredentials,
    scope: SigningScope,
  ): void {
    const dateTime = this.dateTime(nowMs);
    headers.push('x-amz-content-sha256', bodyHash, 'x-amz-date', dateTime);
    if (credentials.sessionToken !== undefined) headers.push('x-amz-security-token', credentials.sessionToken);
    sortPairs(headers);
    let names = '';
    let canonical = `${method}\n${path}\n${query}\n`;
    for (let i = 0; i < headers.length; i += 2) {
      canonical += `${headers[i]}:${canonicalValue(headers[i + 1])}\n`;
      names += i === 0 ? headers[i] : `;${headers[i]}`;
    }
    canonical += `\n${names}\n${bodyHash}`;
    const signature = this.#signature(canonical, dateTime, credentials, scope);
    const day = dateTime.slice(0, 8);
    headers.push(
      'authorization',
      `AWS4-HMAC-SHA256 Credential=${credentials.accessKeyId}/${day}/${scope.region}/${scope.service}/aws4_request,` +
        `SignedHeaders=${names},Signature=${signature}`,
    );
  }

  /** The query of a URL that anyone may GET for `expires` seconds (at most 604,800). */
  presign(
    host: string,
    path: string,
    expires: number,
    nowMs: number,
    credentials: SigningCredentials,
    scope: SigningScope,
  ): string {
    const dateTime = this.dateTime(nowMs);
    const credential = `${credentials.accessKeyId}/${dateTime.slice(0, 8)}/${scope.region}/${scope.service}/aws4_request`;
    let query = `X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=${encodeURIComponent(credential)}`;
    query += `&X-Amz-Date=${dateTime}&X-Amz-Expires=${expires}`;
    if (credentials.sessionToken !== undefined) {
      query += `&X-Amz-Security-Token=${encodeURIComponent(credentials.sessionToken)}`;
    }
    query += '&X-Amz-SignedHeaders=host';
    const canonical = `GET\n${path}\n${query}\nhost:${host}\n\nhost\n${UNSIGNED_PAYLOAD}`;
    return `${query}&X-Amz-Signature=${this.#signature(canonical, dateTime, credentials, scope)}`;
  }

  #signature(canonical: string, dateTime: string, credentials: SigningCredentials, scope: SigningScope): string {
    const day = dateTime.slice(0, 8);
    const key = this.#signingKey(credentials.secretAccessKey, day, scope);
    const toSign = `AWS4-HMAC-SHA256\n${dateTime}\n${day}/${scope.region}/${scope.service}/aws4_request\n${sha256Hex(canonical)}`;
    return createHmac('sha256', key).update(toSign).digest('hex');
  }

  #signingKey(secret: string, day: string, scope: SigningScope): KeyObject {
    const kept = this.#keyFor;
    if (
      kept !== undefined &&
      kept.day === day &&
      kept.secret === secret &&
      kept.region === scope.region &&
      kept.service === scope.service
    ) {
      return kept.key;
    }
    const dayKey = hmac(`AWS4${secret}`, day);
    const key = createSecretKey(hmac(hmac(hmac(dayKey, scope.region), scope.service), 'aws4_request'));
    this.#keyFor = { secret, day, region: scope.region, service: scope.service, key };
    return key;
  }
}
