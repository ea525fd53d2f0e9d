/** Credentials that run out while they are used, found through the AWS SDK's own chain; and none at all. */
import { writeFileSync } from 'node:fs';
import http from 'node:http';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { silentLogger } from '../../src/log.js';
import { createObjectClient, tryAnonymous } from '../../src/s3/client-config.js';
import { CredentialSource, type Credentials } from '../../src/s3/credentials.js';
import type { UploadedPart } from '../../src/s3/object-client.js';
import { fails, read } from '../conformance/object-client.js';
import { clientOptions, connect, embedded, listen, temporaryDirectory } from './loopback.js';

/** Sets variables of this process until the test ends: the SDK reads them nowhere else. */
function environment(t: Test, values: Record<string, string>): void {
  const kept = { ...process.env };
  for (const name of Object.keys(process.env)) if (name.startsWith('AWS_')) delete process.env[name];
  const nowhere = join(temporaryDirectory(t), 'none');
  Object.assign(process.env, { AWS_CONFIG_FILE: nowhere, AWS_SHARED_CREDENTIALS_FILE: nowhere, ...values });
  t.teardown(() => {
    process.env = kept;
  });
}

t.test('the metadata service with credentials of 30 seconds', async (t) => {
  const server = await embedded(t);
  let issued = 0;
  const imds = http.createServer((request, response) => {
    if (request.method === 'PUT') {
      response.end('imds-token');
      return;
    }
    if (request.headers['x-aws-ec2-metadata-token'] !== 'imds-token') {
      response.writeHead(401).end();
      return;
    }
    if (request.url?.endsWith('/security-credentials/')) {
      response.end('role');
      return;
    }
    issued++;
    const pair = { accessKeyId: `ASIA${issued}`, secretAccessKey: `secret-${issued}`, sessionToken: `token-${issued}` };
    const lifetime = 30_000;
    server.addCredentials({ ...pair, expires: Date.now() + lifetime });
    response.end(
      JSON.stringify({
        Code: 'Success',
        AccessKeyId: pair.accessKeyId,
        SecretAccessKey: pair.secretAccessKey,
        Token: pair.sessionToken,
        Expiration: new Date(Date.now() + lifetime).toISOString(),
      }),
    );
  });
  const port = await listen(t, imds);
  environment(t, { AWS_EC2_METADATA_SERVICE_ENDPOINT: `http://127.0.0.1:${port}` });
  const client = await connect(t, server.endpoint, { credentialProvider: undefined });
  // Each set dies after 30 s: the copy goes on beyond the second. It is slow, so that it leaves the processors to others.
  const end = performance.now() + 65_000;
  let parts = 0;
  const uploadId = await client.createUpload('copy');
  const sent: UploadedPart[] = [];
  while (performance.now() < end) {
    const numbers = [1, 2, 3, 4].map((i) => parts + i);
    sent.push(...(await Promise.all(numbers.map((i) => client.uploadPart('copy', uploadId, i, Buffer.from(`${i}`))))));
    parts += 4;
    await setTimeout(250);
  }
  t.ok(issued >= 3, `renewed ${issued} times during ${parts} parts`);
  t.ok(issued <= 40, 'and not for each request');
  await client.abortUpload('copy', uploadId);
  t.equal(sent.length, parts);
  t.equal(client.counters.errors, 0);
});

t.test('ExpiredToken is answered by asking the source anew, once for all requests', async (t) => {
  const server = await embedded(t, {
    credentials: [{ accessKeyId: 'old', secretAccessKey: 'o', sessionToken: 'x', expires: Date.now() - 1000 }],
  });
  server.addCredentials({ accessKeyId: 'new', secretAccessKey: 'n', sessionToken: 'y' });
  let asked = 0;
  const credentialProvider = async () => {
    asked++;
    return asked === 1
      ? { accessKeyId: 'old', secretAccessKey: 'o', sessionToken: 'x' }
      : { accessKeyId: 'new', secretAccessKey: 'n', sessionToken: 'y' };
  };
  const client = await connect(t, server.endpoint, { credentialProvider });
  await Promise.all(['a', 'b', 'c', 'd'].map((key) => client.put(key, Buffer.from(key))));
  t.equal(asked, 2);
  const stuck = await connect(t, server.endpoint, {
    credentialProvider: async () => ({ accessKeyId: 'old', secretAccessKey: 'o', sessionToken: 'x' }),
  });
  await fails(t, stuck.put('e', Buffer.from('e')), 'Credentials', 'still expired', { code: 'ExpiredToken' });
});

