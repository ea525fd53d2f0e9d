/** Servers that misbehave over real sockets: what the client believes, repeats, resumes and refuses. */

import { createHash } from 'node:crypto';
import http from 'node:http';
import net from 'node:net';
import t, { type Test } from 'tap';
import type { ObjectClientOptions } from '../../src/s3/client-config.js';
import type { S3ErrorKind } from '../../src/s3/s3-error.js';
import { fails, read } from '../conformance/object-client.js';
import { connect, listen } from './loopback.js';

const etag = '"0123456789abcdef0123456789abcdef"';
const quick: Partial<ObjectClientOptions> = { random: () => 0 };

type Reply = string | ((socket: net.Socket, request: string) => void);

/** Answers each request with the next of `replies` (the last one again and again), byte for byte. */
async function raw(t: Test, replies: Reply[], more: Partial<ObjectClientOptions> = quick) {
  const requests: string[] = [];
  const sockets = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    let text = '';
    socket.on('error', () => {});
    socket.on('data', (data) => {
      text += data.toString('latin1');
      const end = text.indexOf('\r\n\r\n');
      if (end < 0) return;
      const length = Number(/content-length: (\d+)/i.exec(text)?.[1] ?? 0);
      if (text.length < end + 4 + length) return;
      const request = text;
      text = '';
      const reply = replies[Math.min(requests.length, replies.length - 1)];
      requests.push(request);
      if (typeof reply === 'string') socket.write(reply);
      else reply(socket, request);
    });
  });
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
  });
  const port = await listen(t, server);
  const client = await connect(t, `http://127.0.0.1:${port}`, more);
  return { client, requests, port };
}

function answer(status: string, headers: Record<string, string>, body = ''): string {
  const all = { Date: new Date().toUTCString(), 'Content-Length': String(body.length), ...headers };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return `HTTP/1.1 ${status}\r\n${lines.join('')}\r\n${body}`;
}

const object = (body: string, more: Record<string, string> = {}) => answer('200 OK', { ETag: etag, ...more }, body);
const part = (first: number, last: number, total: number, body: string, more: Record<string, string> = {}) =>
  answer('206 Partial Content', { ETag: etag, 'Content-Range': `bytes ${first}-${last}/${total}`, ...more }, body);
const error = (status: number, code: string, more = '', headers: Record<string, string> = {}) =>
  answer(`${status} X`, headers, `<Error><Code>${code}</Code><Message>m</Message>${more}</Error>`);
const cut =
  (text: string): Reply =>
  (socket) =>
    socket.end(text);
const reset =
  (text: string): Reply =>
  (socket) => {
    socket.write(text);
    setTimeout(() => socket.resetAndDestroy(), 20);
  };

t.test('a body that ends early is resumed behind its last byte under If-Match', async (t) => {
  for (const end of [cut, reset]) {
    const first = end(object('01234', { 'Content-Length': '10' }));
    const { client, requests } = await raw(t, [first, part(5, 9, 10, '56789')]);
    t.equal((await read(client, 'k')).body.toString(), '0123456789');
    t.match(requests[1], /range: bytes=5-9\r\n/);
    t.match(requests[1], /if-match: "0123456789abcdef0123456789abcdef"\r\n/);
    t.equal(client.counters.retries, 1);
  }
});

t.test('a resumed range stays inside what was asked', async (t) => {
  const { client, requests } = await raw(t, [
    cut(part(2, 7, 10, '234', { 'Content-Length': '6' })),
    part(5, 7, 10, '567'),
  ]);
  t.equal((await read(client, 'k', { start: 2, end: 8 })).body.toString(), '234567');
  t.match(requests[1], /range: bytes=5-7\r\n/);
});

t.test('a version that is replaced while its body is resumed', async (t) => {
  const { client } = await raw(t, [cut(object('01234', { 'Content-Length': '10' })), error(412, 'PreconditionFailed')]);
  await fails(t, read(client, 'k'), 'PreconditionFailed', 'never mixed');
});

t.test('a stalled body is given up and resumed', async (t) => {
  const stall: Reply = (socket) => void socket.write(object('01234', { 'Content-Length': '10' }));
  const { client } = await raw(t, [stall, part(5, 9, 10, '56789')], { ...quick, ioTimeoutMs: 1_500 });
  t.equal((await read(client, 'k')).body.toString(), '0123456789');
});

t.test('no answer at all is a Timeout', async (t) => {
  const { client, requests } = await raw(t, [() => {}], { ...quick, ioTimeoutMs: 900 });
  await fails(t, client.head('k'), 'Timeout', 'silence');
  t.ok(requests.length >= 2, 'after repeating');
});

