/**
 * Sends one S3 request until it is answered: signs each attempt afresh (clock, credentials and region may have been
 * corrected since the last), maps failures to kinds, waits as retry.ts says, and counts. Operations are built on top
 * in reading.ts, writing.ts, multipart.ts, listing.ts and deleting.ts.
 */
import type { Clock } from '../clock.js';
import type { Logger } from '../log.js';
import { type ErrorDocument, parseError } from './answers.js';
import type { CredentialSource, Credentials } from './credentials.js';
import type { Endpoint } from './endpoint.js';
import { kindOf, type Remedy, remedyOf, statusOfCode } from './error-mapping.js';
import { type BodySink, type HttpHead, headerOf, type Transport } from './http-transport.js';
import { encodeKey } from './key.js';
import type { MountHeaders } from './mount-headers.js';
import { RetryBudget, type RetryPolicy, RetryState, type Sleep } from './retry.js';
import { S3Error, type S3ErrorKind } from './s3-error.js';
import { type ServerKind, serverKindOf } from './server-kind.js';
import { payloadHash, Signer } from './signer.js';
import { TransportError } from './transport-error.js';

export interface S3Request {
  /** Operation name of the S3 API. */
  readonly operation: string;
  readonly method: 'GET' | 'HEAD' | 'PUT' | 'POST' | 'DELETE';
  /** Absent: the bucket. */
  readonly key?: string;
  /** `name=value&…`, encoded and in order, without `?`. */
  readonly query?: string;
  /** Flat pairs, names in lower case. */
  readonly headers: readonly string[];
  readonly body?: Uint8Array;
  /** How long the body of a good answer is, where that is known (bytes). */
  readonly expectBytes?: number;
  readonly signal?: AbortSignal;
  /** The server works before it answers (copies, completion): silence is allowed for longer. */
  readonly slow?: boolean;
}

/** One attempt's failure and what may help. */
export class AttemptFailure extends Error {
  constructor(
    readonly error: S3Error,
    readonly remedy: Remedy,
    /** The server's Date, for correct-clock. */
    readonly date?: number,
    readonly usedCredentials?: Credentials,
  ) {
    super(error.message);
  }
}

export interface SenderOptions {
  readonly transport: Transport;
  readonly credentials: CredentialSource;
  readonly endpoint: Endpoint;
  /** The endpoint for another region; undefined: it is fixed. */
  readonly endpointFor?: (region: string) => Promise<Endpoint>;
  readonly policy: RetryPolicy;
  readonly clock: Clock;
  readonly sleep: Sleep;
  readonly random: () => number;
  readonly logger: Logger;
  readonly mountHeaders?: MountHeaders;
}

/** Error documents are small; what is longer is cut. */
const MAX_ERROR_BYTES = 64 * 1024;
/** Largest document accepted as an answer (bytes): a page of 1,000 long keys is under 10 MB. */
const MAX_DOCUMENT_BYTES = 32 * 1024 * 1024;
/** Copies and completions may be silent for this long (ms). */
const SLOW_IDLE_MS = 300_000;

const transportKinds: Readonly<Record<string, S3ErrorKind>> = {
  timeout: 'Timeout',
  connect: 'Unreachable',
  broken: 'Unreachable',
  refused: 'Unreachable',
  aborted: 'Aborted',
};

/** Kinds that answer a question, and are no fault. */
const answers: ReadonlySet<S3ErrorKind> = new Set(['NotFound', 'NotModified', 'PreconditionFailed', 'Aborted']);

export class RequestSender {
  endpoint: Endpoint;
  /** Server's clock minus ours (ms), once it had to be corrected. */
  clockOffset = 0;
  /** Who answers; undefined until an answer has told. */
  server: ServerKind | undefined;
  /** The server compares If-Match of a PUT with its ETag as it stands there, quotes included (radosgw 16). */
  bareIfMatch = false;
  /** Whether what is written has the tags that are sent with it (kept-tags.ts); absent until a write has shown it. */
  readonly keepsTags: { copies?: boolean; uploads?: boolean } = {};
  retries = 0;
  errors = 0;
  readonly requests: Record<string, number> = {};
  readonly signer = new Signer();
  readonly budget: RetryBudget;

  constructor(readonly options: SenderOptions) {
    this.endpoint = options.endpoint;
    this.budget = new RetryBudget(options.clock.monotonic());
  }

  now(): number {
    return this.options.clock.now() + this.clockOffset;
  }

