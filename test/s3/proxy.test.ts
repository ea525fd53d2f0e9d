/** Proxies and certificate bundles as the AWS CLI takes them from the environment. */
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import { join } from 'node:path';
import t from 'tap';
import { proxyFor } from '../../src/s3/proxy.js';
import { sha256Hex } from '../../src/s3/signer.js';
import { fails, read } from '../conformance/object-client.js';
import { connect, embedded, listen, temporaryDirectory } from './loopback.js';

t.test('which proxy', async (t) => {
  const env = {
    HTTPS_PROXY: 'http://up:1',
    http_proxy: 'low:3128',
    HTTP_PROXY: 'http://up:2',
    NO_PROXY: '.corp, exact:9, 10.0.0.1',
  };
  t.match(proxyFor(true, 's3.example', 443, env), { hostname: 'up', port: 1, secure: false });
  t.match(proxyFor(false, 's3.example', 80, env), { hostname: 'low', port: 3128 });
  for (const [host, port] of [
    ['a.corp', 1],
    ['corp', 1],
    ['exact', 9],
    ['10.0.0.1', 80],
  ] as const) {
    t.equal(proxyFor(true, host, port, env), undefined, host);
  }
  t.ok(proxyFor(true, 'exact', 10, env));
  t.ok(proxyFor(true, 'acorp', 1, env));
  t.equal(proxyFor(true, 'x', 1, { HTTPS_PROXY: 'http://p', no_proxy: '*' }), undefined);
  t.equal(proxyFor(true, 'x', 1, { HTTPS_PROXY: '' }), undefined);
  t.match(proxyFor(true, 'x', 1, { HTTPS_PROXY: 'https://u%40:p@[::1]:8' }), {
    secure: true,
    hostname: '::1',
    port: 8,
    authorization: `Basic ${Buffer.from('u@:p').toString('base64')}`,
  });
});

t.test('an http endpoint through HTTP_PROXY', async (t) => {
  const server = await embedded(t);
  const seen: string[] = [];
  const hashes: string[] = [];
  const proxy = http.createServer((request, response) => {
    seen.push(`${request.url} ${request.headers['proxy-authorization']}`);
    hashes.push(String(request.headers['x-amz-content-sha256']));
    const url = new URL(request.url!);
    const { 'proxy-authorization': _, ...headers } = request.headers;
    const onward = http.request({
      host: url.hostname,
      port: url.port,
      path: request.url!.slice(url.origin.length),
      method: request.method,
      headers,
    });
    onward.on('response', (answer) => {
      response.writeHead(answer.statusCode!, answer.rawHeaders);
      answer.pipe(response);
    });
    request.pipe(onward);
  });
  const port = await listen(t, proxy);
  const client = await connect(t, server.endpoint, { env: { HTTP_PROXY: `http://u:p@127.0.0.1:${port}` } });
  await client.put('a/../b', Buffer.from('through'));
  t.equal((await read(client, 'a/../b')).body.toString(), 'through');
  t.equal(seen[0], `${server.endpoint}/bucket/a/../b Basic ${Buffer.from('u:p').toString('base64')}`);
  t.equal(hashes[0], sha256Hex('through'), 'the proxy cannot change it');
});

t.test('a body is not signed where nothing lies between this machine and itself', async (t) => {
  const hashes: string[] = [];
  const server = http.createServer((request, response) => {
    hashes.push(String(request.headers['x-amz-content-sha256']));
    request.resume();
    request.on('end', () => response.writeHead(200, { ETag: '"e"' }).end());
  });
  const port = await listen(t, server);
  const env = { HTTP_PROXY: `http://127.0.0.1:${port}`, NO_PROXY: '127.0.0.1' };
  for (const host of ['127.0.0.1', 'localhost', 'far.invalid'])
    await (await connect(t, `http://${host}:${port}`, { env })).put('k', Buffer.from('x'));
  t.same(hashes, ['UNSIGNED-PAYLOAD', sha256Hex('x'), sha256Hex('x')], 'directly, and twice through a proxy');
});

const openssl = spawnSync('openssl', ['version']).status === 0;
t.test('TLS', { skip: !openssl && 'openssl is not installed' }, async (t) => {
  const directory = temporaryDirectory(t);
  const [key, cert] = [join(directory, 'key.pem'), join(directory, 'cert.pem')];
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1,DNS:localhost'];
  const make = [
    'req',
    '-x509',
    '-newkey',
    'rsa:2048',
    '-nodes',
    '-keyout',
    key,
    '-out',
    cert,
    '-days',
    '1',
    ...subject,
  ];
  execFileSync('openssl', make, { stdio: 'ignore' });
  let hash = '';
  const server = https.createServer({ key: readFileSync(key), cert: readFileSync(cert) }, (request, response) => {
    hash = String(request.headers['x-amz-content-sha256']);
    request.resume();
    request.on('end', () => response.writeHead(200, { ETag: '"e"', 'Content-Length': 2 }).end('ok'));
  });
  const endpoint = `https://127.0.0.1:${await listen(t, server)}`;
  const env = { AWS_CA_BUNDLE: cert };

  await t.test('AWS_CA_BUNDLE', async (t) => {
    const client = await connect(t, endpoint, { env });
    t.equal((await read(client, 'k')).body.toString(), 'ok');
    await client.put('k', Buffer.from('x'));
    t.equal(hash, 'UNSIGNED-PAYLOAD', 'TLS protects the body');
    const strict = await connect(t, endpoint);
    await fails(t, strict.head('k'), 'Unreachable', 'unknown certificate');
    t.equal(strict.counters.retries, 0, 'repeating does not help');
  });

  await t.test('through CONNECT of HTTPS_PROXY', async (t) => {
    const targets: string[] = [];
    const proxy = http.createServer();
    proxy.on('connect', (request, socket) => {
      targets.push(request.url!);
      const [host, port] = request.url!.split(':');
      const onward = net.connect(Number(port), host, () => {
        socket.write('HTTP/1.1 200 OK\r\n\r\n');
        socket.pipe(onward).pipe(socket);
      });
      onward.on('error', () => socket.destroy());
      socket.on('error', () => onward.destroy());
      t.teardown(() => onward.destroy());
    });
    const port = await listen(t, proxy);
    const client = await connect(t, endpoint, { env: { ...env, HTTPS_PROXY: `http://127.0.0.1:${port}` } });
    for (let i = 0; i < 3; i++) t.equal((await read(client, 'k')).body.toString(), 'ok');
    t.same(targets, [endpoint.slice('https://'.length)], 'one tunnel, kept');
    const refusing = http.createServer();
    refusing.on('connect', (_, socket) => socket.end('HTTP/1.1 403 Forbidden\r\n\r\n'));
    const refusingPort = await listen(t, refusing);
    const more = { ioTimeoutMs: 300, env: { ...env, HTTPS_PROXY: `http://127.0.0.1:${refusingPort}` } };
    await fails(t, (await connect(t, endpoint, more)).head('k'), 'Unreachable', 'refused by the proxy');
  });
});
