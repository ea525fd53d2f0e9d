/**
 * Requests to an S3 server in the plainest way that Node has: node:http, a pool of kept connections, signatures of its
 * own. It is what the mounts are measured against, and what checks their work, so it shares nothing with src/s3/.
 */
import { createHash, createHmac } from 'node:crypto';
import { Agent, request } from 'node:http';

/** A request that is not answered in full within this has failed (ms); one PUT of 1 GiB is the longest. */
const REQUEST_LIMIT_MS = 60_000;

const hmac = (key, text) => createHmac('sha256', key).update(text).digest();
const sha256 = (data) => createHash('sha256').update(data).digest('hex');
const escapeWord = (text) =>
  encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
const unescapeXml = (text) =>
  text.replace(/&(lt|gt|quot|apos|amp|#\d+);/g, (_, name) =>
    name.startsWith('#')
      ? String.fromCodePoint(Number(name.slice(1)))
      : { lt: '<', gt: '>', quot: '"', apos: "'", amp: '&' }[name],
  );

export class S3Requests {
  #host;
  #port;
  #keys;
  #region;
  #signingKeys = new Map();
  #agent = new Agent({ keepAlive: true, maxSockets: 64, noDelay: true });

  constructor({ endpoint, bucket, region, accessKey, secretKey }) {
    const url = new URL(endpoint);
    this.#host = url.host;
    this.#port = url.port;
    this.bucket = bucket;
    this.#region = region;
    this.#keys = { accessKey, secretKey };
  }

  close() {
    this.#agent.destroy();
  }

  #signingKey(day) {
    if (!this.#signingKeys.has(day)) {
      const date = hmac(`AWS4${this.#keys.secretKey}`, day);
      this.#signingKeys.set(day, hmac(hmac(hmac(date, this.#region), 's3'), 'aws4_request'));
    }
    return this.#signingKeys.get(day);
  }

  /** The payload is not signed: over loopback the hash of 1 GiB would be what is measured. */
  #sign(method, path, query, extra) {
    const time = new Date().toISOString().replace(/[-:]|\.\d+/g, '');
    const day = time.slice(0, 8);
    const headers = { host: this.#host, 'x-amz-content-sha256': 'UNSIGNED-PAYLOAD', 'x-amz-date': time };
    const names = Object.keys(headers).join(';');
    const canonical = [
      ...[method, path, query],
      ...Object.entries(headers).map(([name, value]) => `${name}:${value}`),
      ...['', names, 'UNSIGNED-PAYLOAD'],
    ].join('\n');
    const scope = `${day}/${this.#region}/s3/aws4_request`;
    const toSign = ['AWS4-HMAC-SHA256', time, scope, sha256(canonical)].join('\n');
    const signature = createHmac('sha256', this.#signingKey(day)).update(toSign).digest('hex');
    const credential = `${this.#keys.accessKey}/${scope}`;
    const authorization = `AWS4-HMAC-SHA256 Credential=${credential}, SignedHeaders=${names}, Signature=${signature}`;
    return { ...headers, ...extra, authorization };
  }

  /** Resolves with the response once its head is there. `body`: a buffer, or a stream with `length`. */
  open({
    method = 'GET',
    path,
    query = {},
    headers = {},
    body,
    length = body?.length ?? 0,
    limitMs = REQUEST_LIMIT_MS,
  }) {
    const escapedPath = path.split('/').map(escapeWord).join('/');
    const words = Object.entries(query).map(([name, value]) => `${escapeWord(name)}=${escapeWord(String(value))}`);
    const escapedQuery = words.sort().join('&');
    if (method === 'PUT' || method === 'POST') headers = { ...headers, 'content-length': length };
    return new Promise((resolve, reject) => {
      const outgoing = request({
        host: '127.0.0.1',
        port: this.#port,
        agent: this.#agent,
        method,
        path: escapedQuery === '' ? escapedPath : `${escapedPath}?${escapedQuery}`,
        headers: this.#sign(method, escapedPath, escapedQuery, headers),
      });
      outgoing.once('response', resolve).once('error', reject);
      if (limitMs > 0) outgoing.setTimeout(limitMs, () => outgoing.destroy(new Error(`${method} ${path}: no answer`)));
      if (body?.pipe) body.once('error', (error) => outgoing.destroy(error)).pipe(outgoing);
      else outgoing.end(body);
    });
  }

  /** The whole answer: { status, headers, body }. */
  async ask(options) {
    const response = await this.open(options);
    const chunks = [];
    for await (const chunk of response) chunks.push(chunk);
    const body = Buffer.concat(chunks);
    return { status: response.statusCode, headers: response.headers, body };
  }

  /** As ask, for a key of the bucket; throws where the status is none of `wanted`. */
  async key(key, options = {}, wanted = [200, 204, 206]) {
    const answer = await this.ask({ ...options, path: `/${this.bucket}/${key}` });
    if (wanted.includes(answer.status)) return answer;
    throw new Error(`${options.method ?? 'GET'} ${key}: ${answer.status} ${answer.body.toString().slice(0, 200)}`);
  }

  /** The body as it arrives, for reading what is too large to keep. */
  async stream(key, headers = {}) {
    const response = await this.open({ path: `/${this.bucket}/${key}`, headers });
    if (response.statusCode === 200 || response.statusCode === 206) return response;
    response.resume();
    throw new Error(`GET ${key}: ${response.statusCode}`);
  }

  /** Every key below a prefix: { key, size, etag }. */
  async list(prefix) {
    const found = [];
    let token;
    do {
      const query = { 'list-type': 2, prefix, ...(token && { 'continuation-token': token }) };
      const { status, body } = await this.ask({ path: `/${this.bucket}`, query });
      const text = body.toString();
      if (status !== 200) throw new Error(`LIST ${prefix}: ${status} ${text.slice(0, 200)}`);
      for (const [, entry] of text.matchAll(/<Contents>(.*?)<\/Contents>/gs)) {
        const of = (name) => unescapeXml(new RegExp(`<${name}>(.*?)</${name}>`, 's').exec(entry)?.[1] ?? '');
        found.push({ key: of('Key'), size: Number(of('Size')), etag: of('ETag').replaceAll('"', '') });
      }
      token = /<NextContinuationToken>(.*?)</.exec(text)?.[1];
      token = token && unescapeXml(token);
    } while (token);
    return found;
  }

  /** A multipart upload of a file: `read(offset, length)` gives a part's bytes. */
  async upload(key, size, { partSize, atOnce, read }) {
    const begun = await this.key(key, { method: 'POST', query: { uploads: '' } });
    const uploadId = unescapeXml(/<UploadId>(.*?)</.exec(begun.body.toString())[1]);
    const etags = [];
    await together(atOnce, Math.ceil(size / partSize), async (index) => {
      const body = await read(index * partSize, Math.min(partSize, size - index * partSize));
      const answer = await this.key(key, { method: 'PUT', query: { partNumber: index + 1, uploadId }, body });
      etags[index] = answer.headers.etag;
    });
    const parts = etags.map((etag, i) => `<Part><PartNumber>${i + 1}</PartNumber><ETag>${etag}</ETag></Part>`);
    const body = Buffer.from(`<CompleteMultipartUpload>${parts.join('')}</CompleteMultipartUpload>`);
    const end = await this.key(key, { method: 'POST', query: { uploadId }, body });
    if (end.body.includes('<Error>')) throw new Error(`upload of ${key}: ${end.body.toString().slice(0, 200)}`);
  }
}

/** Calls `body(index)` for 0 to count - 1, so many at a time. */
export async function together(atOnce, count, body) {
  let next = 0;
  const worker = async () => {
    while (next < count) await body(next++);
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, count) }, worker));
}
