import pino from 'pino';
import t, { type Test } from 'tap';
import { ConditionalWrites, type ConditionSupport, isKnownToHonour } from '../../src/s3/conditional-writes.js';
import { MemoryClient } from '../../src/s3/memory-client.js';
import type { CompleteOptions, CopyOptions, PutOptions, UploadedPart } from '../../src/s3/object-client.js';
import { S3Error } from '../../src/s3/s3-error.js';

const logger = pino({ level: 'silent' });
async function refused(t: Test, work: Promise<unknown>, kind: string): Promise<void> {
  const outcome = await work.catch((error) => error);
  t.match(outcome, { kind });
}

const bytes = (text: string): Buffer => Buffer.from(text);

/** A server that stores whatever comes, or refuses a request that has a condition. */
class Careless extends MemoryClient {
  refuses = false;
  puts: PutOptions[] = [];

  override async put(key: string, body: Uint8Array, options: PutOptions = {}) {
    this.puts.push(options);
    const conditional = options.ifMatch !== undefined || options.ifAbsent === true;
    if (this.refuses && conditional) throw new S3Error('NotImplemented', 'conditions', { operation: 'PutObject', key });
    return super.put(key, body, { ...options, ifMatch: undefined, ifAbsent: undefined });
  }

  override completeUpload(key: string, id: string, parts: readonly UploadedPart[], options: CompleteOptions) {
    return super.completeUpload(key, id, parts, { ...options, ifMatch: undefined, ifAbsent: undefined });
  }
}

function writesOf(client: MemoryClient, support: ConditionSupport = 'unknown') {
  const learnt: ConditionSupport[] = [];
  const writes = new ConditionalWrites(client, {
    support: { writes: support, copies: support },
    logger,
    onLearnt: ({ writes: one }) => learnt.push(one),
  });
  return { writes, learnt };
}

async function textOf(client: MemoryClient, key: string): Promise<string> {
  const pieces: Buffer[] = [];
  await client.get(key, { onData: (piece) => void pieces.push(Buffer.from(piece)) });
  return Buffer.concat(pieces).toString();
}

t.test('a server that honours conditions is found out by one write, and trusted from then on', async (t) => {
  for (const existing of [false, true]) {
    const client = new MemoryClient();
    const etag = existing ? (await client.put('a', bytes('old'))).etag : undefined;
    const { writes, learnt } = writesOf(client);
    const before = client.counters.requests.PutObject ?? 0;
    await writes.put('a', bytes('new'), existing ? { ifMatch: etag } : { ifAbsent: true });
    t.equal(await textOf(client, 'a'), 'new');
    t.same(learnt, ['honoured']);
    t.equal((client.counters.requests.PutObject ?? 0) - before, 2);
    await refused(t, writes.put('a', bytes('x'), { ifAbsent: true }), 'PreconditionFailed');
    t.equal((client.counters.requests.PutObject ?? 0) - before, 3, 'no look, no trial');
  }
});

t.test('a server that ignores conditions: a look before each write, and a line that says so', async (t) => {
  const client = new Careless();
  const { writes, learnt } = writesOf(client);
  const { etag } = await writes.put('a', bytes('one'), { ifAbsent: true });
  t.same(learnt, ['ignored']);
  t.equal(client.puts.length, 1, 'what ignores a false condition has stored the object');
  t.equal(await textOf(client, 'a'), 'one');
  await refused(t, writes.put('a', bytes('x'), { ifAbsent: true }), 'PreconditionFailed');
  await client.put('a', bytes('somebody else'));
  await refused(t, writes.put('a', bytes('x'), { ifMatch: etag }), 'PreconditionFailed');
  await refused(t, writes.put('b', bytes('x'), { ifMatch: etag }), 'NotFound');
  t.equal(await textOf(client, 'a'), 'somebody else');
});

t.test('the write that finds out never overwrites what it did not see', async (t) => {
  const client = new Careless();
  await client.put('a', bytes('theirs'));
  const { writes, learnt } = writesOf(client);
  await refused(t, writes.put('a', bytes('ours'), { ifAbsent: true }), 'PreconditionFailed');
  t.same(learnt, []);
  t.equal(await textOf(client, 'a'), 'theirs');
});

t.test('a server that refuses conditions gets none', async (t) => {
  const client = new Careless();
  client.refuses = true;
  const { writes, learnt } = writesOf(client);
  await writes.put('a', bytes('one'), { ifAbsent: true });
  t.same(learnt, ['ignored']);
  const count = client.puts.length;
  await writes.put('b', bytes('two'), { ifAbsent: true });
  t.equal(client.puts.length, count + 1);
  t.equal(await textOf(client, 'a'), 'one');
});

t.test('writes at one time: one finds out, the others wait', async (t) => {
  const client = new MemoryClient();
  const { writes, learnt } = writesOf(client);
  await Promise.all(['a', 'b', 'c', 'd'].map((key) => writes.put(key, bytes(key), { ifAbsent: true })));
  t.same(learnt, ['honoured']);
  t.equal(client.counters.requests.PutObject, 5);
});