t.test('a shared file that changes while mounted', async (t) => {
  const server = await embedded(t, {
    credentials: [{ accessKeyId: 'first', secretAccessKey: 'f', sessionToken: 's', expires: Date.now() + 1_000 }],
  });
  server.addCredentials({ accessKeyId: 'second', secretAccessKey: 'g' });
  const file = join(temporaryDirectory(t), 'credentials');
  writeFileSync(file, '[p]\naws_access_key_id=first\naws_secret_access_key=f\naws_session_token=s\n');
  environment(t, { AWS_SHARED_CREDENTIALS_FILE: file });
  const client = await connect(t, server.endpoint, { credentialProvider: undefined, profile: 'p' });
  await client.put('a', Buffer.from('a'));
  writeFileSync(file, '[p]\naws_access_key_id=second\naws_secret_access_key=g\n');
  await setTimeout(1_200);
  await client.put('b', Buffer.from('b'));
  t.equal(client.counters.retries, 1);
});

t.test('renewal in the background, by a clock of our own', async (t) => {
  let now = 0;
  let asked = 0;
  let broken = false;
  const clock = { now: () => now, monotonic: () => now };
  const provider = async (): Promise<Credentials> => {
    asked++;
    if (broken) throw new Error('source is down');
    return { accessKeyId: `k${asked}`, secretAccessKey: 's', expiration: new Date(now + 3_600_000) };
  };
  const source = new CredentialSource(provider, clock, silentLogger);
  const settle = () => setTimeout(5);
  await source.get();
  now = 3_299_000;
  t.match(source.get(), { accessKeyId: 'k1' });
  await settle();
  t.equal(asked, 1, 'five minutes and a second are left');
  now = 3_301_000;
  broken = true;
  t.match(source.get(), { accessKeyId: 'k1' }, 'nobody waits');
  t.match(source.get(), { accessKeyId: 'k1' });
  await settle();
  t.equal(asked, 2, 'asked once, failed');
  now += 6_000;
  broken = false;
  source.get();
  await settle();
  t.match(source.get(), { accessKeyId: 'k3' }, 'asked again after a pause');
  broken = true;
  now += 3_600_001;
  await fails(t, Promise.resolve(source.get()), 'Credentials', 'expired and not to be had');
  broken = false;
  t.match(await source.get(), { accessKeyId: 'k5' });
  await Promise.all([1, 2, 3].map(() => source.refresh(undefined)));
  t.equal(asked, 5, 'what was refreshed meanwhile is not asked for again');
});

t.test('no credentials, and a public bucket', async (t) => {
  environment(t, { AWS_EC2_METADATA_DISABLED: 'true' });
  const server = await embedded(t, { buckets: ['bucket', 'open'], publicBuckets: ['open'] });
  const owner = await connect(t, server.endpoint, { bucket: 'open' });
  await owner.put('k', Buffer.from('free'));
  const options = clientOptions(server.endpoint, { credentialProvider: undefined, bucket: 'open' });
  await fails(t, createObjectClient(options, silentLogger), 'Credentials', 'none found');
  const found = await tryAnonymous(options, '', silentLogger);
  t.match(found?.probe, { canList: true, hasObjects: true, anonymous: true });
  t.equal((await read(found!.client, 'k')).body.toString(), 'free');
  await found!.client.close();
  t.equal(await tryAnonymous({ ...options, bucket: 'bucket' }, '', silentLogger), undefined);
});