t.test('answers that are not what was asked are Corrupt', async (t) => {
  const other = '"ffffffffffffffffffffffffffffffff"';
  const pinned = { ifMatch: etag.slice(1, -1) };
  const range = { start: 2, end: 4 };
  const cases: Array<[string, string, object]> = [
    ['200 to a range', object('0123456789'), range],
    ['another range', part(0, 1, 10, '01'), range],
    ['a shorter range', part(2, 2, 10, '2'), range],
    ['range and length contradict', part(2, 3, 10, '234'), range],
    ['206 without a range asked', part(0, 9, 10, '0123456789'), {}],
    ['206 without Content-Range', answer('206 P', { ETag: etag }, '23'), range],
    ['another version', object('x', { ETag: other }), pinned],
    ['another version in a range', part(2, 3, 10, '23', { ETag: other }), { ...range, ...pinned }],
    ['no ETag', answer('200 OK', {}, 'x'), {}],
    ['no length', 'HTTP/1.1 200 OK\r\nETag: "e"\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n', {}],
  ];
  for (const [what, reply, options] of cases) {
    const { client, requests } = await raw(t, [reply]);
    const pieces: string[] = [];
    const get = client.get('k', { ...options, onData: (piece) => pieces.push(piece.toString()) });
    await fails(t, get, 'Corrupt', what);
    t.same(pieces, [], 'no data');
    t.equal(requests.length, 1, 'not repeated');
  }
  const chunked =
    'HTTP/1.1 206 P\r\nETag: "e"\r\nContent-Range: bytes 2-3/10\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n234\r\n0\r\n\r\n';
  const { client } = await raw(t, [chunked]);
  await fails(t, read(client, 'k', range), 'Corrupt', 'a longer body');
  const covering = await raw(t, [object('01')]);
  t.equal(
    (await read(covering.client, 'k', { start: 0, end: 5 })).body.toString(),
    '01',
    'a 200 that covers the range',
  );
});

t.test('a storm of 503, 500 and resets passes', async (t) => {
  const storm: Reply[] = [
    error(503, 'SlowDown'),
    answer('500 X', {}),
    reset(''),
    error(429, 'x'),
    error(400, 'RequestTimeout'),
    error(409, 'OperationAborted'),
    answer('504 X', {}),
    cut('HTTP/1.1 20'),
    object('ok'),
  ];
  const { client, requests } = await raw(t, storm);
  t.equal((await read(client, 'k')).body.toString(), 'ok');
  t.equal(requests.length, storm.length);
  t.equal(client.counters.retries, storm.length - 1);
});

t.test('a storm that does not pass ends with the deadline', async (t) => {
  const { client } = await raw(t, [error(503, 'SlowDown')], { ioTimeoutMs: 1_000 });
  const begun = performance.now();
  await fails(t, read(client, 'k'), 'Throttled', 'for good');
  t.ok(performance.now() - begun < 3_000);
});

t.test('answers that repeating cannot change are not repeated', async (t) => {
  const cases: Array<[number, string, string]> = [
    [403, 'AccessDenied', 'AccessDenied'],
    [404, 'NoSuchKey', 'NotFound'],
    [501, 'NotImplemented', 'NotImplemented'],
    [403, 'InvalidObjectState', 'Archived'],
    [400, 'Odd', 'InvalidRequest'],
    [507, 'XMinioStorageFull', 'NoSpace'],
  ];
  for (const [status, code, kind] of cases) {
    const { client, requests } = await raw(t, [error(status, code, '<RequestId>r1</RequestId>')]);
    await fails(t, read(client, 'k'), kind as S3ErrorKind, code, {
      code,
      status,
      requestId: 'r1',
      key: 'k',
      operation: 'GetObject',
    });
    t.equal(requests.length, 1);
  }
});

t.test('the clock is corrected from the answer', async (t) => {
  const ahead = new Date(Date.now() + 7_200_000).toUTCString();
  const { client, requests } = await raw(t, [error(403, 'RequestTimeTooSkewed', '', { Date: ahead }), object('ok')]);
  t.equal((await read(client, 'k')).body.toString(), 'ok');
  const hour = (request: string) => Number(/x-amz-date: \d{8}T(\d\d)/.exec(request)![1]);
  t.equal((hour(requests[1]) - hour(requests[0]) + 24) % 24, 2);
  const stuck = await raw(t, [error(403, 'RequestTimeTooSkewed', '', { Date: ahead })]);
  await fails(t, read(stuck.client, 'k'), 'Credentials', 'still skewed');
  t.equal(stuck.requests.length, 2, 'tried once');
});

