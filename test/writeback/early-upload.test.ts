/** A multipart upload of a file that is still written: what leaves, what counts, and how the upload of the whole takes it over. */
import t, { type Test } from 'tap';
import { MemoryBudget } from '../../src/cache/memory-budget.js';
import {
  DEFAULT_PART_BYTES,
  EARLY_PARTS_OF_ONE_SIZE,
  MAX_EARLY_PARTS,
  MAX_STALE_PARTS,
  MiB,
} from '../../src/constants.js';
import { FaultyClient } from '../../src/s3/faulty-client.js';
import { MemoryClient } from '../../src/s3/memory-client.js';
import { isS3Error } from '../../src/s3/s3-error.js';
import type { CopySource } from '../../src/writeback/copy-source.js';
import { EarlyUpload, type EarlyUploadInput } from '../../src/writeback/early-upload.js';
import { Layout } from '../../src/writeback/layout.js';
import { type UploadInput, UploadSuperseded, upload } from '../../src/writeback/upload.js';
import { planBegun } from '../../src/writeback/upload-plan.js';

const PART = 5 * MiB;

/** A file in memory that is being written. */
class Growing {
  bytes: Buffer = Buffer.alloc(0);
  early: EarlyUpload | undefined;

  write(start: number, length: number, value: number): void {
    this.early?.changed(start, start + length);
    const bytes = Buffer.alloc(Math.max(this.bytes.length, start + length));
    this.bytes.copy(bytes);
    this.bytes = bytes.fill(value, start, start + length);
    this.early?.changed(start, start + length);
  }

  get layout(): Layout<CopySource> {
    const layout = new Layout<CopySource>(0);
    layout.write(0, this.bytes.length);
    return layout;
  }
}

async function setUp(more: Partial<EarlyUploadInput> = {}) {
  const memory = new MemoryClient();
  const client = new FaultyClient(memory);
  const budget = new MemoryBudget(64 * MiB);
  const file = new Growing();
  const told: string[] = [];
  const account = {
    begin: () => told.push('begin'),
    begun: () => told.push('begun'),
    ended: () => told.push('ended'),
  };
  const read = async (start: number, end: number): Promise<Uint8Array> => file.bytes.subarray(start, end);
  const begin = () =>
    EarlyUpload.begin({ key: 'k', attributes: {}, partBytes: PART, read, account, ...more }, client, budget);
  /** Sends every part that is whole. */
  const sendAll = async (early: EarlyUpload): Promise<void> => {
    while (early.canSend(file.bytes.length)) await early.sendNext();
  };
  const finish = (early: EarlyUpload, input: Partial<UploadInput> = {}) => {
    const plan = planBegun(file.layout, early.extents, PART)!;
    const stillWanted = (): boolean => true;
    return upload(
      {
        key: 'k',
        plan,
        condition: { ifAbsent: true },
        attributes: {},
        read,
        stillWanted,
        begun: early,
        account: early.account,
        ...input,
      },
      { client, budget, parallel: 4 },
    );
  };
  const partsSent = (): number => memory.counters.requests.UploadPart ?? 0;
  return { memory, client, budget, file, told, begin, sendAll, finish, partsSent };
}

async function nothingIsLeft(t: Test, memory: MemoryClient, budget: MemoryBudget): Promise<void> {
  t.same(await memory.listUploads(''), [], 'no upload is left behind');
  t.equal(budget.used, 0, 'no memory is held');
}

const failure = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => undefined,
    (error) => error,
  );

t.test('full parts leave while the file grows, and the end sends only the rest', async (t) => {
  const { memory, budget, file, told, begin, sendAll, finish, partsSent } = await setUp();
  const early = await begin();
  file.early = early;
  file.write(0, 2 * PART + 1, 1);
  await sendAll(early);
  t.equal(partsSent(), 2);
  file.write(2 * PART + 1, PART, 2);
  await sendAll(early);
  t.equal(partsSent(), 3);
  t.equal(early.end, 3 * PART);
  t.notOk(memory.objects.has('k'), 'nothing is visible before its end');
  t.same(told, ['begin', 'begun']);
  await finish(early);
  t.equal(partsSent(), 4, 'the last byte');
  t.ok(file.bytes.equals(memory.objects.get('k')!.body));
  t.same(told, ['begin', 'begun', 'ended']);
  await nothingIsLeft(t, memory, budget);
});

