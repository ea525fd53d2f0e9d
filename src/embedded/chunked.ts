/**
 * The aws-chunked coding: `size[;chunk-signature=…]\r\n` and data, repeated, an empty chunk, then trailers (S3 API
 * reference, "Signature calculations … transferring payload in multiple chunks"). Signed chunks are verified as they
 * end; nothing of the object is committed before the last.
 */
import { createHash, createHmac, type Hash } from 'node:crypto';
import { Failure } from './failure.js';
import type { ChunkSigning } from './request.js';

const LONGEST_LINE = 8192;
const EMPTY = createHash('sha256').digest('hex');

export class ChunkedDecoder {
  readonly trailers = new Map<string, string>();
  #state: 'size' | 'data' | 'data-end' | 'trailer' | 'done' = 'size';
  #line = Buffer.alloc(0);
  #left = 0;
  #previous: string;
  #signature = '';
  #hash: Hash | undefined;
  #signedTrailer = '';

  /** `signing` absent: chunks carry no signature. */
  constructor(
    readonly onData: (data: Buffer) => Promise<void> | undefined,
    readonly signing?: ChunkSigning,
  ) {
    this.#previous = signing?.seed ?? '';
  }

  /** A promise when `onData` gave one: wait before pushing more. */
  push(input: Buffer): Promise<void> | undefined {
    let wait: Promise<void> | undefined;
    let at = 0;
    while (at < input.length && this.#state !== 'done') {
      if (this.#state !== 'data') {
        at = this.#readLine(input, at);
        continue;
      }
      const data = input.subarray(at, at + this.#left);
      at += data.length;
      this.#left -= data.length;
      this.#hash?.update(data);
      wait = this.onData(data) ?? wait;
      if (this.#left === 0) this.#state = 'data-end';
    }
    return wait;
  }

  finish(): void {
    if (this.#state !== 'done') throw new Failure('IncompleteBody');
  }

  #readLine(input: Buffer, at: number): number {
    const end = input.indexOf(10, at);
    this.#line = Buffer.concat([this.#line, input.subarray(at, end < 0 ? input.length : end)]);
    if (this.#line.length > LONGEST_LINE) throw new Failure('InvalidRequest', { message: 'chunk header too long' });
    if (end < 0) return input.length;
    const line = this.#line.toString('latin1').replace(/\r$/, '');
    this.#line = Buffer.alloc(0);
    this.#take(line);
    return end + 1;
  }

  #take(line: string): void {
    if (this.#state === 'size') this.#beginChunk(line);
    else if (this.#state === 'data-end') {
      if (line !== '') throw new Failure('IncompleteBody', { message: 'chunk data is longer than its size' });
      this.#endChunk();
      this.#state = 'size';
    } else if (line === '') this.#end();
    else {
      const colon = line.indexOf(':');
      if (colon < 0) throw new Failure('InvalidRequest', { message: 'malformed trailer' });
      const name = line.slice(0, colon).trim().toLowerCase();
      const value = line.slice(colon + 1).trim();
      this.trailers.set(name, value);
      if (name !== 'x-amz-trailer-signature') this.#signedTrailer += `${name}:${value}\n`;
    }
  }

  #beginChunk(line: string): void {
    const match = /^([0-9a-fA-F]{1,13})(?:;chunk-signature=([0-9a-f]{64}))?$/.exec(line);
    if (!match) throw new Failure('InvalidRequest', { message: 'malformed chunk header' });
    this.#left = Number.parseInt(match[1]!, 16);
    this.#signature = match[2] ?? '';
    if (this.signing) this.#hash = createHash('sha256');
    this.#state = this.#left > 0 ? 'data' : 'trailer';
    if (this.#left === 0) this.#endChunk();
  }

  #endChunk(): void {
    if (!this.signing) return;
    const content = `${EMPTY}\n${this.#hash!.digest('hex')}`;
    this.#check('AWS4-HMAC-SHA256-PAYLOAD', content, this.#signature);
    this.#previous = this.#signature;
  }

  #end(): void {
    if (this.signing && this.trailers.size > 0) {
      const content = createHash('sha256').update(this.#signedTrailer).digest('hex');
      this.#check('AWS4-HMAC-SHA256-TRAILER', content, this.trailers.get('x-amz-trailer-signature') ?? '');
    }
    this.#state = 'done';
  }

  #check(kind: string, content: string, signature: string): void {
    const { key, date, scope } = this.signing!;
    const toSign = `${kind}\n${date}\n${scope}\n${this.#previous}\n${content}`;
    if (createHmac('sha256', key).update(toSign).digest('hex') !== signature) {
      throw new Failure('SignatureDoesNotMatch', { fields: { StringToSign: toSign, SignatureProvided: signature } });
    }
  }
}
