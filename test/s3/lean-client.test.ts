/**
 * The real client keeps every promise of ObjectClient on the embedded server, and on the server that
 * PAILFS_TEST_ENDPOINT names (with PAILFS_TEST_BUCKET, the AWS variables for credentials, and in PAILFS_TEST_LACKS the
 * capabilities that server lacks, by name, with commas between).
 */
import { randomUUID } from 'node:crypto';
import t, { type Test } from 'tap';
import { silentLogger } from '../../src/log.js';
import { createObjectClient } from '../../src/s3/client-config.js';
import { isCapability } from '../conformance/capabilities.js';
import { objectClientConformance } from '../conformance/object-client.js';
import { connect, embedded } from './loopback.js';

await t.test('embedded server', async (t) => {
  const server = await embedded(t);
  await objectClientConformance(t, 'LeanClient', () => connect(t, server.endpoint));
});

await t.test('embedded server that imitates MinIO', async (t) => {
  const server = await embedded(t);
  server.imitatesMinio = true;
  await objectClientConformance(t, 'LeanClient', () => connect(t, server.endpoint), { listsMetadata: true });
});

const endpoint = process.env.PAILFS_TEST_ENDPOINT;
/** A real server, where the environment names one. */
async function namedServer(t: Test, endpoint: string): Promise<void> {
  const lacks = (process.env.PAILFS_TEST_LACKS ?? '').split(',').filter((name) => name !== '');
  for (const name of lacks) t.ok(isCapability(name), `${name} is a capability`);
  const makeClient = () =>
    createObjectClient(
      { bucket: process.env.PAILFS_TEST_BUCKET ?? 'bucket', endpoint, maxConnections: 16, ioTimeoutMs: 30_000 },
      silentLogger,
    );
  await objectClientConformance(t, endpoint, makeClient, {
    lacks: lacks.filter(isCapability),
    prefix: `conformance-${randomUUID()}/`,
    listsMetadata: process.env.PAILFS_TEST_SERVER === 'minio',
  });
}

if (endpoint !== undefined) await t.test('named server', (t) => namedServer(t, endpoint));