  dateOf(head: HttpHead): number {
    const date = Date.parse(headerOf(head.rawHeaders, 'date') ?? '');
    return Number.isNaN(date) ? this.options.clock.now() : date;
  }

  retryState(): RetryState {
    const { policy, clock, random } = this.options;
    return new RetryState(policy, clock, this.budget, random);
  }

  /** Repeats `attempt` while its failures have a remedy; rejects with S3Error only. */
  async retrying<T>(
    operation: string,
    key: string | undefined,
    signal: AbortSignal | undefined,
    attempt: (state: RetryState) => Promise<T>,
    state: RetryState = this.retryState(),
  ): Promise<T> {
    for (;;) {
      let failure: AttemptFailure;
      try {
        return await attempt(state);
      } catch (error) {
        if (!(error instanceof AttemptFailure)) throw this.#final(error, operation, key);
        failure = error;
      }
      const delay = state.next(failure.remedy);
      if (delay === undefined || signal?.aborted) {
        this.#countError(failure.error);
        if (failure.error.kind === 'Unknown') this.#logUnknown(failure.error);
        throw failure.error;
      }
      this.retries++;
      await this.#correct(failure);
      if (delay > 0) await this.options.sleep(delay, signal);
      if (signal?.aborted) throw new S3Error('Aborted', `${operation}: aborted`, { operation, key });
    }
  }

  /** One request with its answer as text. */
  text(request: S3Request): Promise<{ head: HttpHead; text: string }> {
    return this.retrying(request.operation, request.key, request.signal, () => this.textOnce(request));
  }

  async textOnce(request: S3Request): Promise<{ head: HttpHead; text: string }> {
    const pieces: Buffer[] = [];
    let length = 0;
    const head = await this.once(request, () => (piece) => {
      length += piece.length;
      if (length > MAX_DOCUMENT_BYTES) throw this.corrupt(request.operation, request.key, 'the answer is too long');
      pieces.push(Buffer.from(piece));
    });
    const text = pieces.length === 1 ? pieces[0].toString() : Buffer.concat(pieces).toString();
    return { head, text };
  }

  /**
   * One attempt. Answers 2xx (and what `accepts` allows) go to `onHead`; anything else is read as an error document and
   * thrown as AttemptFailure.
   */
  async once(
    request: S3Request,
    onHead: (head: HttpHead) => BodySink,
    accepts?: (status: number) => boolean,
  ): Promise<HttpHead> {
    try {
      return await this.#attempt(request, onHead, accepts, true);
    } catch (error) {
      // The answer for an object that is not under the customer's key; of a HEAD the status is all there is.
      const refused = error instanceof AttemptFailure && error.error.details.status === 400;
      if (!refused || error.remedy !== 'none' || !this.options.mountHeaders?.mayLackKey(request.operation)) throw error;
      return this.#attempt(request, onHead, accepts, false);
    }
  }

