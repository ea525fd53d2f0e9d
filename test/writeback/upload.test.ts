import t, { type Test } from 'tap';
import { MemoryBudget } from '../../src/cache/memory-budget.js';
import { MiB } from '../../src/constants.js';
import { FaultyClient } from '../../src/s3/faulty-client.js';
import { MemoryClient } from '../../src/s3/memory-client.js';
import { isS3Error, S3Error } from '../../src/s3/s3-error.js';
import type { CopySource } from '../../src/writeback/copy-source.js';
import { ExtentMap } from '../../src/writeback/extent-map.js';
import { Layout } from '../../src/writeback/layout.js';
import { isConflict, type UploadInput, UploadSuperseded, upload } from '../../src/writeback/upload.js';
import { planUpload } from '../../src/writeback/upload-plan.js';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function bytesOf(size: number): Buffer {
  const bytes = Buffer.alloc(size);
  for (let at = 0; at + 4 <= size; at += 4096) bytes.writeUInt32LE(at, at);
  return bytes;
}

function inputOf(bytes: Buffer, more: Partial<UploadInput> & { written?: ExtentMap; base?: number } = {}): UploadInput {
  const { written = ExtentMap.from([{ start: 0, end: bytes.length }]), base = 0, ...rest } = more;
  const layout = new Layout<CopySource>(Math.min(base, bytes.length));
  layout.truncate(bytes.length);
  for (const { start, end } of written.extents) layout.write(start, end);
  const plan = planUpload({ layout, baseObjectBytes: base, partBytes: 5 * MiB })!;
  return {
    key: 'k',
    plan,
    condition: { ifAbsent: true },
    attributes: { metadata: { mode: '33188' } },
    read: async (start, end) => bytes.subarray(start, end),
    stillWanted: () => true,
    ...rest,
  };
}

function setUp(limit = 64 * MiB) {
  const memory = new MemoryClient();
  const client = new FaultyClient(memory);
  const budget = new MemoryBudget(limit);
  return { memory, client, budget, options: { client, budget, parallel: 4 } };
}

async function failure(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    () => undefined,
    (error) => error,
  );
}

async function nothingIsLeft(t: Test, memory: MemoryClient, budget: MemoryBudget): Promise<void> {
  t.same(await memory.listUploads(''), [], 'no upload is left behind');
  t.equal(budget.used, 0, 'no memory is held');
}

t.test('a small file is one PUT with condition and attributes', async (t) => {
  const { memory, budget, options } = setUp();
  const bytes = bytesOf(100_000);
  const reply = await upload(inputOf(bytes), options);
  t.match(await memory.head('k'), { etag: reply.etag, size: bytes.length, metadata: { mode: '33188' } });
  const error = await failure(upload(inputOf(bytes), options));
  t.ok(isConflict(error));
  await upload(inputOf(bytesOf(0), { condition: { ifMatch: reply.etag } }), options);
  t.match(await memory.head('k'), { size: 0 });
  t.equal(memory.counters.requests.CreateMultipartUpload, undefined);
  t.equal(budget.used, 0);
});

t.test('parts run in parallel, within their number and the memory', async (t) => {
  for (const [limit, most] of [
    [64 * MiB, 4],
    [11 * MiB, 2],
    [1 * MiB, 1],
  ]) {
    const { memory, client, budget, options } = setUp(limit);
    let running = 0;
    let seen = 0;
    let held = 0;
    client.add({
      method: 'uploadPart',
      action: {
        kind: 'call',
        before: async () => {
          seen = Math.max(seen, ++running);
          held = Math.max(held, budget.used);
          await turn();
          running--;
        },
      },
    });
    const bytes = bytesOf(37 * MiB);
    await upload(inputOf(bytes), options);
    t.ok(bytes.equals(memory.objects.get('k')!.body));
    t.equal(seen, most);
    t.ok(held <= Math.max(limit, 6 * MiB), `${held} bytes held`);
    await nothingIsLeft(t, memory, budget);
  }
});

t.test('unchanged ranges are copied inside the store', async (t) => {
  const { memory, budget, options } = setUp();
  const base = bytesOf(40 * MiB);
  const { etag } = await memory.put('k', base);
  const bytes = Buffer.from(base);
  bytes.fill(9, 20 * MiB, 20 * MiB + 10);
  const written = ExtentMap.from([{ start: 20 * MiB, end: 20 * MiB + 10 }]);
  const source = { key: 'k', etag };
  const condition = { ifMatch: etag };
  const before = memory.counters.bytesSent;
  await upload(inputOf(bytes, { written, base: base.length, source, condition }), options);
  t.ok(bytes.equals(memory.objects.get('k')!.body));
  t.ok(memory.counters.bytesSent - before <= 6 * MiB);
  // The source is another version by now.
  const error = await failure(upload(inputOf(bytes, { written, base: base.length, source, condition }), options));
  t.ok(isConflict(error));
  const without = await failure(upload(inputOf(bytes, { written, base: base.length, condition }), options));
  t.match(without, { message: /source/ });
  await nothingIsLeft(t, memory, budget);
});

t.test('the first failure ends the other parts and the upload', async (t) => {
  const { memory, client, budget, options } = setUp(11 * MiB);
  client.add({ method: 'uploadPart', skip: 1, times: 1, action: { kind: 'fail', error: 'AccessDenied' } });
  const error = await failure(upload(inputOf(bytesOf(200 * MiB)), options));
  t.ok(isS3Error(error, 'AccessDenied'), String(error));
  t.ok((memory.counters.requests.UploadPart ?? 0) < 4, 'no part is sent for nothing');
  t.notOk(memory.objects.has('k'));
  await nothingIsLeft(t, memory, budget);
});

t.test('a failure to read, and one of the abort itself', async (t) => {
  const { memory, client, budget, options } = setUp();
  client.add({ method: 'abortUpload', action: { kind: 'fail', error: 'Timeout' } });
  const read = (): Promise<never> => Promise.reject(new Error('the staged file is gone'));
  for (const size of [10, 20 * MiB]) {
    t.match(await failure(upload(inputOf(bytesOf(size), { read }), options)), { message: 'the staged file is gone' });
    t.equal(budget.used, 0);
  }
  t.equal((await memory.listUploads('')).length, 1, 'left for later');
});

t.test('a failed Complete', async (t) => {
  for (const kind of ['PreconditionFailed', 'ConditionalConflict', 'Server'] as const) {
    const { memory, client, budget, options } = setUp();
    client.add({ method: 'completeUpload', action: { kind: 'fail', error: kind } });
    const error = await failure(upload(inputOf(bytesOf(12 * MiB)), options));
    t.equal(isConflict(error), kind !== 'Server', kind);
    await nothingIsLeft(t, memory, budget);
  }
  t.notOk(isConflict(new S3Error('NotFound', '', { operation: 'x' })));
  t.notOk(isConflict(new Error('x')));
});

t.test('a file that changed or lost its name is not completed', async (t) => {
  const { memory, budget, options } = setUp();
  t.ok(
    (await failure(upload(inputOf(bytesOf(10), { stillWanted: () => false }), options))) instanceof UploadSuperseded,
  );
  for (const after of [0, 2, 4]) {
    let asked = 0;
    const stillWanted = (): boolean => asked++ < after;
    const error = await failure(upload(inputOf(bytesOf(22 * MiB), { stillWanted }), options));
    t.ok(error instanceof UploadSuperseded, `after ${after}`);
  }
  t.equal(memory.objects.size, 0);
  t.ok((memory.counters.requests.UploadPart ?? 0) <= 7, 'parts stop too');
  await nothingIsLeft(t, memory, budget);
});
