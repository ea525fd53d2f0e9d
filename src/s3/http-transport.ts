/**
 * HTTP/1.1 over a keep-alive pool, as little of it as S3 needs: headers go out as a flat array and are read from the
 * raw answer only where wanted, bodies are handed over piece by piece, nothing parses URLs (which would fold `..`).
 * One coarse timer watches all exchanges, since a timer per request costs a tenth of a small GET.
 */
import http from 'node:http';
import https from 'node:https';
import { KiB, MiB } from '../constants.js';
import { type ProxyServer, TunnelAgent } from './proxy.js';
import { failureOf, TransportError } from './transport-error.js';

export interface Origin {
  readonly secure: boolean;
  readonly hostname: string;
  readonly port: number;
}

export interface HttpRequest {
  readonly origin: Origin;
  readonly method: string;
  /** Request target as sent, with query. */
  readonly target: string;
  /** Flat pairs, `host` among them; content-length is added here. */
  readonly headers: string[];
  readonly body?: Uint8Array;
  /** How long the body of a good answer is, where that is known (bytes). */
  readonly expectBytes?: number;
  readonly signal?: AbortSignal;
  /** Longest time without any progress while connected (ms). */
  readonly idleMs: number;
  /** Longest wait for a free connection of the pool (ms). */
  readonly queueMs: number;
}

export interface HttpHead {
  readonly status: number;
  /** Flat pairs as received. */
  readonly rawHeaders: readonly string[];
}

/**
 * Takes one piece of the body, which is only valid during the call; what it throws ends the exchange and is what the exchange
 * rejects with.
 */
export type BodySink = (piece: Buffer) => void;

/** First value of a header, by its lower-case name. */
export function headerOf(rawHeaders: readonly string[], name: string): string | undefined {
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const candidate = rawHeaders[i];
    if (candidate.length === name.length && (candidate === name || candidate.toLowerCase() === name)) {
      return rawHeaders[i + 1];
    }
  }
  return undefined;
}

export interface Transport {
  /** Bytes of bodies. */
  readonly bytesReceived: number;
  readonly bytesSent: number;
  /**
   * Resolves with the head once the whole body has passed through the sink that `onHead` chose. Rejects with
   * TransportError, or with what `onHead` or the sink threw.
   */
  exchange(request: HttpRequest, onHead: (head: HttpHead) => BodySink): Promise<HttpHead>;
  /** Ends exchanges under way with `aborted`, and idle connections. */
  close(): void;
}

export interface TransportOptions {
  readonly maxSockets: number;
  readonly connectMs: number;
  /** PEM certificates to trust instead of the built-in ones (AWS_CA_BUNDLE). */
  readonly ca?: string;
  proxyFor(origin: Origin): ProxyServer | undefined;
}

/**
 * Bytes of a body written at a time: the granularity at which a slow upload counts as alive. More at a time costs less (1 GiB
 * takes 2.2 s of the processor in pieces of 1 MiB, 2.5 to 3.1 s in these), where it goes quickly.
 */
const WRITE_BYTES = 256 * KiB;
const MAX_WRITE_BYTES = 1 * MiB;
const QUICK_MS = 100;

interface Pool {
  readonly agent: http.Agent;
  readonly proxy: ProxyServer | undefined;
}

