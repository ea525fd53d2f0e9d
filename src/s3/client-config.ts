/**
 * Makes the real client from the mount's options. Region, profile, endpoint and credentials come from the AWS SDK's
 * own resolution, so that what works for the AWS CLI works here; requests then take the lean path.
 */
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { S3Client } from '@aws-sdk/client-s3';
import { type Clock, systemClock } from '../clock.js';
import type { Logger } from '../log.js';
import { type CredentialProvider, CredentialSource, sdkProvider } from './credentials.js';
import { configuredRegion, type Endpoint, resolveEndpoint } from './endpoint.js';
import { HttpTransport, type Origin, type Transport } from './http-transport.js';
import { LeanClient } from './lean-client.js';
import { MountHeaders } from './mount-headers.js';
import type { Probe } from './probe.js';
import { type Environment, proxyFor } from './proxy.js';
import { RequestSender } from './request-sender.js';
import { retryPolicy, type Sleep, sleep } from './retry.js';
import { isS3Error, S3Error } from './s3-error.js';
import { TransferThreads } from './transfer-threads.js';

export interface ObjectClientOptions {
  /** Name, or ARN of an access point. */
  readonly bucket: string;
  readonly region?: string;
  /** URL; absent: AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, the profile's endpoint_url, else AWS. */
  readonly endpoint?: string;
  readonly profile?: string;
  /** Requests are anonymous. */
  readonly noSignRequest?: boolean;
  readonly maxConnections: number;
  /** Threads that receive long answers; absent: as the machine has processors. */
  readonly transferThreads?: number;
  /** For tests: from how many bytes on an answer is long. */
  readonly longAnswerBytes?: number;
  /** No attempt of a request starts later than this after its first (ms). */
  readonly ioTimeoutMs: number;
  readonly requestPayer?: boolean;
  /** Account (12 digits) that must own the bucket. */
  readonly expectedBucketOwner?: string;
  /** Absent: path style for custom endpoints, as AWS says for its own. */
  readonly pathStyle?: boolean;
  /** Server-side encryption of what is written: AES256, aws:kms, aws:kms:dsse. */
  readonly sse?: string;
  readonly sseKmsKeyId?: string;
  /** SSE-C: 32 bytes. Sent over TLS, or to this machine, only. */
  readonly customerKey?: Uint8Array;
  readonly cannedAcl?: string;
  readonly clock?: Clock;
  /** For tests: credentials from elsewhere than the default chain. */
  readonly credentialProvider?: CredentialProvider;
  /** For tests; the SDK reads process.env by itself. */
  readonly env?: Environment;
  readonly sleep?: Sleep;
  readonly random?: () => number;
}

const MAX_TRANSFER_THREADS = 2;
/** Connecting takes no longer than this (ms). */
const CONNECT_LIMIT_MS = 10_000;

function refused(message: string, cause?: unknown): S3Error {
  return new S3Error('InvalidRequest', message, { operation: 'Configure', cause });
}

function refuseUnsupportedBucket(bucket: string): void {
  const details = { operation: 'Configure' };
  if (bucket.endsWith('--x-s3')) {
    throw new S3Error(
      'NotImplemented',
      `${bucket} is a directory bucket (S3 Express), which pailfs cannot mount`,
      details,
    );
  }
  if (/^arn:[^:]+:s3::[^:]*:accesspoint\/[^:]+\.mrap$/.test(bucket)) {
    throw new S3Error('NotImplemented', `${bucket} is a Multi-Region Access Point, which pailfs cannot mount`, details);
  }
}

function readCaBundle(env: Environment): string | undefined {
  const path = env.AWS_CA_BUNDLE || env.REQUESTS_CA_BUNDLE;
  if (path === undefined || path === '') return undefined;
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw refused(`the certificates that AWS_CA_BUNDLE names cannot be read: ${(error as Error).message}`, error);
  }
}

function isLoopback(hostname: string): boolean {
  return (
    hostname === 'localhost' || hostname === '[::1]' || hostname === '::1' || /^127\.\d+\.\d+\.\d+$/.test(hostname)
  );
}