t.test('a region redirect is followed once and kept', async (t) => {
  const named: Reply[] = [
    answer('301 X', { 'x-amz-bucket-region': 'eu-west-1' }),
    error(400, 'AuthorizationHeaderMalformed', '<Region>eu-west-1</Region>'),
    error(307, 'TemporaryRedirect', '', { 'x-amz-bucket-region': 'eu-west-1' }),
  ];
  for (const reply of named) {
    const { client, requests } = await raw(t, [reply, object('ok')]);
    await read(client, 'k');
    await read(client, 'k');
    t.match(requests[0], /\/us-east-1\/s3\//);
    t.match(requests[1], /\/eu-west-1\/s3\//);
    t.match(requests[2], /\/eu-west-1\/s3\//, 'stays');
    t.equal(client.endpoint.scope.region, 'eu-west-1');
  }
  let region = 0;
  const hop: Reply = (socket) => void socket.write(answer('301 X', { 'x-amz-bucket-region': `r-${region++}` }));
  const { client, requests } = await raw(t, [hop]);
  await fails(t, read(client, 'k'), 'WrongRegion', 'the second hop', { region: 'r-1' });
  t.equal(requests.length, 2, 'no chase');
});

t.test('a refused HEAD is explained by a GET of one byte', async (t) => {
  const { client, requests } = await raw(t, [answer('403 X', {}), error(403, 'InvalidObjectState')]);
  await fails(t, client.head('k'), 'Archived', 'told by the GET');
  t.match(requests[1], /^GET .*[\s\S]*range: bytes=0-0/);
  const allowed = await raw(t, [answer('403 X', {}), part(0, 0, 77, 'x')]);
  t.equal((await allowed.client.head('k')).size, 77);
});

t.test('a 200 that carries an error, and an empty 200', async (t) => {
  const copied = answer('200 OK', {}, '<CopyObjectResult><ETag>"e"</ETag></CopyObjectResult>');
  const passing = answer('200 OK', {}, '   <Error><Code>InternalError</Code></Error>');
  const { client, requests } = await raw(t, [passing, answer('200 OK', {}), copied]);
  t.equal((await client.copy('a', 'b')).etag, 'e');
  t.equal(requests.length, 3);
  const lasting = await raw(t, [answer('200 OK', {}, '<Error><Code>AccessDenied</Code></Error>')]);
  const parts = [{ number: 1, etag: 'e', size: 1 }];
  await fails(t, lasting.client.completeUpload('k', 'u', parts, { size: 1 }), 'AccessDenied', 'inside 200');
});

const body = Buffer.from('mine');
const stands = (tag: string, more = {}) => answer('200 OK', { ETag: `"${tag}"`, 'Content-Length': '4', ...more });
const md5 = createHash('md5').update(body).digest('hex');

t.test('a lost answer to a conditional put is recognised', async (t) => {
  const { client } = await raw(t, [reset(''), error(412, 'PreconditionFailed'), stands(md5)]);
  t.equal((await client.put('k', body, { ifAbsent: true })).etag, md5);
  const checksum = stands('kms', { 'x-amz-checksum-crc32': 'hfPeqQ==' });
  const others = await raw(t, [reset(''), error(412, 'PreconditionFailed'), checksum]);
  await fails(t, others.client.put('k', body, { ifAbsent: true }), 'PreconditionFailed', 'of another', { etag: 'kms' });
  const metadata = await raw(t, [reset(''), error(412, 'PreconditionFailed'), stands(md5, { 'x-amz-meta-a': '1' })]);
  await fails(t, metadata.client.put('k', body, { ifAbsent: true }), 'PreconditionFailed', 'same bytes of another');
  const first = await raw(t, [error(412, 'PreconditionFailed'), stands(md5)]);
  await fails(t, first.client.put('k', body, { ifAbsent: true }), 'PreconditionFailed', 'nothing was lost');
  t.equal(first.requests.length, 1, 'no look');
});

t.test('a repeated Complete that finds no upload is compared with the object', async (t) => {
  const tag = createHash('md5').update(md5, 'hex').digest('hex');
  const parts = [{ number: 1, etag: md5, size: 4, crc32: 1 }];
  const { client } = await raw(t, [reset(''), error(404, 'NoSuchUpload'), stands(`${tag}-1`)]);
  t.equal((await client.completeUpload('k', 'u', parts, { size: 4 })).etag, `${tag}-1`);
  const other = await raw(t, [reset(''), error(404, 'NoSuchUpload'), stands('other-1')]);
  await fails(t, other.client.completeUpload('k', 'u', parts, { size: 4 }), 'NotFound', 'somebody else');
  const absent = await raw(t, [reset(''), error(404, 'NoSuchUpload'), answer('404 X', {})]);
  await fails(t, absent.client.completeUpload('k', 'u', parts, { size: 4 }), 'NotFound', 'nothing stands');
});

t.test('errors per key of DeleteObjects', async (t) => {
  const result = (inner: string) => answer('200 OK', {}, `<DeleteResult>${inner}</DeleteResult>`);
  const entry = (key: string, code: string) =>
    `<Error><Key>${key}</Key><Code>${code}</Code><Message>m</Message></Error>`;
  const replies = [
    result(entry('a', 'AccessDenied') + entry('b', 'InternalError') + entry('c', 'NoSuchKey')),
    result(''),
  ];
  const { client, requests } = await raw(t, replies);
  const failures = await client.deleteMany(['a', 'b', 'c', 'd\r']);
  t.same(
    failures.map(({ key, error }) => [key, error.kind]),
    [['a', 'AccessDenied']],
  );
  t.match(requests[0], /<Key>d&#13;<\/Key>/);
  t.match(
    requests[1],
    /<Quiet>true<\/Quiet><Object><Key>b<\/Key><\/Object><\/Delete>$/,
    'only what may pass is repeated',
  );
  const whole = await raw(t, [error(403, 'AccessDenied')]);
  t.equal((await whole.client.deleteMany(['a', 'b'])).length, 2);
  t.equal((await whole.client.deleteMany(['\ud800'])).at(0)?.error.kind, 'InvalidRequest', 'never another key');
});

t.test('documents that do not parse, and endless ones', async (t) => {
  const { client } = await raw(t, [answer('200 OK', {}, '<ListBucketResult>')]);
  await fails(t, client.list({ prefix: '' }), 'Corrupt', 'cut off');
  const bomb = await raw(t, [
    answer('200 OK', {}, '<!DOCTYPE x [<!ENTITY a "b">]><ListBucketResult>&a;</ListBucketResult>'),
  ]);
  await fails(t, bomb.client.list({ prefix: '' }), 'Corrupt', 'entity bomb');
  const endless: Reply = (socket) => {
    socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n');
    const piece = `100000\r\n${'a'.repeat(0x100000)}\r\n`;
    const more = () => {
      if (!socket.destroyed) socket.write(piece, () => setImmediate(more));
    };
    more();
  };
  const long = await raw(t, [endless]);
  await fails(t, long.client.list({ prefix: '' }), 'Corrupt', 'endless');
});

t.test('abort and close end what is under way', async (t) => {
  const { client } = await raw(t, [() => {}]);
  const controller = new AbortController();
  setTimeout(() => controller.abort(), 20);
  await fails(t, client.head('k', { signal: controller.signal }), 'Aborted', 'by signal');
  const pending = client.head('k');
  setTimeout(() => client.close(), 20);
  await fails(t, pending, 'Aborted', 'by close');
  const waiting = await raw(t, [error(503, 'SlowDown')], { random: () => 1 });
  const second = new AbortController();
  setTimeout(() => second.abort(), 50);
  const begun = performance.now();
  await fails(t, waiting.client.head('k', { signal: second.signal }), 'Aborted', 'between attempts');
  t.ok(performance.now() - begun < 5_000);
});

t.test('no more connections than allowed', async (t) => {
  for (const transferThreads of [0, 2]) {
    let open = 0;
    let most = 0;
    const server = http.createServer(({ headers }, response) => {
      open++;
      most = Math.max(most, open);
      setTimeout(() => {
        open--;
        const range = headers.range === undefined ? {} : { 'Content-Range': 'bytes 0-0/1' };
        const status = headers.range === undefined ? 200 : 206;
        response.writeHead(status, { ETag: etag, 'Content-Length': 1, ...range }).end('x');
      }, 20);
    });
    const port = await listen(t, server);
    const more = { maxConnections: 8, transferThreads, longAnswerBytes: 1 };
    const client = await connect(t, `http://127.0.0.1:${port}`, more);
    // Those that say how much they want can be received in threads.
    const options = (i: number) => (i % 2 === 0 ? {} : { start: 0, end: 1 });
    // The threads begin with the first.
    for (const count of [4, 60]) {
      most = 0;
      await Promise.all(Array.from({ length: count }, (_, i) => read(client, 'k', options(i))));
    }
    t.ok(most > 4 && most <= 8, `${most} with ${transferThreads} threads`);
  }
});

t.test('nothing listens', async (t) => {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as net.AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  const client = await connect(t, `http://127.0.0.1:${port}`, { ioTimeoutMs: 500 });
  await fails(t, client.head('k'), 'Unreachable', 'refused');
});

t.test('what throws in onData reaches the caller as an S3Error with its cause', async (t) => {
  const { client } = await raw(t, [object('x')]);
  const cause = new Error('disk full');
  const get = client.get('k', {
    onData: () => {
      throw cause;
    },
  });
  await fails(t, get, 'Unknown', 'thrown', { cause });
});
