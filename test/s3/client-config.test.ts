/** Where requests go, what the probe says, and that secrets stay out of everything. */

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { inspect } from 'node:util';
import t from 'tap';
import { createLogger, silentLogger } from '../../src/log.js';
import { createObjectClient } from '../../src/s3/client-config.js';
import { resolveEndpoint } from '../../src/s3/endpoint.js';
import { isS3Error } from '../../src/s3/s3-error.js';
import { fails } from '../conformance/object-client.js';
import { clientOptions, connect, embedded, temporaryDirectory } from './loopback.js';

t.test('endpoints', async (t) => {
  const where = async (options: Parameters<typeof resolveEndpoint>[0]) => {
    const { secure, host, basePath, scope } = await resolveEndpoint(options);
    return `${secure ? 'https' : 'http'}://${host}${basePath} ${scope.region}`;
  };
  const region = 'eu-west-1';
  t.equal(await where({ bucket: 'name', region }), 'https://name.s3.eu-west-1.amazonaws.com eu-west-1');
  t.equal(await where({ bucket: 'a.b', region }), 'https://s3.eu-west-1.amazonaws.com/a.b eu-west-1');
  t.equal(
    await where({ bucket: 'name', region: 'cn-north-1' }),
    'https://name.s3.cn-north-1.amazonaws.com.cn cn-north-1',
  );
  const endpoint = 'http://127.0.0.1:9000';
  t.equal(await where({ bucket: 'name', region, endpoint }), 'http://127.0.0.1:9000/name eu-west-1');
  t.equal(
    await where({ bucket: 'name', region, endpoint: 'https://s3.example/base/' }),
    'https://s3.example/base/name eu-west-1',
  );
  t.equal(
    await where({ bucket: 'name', region, endpoint: 'http://s3.example:80', pathStyle: false }),
    'http://name.s3.example eu-west-1',
  );
  const ap = 'arn:aws:s3:us-west-2:123456789012:accesspoint/mine';
  t.match(
    await where({ bucket: ap, region: 'us-west-2' }),
    /^https:\/\/mine-123456789012\.s3-accesspoint\.us-west-2\./,
  );
  process.env.AWS_ENDPOINT_URL_S3 = 'http://from.env:99';
  t.equal(await where({ bucket: 'name', region }), 'http://from.env:99/name eu-west-1');
  delete process.env.AWS_ENDPOINT_URL_S3;
});

t.test('what is refused before anything is sent', async (t) => {
  const make = (more: object) => createObjectClient(clientOptions('http://127.0.0.1:1', more), silentLogger);
  await fails(t, make({ bucket: 'x--use1-az4--x-s3' }), 'NotImplemented', 'directory bucket');
  await fails(t, make({ bucket: 'arn:aws:s3::123456789012:accesspoint/abc.mrap' }), 'NotImplemented', 'MRAP');
  await fails(t, make({ env: { AWS_CA_BUNDLE: '/nonexistent' } }), 'InvalidRequest', 'no bundle');
  await fails(t, make({ env: { HTTPS_PROXY: 'ftp://u:p@h' } }), 'InvalidRequest', 'no proxy');
});

t.test('the probe says what fails', async (t) => {
  const server = await embedded(t);
  const probe = async (more: object) => (await connect(t, server.endpoint, { ioTimeoutMs: 500, ...more })).probe('p/');
  const ok = await probe({});
  t.ok(Math.abs(ok.clockSkewMs) <= 2_000);
  t.match(ok, {
    canList: true,
    hasObjects: false,
    region: 'us-east-1',
    endpoint: server.endpoint,
  });
  await fails(t, probe({ bucket: 'absent' }), 'NoSuchBucket', 'absent');
  const pair = (accessKeyId: string, secretAccessKey: string) => ({
    credentialProvider: async () => ({ accessKeyId, secretAccessKey }),
  });
  await fails(t, probe(pair('nobody', 'x')), 'Credentials', 'unknown key');
  await fails(t, probe(pair('pailfs', 'wrong')), 'Credentials', 'wrong secret');
  await fails(t, probe({ endpoint: 'http://127.0.0.1:1' }), 'Unreachable', 'nothing listens');
  server.denied.add('ListObjectsV2');
  t.match(await probe({}), { canList: false, denied: { kind: 'AccessDenied' } });
});

t.test('secrets are in no error and no log line', async (t) => {
  const file = join(temporaryDirectory(t), 'log');
  const logger = createLogger({ level: 'trace', file });
  const server = await embedded(t);
  const secret = 'VERY+SECRET/VALUE';
  const sessionToken = 'SESSIONTOKENVALUE';
  const told: unknown[] = [];
  const keep = (error: unknown) => {
    t.ok(isS3Error(error));
    told.push(error, (error as Error).stack, JSON.stringify(error));
  };
  const more = {
    credentialProvider: async () => ({ accessKeyId: 'pailfs', secretAccessKey: secret, sessionToken }),
    env: { HTTP_PROXY: 'http://user:PROXYPASSWORD@127.0.0.1:1', NO_PROXY: '127.0.0.1' },
    ioTimeoutMs: 300,
  };
  const client = await createObjectClient(clientOptions(server.endpoint, more), logger);
  t.teardown(() => client.close());
  await client.head('k').catch(keep);
  await client.probe('').catch(keep);
  await client.get('k', { onData: () => {} }).catch(keep);
  const proxied = await createObjectClient(clientOptions('http://s3.invalid', more), logger);
  t.teardown(() => proxied.close());
  await proxied.head('k').catch(keep);
  const bad = { ...more, env: { HTTP_PROXY: 'http://user:PROXYPASSWORD@:bad:' } };
  await createObjectClient(clientOptions('http://s3.invalid', bad), logger).catch(keep);
  t.equal(told.length, 15);
  const text = inspect(told, { depth: 20 }) + readFileSync(file, 'utf8');
  for (const word of [secret, sessionToken, 'PROXYPASSWORD']) t.notOk(text.includes(word), `${word} in ${text}`);
  writeFileSync(file, '');
});
