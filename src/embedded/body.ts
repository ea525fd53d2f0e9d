/**
 * Receives a request body: decodes aws-chunked, hashes on the way, and refuses what does not match any digest the
 * client sent. The body goes on in the pieces it came in and is never whole in memory.
 */
import { createHash, type Hash } from 'node:crypto';
import { ALGORITHMS, type Algorithm, createSum, type Sum } from './checksum.js';
import { ChunkedDecoder } from './chunked.js';
import { Failure } from './failure.js';
import { header, type S3Request } from './request.js';

export interface Received {
  readonly length: number;
  /** Hexadecimal. */
  readonly md5: string;
  readonly checksum?: { readonly algorithm: Algorithm; readonly value: string };
}

interface Expected {
  readonly md5?: string;
  readonly sha256?: string;
  readonly length?: number;
  readonly algorithm?: Algorithm;
  /** Absent with an algorithm: it comes as a trailer, or the server computes it on its own account. */
  readonly checksum?: string;
  readonly trailer?: string;
  readonly streaming: boolean;
}

type Write = (data: Buffer) => Promise<void> | undefined;

/** `wanted`: computed even when the client sends none. */
export async function receive(request: S3Request, limit: number, write: Write, wanted?: Algorithm): Promise<Received> {
  const expected = expectedOf(request, wanted);
  if (expected.length !== undefined && expected.length > limit) throw new Failure('EntityTooLarge');
  const md5 = createHash('md5');
  const sha256 = expected.sha256 === undefined ? undefined : createHash('sha256');
  const sum = expected.algorithm && createSum(expected.algorithm);
  let length = 0;
  const take = (data: Buffer) => {
    length += data.length;
    if (length > limit) throw new Failure('EntityTooLarge');
    md5.update(data);
    sha256?.update(data);
    sum?.update(data);
    return write(data);
  };
  const decoder = expected.streaming ? new ChunkedDecoder(take, request.chunkSigning) : undefined;
  await drain(request, decoder ? (data) => decoder.push(data) : take);
  decoder?.finish();
  if (expected.length !== undefined && length !== expected.length) throw new Failure('IncompleteBody');
  return compare(expected, { length, md5, sha256, sum, trailers: decoder?.trailers });
}

/** A whole small body, such as a request document. */
export async function receiveText(request: S3Request, limit: number): Promise<string> {
  const pieces: Buffer[] = [];
  await receive(request, limit, (data) => {
    pieces.push(data);
    return undefined;
  });
  return Buffer.concat(pieces).toString();
}

function expectedOf(request: S3Request, wanted: Algorithm | undefined): Expected {
  const payload = header(request, 'x-amz-content-sha256') ?? 'UNSIGNED-PAYLOAD';
  const streaming = payload.startsWith('STREAMING-');
  const length = header(request, streaming ? 'x-amz-decoded-content-length' : 'content-length');
  if (length === undefined) throw new Failure('MissingContentLength');
  const trailer = header(request, 'x-amz-trailer')?.trim().toLowerCase();
  const md5 = header(request, 'content-md5');
  if (md5 !== undefined && Buffer.from(md5, 'base64').length !== 16) throw new Failure('InvalidDigest');
  // On Complete these headers speak of the object, not of the body.
  const described = request.operation === 'CompleteMultipartUpload';
  const sent = ALGORITHMS.filter((name) => !described && header(request, `x-amz-checksum-${name}`) !== undefined);
  if (sent.length > 1) {
    throw new Failure('InvalidRequest', { message: 'Expecting a single x-amz-checksum- header. Multiple were sent.' });
  }
  const trailed = ALGORITHMS.find((name) => trailer === `x-amz-checksum-${name}`);
  const algorithm = sent[0] ?? trailed ?? wanted;
  return {
    md5,
    sha256: /^[0-9a-f]{64}$/.test(payload) ? payload : undefined,
    length: Number(length),
    algorithm,
    checksum: sent[0] && header(request, `x-amz-checksum-${sent[0]}`),
    trailer: sent[0] ? undefined : trailer,
    streaming,
  };
}

interface Computed {
  readonly length: number;
  readonly md5: Hash;
  readonly sha256: Hash | undefined;
  readonly sum: Sum | undefined;
  readonly trailers: ReadonlyMap<string, string> | undefined;
}

function compare(expected: Expected, { length, md5, sha256, sum, trailers }: Computed): Received {
  const digest = md5.digest();
  if (expected.md5 !== undefined && !Buffer.from(expected.md5, 'base64').equals(digest)) throw new Failure('BadDigest');
  if (sha256 && sha256.digest('hex') !== expected.sha256) throw new Failure('XAmzContentSHA256Mismatch');
  if (!sum || !expected.algorithm) return { length, md5: digest.toString('hex') };
  const value = sum.digest();
  const name = `x-amz-checksum-${expected.algorithm}`;
  const told = expected.checksum ?? trailers?.get(name);
  if (expected.trailer === name && told === undefined) {
    throw new Failure('InvalidRequest', { message: 'The trailer that x-amz-trailer announces is missing' });
  }
  if (told !== undefined && told !== value) {
    const label = expected.algorithm.toUpperCase();
    throw new Failure('BadDigest', { message: `The ${label} you specified did not match the calculated checksum.` });
  }
  return { length, md5: digest.toString('hex'), checksum: { algorithm: expected.algorithm, value } };
}

function drain(request: S3Request, feed: Write): Promise<void> {
  const { message } = request;
  return new Promise((resolve, reject) => {
    // The client went away before anybody looked at the body (a rule delayed the request): no event comes any more.
    if (message.destroyed) return reject(new Failure('IncompleteBody'));
    const fail = (error: unknown) => {
      message.removeAllListeners('data');
      message.resume();
      reject(error);
    };
    message.on('data', (data: Buffer) => {
      request.bytesReceived += data.length;
      try {
        const wait = feed(data);
        if (!wait) return;
        message.pause();
        wait.then(() => message.resume(), fail);
      } catch (error) {
        fail(error);
      }
    });
    message.once('end', resolve);
    message.once('error', fail);
    message.once('close', () => fail(new Failure('IncompleteBody')));
  });
}