  async #attempt(
    request: S3Request,
    onHead: (head: HttpHead) => BodySink,
    accepts: ((status: number) => boolean) | undefined,
    keyed: boolean,
  ): Promise<HttpHead> {
    const found = this.options.credentials.get();
    const credentials = found instanceof Promise ? await found : found;
    const { endpoint } = this;
    const path = `${endpoint.basePath}${request.key === undefined ? '/' : `/${this.#encode(request)}`}`;
    const query = request.query ?? '';
    const headers = ['host', endpoint.host, ...request.headers];
    this.options.mountHeaders?.push(request.operation, headers, keyed);
    if (credentials !== undefined) {
      const hash = payloadHash(request.body, endpoint.secure || endpoint.isHere === true);
      this.signer.sign(request.method, path, query, headers, hash, this.now(), credentials, endpoint.scope);
    }
    const { requests } = this;
    requests[request.operation] = (requests[request.operation] ?? 0) + 1;
    const error: Buffer[] = [];
    let errorLength = 0;
    let failed = false;
    const takeError: BodySink = (piece) => {
      if (errorLength < MAX_ERROR_BYTES) error.push(Buffer.from(piece));
      errorLength += piece.length;
    };
    let head: HttpHead;
    try {
      head = await this.options.transport.exchange(
        {
          origin: endpoint,
          method: request.method,
          target: query === '' ? path : `${path}?${query}`,
          headers,
          body: request.body,
          expectBytes: request.expectBytes,
          signal: request.signal,
          idleMs: request.slow ? Math.max(SLOW_IDLE_MS, this.#idleMs) : this.#idleMs,
          queueMs: this.options.policy.deadlineMs,
        },
        (received) => {
          const { status } = received;
          failed = !((status >= 200 && status < 300) || accepts?.(status));
          return failed ? takeError : onHead(received);
        },
      );
    } catch (thrown) {
      throw this.#transportFailure(thrown, request);
    }
    this.server ??= serverKindOf(head);
    if (failed) throw this.failure(request, head, Buffer.concat(error).toString(), credentials);
    return head;
  }

  /** A third of the deadline: a connection that stalls leaves time for others. */
  get #idleMs(): number {
    return Math.max(50, this.options.policy.deadlineMs / 3);
  }

  /** The failure that an answer means; also for an error document inside a 200. */
  failure(request: S3Request, head: HttpHead, text: string, credentials?: Credentials): AttemptFailure {
    const { operation, key } = request;
    const document: ErrorDocument | undefined = parseError(text);
    const code = document?.code ?? headerOf(head.rawHeaders, 'x-minio-error-code');
    const status = head.status === 200 && code !== undefined ? statusOfCode(code) : head.status;
    const requestId = headerOf(head.rawHeaders, 'x-amz-request-id') ?? document?.requestId;
    const named = headerOf(head.rawHeaders, 'x-amz-bucket-region') ?? document?.region;
    const region = named !== undefined && named !== this.endpoint.scope.region ? named : undefined;
    const elsewhere = region !== undefined && (status === 301 || status === 307 || status === 400);
    const kind = elsewhere && code !== 'ExpiredToken' ? 'WrongRegion' : kindOf(status, code);
    const etag = headerOf(head.rawHeaders, 'etag')?.replaceAll('"', '');
    const message = `${operation}: ${status}${code === undefined ? '' : ` ${code}`}${document?.message ? ` (${document.message})` : ''}`;
    const error = new S3Error(kind, message, { operation, key, status, code, requestId, region, etag });
    const remedy = remedyOf(status, code, this.options.endpointFor === undefined ? undefined : region);
    return new AttemptFailure(error, remedy, this.dateOf(head), credentials);
  }

  corrupt(operation: string, key: string | undefined, what: string, cause?: unknown): S3Error {
    return new S3Error('Corrupt', `${operation}: ${what}`, { operation, key, cause });
  }

  #encode(request: S3Request): string {
    try {
      return encodeKey(request.key!);
    } catch (cause) {
      const { operation, key } = request;
      throw new S3Error('InvalidRequest', `${operation}: the key is not valid Unicode`, { operation, key, cause });
    }
  }

  #transportFailure(thrown: unknown, request: S3Request): unknown {
    if (!(thrown instanceof TransportError)) return thrown;
    const { operation, key } = request;
    const { failure } = thrown;
    const where = failure === 'aborted' ? '' : ` (${this.endpoint.hostname}:${this.endpoint.port})`;
    const error = new S3Error(transportKinds[failure], `${operation}: ${thrown.message}${where}`, {
      operation,
      key,
      cause: thrown.cause ?? thrown,
    });
    return new AttemptFailure(error, failure === 'aborted' || failure === 'refused' ? 'none' : 'wait');
  }

  async #correct(failure: AttemptFailure): Promise<void> {
    if (failure.remedy === 'refresh-credentials') await this.options.credentials.refresh(failure.usedCredentials);
    if (failure.remedy === 'correct-clock' && failure.date !== undefined) {
      this.clockOffset = failure.date - this.options.clock.now();
      this.options.logger.warn(
        { offsetMs: this.clockOffset },
        'the clock differs from the server; signing with its time',
      );
    }
    const { region } = failure.error.details;
    if (failure.remedy === 'follow-region' && region !== undefined && region !== this.endpoint.scope.region) {
      this.endpoint = await this.options.endpointFor!(region);
      this.options.logger.info({ region }, 'the bucket is in another region');
    }
  }

  #final(error: unknown, operation: string, key: string | undefined): S3Error {
    if (error instanceof S3Error) {
      this.#countError(error);
      return error;
    }
    this.errors++;
    const unknown = new S3Error('Unknown', `${operation}: ${(error as Error).message}`, {
      operation,
      key,
      cause: error,
    });
    this.#logUnknown(unknown);
    return unknown;
  }

  #countError({ kind }: S3Error): void {
    if (!answers.has(kind)) this.errors++;
  }

  #logUnknown(error: S3Error): void {
    this.options.logger.error({ err: error, details: { ...error.details, cause: undefined } }, 'unexpected S3 failure');
  }
}
