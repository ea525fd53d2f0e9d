/**
 * Where a mount test keeps its bucket: on an embedded server of its own, or on the server that PAILFS_TEST_ENDPOINT
 * names (scripts/s3-server.sh), in a new bucket. What a test asks of the embedded server alone (faults, counted
 * requests, sparse objects) is not there on a named one: such a test carries `onlyEmbedded` as its reason to be left out.
 */

import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import type { EmbeddedServer } from '../../src/embedded/api.js';
import { startEmbeddedServer } from '../../src/embedded/server.js';
import type { CapabilityName } from '../conformance/capabilities.js';
import { noKernelMounts } from './harness.js';

/** Name of the bucket on an embedded server. */
export const BUCKET = 'mounted';

export interface S3Place {
  readonly endpoint: string;
  readonly region: string;
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string };
  readonly bucket: string;
  /** Absent on a named server. */
  readonly embedded?: EmbeddedServer;
  close(): Promise<void>;
}

/** What the real command is told of a place from outside, with everything of its own below `directory`. */
export function commandEnvironment(
  { endpoint, region, credentials }: Pick<S3Place, 'endpoint' | 'region' | 'credentials'>,
  directory: string,
): NodeJS.ProcessEnv {
  return {
    PATH: process.env.PATH,
    HOME: directory,
    AWS_ACCESS_KEY_ID: credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
    AWS_EC2_METADATA_DISABLED: 'true',
    PAILFS_ENDPOINT_URL: endpoint,
    PAILFS_REGION: region,
    PAILFS_STATE_DIR: join(directory, 'state'),
    PAILFS_CACHE_DIR: join(directory, 'cache'),
    PAILFS_RUNTIME_DIR: join(directory, 'run'),
  };
}

const namedEndpoint = process.env.PAILFS_TEST_ENDPOINT;

/** For tap's skip option; scripts/test-servers.js knows it by its first words. */
export const onlyEmbedded: string | false =
  noKernelMounts ||
  (namedEndpoint === undefined ? false : 'only on the embedded server: it needs its faults or counters');

const lacking = new Set((process.env.PAILFS_TEST_LACKS ?? '').split(','));

/** Why a test that needs these promises of S3 cannot run on this server; for tap's skip option. */
export function without(...needed: CapabilityName[]): string | false {
  const missing = needed.filter((name) => lacking.has(name));
  return noKernelMounts || (missing.length > 0 && `the server lacks ${missing.join(', ')}`);
}

function credentialsOfEnvironment(): S3Place['credentials'] {
  const { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey } = process.env;
  if (!accessKeyId || !secretAccessKey) throw new Error('PAILFS_TEST_ENDPOINT wants AWS_ACCESS_KEY_ID and its secret');
  return { accessKeyId, secretAccessKey };
}

/** A client that is no part of pailfs. */
export function independentClient({ endpoint, region, credentials }: Omit<S3Place, 'bucket' | 'close'>): S3Client {
  return new S3Client({ endpoint, region, credentials, forcePathStyle: true, maxAttempts: 1 });
}

async function namedPlace(endpoint: string): Promise<S3Place> {
  const region = process.env.AWS_REGION ?? 'us-east-1';
  const credentials = credentialsOfEnvironment();
  const bucket = `${BUCKET}-${randomBytes(6).toString('hex')}`;
  const client = independentClient({ endpoint, region, credentials });
  await client.send(new CreateBucketCommand({ Bucket: bucket }));
  client.destroy();
  // The bucket goes with the server's data.
  return { endpoint, region, credentials, bucket, close: async () => {} };
}

async function embeddedPlace(directory: string): Promise<S3Place> {
  const server = await startEmbeddedServer({ directory, buckets: [BUCKET] });
  const { endpoint, region, credentials } = server;
  return { endpoint, region, credentials, bucket: BUCKET, embedded: server, close: () => server.close() };
}

/** `directory`: where an embedded server keeps its objects. */
export function openPlace(directory: string): Promise<S3Place> {
  return namedEndpoint === undefined ? embeddedPlace(directory) : namedPlace(namedEndpoint);
}
