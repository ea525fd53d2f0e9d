import { GetObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import t from 'tap';
import { Bucket, exchange, failureOf, raw, sign, startServer } from './fixture.js';

async function withObject(t: Parameters<typeof startServer>[0]) {
  const fixture = await startServer(t);
  await fixture.client.send(new PutObjectCommand({ Bucket, Key: 'k', Body: '0123456789' }));
  fixture.server.requests.reset();
  return { ...fixture, get: (headers = {}) => raw(fixture.server, { path: `/${Bucket}/k`, headers }) };
}

t.test('errors: how often, whom, and whether the work is done', async (t) => {
  const { server, client, get } = await withObject(t);
  const error = { kind: 'error', status: 503, code: 'SlowDown', headers: { 'retry-after': '7' } } as const;
  server.faults.add({ match: { operation: 'GetObject', key: /^k/ }, action: error, skip: 1, times: 2 });
  const spoilt = [await get(), await get(), await get(), await get()];
  t.same(
    spoilt.map(({ status }) => status),
    [200, 503, 503, 200],
  );
  t.match(spoilt[1]!.body.toString(), '<Code>SlowDown</Code>');
  t.match(spoilt[1]!.head, 'retry-after: 7');
  const put = (Key: string) => failureOf(client.send(new PutObjectCommand({ Bucket, Key, Body: 'x' })));
  const there = (Key: string) => failureOf(client.send(new GetObjectCommand({ Bucket, Key })));
  server.faults.add({
    match: { operation: ['PutObject'], key: 'lost' },
    action: { ...error, status: 500, afterCommit: true },
  });
  server.faults.add({ match: { key: 'undone', operation: 'PutObject' }, action: error });
  t.equal(await put('lost'), '500 SlowDown');
  t.equal(await there('lost'), 'no failure');
  t.equal(await put('undone'), '503 SlowDown');
  t.equal(await there('undone'), '404 NoSuchKey');
  server.faults.clear();
  t.equal(await put('undone'), 'no failure');
  server.faults.add({ match: {}, action: error, probability: 0 });
  t.equal((await get()).status, 200);
});

t.test('rules added in a row strike in a row', async (t) => {
  const { server, get } = await withObject(t);
  for (const status of [500, 503]) {
    server.faults.add({ match: {}, action: { kind: 'error', status, code: 'Any' }, times: 1 });
  }
  t.same([(await get()).status, (await get()).status, (await get()).status], [500, 503, 200]);
});

t.test('connections that end or hang', async (t) => {
  const { server, client, get } = await withObject(t);
  server.faults.add({ match: {}, action: { kind: 'reset' }, times: 1 });
  t.match(await get(), { error: { code: 'ECONNRESET' }, head: '' });
  server.faults.add({ match: {}, action: { kind: 'reset', afterHeaders: true }, times: 1 });
  const headed = await get();
  t.match(headed, { status: 200, error: { code: 'ECONNRESET' } });
  t.equal(headed.body.length, 0);
  server.faults.add({ match: {}, action: { kind: 'reset', afterBytes: 4 }, times: 1 });
  const reset = await get();
  t.match(reset, { status: 200, error: { code: 'ECONNRESET' } });
  t.equal(reset.body.toString(), '0123');
  server.faults.add({ match: {}, action: { kind: 'truncate', bytes: 3 }, times: 1 });
  const truncated = await get();
  t.match(truncated.head, 'content-length: 10');
  t.match(truncated, { status: 200, error: { code: 'EOF' } });
  t.equal(truncated.body.toString(), '012');
  server.faults.add({ match: {}, action: { kind: 'stall', afterBytes: 5 }, times: 1 });
  const stalled = await exchange(server, sign(server, { path: `/${Bucket}/k` }).text, 300);
  t.match(stalled, { status: 200, error: { code: 'LIMIT' } });
  t.equal(stalled.body.toString(), '01234');
  server.faults.add({ match: { operation: 'PutObject' }, action: { kind: 'reset', afterCommit: true }, times: 1 });
  t.not(await failureOf(client.send(new PutObjectCommand({ Bucket, Key: 'lost', Body: 'x' }))), 'no failure');
  t.equal((await raw(server, { path: `/${Bucket}/lost` })).body.toString(), 'x');
});

t.test('answers that are wrong', async (t) => {
  const { server, get } = await withObject(t);
  const once = (action: Parameters<typeof server.faults.add>[0]['action']) =>
    server.faults.add({ match: {}, action, times: 1 });
  once({ kind: 'wrong-etag', etag: 'feed' });
  t.match((await get()).head, 'etag: "feed"');
  once({ kind: 'ignore-range' });
  const whole = await get({ range: 'bytes=2-3' });
  t.match([whole.status, whole.body.toString()], [200, '0123456789']);
  once({ kind: 'flip-bit', at: 2 });
  t.equal((await get()).body.toString(), '0133456789');
  const copy = () =>
    raw(server, { method: 'PUT', path: `/${Bucket}/to`, headers: { 'x-amz-copy-source': `${Bucket}/k` } });
  once({ kind: 'error-in-200', code: 'InternalError' });
  const failed = await copy();
  t.equal(failed.status, 200);
  t.match(failed.body.toString(), /\s{10,}<Error><Code>InternalError<\/Code>/);
  t.equal((await raw(server, { path: `/${Bucket}/to` })).status, 404);
  once({ kind: 'wrong-etag', etag: 'feed' });
  t.match((await copy()).body.toString(), '<ETag>&quot;feed&quot;</ETag>');
});

t.test('waits, and a second writer in between', async (t) => {
  const { server, get } = await withObject(t);
  server.faults.add({ match: {}, action: { kind: 'delay', ms: 100 }, times: 1 });
  const began = performance.now();
  t.equal((await get()).status, 200);
  t.ok(performance.now() - began >= 99);
  const before = async () => {
    await raw(server, { method: 'PUT', path: `/${Bucket}/k`, body: 'second' });
  };
  server.faults.add({ match: { operation: 'GetObject' }, action: { kind: 'call', before }, times: 1 });
  t.equal((await get()).body.toString(), 'second');
});

t.test('requests are counted by operation', async (t) => {
  const { server, get } = await withObject(t);
  await get({ range: 'bytes=0-3' });
  await raw(server, { method: 'PUT', path: `/${Bucket}/p`, body: 'abc' });
  await raw(server, { path: `/${Bucket}/absent` });
  const { requests } = server;
  t.same(requests.byOperation, { GetObject: 2, PutObject: 1 });
  t.equal(requests.total, 3);
  t.equal(requests.bytesReceived, 3);
  t.ok(requests.bytesSent > 4);
  t.same(requests.log, [
    { operation: 'GetObject', key: 'k', status: 206, range: 'bytes=0-3' },
    { operation: 'PutObject', key: 'p', status: 200 },
    { operation: 'GetObject', key: 'absent', status: 404 },
  ]);
  requests.reset();
  t.same([requests.total, requests.log], [0, []]);
});

t.test('close ends stalled and delayed requests', async (t) => {
  const { server, get } = await withObject(t);
  server.faults.add({ match: {}, action: { kind: 'stall', afterBytes: 1 }, times: 1 });
  server.faults.add({ match: {}, action: { kind: 'delay', ms: 5000 }, skip: 1, times: 1 });
  const both = [get(), get()];
  await new Promise((resolve) => setTimeout(resolve, 100));
  const began = performance.now();
  await server.close();
  t.ok(performance.now() - began < 3000);
  for (const { error } of await Promise.all(both)) t.ok(error);
});

t.test('a request whose client went away before its body was looked at comes to an end', async (t) => {
  const { server } = await withObject(t);
  let goOn = () => {};
  const held = new Promise<void>((resolve) => {
    goOn = resolve;
  });
  server.faults.add({ match: {}, action: { kind: 'call', before: () => held }, times: 1 });
  const put = sign(server, { method: 'PUT', path: `/${Bucket}/k`, body: 'x'.repeat(100) }).text;
  t.match(await exchange(server, `${put}only the beginning`, 100), { error: { code: 'LIMIT' } });
  // Until the server has seen that, too.
  await new Promise((resolve) => setTimeout(resolve, 100));
  goOn();
  const status = () => server.requests.log.at(-1)?.status;
  for (const end = Date.now() + 5_000; status() === 0 && Date.now() < end; )
    await new Promise((resolve) => setTimeout(resolve, 20));
  t.equal(status(), 400);
});