t.test('a file that ends with a part has nothing left to send', async (t) => {
  const { memory, budget, file, begin, sendAll, finish, partsSent } = await setUp();
  const early = await begin();
  file.write(0, 3 * PART, 1);
  await sendAll(early);
  await finish(early);
  t.equal(partsSent(), 3);
  t.ok(file.bytes.equals(memory.objects.get('k')!.body));
  await nothingIsLeft(t, memory, budget);
});

t.test('a part that changed is sent again, and no other', async (t) => {
  const { memory, file, begin, sendAll, finish, partsSent } = await setUp();
  const early = await begin();
  file.early = early;
  file.write(0, 4 * PART, 1);
  await sendAll(early);
  file.write(PART, 10, 9);
  file.write(3 * PART - 1, 2, 8);
  t.equal(await early.partOf(1, { start: PART, end: 2 * PART }), undefined);
  t.ok(await early.partOf(0, { start: 0, end: PART }));
  t.equal(await early.partOf(0, { start: 0, end: PART - 1 }), undefined, 'cut otherwise');
  t.equal(await early.partOf(4, { start: 4 * PART, end: 5 * PART }), undefined, 'not begun');
  await finish(early);
  t.equal(partsSent(), 4 + 3, 'the second, and both around the third edge');
  t.ok(file.bytes.equals(memory.objects.get('k')!.body));
});

t.test('a change while a part is read or under way counts, one before does not', async (t) => {
  const { memory, client, file, begin, finish, partsSent } = await setUp();
  const early = await begin();
  file.early = early;
  file.write(0, 2 * PART, 1);
  const change = (value: number) => () => file.write(PART - 10, 5, value);
  client.add({ method: 'uploadPart', times: 1, action: { kind: 'call', before: change(7) } });
  await early.sendNext();
  t.equal(await early.partOf(0, { start: 0, end: PART }), undefined);
  const second = early.sendNext();
  file.early.changed(2 * PART - 1, 2 * PART);
  await second;
  t.ok(await early.partOf(1, { start: PART, end: 2 * PART }), 'it was read after that');
  await finish(early);
  t.equal(partsSent(), 3);
  t.ok(file.bytes.equals(memory.objects.get('k')!.body));
});

t.test('the end waits for what is under way', async (t) => {
  const { memory, client, file, begin, finish, partsSent } = await setUp();
  const early = await begin();
  file.early = early;
  file.write(0, 2 * PART, 1);
  let go = (): void => undefined;
  const until = new Promise<void>((resolve) => {
    go = resolve;
  });
  client.add({ method: 'uploadPart', times: 2, action: { kind: 'delay', until } });
  void early.sendNext();
  void early.sendNext();
  // Read by now, and changed since: the part with the same number must not overtake the new one.
  await new Promise((resolve) => setImmediate(resolve));
  file.write(0, 1, 5);
  const done = finish(early);
  await new Promise((resolve) => setImmediate(resolve));
  t.equal(partsSent(), 0);
  t.ok(early.isSending);
  go();
  await done;
  t.equal(partsSent(), 3);
  t.ok(file.bytes.equals(memory.objects.get('k')!.body));
});

t.test('what keeps changing waits for its end', async (t) => {
  const { file, begin, sendAll, partsSent } = await setUp();
  const early = await begin();
  file.early = early;
  file.write(0, MAX_STALE_PARTS * PART, 1);
  await sendAll(early);
  file.write(0, MAX_STALE_PARTS * PART, 2);
  file.write(MAX_STALE_PARTS * PART, PART, 3);
  await sendAll(early);
  t.equal(partsSent(), MAX_STALE_PARTS);
  t.notOk(early.canSend(Number.MAX_SAFE_INTEGER));
});

t.test('one that was superseded goes on, any other failure ends it', async (t) => {
  const { memory, client, budget, file, begin, sendAll, finish } = await setUp();
  const early = await begin();
  file.early = early;
  file.write(0, 2 * PART + 100, 1);
  await sendAll(early);
  t.ok((await failure(finish(early, { stillWanted: () => false }))) instanceof UploadSuperseded);
  t.equal((await memory.listUploads('')).length, 1);
  file.write(2 * PART, 2 * PART, 4);
  await sendAll(early);
  client.add({ method: 'completeUpload', times: 1, action: { kind: 'fail', error: 'PreconditionFailed' } });
  t.ok(isS3Error(await failure(finish(early)), 'PreconditionFailed'));
  await nothingIsLeft(t, memory, budget);
});

