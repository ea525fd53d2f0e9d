/**
 * The embedded S3 server: a signed request comes in on loopback, its operation is looked up, rules may spoil it, and
 * its answer goes out. What each operation does stands in the route files.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Answer, errorAnswer, type Handler, OWNER, type Service } from './answer.js';
import type { EmbeddedCredentials, EmbeddedOptions, EmbeddedServer } from './api.js';
import { bucketRoutes } from './bucket-routes.js';
import { copyRoutes } from './copy-routes.js';
import { Failure } from './failure.js';
import { Faults, type Strike } from './faults.js';
import { listRoutes } from './list-routes.js';
import { multipartRoutes } from './multipart-routes.js';
import { readRoutes } from './read-routes.js';
import { header, parseRequest, type S3Request } from './request.js';
import { type CountedRequest, RequestCount } from './request-count.js';
import { send } from './send.js';
import { Verifier } from './signature.js';
import { sparseRecord } from './sparse.js';
import { Store } from './store.js';
import { writeRoutes } from './write-routes.js';
import { errorDocument } from './xml.js';

const DEFAULT_PAIR: EmbeddedCredentials = { accessKeyId: 'pailfs', secretAccessKey: 'pailfs-secret' };
const routes: Record<string, Handler> = {
  ...bucketRoutes,
  ...listRoutes,
  ...readRoutes,
  ...writeRoutes,
  ...copyRoutes,
  ...multipartRoutes,
};
/** How long close() waits for requests in the middle of their work. */
const CLOSE_WAIT_MS = 1000;
const PUBLIC = new Set(['ListObjectsV2', 'ListObjects', 'GetObject', 'HeadObject', 'HeadBucket', 'GetBucketLocation']);

interface Running extends Service {
  readonly verifier: Verifier;
  readonly faults: Faults;
  readonly count: RequestCount;
  readonly publicBuckets: ReadonlySet<string>;
  readonly requesterPays: Set<string>;
}

export async function startEmbeddedServer(options: EmbeddedOptions): Promise<EmbeddedServer> {
  const region = options.region ?? 'us-east-1';
  const now = options.now ?? Date.now;
  const credentials = options.credentials ?? [DEFAULT_PAIR];
  const store = new Store(options.directory);
  const verifier = new Verifier(region, now);
  for (const pair of credentials) verifier.add(pair);
  for (const bucket of options.buckets ?? []) if (!store.buckets.has(bucket)) store.createBucket(bucket, now());
  const running: Running = {
    store,
    region,
    now,
    verifier,
    faults: new Faults(Math.random),
    count: new RequestCount(),
    denied: new Set<string>(),
    publicBuckets: new Set(options.publicBuckets),
    requesterPays: new Set(),
    endpoint: '',
    strictMultipart: true,
    imitatesMinio: false,
  };
  const server = createServer({ maxHeaderSize: 64 << 10, requestTimeout: 0, keepAliveTimeout: 60_000 });
  server.on('request', (message, response) => void serve(running, message, response));
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port ?? 0, '127.0.0.1', resolve);
  }).catch((error) => {
    store.close();
    throw error;
  });
  const { port } = server.address() as AddressInfo;
  const endpoint = `http://127.0.0.1:${port}`;
  Object.assign(running, { endpoint });
  const close = async () => {
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeAllConnections();
    await closed;
    // A rule may hold a request for long; what it wants of the closed store then fails.
    const waiting = new AbortController();
    const limit = sleep(CLOSE_WAIT_MS, undefined, { signal: waiting.signal }).catch(() => undefined);
    await Promise.race([running.count.idle(), limit]);
    waiting.abort();
    store.close();
  };
  return controls(running, { endpoint, port, credentials: credentials[0]!, close: onceOnly(close) });
}

function onceOnly(close: () => Promise<void>): () => Promise<void> {
  let closing: Promise<void> | undefined;
  return () => {
    closing ??= close();
    return closing;
  };
}

function controls(
  running: Running,
  given: Pick<EmbeddedServer, 'endpoint' | 'port' | 'credentials' | 'close'>,
): EmbeddedServer {
  const { store, faults, count, denied, region, verifier } = running;
  return {
    ...given,
    region,
    requests: count,
    faults: { add: (rule) => faults.add(rule), clear: () => faults.clear() },
    get strictMultipart() {
      return running.strictMultipart;
    },
    set strictMultipart(strict) {
      running.strictMultipart = strict;
    },
    get imitatesMinio() {
      return running.imitatesMinio;
    },
    set imitatesMinio(imitates) {
      running.imitatesMinio = imitates;
    },
    denied: denied as Set<string>,
    requesterPays: running.requesterPays,
    archive: (bucket, key) => {
      const record = store.bucket(bucket).objects.get(key);
      if (!record) throw new Error(`no object ${key} to archive`);
      store.amend(bucket, { ...record, storageClass: 'GLACIER' });
    },
    addCredentials: (pair) => verifier.add(pair),
    putSparse: (bucket, key, size, patches = []) => {
      store.put(bucket, sparseRecord(store.blobs, { key, size, patches, modified: running.now() }));
    },
  };
}

async function serve(running: Running, message: IncomingMessage, response: ServerResponse): Promise<void> {
  const entry = running.count.begin();
  let request: S3Request | undefined;
  try {
    request = parseRequest(message);
    entry.name(request);
    const strike = running.faults.strike(request.operation, request.key);
    const answer = await answerOf(running, request, strike);
    if (!answer) {
      message.socket.resetAndDestroy();
      return;
    }
    await respond(running, request, response, answer, strike, entry);
  } catch (error) {
    // Only what comes before there is an answer, or a client that went away in the middle of one.
    if (response.headersSent) response.destroy();
    else await refuse(running, message, response, error, entry);
  } finally {
    entry.end(request?.bytesReceived ?? 0);
  }
}