export class HttpTransport implements Transport {
  bytesReceived = 0;
  bytesSent = 0;
  readonly #options: TransportOptions;
  readonly #pools = new Map<string, Pool>();
  readonly #open = new Set<Exchange>();
  #sweeper: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: TransportOptions) {
    this.#options = options;
  }

  exchange(request: HttpRequest, onHead: (head: HttpHead) => BodySink): Promise<HttpHead> {
    if (this.#closed) return Promise.reject(new TransportError('aborted', 'the client is closed'));
    if (request.signal?.aborted) return Promise.reject(new TransportError('aborted', 'aborted'));
    return new Promise((resolve, reject) => {
      const exchange = new Exchange(this, request, onHead, (error, head) => {
        this.#open.delete(exchange);
        if (head !== undefined) resolve(head);
        else reject(error);
      });
      this.#open.add(exchange);
      this.#sweeper ??= setInterval(() => this.#sweep(), 100);
      exchange.start(this.#pool(request.origin));
    });
  }

  close(): void {
    this.#closed = true;
    for (const exchange of [...this.#open]) exchange.fail(new TransportError('aborted', 'the client is closed'));
    for (const pool of this.#pools.values()) pool.agent.destroy();
    this.#sweep();
  }

  #pool(origin: Origin): Pool {
    const name = `${origin.secure ? 's' : 'p'}${origin.hostname}:${origin.port}`;
    let pool = this.#pools.get(name);
    if (pool === undefined) {
      const { maxSockets, ca, connectMs } = this.#options;
      const proxy = this.#options.proxyFor(origin);
      const options = { keepAlive: true, maxSockets, maxFreeSockets: maxSockets, scheduling: 'lifo' as const };
      const agent = !origin.secure
        ? new http.Agent(options)
        : proxy === undefined
          ? new https.Agent({ ...options, ca })
          : new TunnelAgent({ ...options, ca }, proxy, connectMs);
      pool = { agent, proxy };
      this.#pools.set(name, pool);
    }
    return pool;
  }

  #sweep(): void {
    const now = performance.now();
    for (const exchange of this.#open) exchange.watch(now, this.#options.connectMs);
    if (this.#open.size > 0) return;
    clearInterval(this.#sweeper);
    this.#sweeper = undefined;
  }
}

/** One request and its answer. It ends exactly once, through `end`. */
class Exchange {
  #request: http.ClientRequest | undefined;
  #head: HttpHead | undefined;
  #ended = false;
  /** Grows with each sign of life; the sweeper compares it with what it saw last. */
  #activity = 0;
  #seen = -1;
  #seenAt = 0;
  readonly #onAbort = () => this.fail(new TransportError('aborted', 'aborted'));

  constructor(
    readonly transport: HttpTransport,
    readonly options: HttpRequest,
    readonly onHead: (head: HttpHead) => BodySink,
    readonly end: (error: unknown, head?: HttpHead) => void,
  ) {}

  start(pool: Pool): void {
    const { origin, method, headers, body, signal } = this.options;
    let target = this.options.target;
    let { hostname: host, port } = origin;
    if (pool.proxy !== undefined && !origin.secure) {
      target = `http://${host.includes(':') ? `[${host}]` : host}:${port}${target}`;
      ({ hostname: host, port } = pool.proxy);
      if (pool.proxy.authorization !== undefined) headers.push('proxy-authorization', pool.proxy.authorization);
    }
    if (body !== undefined) headers.push('content-length', String(body.length));
    const options = { host, port, method, path: target, agent: pool.agent, headers: headers as never, setHost: false };
    try {
      this.#request = origin.secure ? https.request(options) : http.request(options);
    } catch (error) {
      this.fail(new TransportError('refused', (error as Error).message, error));
      return;
    }
    this.#request.on('response', (response) => this.#receive(response));
    this.#request.on('error', (error) => this.#broken(error));
    signal?.addEventListener('abort', this.#onAbort);
    this.#send(this.#request, body);
  }

  fail(error: unknown): void {
    if (this.#ended) return;
    this.#finish();
    this.#request?.destroy();
    this.end(error);
  }

  /** Called by the sweeper. */
  watch(now: number, connectMs: number): void {
    if (this.#seen !== this.#activity) {
      this.#seen = this.#activity;
      this.#seenAt = now;
      return;
    }
    const socket = this.#request?.socket;
    const connecting = socket?.connecting === true;
    if (this.#activity === 0 && socket && !connecting) {
      this.#activity = 1;
      return;
    }
    const limit = !socket
      ? this.options.queueMs
      : connecting
        ? Math.min(connectMs, this.options.idleMs)
        : this.options.idleMs;
    if (now - this.#seenAt < limit) return;
    const what = !socket ? 'no connection came free' : connecting ? 'connecting took' : 'nothing moved for';
    this.fail(new TransportError('timeout', `${what} ${Math.round(limit)} ms`));
  }

  #finish(): void {
    this.#ended = true;
    this.options.signal?.removeEventListener('abort', this.#onAbort);
  }

  #broken(error: Error): void {
    // An answer that has begun outlives a broken upload: the server may refuse without reading the body.
    if (this.#head !== undefined && !this.#ended) return;
    this.fail(new TransportError(failureOf(error), error.message, error));
  }

  #send(request: http.ClientRequest, body: Uint8Array | undefined): void {
    if (body === undefined || body.length <= WRITE_BYTES) {
      if (body === undefined) request.end();
      else request.end(body);
      this.transport.bytesSent += body?.length ?? 0;
      return;
    }
    let at = 0;
    let bytes = WRITE_BYTES;
    let begun = performance.now();
    const next = (error?: Error | null) => {
      if (error || this.#ended) return;
      this.#activity++;
      if (at >= body.length) {
        request.end();
        return;
      }
      const now = performance.now();
      if (at > 0) bytes = now - begun < QUICK_MS ? Math.min(2 * bytes, MAX_WRITE_BYTES) : WRITE_BYTES;
      begun = now;
      const piece = body.subarray(at, at + bytes);
      at += piece.length;
      this.transport.bytesSent += piece.length;
      request.write(piece, next);
    };
    next();
  }

  #receive(response: http.IncomingMessage): void {
    if (this.#ended) return;
    this.#activity++;
    this.#head = { status: response.statusCode ?? 0, rawHeaders: response.rawHeaders };
    let sink: BodySink;
    try {
      sink = this.onHead(this.#head);
    } catch (error) {
      this.fail(error);
      return;
    }
    response.on('data', (piece: Buffer) => {
      if (this.#ended) return;
      this.#activity++;
      this.transport.bytesReceived += piece.length;
      try {
        sink(piece);
      } catch (error) {
        this.fail(error);
      }
    });
    response.on('end', () => this.#complete(response));
    response.on('error', (error) => this.fail(new TransportError('broken', error.message, error)));
    response.on('close', () => {
      // Comes after every answer; an error (and its stack) is only made for one that did not end.
      if (!this.#ended) this.fail(new TransportError('broken', 'the connection ended inside the answer'));
    });
  }

  #complete(response: http.IncomingMessage): void {
    if (this.#ended) return;
    if (!response.complete) {
      this.fail(new TransportError('broken', 'the connection ended inside the answer'));
      return;
    }
    this.#finish();
    // Answered before the body was read: the rest would be taken for the next request.
    if (!this.#request!.writableFinished) this.#request!.destroy();
    this.end(undefined, this.#head);
  }
}
