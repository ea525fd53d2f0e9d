/** What the mount was told goes with every request: seen at a server, and in what it makes of the objects. */
import { createHash, randomBytes } from 'node:crypto';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import t from 'tap';
import { silentLogger } from '../../src/log.js';
import { createObjectClient } from '../../src/s3/client-config.js';
import { MountHeaders } from '../../src/s3/mount-headers.js';
import type { ObjectClient } from '../../src/s3/object-client.js';
import { fails, objectClientConformance, read } from '../conformance/object-client.js';
import { clientOptions, connect, embedded, listen } from './loopback.js';

const customerKey = randomBytes(32);
const md5 = createHash('md5').update(customerKey).digest('base64');

/** Runs every call of the interface once, whatever it answers; by operation the headers that came. */
async function headersOf(t: import('tap').Test, more: object): Promise<Map<string, IncomingHttpHeaders>> {
  const seen: IncomingHttpHeaders[] = [];
  const server = createServer((request, response) => {
    seen.push(request.headers);
    request.resume();
    response.writeHead(400).end();
  });
  const port = await listen(t, server);
  const client = await connect(t, `http://127.0.0.1:${port}`, more);
  const body = Buffer.from('x');
  const parts = [{ number: 1, etag: 'e', size: 1 }];
  const calls: Record<string, (client: ObjectClient) => Promise<unknown>> = {
    HeadObject: (c) => c.head('k'),
    GetObject: (c) => c.get('k', { onData: () => {} }),
    ListObjectsV2: (c) => c.list({ prefix: '' }),
    PutObject: (c) => c.put('k', body),
    CreateMultipartUpload: (c) => c.createUpload('k'),
    UploadPart: (c) => c.uploadPart('k', 'u', 1, body),
    UploadPartCopy: (c) => c.uploadPartCopy('k', 'u', 1, 's', { start: 0, end: 1 }),
    CompleteMultipartUpload: (c) => c.completeUpload('k', 'u', parts, { size: 1 }),
    AbortMultipartUpload: (c) => c.abortUpload('k', 'u'),
    ListMultipartUploads: (c) => c.listUploads(''),
    CopyObject: (c) => c.copy('s', 'k'),
    DeleteObject: (c) => c.delete('k'),
    DeleteObjects: (c) => c.deleteMany(['k']),
    GetObjectTagging: (c) => c.getTags('k'),
  };
  const found = new Map<string, IncomingHttpHeaders>();
  for (const [operation, call] of Object.entries(calls)) {
    seen.length = 0;
    await call(client).catch(() => undefined);
    found.set(operation, seen[0]);
  }
  return found;
}

t.test('payer and owner are said with every request, of a source too', async (t) => {
  const all = await headersOf(t, { requestPayer: true, expectedBucketOwner: '123456789012' });
  t.equal(all.size, 14);
  for (const [operation, headers] of all) {
    t.equal(headers['x-amz-request-payer'], 'requester', operation);
    t.equal(headers['x-amz-expected-bucket-owner'], '123456789012', operation);
    const copies = operation === 'CopyObject' || operation === 'UploadPartCopy';
    t.equal(headers['x-amz-source-expected-bucket-owner'], copies ? '123456789012' : undefined, operation);
    t.match(headers.authorization, /x-amz-request-payer/, `${operation}: signed`);
  }
});

t.test('the key of SSE-C goes with what reads and writes content, and nothing else', async (t) => {
  const all = await headersOf(t, { customerKey });
  const own = 'x-amz-server-side-encryption-customer-';
  const source = 'x-amz-copy-source-server-side-encryption-customer-';
  const keyless = ['ListObjectsV2', 'AbortMultipartUpload', 'ListMultipartUploads', 'DeleteObject', 'DeleteObjects'];
  for (const [operation, headers] of all) {
    const named = Object.keys(headers)
      .filter((name) => name.includes('customer'))
      .sort();
    if ([...keyless, 'GetObjectTagging'].includes(operation)) t.same(named, [], operation);
    else {
      t.equal(headers[`${own}algorithm`], 'AES256', operation);
      t.equal(headers[`${own}key`], customerKey.toString('base64'), operation);
      t.equal(headers[`${own}key-md5`], md5, operation);
      const copies = operation === 'CopyObject' || operation === 'UploadPartCopy';
      t.equal(headers[`${source}key-md5`], copies ? md5 : undefined, operation);
      t.equal(named.length, copies ? 6 : 3, operation);
    }
  }
});

