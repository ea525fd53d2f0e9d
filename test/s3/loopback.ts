/** The embedded server with a client on it, and clients for hand-made servers; all end with their test. */
import { mkdtempSync, rmSync } from 'node:fs';
import type { AddressInfo, Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';
import type { EmbeddedOptions, EmbeddedServer } from '../../src/embedded/api.js';
import { startEmbeddedServer } from '../../src/embedded/server.js';
import { silentLogger } from '../../src/log.js';
import { createObjectClient, type ObjectClientOptions } from '../../src/s3/client-config.js';
import type { LeanClient } from '../../src/s3/lean-client.js';

export const secretKey = 'pailfs-secret';

/** With these everything that is read as a range is received in a thread. */
const inThreads: Partial<ObjectClientOptions> = { transferThreads: 2, longAnswerBytes: 1 };

/** Options that depend on nothing of the machine. */
export function clientOptions(endpoint: string, more: Partial<ObjectClientOptions> = {}): ObjectClientOptions {
  return {
    bucket: 'bucket',
    region: 'us-east-1',
    endpoint,
    maxConnections: 16,
    ioTimeoutMs: 10_000,
    credentialProvider: async () => ({ accessKeyId: 'pailfs', secretAccessKey: secretKey }),
    env: {},
    transferThreads: 0,
    ...(process.env.PAILFS_TEST_TRANSFER_THREADS === '1' ? inThreads : {}),
    ...more,
  };
}

export async function connect(t: Test, endpoint: string, more: Partial<ObjectClientOptions> = {}): Promise<LeanClient> {
  const client = await createObjectClient(clientOptions(endpoint, more), silentLogger);
  t.teardown(() => client.close());
  return client;
}

export function temporaryDirectory(t: Test): string {
  const directory = mkdtempSync(join(tmpdir(), 'pailfs-s3-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

export async function embedded(t: Test, options: Partial<EmbeddedOptions> = {}): Promise<EmbeddedServer> {
  const directory = mkdtempSync(join(tmpdir(), 'pailfs-s3-'));
  const server = await startEmbeddedServer({ directory, buckets: ['bucket'], ...options });
  t.teardown(async () => {
    await server.close();
    rmSync(directory, { recursive: true, force: true });
  });
  return server;
}

/** Listens on a free port of the loopback; answers the port. */
export async function listen(t: Test, server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    (server as Server & { closeAllConnections?(): void }).closeAllConnections?.();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}
