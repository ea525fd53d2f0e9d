/** From settings to a bucket that answers: the client, what it may do, and what the user has to be told about that. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Settings } from './config.js';
import { readCustomerKey } from './customer-key.js';
import { exitCode } from './exit-code.js';
import type { Source } from './local/source.js';
import type { Logger } from './log.js';
import { createObjectClient, type ObjectClientOptions, tryAnonymous } from './s3/client-config.js';
import {
  ConditionalWrites,
  type ConditionSupport,
  type ConditionSupports,
  isKnownToHonour,
  withConditionalWrites,
} from './s3/conditional-writes.js';
import type { LeanClient } from './s3/lean-client.js';
import type { ObjectClient } from './s3/object-client.js';
import type { Probe } from './s3/probe.js';
import { isS3Error } from './s3/s3-error.js';
import { StartupFailure, startupFailure } from './startup-failure.js';

export interface Bucket {
  readonly client: LeanClient;
  readonly probe: Probe;
  /** For the user, one line each. */
  readonly notices: readonly string[];
}

export function clientOptionsOf(source: Source, settings: Settings): ObjectClientOptions {
  return {
    bucket: source.bucket,
    region: settings.region,
    endpoint: settings.endpointUrl,
    profile: settings.profile,
    noSignRequest: settings.noSignRequest,
    maxConnections: settings.maxConnections,
    ioTimeoutMs: settings.ioTimeout,
    requestPayer: settings.requestPayer,
    sse: settings.sse,
    sseKmsKeyId: settings.sseKmsKeyId,
    customerKey: settings.sseCKey === undefined ? undefined : readCustomerKey(settings.sseCKey),
    cannedAcl: settings.cannedAcl,
    expectedBucketOwner: settings.expectedBucketOwner,
  };
}

/** None are configured anywhere; credentials that are configured and fail are another matter, and are told. */
function noneConfigured(error: unknown): boolean {
  return isS3Error(error, 'Credentials') && /could not load credentials from any providers/i.test(error.message);
}

export interface CheckedBucket extends Omit<Bucket, 'client'> {
  readonly client: ObjectClient;
  readonly writes: ConditionalWrites;
}

/** What an earlier mount learnt of the server. That it ignores conditions is not kept: the next version may have them. */
function rememberedSupport(path: string): ConditionSupports {
  const remembered = (what: unknown): ConditionSupport => (what === 'honoured' ? 'honoured' : 'unknown');
  try {
    const { conditionalWrites, conditionalCopies } = JSON.parse(readFileSync(path, 'utf8'));
    return { writes: remembered(conditionalWrites), copies: remembered(conditionalCopies) };
  } catch {
    return { writes: 'unknown', copies: 'unknown' };
  }
}

/** On a disk that does not take it, the next mount finds out anew. */
function remember(path: string, { writes, copies }: ConditionSupports, logger: Logger): void {
  try {
    writeFileSync(path, JSON.stringify({ conditionalWrites: writes, conditionalCopies: copies }), { mode: 0o600 });
  } catch (error) {
    logger.warn({ err: error, path }, 'what was learnt of the server cannot be kept');
  }
}

const honoured: ConditionSupports = { writes: 'honoured', copies: 'honoured' };

/** Sees to it that no write goes out on the word of a server that ignores conditions. */
export function checkWrites(bucket: Bucket, stateDirectory: string, logger: Logger): CheckedBucket {
  const path = join(stateDirectory, 'server.json');
  const writes = new ConditionalWrites(bucket.client, {
    support: isKnownToHonour(new URL(bucket.probe.endpoint).host) ? honoured : rememberedSupport(path),
    logger,
    onLearnt: (learnt) => remember(path, learnt, logger),
  });
  return { ...bucket, client: withConditionalWrites(bucket.client, writes), writes };
}

async function connect(source: Source, settings: Settings, logger: Logger): Promise<Bucket> {
  const options = clientOptionsOf(source, settings);
  let client: Awaited<ReturnType<typeof createObjectClient>>;
  try {
    client = await createObjectClient(options, logger);
  } catch (error) {
    const open = noneConfigured(error) ? await tryAnonymous(options, source.prefix, logger) : undefined;
    if (open === undefined) throw error;
    return { ...open, notices: ['no credentials were found; the bucket is public and is mounted without any'] };
  }
  try {
    return { client, probe: await client.probe(source.prefix), notices: [] };
  } catch (error) {
    await client.close();
    throw error;
  }
}

/**
 * Rejects with StartupFailure. Where only listing is denied to credentials that are known, single objects may still be
 * readable and writable, so the mount goes on and says what it cannot see; without credentials nothing is left to hope for.
 */
export async function openBucket(source: Source, settings: Settings, logger: Logger): Promise<Bucket> {
  let bucket: Bucket;
  try {
    bucket = await connect(source, settings, logger);
  } catch (error) {
    throw startupFailure(error);
  }
  const { probe } = bucket;
  if (probe.canList) return bucket;
  // A bucket of somebody else answers the same, and that is what the option is to keep out.
  if (probe.anonymous || settings.expectedBucketOwner !== undefined) {
    await bucket.client.close();
    if (settings.expectedBucketOwner === undefined) throw startupFailure(probe.denied);
    const line = `${source.bucket} does not belong to account ${settings.expectedBucketOwner}, or s3:ListBucket is denied on it: check expected-bucket-owner`;
    throw new StartupFailure(exitCode.denied, line, { cause: probe.denied });
  }
  const blind = `s3:ListBucket is denied on ${source.bucket}: ls shows nothing, and only objects whose names are known can be used`;
  return { ...bucket, notices: [...bucket.notices, blind] };
}