function createTransport(options: ObjectClientOptions, env: Environment): Transport {
  for (const secure of [true, false]) {
    try {
      proxyFor(secure, 'proxy.invalid', 443, { ...env, NO_PROXY: '', no_proxy: '' });
    } catch (cause) {
      // The cause would print the variable, and with it a password.
      throw refused(`${secure ? 'HTTPS_PROXY' : 'HTTP_PROXY'} is not the URL of a proxy`, (cause as Error).name);
    }
  }
  const connectMs = Math.min(CONNECT_LIMIT_MS, options.ioTimeoutMs);
  const ca = readCaBundle(env);
  const proxyOf = (origin: Origin) => proxyFor(origin.secure, origin.hostname, origin.port, env);
  const threads = options.transferThreads ?? transferThreads(options.maxConnections);
  if (threads === 0) return new HttpTransport({ maxSockets: options.maxConnections, connectMs, ca, proxyFor: proxyOf });
  // Half of the connections are for long answers.
  const maxSockets = Math.max(1, Math.floor(options.maxConnections / 2 / threads));
  const own = new HttpTransport({
    maxSockets: Math.max(1, options.maxConnections - threads * maxSockets),
    connectMs,
    ca,
    proxyFor: proxyOf,
  });
  const proxies = Object.fromEntries(Object.entries(env).filter(([name]) => /^(https?|no)_proxy$/i.test(name)));
  return new TransferThreads(own, threads, { maxSockets, connectMs, ca, env: proxies }, options.longAnswerBytes);
}

/** One processor is for the main thread; where connections are few, none is kept apart. */
function transferThreads(maxConnections: number): number {
  return maxConnections < 4 ? 0 : Math.min(MAX_TRANSFER_THREADS, Math.max(1, availableParallelism() - 1));
}

function writeHeaders(options: ObjectClientOptions): string[] {
  const headers: string[] = [];
  if (options.sse !== undefined) headers.push('x-amz-server-side-encryption', options.sse);
  if (options.sseKmsKeyId !== undefined) {
    headers.push('x-amz-server-side-encryption-aws-kms-key-id', options.sseKmsKeyId);
  }
  if (options.cannedAcl !== undefined) headers.push('x-amz-acl', options.cannedAcl);
  return headers;
}

/** Sends nothing yet, except what finding credentials takes; `probe` asks the bucket. */
export async function createObjectClient(options: ObjectClientOptions, logger: Logger): Promise<LeanClient> {
  const { bucket, profile, clock = systemClock, env = process.env } = options;
  refuseUnsupportedBucket(bucket);
  const sdk = new S3Client({ profile, region: options.region });
  const region = (await configuredRegion(sdk, options.region, env)) ?? 'us-east-1';
  const { endpoint: url, pathStyle } = options;
  const endpointFor = async (inRegion: string): Promise<Endpoint> => {
    const found = await resolveEndpoint({ bucket, region: inRegion, endpoint: url, profile, pathStyle });
    const { secure, hostname, port } = found;
    return { ...found, isHere: isLoopback(hostname) && proxyFor(secure, hostname, port, env) === undefined };
  };
  const endpoint = await endpointFor(region);
  if (options.customerKey !== undefined && !endpoint.secure && !isLoopback(endpoint.hostname)) {
    throw refused(`the key of sse-c would travel to ${endpoint.host} in the clear: use an https:// endpoint`);
  }
  const provider = options.noSignRequest
    ? undefined
    : (options.credentialProvider ?? sdkProvider(sdk, profile, logger));
  const credentials = new CredentialSource(provider, clock, logger);
  await credentials.get();
  const sender = new RequestSender({
    transport: createTransport(options, env),
    credentials,
    endpoint,
    endpointFor,
    policy: retryPolicy(options.ioTimeoutMs),
    clock,
    sleep: options.sleep ?? sleep,
    random: options.random ?? Math.random,
    logger,
    mountHeaders: new MountHeaders(options),
  });
  return new LeanClient(bucket, sender, {
    headers: writeHeaders(options),
    customerKey: options.customerKey !== undefined,
  });
}

/** The same bucket without credentials: the client where it may be listed by anyone, undefined where not. */
export async function tryAnonymous(
  options: ObjectClientOptions,
  prefix: string,
  logger: Logger,
): Promise<{ client: LeanClient; probe: Probe } | undefined> {
  const client = await createObjectClient({ ...options, noSignRequest: true }, logger);
  try {
    const probe = await client.probe(prefix);
    if (probe.canList) return { client, probe };
  } catch (error) {
    if (!isS3Error(error)) throw error;
    logger.debug({ kind: error.kind }, 'the bucket does not answer anonymous requests');
  }
  await client.close();
  return undefined;
}