t.test('a superseded end waits for what it has under way: nothing of it comes in later', async (t) => {
  const { client, file, begin, finish, partsSent } = await setUp();
  const early = await begin();
  file.early = early;
  file.write(0, PART, 1);
  await early.sendNext();
  file.write(PART, 3 * PART, 2);
  let go = (): void => undefined;
  const until = new Promise<void>((resolve) => {
    go = resolve;
  });
  client.add({ method: 'uploadPart', times: 1, action: { kind: 'delay', until } });
  let asked = 0;
  const done = failure(finish(early, { stillWanted: () => asked++ < 2 }));
  await new Promise((resolve) => setImmediate(resolve));
  go();
  t.ok((await done) instanceof UploadSuperseded);
  t.equal(partsSent(), 2, 'the part was not cut off');
});

t.test('what a superseded end sent of the last part does not count', async (t) => {
  const { memory, file, begin, sendAll, finish } = await setUp();
  const early = await begin();
  file.early = early;
  file.write(0, PART + 100, 1);
  await sendAll(early);
  let asked = 0;
  t.ok((await failure(finish(early, { stillWanted: () => asked++ < 2 }))) instanceof UploadSuperseded);
  file.write(PART + 100, PART, 2);
  await sendAll(early);
  await finish(early);
  t.ok(file.bytes.equals(memory.objects.get('k')!.body));
});

t.test('a part that fails is told to nobody, and sent at the end', async (t) => {
  const { memory, client, budget, file, begin, finish } = await setUp();
  const early = await begin();
  file.write(0, 3 * PART, 1);
  client.add({ method: 'uploadPart', times: 1, action: { kind: 'fail', error: 'Server' } });
  await early.sendNext();
  t.ok(isS3Error(early.failure, 'Server'));
  t.notOk(early.canSend(3 * PART));
  await finish(early);
  t.ok(file.bytes.equals(memory.objects.get('k')!.body));
  await nothingIsLeft(t, memory, budget);
});

t.test('aborted with parts under way', async (t) => {
  const { memory, client, budget, file, told, begin } = await setUp();
  const early = await begin();
  file.write(0, 2 * PART, 1);
  client.add({ method: 'uploadPart', action: { kind: 'delay', until: 10 } });
  void early.sendNext();
  void early.sendNext();
  await early.abort();
  await early.abort();
  t.same(told, ['begin', 'begun', 'ended']);
  t.ok(early.isOver);
  t.notOk(early.canSend(3 * PART));
  t.equal(memory.counters.requests.AbortMultipartUpload, 1);
  await nothingIsLeft(t, memory, budget);
});

t.test('one that cannot be aborted stays on the account', async (t) => {
  const { client, told, begin } = await setUp();
  const early = await begin();
  client.add({ method: 'abortUpload', action: { kind: 'fail', error: 'Unreachable' } });
  await early.abort();
  t.same(told, ['begin', 'begun']);
});

t.test('a beginning that was refused is off the account, one without an answer stays on it', async (t) => {
  for (const [error, ended] of [
    ['AccessDenied', true],
    ['Timeout', false],
  ] as const) {
    const { client, told, begin } = await setUp();
    client.add({ method: 'createUpload', action: { kind: 'fail', error } });
    t.ok(isS3Error(await failure(begin()), error));
    t.equal(told.includes('ended'), ended, error);
  }
});

t.test('parts grow, and end in time for the rest of any object to fit', async (t) => {
  const { begin } = await setUp({ partBytes: DEFAULT_PART_BYTES, read: async () => new Uint8Array(1) });
  const early = await begin();
  while (early.canSend(Number.MAX_SAFE_INTEGER)) await early.sendNext();
  t.equal(early.extents.length, MAX_EARLY_PARTS);
  const bytesOf = (index: number): number => early.extents[index].end - early.extents[index].start;
  t.equal(bytesOf(0), DEFAULT_PART_BYTES);
  t.equal(bytesOf(EARLY_PARTS_OF_ONE_SIZE - 1), DEFAULT_PART_BYTES);
  t.equal(bytesOf(EARLY_PARTS_OF_ONE_SIZE), 2 * DEFAULT_PART_BYTES);
  t.equal(bytesOf(MAX_EARLY_PARTS - 1), 4 * DEFAULT_PART_BYTES);
});
