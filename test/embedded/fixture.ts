/** A server in a temporary directory, an independent client for it, and raw requests signed by hand. */
import { createHash, createHmac } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { S3Client } from '@aws-sdk/client-s3';
import type { Test } from 'tap';
import type { EmbeddedOptions, EmbeddedServer } from '../../src/embedded/api.js';
import { startEmbeddedServer } from '../../src/embedded/server.js';

export const Bucket = 'test-bucket';
export const LIMIT_MS = 10_000;

export interface Fixture {
  readonly server: EmbeddedServer;
  readonly client: S3Client;
  readonly directory: string;
}

export async function startServer(t: Test, options: Partial<EmbeddedOptions> = {}): Promise<Fixture> {
  const directory = options.directory ?? mkdtempSync(join(tmpdir(), 'pailfs-embedded-'));
  const server = await startEmbeddedServer({ directory, buckets: [Bucket], ...options });
  const client = clientOf(server);
  t.teardown(async () => {
    client.destroy();
    await server.close();
    if (!options.directory) rmSync(directory, { recursive: true, force: true });
  });
  return { server, client, directory };
}

export function clientOf(server: EmbeddedServer): S3Client {
  return new S3Client({
    endpoint: server.endpoint,
    region: server.region,
    credentials: server.credentials,
    forcePathStyle: true,
    maxAttempts: 1,
  });
}

/** Name and status of the failure. */
export async function failureOf(sent: Promise<unknown>): Promise<string> {
  return sent.then(
    () => 'no failure',
    (error) => `${error.$metadata?.httpStatusCode} ${error.name}`,
  );
}

export interface RawRequest {
  readonly method?: string;
  /** As it goes on the wire, percent-encoding and all. */
  readonly path: string;
  readonly query?: string;
  readonly headers?: Record<string, string>;
  readonly body?: string | Buffer;
  readonly date?: string;
  readonly region?: string;
  readonly accessKeyId?: string;
  readonly secret?: string;
  readonly payload?: string;
  /** Signed but not sent as such: the path that goes on the wire instead. */
  readonly wirePath?: string;
  readonly unsignedHeaders?: Record<string, string>;
}

export interface RawAnswer {
  readonly status: number;
  readonly head: string;
  readonly body: Buffer;
  readonly error?: NodeJS.ErrnoException;
}

export interface Signed {
  readonly text: string;
  readonly signature: string;
  readonly key: Buffer;
  readonly date: string;
  readonly scope: string;
}

export function hmac(key: string | Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}

export function sha256(text: string | Buffer): string {
  return createHash('sha256').update(text).digest('hex');
}

export function amzDate(ms: number): string {
  return new Date(ms).toISOString().replace(/[-:]|\.\d+/g, '');
}

export function sign(server: EmbeddedServer, request: RawRequest): Signed {
  const { method = 'GET', path, query = '', body = '', region = server.region } = request;
  const { accessKeyId = server.credentials.accessKeyId, secret = server.credentials.secretAccessKey } = request;
  const date = request.date ?? amzDate(Date.now());
  const payload = request.payload ?? sha256(body);
  const headers: Record<string, string> = {
    host: `127.0.0.1:${server.port}`,
    'x-amz-content-sha256': payload,
    'x-amz-date': date,
    ...request.headers,
  };
  const names = Object.keys(headers).sort();
  const lines = names.map((name) => `${name}:${headers[name]}\n`).join('');
  const canonical = `${method}\n${path}\n${query}\n${lines}\n${names.join(';')}\n${payload}`;
  const scope = `${date.slice(0, 8)}/${region}/s3/aws4_request`;
  const key = scope.split('/').reduce<Buffer>((last, part) => hmac(last, part), Buffer.from(`AWS4${secret}`));
  const signature = hmac(key, `AWS4-HMAC-SHA256\n${date}\n${scope}\n${sha256(canonical)}`).toString('hex');
  const authorization = `AWS4-HMAC-SHA256 Credential=${accessKeyId}/${scope}, SignedHeaders=${names.join(';')}, Signature=${signature}`;
  const all = { 'content-length': String(body.length), ...headers, ...request.unsignedHeaders, authorization };
  const target = (request.wirePath ?? path) + (query && `?${query}`);
  const sent = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return { text: `${method} ${target} HTTP/1.1\r\n${sent.join('')}\r\n`, signature, key, date, scope };
}

export function raw(server: EmbeddedServer, request: RawRequest): Promise<RawAnswer> {
  return exchange(server, Buffer.concat([Buffer.from(sign(server, request).text), Buffer.from(request.body ?? '')]));
}

/** Sends the bytes and reads until the answer is whole, the connection ends, or `limit` ms have passed. */
export function exchange(server: EmbeddedServer, bytes: Buffer | string, limit = LIMIT_MS): Promise<RawAnswer> {
  const socket: Socket = connect(server.port, '127.0.0.1');
  let received = Buffer.alloc(0);
  return new Promise((resolve) => {
    const done = (error?: NodeJS.ErrnoException) => {
      clearTimeout(timer);
      socket.destroy();
      const split = received.indexOf('\r\n\r\n');
      const head = received.subarray(0, Math.max(split, 0)).toString('latin1').toLowerCase();
      const body = split < 0 ? Buffer.alloc(0) : received.subarray(split + 4);
      resolve({ status: Number(head.slice(9, 12)), head, body, error });
    };
    const timer = setTimeout(done, limit, Object.assign(new Error('no whole answer'), { code: 'LIMIT' }));
    socket.on('data', (data) => {
      received = Buffer.concat([received, data]);
      const split = received.indexOf('\r\n\r\n');
      const head = received.subarray(0, Math.max(split, 0)).toString('latin1').toLowerCase();
      const length = Number(/content-length: (\d+)/.exec(head)?.[1] ?? 0);
      if (split >= 0 && received.length >= split + 4 + length) done();
    });
    socket.on('end', () => done(Object.assign(new Error('ended'), { code: 'EOF' })));
    socket.on('error', done);
    socket.write(bytes);
  });
}