async function respond(
  running: Running,
  request: S3Request,
  response: ServerResponse,
  answer: Answer,
  { deciding, others }: Strike,
  entry: CountedRequest,
): Promise<void> {
  const flip = others.find((action) => action.kind === 'flip-bit')?.at;
  const etag = others.find((action) => action.kind === 'wrong-etag')?.etag;
  if (etag !== undefined) answer = withEtag(answer, etag);
  if (request.method === 'HEAD') answer = { ...answer, body: undefined };
  setCommonHeaders(running, response, request.id);
  entry.status = answer.status;
  const cut = deciding?.kind === 'error' || deciding?.kind === 'error-in-200' ? undefined : deciding;
  entry.sent = await send(running.store.blobs, response, answer, { cut, flip });
}

async function refuse(
  running: Running,
  message: IncomingMessage,
  response: ServerResponse,
  error: unknown,
  entry: CountedRequest,
): Promise<void> {
  const answer = errorAnswer(asFailure(error), { id: '0', path: message.url! });
  setCommonHeaders(running, response, '0');
  entry.status = answer.status;
  await send(running.store.blobs, response, message.method === 'HEAD' ? { ...answer, body: undefined } : answer, {});
}

function setCommonHeaders(running: Running, response: ServerResponse, id: string): void {
  response.sendDate = false;
  response.setHeader('date', new Date(running.now()).toUTCString());
  response.setHeader('server', running.imitatesMinio ? 'MinIO' : 'AmazonS3');
  response.setHeader('x-amz-request-id', id);
  response.setHeader('x-amz-id-2', 'pailfs-embedded');
}

/** Nothing: the connection is to be reset without an answer. */
async function answerOf(running: Running, request: S3Request, strike: Strike): Promise<Answer | undefined> {
  const { deciding, others } = strike;
  for (const action of others) {
    if (action.kind === 'delay') await sleep(action.ms);
    if (action.kind === 'call') await action.before();
    if (action.kind === 'ignore-range') request.withoutRange = true;
  }
  const unanswered = deciding?.kind === 'reset' && deciding.afterBytes === undefined && !deciding.afterHeaders;
  if (deciding?.kind === 'error-in-200') return errorIn200(deciding.code, request);
  if (!deciding || !('afterCommit' in deciding && deciding.afterCommit)) {
    if (unanswered) return undefined;
    if (deciding?.kind === 'error') return injected(deciding, request);
    return perform(running, request);
  }
  const done = await perform(running, request);
  if (!unanswered && deciding.kind === 'reset') return done;
  if (typeof done.body === 'object') running.store.blobs.release(done.body.segments);
  return deciding.kind === 'error' ? injected(deciding, request) : undefined;
}

async function perform(running: Running, request: S3Request): Promise<Answer> {
  try {
    authorize(running, request);
    if (request.withoutRange) delete request.headers.range;
    const handler = routes[request.operation];
    if (!handler) throw new Failure(request.operation === 'MethodNotAllowed' ? 'MethodNotAllowed' : 'NotImplemented');
    const answer = await handler(running, request);
    if (!running.requesterPays.has(request.bucket)) return answer;
    return { ...answer, headers: { ...answer.headers, 'x-amz-request-charged': 'requester' } };
  } catch (error) {
    return errorAnswer(asFailure(error), { id: request.id, path: `/${request.bucket}/${request.key}` });
  }
}

function authorize({ verifier, publicBuckets, denied, requesterPays }: Running, request: S3Request): void {
  const signed = verifier.verify(request);
  const open = publicBuckets.has(request.bucket) && PUBLIC.has(request.operation);
  const owner = header(request, 'x-amz-expected-bucket-owner') ?? OWNER;
  // The owner need not say it on AWS; here it is the only account there is.
  const pays = !requesterPays.has(request.bucket) || header(request, 'x-amz-request-payer') === 'requester';
  if (!pays || (!signed && !open) || denied.has(request.operation) || owner !== OWNER)
    throw new Failure('AccessDenied');
  if ((request.query.get('versionId') ?? 'null') !== 'null') throw new Failure('NoSuchVersion');
}

function asFailure(error: unknown): Failure {
  if (error instanceof Failure) return error;
  return new Failure('InternalError', { message: error instanceof Error ? error.message : String(error) });
}

function injected(
  fault: { status: number; code: string; headers?: Record<string, string> },
  request: S3Request,
): Answer {
  const failure = new Failure(fault.code, { headers: fault.headers }, fault.status);
  return errorAnswer(failure, { id: request.id, path: `/${request.bucket}/${request.key}` });
}

// As AWS does when a long copy or complete fails late: spaces kept the connection alive until then.
function errorIn200(code: string, request: S3Request): Answer {
  const { message } = new Failure(code);
  const body = errorDocument({ Code: code, Message: message, RequestId: request.id }, ' '.repeat(16));
  return { status: 200, headers: { 'content-type': 'application/xml' }, body };
}

function withEtag(answer: Answer, etag: string): Answer {
  const quotedEtag = `"${etag.replaceAll('"', '')}"`;
  const headers = 'etag' in answer.headers ? { ...answer.headers, etag: quotedEtag } : answer.headers;
  if (typeof answer.body !== 'string') return { ...answer, headers };
  const told = `<ETag>${quotedEtag.replaceAll('"', '&quot;')}</ETag>`;
  return { ...answer, headers, body: answer.body.replace(/<ETag>[^<]*<\/ETag>/g, () => told) };
}