t.test('SSE, ACL and nothing at all', async (t) => {
  const writes = ['PutObject', 'CreateMultipartUpload', 'CopyObject'];
  const all = await headersOf(t, { sse: 'aws:kms', sseKmsKeyId: 'mine', cannedAcl: 'bucket-owner-full-control' });
  for (const [operation, headers] of all) {
    const writing = writes.includes(operation);
    t.equal(headers['x-amz-server-side-encryption'], writing ? 'aws:kms' : undefined, operation);
    t.equal(headers['x-amz-server-side-encryption-aws-kms-key-id'], writing ? 'mine' : undefined, operation);
    t.equal(headers['x-amz-acl'], writing ? 'bucket-owner-full-control' : undefined, operation);
  }
  for (const [operation, headers] of await headersOf(t, {})) {
    const told = Object.keys(headers).filter((name) => /payer|owner|encryption|acl/.test(name));
    t.same(told, [], operation);
  }
  const none: string[] = [];
  new MountHeaders().push('CopyObject', none, true);
  t.same(none, []);
});

t.test('every promise is kept under a customer’s key, in a bucket where the requester pays', async (t) => {
  const server = await embedded(t);
  server.requesterPays.add('bucket');
  const more = { customerKey, requestPayer: true, expectedBucketOwner: '123456789012' };
  await objectClientConformance(t, 'SSE-C', () => connect(t, server.endpoint, more));
  const keyed = await connect(t, server.endpoint, more);
  await keyed.put('secret', Buffer.from('content'));
  t.equal((await read(keyed, 'secret')).body.toString(), 'content');
  const plain = await connect(t, server.endpoint, { ...more, customerKey: undefined });
  await plain.put('plain', Buffer.from('written without'));
  t.equal((await keyed.head('plain')).size, 15);
  t.equal((await read(keyed, 'plain', { start: 8, end: 15 })).body.toString(), 'without');
  await keyed.copy('plain', 'plain', { replace: { metadata: { a: 'b' } } });
  await fails(t, plain.head('plain'), 'InvalidRequest', 'a rewrite puts it under the key');
  t.equal((await read(keyed, 'plain')).body.toString(), 'written without');
  const other = await connect(t, server.endpoint, { ...more, customerKey: randomBytes(32) });
  await fails(t, other.head('secret'), 'AccessDenied', 'another key');
  const keyless = await connect(t, server.endpoint, { ...more, customerKey: undefined });
  await fails(t, keyless.head('secret'), 'InvalidRequest', 'no key');
  await fails(t, keyed.presign('secret', 60), 'NotImplemented', 'a URL cannot carry it');
  const penniless = await connect(t, server.endpoint, { ...more, requestPayer: false });
  await fails(t, penniless.list({ prefix: '' }), 'AccessDenied', 'nobody pays');
  const elsewhere = await connect(t, server.endpoint, { ...more, expectedBucketOwner: '999999999999' });
  await fails(t, elsewhere.head('secret'), 'AccessDenied', 'another owner');
});

t.test('an object’s own KMS key is asked for, unless the mount has another', async (t) => {
  const server = await embedded(t);
  const encryption = { algorithm: 'aws:kms', keyId: 'its-own' };
  const client = await connect(t, server.endpoint);
  const check = async (key: string, keyId: string | undefined) =>
    t.equal((await client.head(key)).encryption?.keyId, keyId, key);
  await client.put('put', Buffer.from('x'), { encryption });
  await client.copy('put', 'copied', { encryption });
  await client.copy('put', 'replaced', { replace: { encryption } });
  const id = await client.createUpload('parts', { encryption });
  const part = await client.uploadPart('parts', id, 1, Buffer.from('x'));
  await client.completeUpload('parts', id, [part], { size: 1 });
  for (const key of ['put', 'copied', 'replaced', 'parts']) await check(key, 'its-own');
  await client.copy('put', 'plain');
  await check('plain', undefined);
  const told = await connect(t, server.endpoint, { sse: 'aws:kms', sseKmsKeyId: 'the-mounts' });
  await told.put('told', Buffer.from('x'), { encryption });
  await check('told', 'the-mounts');
});

t.test('the key is sent in the clear to this machine only', async (t) => {
  const make = (endpoint: string) => createObjectClient(clientOptions(endpoint, { customerKey }), silentLogger);
  await fails(t, make('http://s3.example'), 'InvalidRequest', 'http');
  for (const endpoint of ['https://s3.example', 'http://127.0.0.1:1', 'http://localhost:1', 'http://[::1]:1'])
    await (await make(endpoint)).close();
});
