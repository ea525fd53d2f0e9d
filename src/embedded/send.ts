/**
 * Writes an answer to the socket, or as much of it as a fault leaves. Short contents go out in one write; long ones in
 * pieces with backpressure, so that a slow reader costs one piece of memory.
 */
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Answer } from './answer.js';
import type { BlobStore } from './blobs.js';
import type { Deciding } from './faults.js';

/** Up to here content is read and sent at once (bytes). */
const SHORT_BYTES = 256 << 10;
/** A reset right behind written bytes could overtake them on the way to the reader. */
const SETTLE_MS = 20;

export interface Spoil {
  readonly cut?: Deciding;
  /** Offset of the byte in which one bit is flipped. */
  readonly flip?: number;
}

/** Resolves with the body bytes written, when the answer is out or the client gone. */
export async function send(blobs: BlobStore, response: ServerResponse, answer: Answer, spoil: Spoil): Promise<number> {
  const { body } = answer;
  try {
    if (spoil.cut === undefined && spoil.flip === undefined) {
      if (body === undefined || typeof body === 'string') return sendText(response, answer, body);
      if (body.length <= SHORT_BYTES) {
        const content = blobs.read(body.segments, body.length);
        response.writeHead(answer.status, answer.headers).end(content);
        return content.length;
      }
    }
    return await sendPieces(blobs, response, answer, spoil);
  } finally {
    if (typeof body === 'object') blobs.release(body.segments);
  }
}

function sendText(response: ServerResponse, answer: Answer, body: string | undefined): number {
  const length = body === undefined ? 0 : Buffer.byteLength(body);
  const counted = answer.status === 204 || answer.status === 304 || 'content-length' in answer.headers;
  const headers = counted ? answer.headers : { ...answer.headers, 'content-length': length };
  response.writeHead(answer.status, headers).end(body);
  return length;
}

async function* piecesOf(blobs: BlobStore, { body }: Answer): AsyncGenerator<Buffer> {
  if (typeof body === 'string') yield Buffer.from(body);
  else if (body !== undefined) yield* blobs.pieces(body.segments);
}

async function sendPieces(blobs: BlobStore, response: ServerResponse, answer: Answer, spoil: Spoil): Promise<number> {
  const { body } = answer;
  const total = typeof body === 'string' ? Buffer.byteLength(body) : (body?.length ?? 0);
  const limit = limitOf(spoil.cut) ?? total;
  response.writeHead(answer.status, { 'content-length': total, ...answer.headers });
  response.flushHeaders();
  let sent = 0;
  for await (const whole of piecesOf(blobs, answer)) {
    const piece = flipped(whole.subarray(0, limit - sent), sent, spoil.flip);
    if (piece.length === 0 || response.destroyed) break;
    sent += piece.length;
    if (!response.write(piece)) await drained(response);
  }
  await finish(response, spoil.cut, sent < total);
  return sent;
}

function limitOf(cut: Deciding | undefined): number | undefined {
  if (cut?.kind === 'truncate') return cut.bytes;
  if (cut?.kind === 'stall') return cut.afterBytes;
  return cut?.kind === 'reset' ? (cut.afterBytes ?? 0) : undefined;
}

function flipped(piece: Buffer, start: number, at: number | undefined): Buffer {
  if (at === undefined || at < start || at >= start + piece.length) return piece;
  const copy = Buffer.from(piece);
  copy[at - start]! ^= 1;
  return copy;
}

async function drained(response: ServerResponse): Promise<void> {
  if (response.destroyed) return;
  const ended = new AbortController();
  const signal = ended.signal;
  await Promise.race([once(response, 'drain', { signal }), once(response, 'close', { signal })]).catch(() => {});
  ended.abort();
}

async function finish(response: ServerResponse, cut: Deciding | undefined, short: boolean): Promise<void> {
  const { socket } = response;
  if (cut?.kind === 'reset') {
    await sleep(SETTLE_MS);
    socket?.resetAndDestroy();
  } else if (!short || !cut) response.end();
  else if (cut.kind === 'truncate') socket?.end();
}