t.test('writes at one time to a store that does not answer: none waits longer than the first', async (t) => {
  const client = new MemoryClient();
  const head = client.head.bind(client);
  let heads = 0;
  client.head = async () => {
    heads++;
    await new Promise((resolve) => setTimeout(resolve, 50));
    throw new S3Error('Timeout', 'no answer', { operation: 'HeadObject' });
  };
  const { writes } = writesOf(client);
  const put = (key: string) => writes.put(key, bytes(key), { ifAbsent: true });
  await Promise.all(['a', 'b', 'c', 'd'].map((key) => refused(t, put(key), 'Timeout')));
  t.equal(heads, 1);
  client.head = head;
  await put('a');
  t.equal(writes.support.writes, 'honoured', 'the next finds out');
});

t.test('Complete is preceded by a look', async (t) => {
  const client = new Careless();
  const { writes } = writesOf(client, 'honoured');
  const upload = async (key: string, condition: { ifMatch?: string; ifAbsent?: boolean }) => {
    const id = await client.createUpload(key);
    const part = await client.uploadPart(key, id, 1, bytes('part'));
    return writes.completeUpload(key, id, [part], { size: 4, ...condition });
  };
  const { etag } = await upload('a', { ifAbsent: true });
  await refused(t, upload('a', { ifAbsent: true }), 'PreconditionFailed');
  await upload('a', { ifMatch: etag });
  await client.put('a', bytes('theirs'));
  await refused(t, upload('a', { ifMatch: etag }), 'PreconditionFailed');
  t.equal(await textOf(client, 'a'), 'theirs');
});

/** Keeps conditions on PutObject and ignores what a copy replaces, as MinIO and radosgw do. */
class CarelessCopies extends MemoryClient {
  override copy(source: string, key: string, options: CopyOptions = {}) {
    return super.copy(source, key, { ...options, ifMatch: undefined, ifAbsent: undefined });
  }
}

t.test('copies: a server that honours conditions on what they replace is found out by one', async (t) => {
  const client = new MemoryClient();
  await client.put('from', bytes('ours'));
  const { writes } = writesOf(client);
  await writes.copy('from', 'to', { ifAbsent: true });
  t.same(writes.support, { writes: 'unknown', copies: 'honoured' });
  t.equal(client.counters.requests.CopyObject, 2);
  const heads = client.counters.requests.HeadObject;
  await refused(t, writes.copy('from', 'to', { ifAbsent: true }), 'PreconditionFailed');
  t.match(client.counters.requests, { CopyObject: 3, HeadObject: heads }, 'no look from then on');
  await writes.copy('from', 'to', { ifMatch: (await client.head('to')).etag });
});

t.test('copies: where conditions are ignored each has a look before it', async (t) => {
  const client = new CarelessCopies();
  await client.put('from', bytes('ours'));
  await client.put('theirs', bytes('theirs'));
  const { writes } = writesOf(client);
  await refused(t, writes.copy('from', 'theirs', { ifAbsent: true }), 'PreconditionFailed');
  t.equal(writes.support.copies, 'unknown', 'the look has refused it');
  await writes.copy('from', 'to', { ifAbsent: true });
  t.equal(writes.support.copies, 'ignored');
  await refused(t, writes.copy('from', 'theirs', { ifAbsent: true }), 'PreconditionFailed');
  await refused(t, writes.copy('from', 'theirs', { ifMatch: 'another' }), 'PreconditionFailed');
  t.equal(await textOf(client, 'theirs'), 'theirs');
  await writes.copy('from', 'theirs', { ifMatch: (await client.head('theirs')).etag });
  t.equal(await textOf(client, 'theirs'), 'ours');
  const heads = client.counters.requests.HeadObject;
  await writes.copy('from', 'to');
  const replace = { metadata: { mode: '33188' } };
  await writes.copy('to', 'to', { ifMatch: (await client.head('to')).etag, replace });
  t.equal(client.counters.requests.HeadObject, (heads ?? 0) + 1, 'none without a condition, or onto itself');
});

t.test('copies: what refuses the source tells nothing of what is replaced', async (t) => {
  const client = new CarelessCopies();
  await client.put('from', bytes('newer'));
  const { writes } = writesOf(client);
  await refused(t, writes.copy('from', 'to', { ifAbsent: true, sourceIfMatch: 'older' }), 'PreconditionFailed');
  await refused(t, writes.copy('absent', 'to', { ifAbsent: true }), 'NotFound');
  t.equal(writes.support.copies, 'unknown');
});

t.test('AWS is known', async (t) => {
  t.ok(isKnownToHonour('bucket.s3.eu-west-1.amazonaws.com'));
  t.ok(isKnownToHonour('s3.cn-north-1.amazonaws.com.cn:443'));
  t.notOk(isKnownToHonour('127.0.0.1:9000'));
  t.notOk(isKnownToHonour('s3.amazonaws.com.example.org'));
});
