import { rmSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import t, { type Test } from 'tap';
import type { CachedFile } from '../../src/cache/block-cache.js';
import { Readahead } from '../../src/cache/readahead.js';
import {
  FIRST_FETCH_BYTES,
  GiB,
  KiB,
  MAX_FETCH_BYTES,
  MEMORY_SHARE_TRANSFERS,
  MiB,
  READAHEAD_SHARE,
} from '../../src/constants.js';
import { md5Etag } from '../../src/s3/etag.js';
import { FaultyClient } from '../../src/s3/faulty-client.js';
import { MemoryClient } from '../../src/s3/memory-client.js';
import type { GetOptions } from '../../src/s3/object-client.js';
import { isS3Error, type S3ErrorKind } from '../../src/s3/s3-error.js';
import { content, gate, openCache, turn, until } from './fixture.js';

const gets = (client: MemoryClient): number => client.counters.requests.GetObject ?? 0;

async function withObject(bytes: Buffer, key = 'k') {
  const memory = new MemoryClient();
  const { etag } = await memory.put(key, bytes);
  return { memory, client: new FaultyClient(memory), source: { key, etag }, bytes };
}

async function rejectsAs(
  t: Test,
  work: Promise<unknown>,
  kind: S3ErrorKind,
  why = `fails with ${kind}`,
): Promise<void> {
  const error = await work.then(
    () => undefined,
    (error) => error,
  );
  t.equal(isS3Error(error) ? error.kind : error, kind, why);
}

const joined = async (pieces: Uint8Array[] | Promise<Uint8Array[]>): Promise<Buffer> => Buffer.concat(await pieces);

t.test('two readers of one block cause one GET, and the next read none', async (t) => {
  const { memory, client, source, bytes } = await withObject(content(3 * MiB));
  const { cache } = await openCache(t, client);
  const one = cache.acquire(source, bytes.length);
  const two = cache.acquire(source, bytes.length);
  t.equal(one, two);
  const reads = await Promise.all([joined(cache.read(one, 0, MiB)), joined(cache.read(two, 4096, MiB))]);
  t.ok(reads[0].equals(bytes.subarray(0, MiB)));
  t.ok(reads[1].equals(bytes.subarray(4096, MiB)));
  t.equal(gets(memory), 1);
  const now = cache.read(one, 10, 20);
  t.ok(Array.isArray(now), 'memory answers at once');
  t.same(cache.read(one, bytes.length, bytes.length + 5), [], 'nothing behind the end');
  t.equal(gets(memory), 1);
  t.match(cache.statistics, { hits: 2, misses: 2 });
  await until('the disk has it', () => cache.statistics.transferBytes === 0);
  cache.release(one);
  cache.release(two);
});

t.test('an open by probe: one GET brings version and first bytes; NotModified passes through', async (t) => {
  const { memory, client, source, bytes } = await withObject(content(300_000));
  const { cache } = await openCache(t, client);
  const { info, file } = await cache.probe('k', undefined);
  t.equal(info.etag, source.etag);
  t.ok((await joined(cache.read(file, 0, FIRST_FETCH_BYTES))).equals(bytes.subarray(0, FIRST_FETCH_BYTES)));
  t.equal(gets(memory), 1);
  t.equal(memory.counters.bytesReceived, FIRST_FETCH_BYTES);
  await rejectsAs(t, cache.probe('k', source.etag), 'NotModified');
  await rejectsAs(t, cache.probe('none', undefined), 'NotFound');
  t.ok((await joined(cache.read(file, 0, bytes.length))).equals(bytes));
  cache.release(file);
  await memory.put('empty', Buffer.alloc(0));
  const empty = await cache.probe('empty', undefined);
  t.same(await cache.read(empty.file, 0, 10), []);
  cache.release(empty.file);
  await until('the pins are gone', () => file.content.pins === 0 && empty.file.content.pins === 0);
  t.equal(file.users, 0);
});

t.test('who gave up opening does not fail those who read what it brings', async (t) => {
  const { memory, source, bytes } = await withObject(content(100_000));
  const half = gate();
  class Slow extends MemoryClient {
    override async get(key: string, options: GetOptions) {
      if (options.signal?.aborted) throw memory.fail('Aborted', 'GetObject', key);
      const info = await memory.head(key);
      options.onInfo?.(info);
      options.onData(bytes.subarray(0, 1000));
      await half.opened;
      if (options.signal?.aborted) throw memory.fail('Aborted', 'GetObject', key);
      options.onData(bytes.subarray(1000));
      return info;
    }
  }
  const { cache } = await openCache(t, new Slow());
  const abort = new AbortController();
  const { file } = await cache.probe('k', undefined, abort.signal);
  const other = cache.acquire(source, bytes.length);
  const reading = joined(cache.read(other, 0, bytes.length));
  abort.abort();
  half.open();
  t.ok((await reading).equals(bytes));
  cache.release(file);
  cache.release(other);
  await rejectsAs(t, cache.probe('k', undefined, abort.signal), 'Aborted');
});

t.test('random 4 KiB reads move little more than they ask for', async (t) => {
  const { memory, client, source, bytes } = await withObject(content(48 * MiB));
  const { cache } = await openCache(t, client);
  const file = cache.acquire(source, bytes.length);
  const readahead = new Readahead(READAHEAD_SHARE * 32 * MiB);
  let state = 3;
  for (let i = 0; i < 400; i++) {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    const offset = Math.floor((state / 2 ** 32) * (bytes.length / 4096)) * 4096;
    const got = await joined(cache.read(file, offset, offset + 4096));
    if (!got.equals(bytes.subarray(offset, offset + 4096))) t.fail(`wrong bytes at ${offset}`);
    const range = readahead.onRead(offset, 4096, bytes.length);
    if (range !== undefined) cache.prefetch(file, range.start, range.end);
  }
  t.ok(memory.counters.bytesReceived <= 8 * 400 * 4096, `${memory.counters.bytesReceived} bytes`);
  cache.release(file);
});

t.test('sequential reading: large ranges, each byte once, within the budget', async (t) => {
  const { memory, source, bytes } = await withObject(content(96 * MiB));
  let most = 0;
  const lengths: number[] = [];
  class Watched extends MemoryClient {
    override async get(key: string, options: GetOptions) {
      lengths.push(options.end! - options.start!);
      most = Math.max(most, cache.statistics.transferBytes);
      await turn();
      return memory.get(key, options);
    }
  }
  const { cache } = await openCache(t, new Watched(), { memoryLimitBytes: (16 * MiB) / MEMORY_SHARE_TRANSFERS });
  const file = cache.acquire(source, bytes.length);
  const readahead = new Readahead(READAHEAD_SHARE * 16 * MiB);
  for (let at = 0; at < bytes.length; at += 128 * KiB) {
    const range = readahead.onRead(at, 128 * KiB, bytes.length);
    if (range !== undefined) readahead.heldBack(cache.prefetch(file, range.start, range.end));
    const got = await joined(cache.read(file, at, at + 128 * KiB));
    if (!got.equals(bytes.subarray(at, at + 128 * KiB))) t.fail(`wrong bytes at ${at}`);
  }
  t.ok(most <= 16 * MiB, `${most} bytes in transfers`);
  t.equal(memory.counters.bytesReceived, bytes.length);
  // In pieces of one read each there would be 768; how many it is depends on how fast the disk gives memory back.
  t.ok(lengths.length < 150, `${lengths.length} requests: ${lengths.map((length) => length / MiB)}`);
  t.ok(lengths.every((length) => length <= MAX_FETCH_BYTES));
  cache.release(file);
});

t.test('a version replaced in the store fails with PreconditionFailed, never with other bytes', async (t) => {
  const { memory, client, source, bytes } = await withObject(content(4 * MiB));
  const { cache } = await openCache(t, client);
  const file = cache.acquire(source, bytes.length);
  await cache.read(file, 0, MiB);
  const other = await memory.put('k', content(4 * MiB, 2));
  t.ok((await joined(cache.read(file, 0, MiB))).equals(bytes.subarray(0, MiB)), 'what is cached stays readable');
  await rejectsAs(t, joined(cache.read(file, MiB, 2 * MiB)), 'PreconditionFailed');
  // The owner goes on to the new version while somebody still reads the old one.
  file.source = () => ({ key: 'k', etag: other.etag });
  await rejectsAs(t, joined(cache.read(file, MiB, 2 * MiB)), 'PreconditionFailed', 'the source is not believed');
  cache.release(file);
});

t.test('a rename while it is read: the same bytes under the new key', async (t) => {
  const { memory, client, source, bytes } = await withObject(content(4 * MiB));
  const { cache } = await openCache(t, client);
  const file = cache.acquire(source, bytes.length);
  let key = 'k';
  file.source = () => ({ key, etag: source.etag });
  const rename = async (): Promise<void> => {
    await memory.copy('k', 'moved', {});
    await memory.delete('k');
    key = 'moved';
  };
  client.add({ method: 'get', times: 1, action: { kind: 'call', before: rename } });
  t.ok((await joined(cache.read(file, 0, 2 * MiB))).equals(bytes.subarray(0, 2 * MiB)), 'under way');
  t.ok((await joined(cache.read(file, 2 * MiB, 4 * MiB))).equals(bytes.subarray(2 * MiB)), 'afterwards');
  await memory.delete('moved');
  cache.release(file);
});

t.test('failures reach the reader at once and do not stick', async (t) => {
  const { client, source, bytes } = await withObject(content(2 * MiB));
  const { cache } = await openCache(t, client);
  const file = cache.acquire(source, bytes.length);
  client.add({ method: 'get', times: 3, action: { kind: 'fail', error: 'Server' } });
  await rejectsAs(t, joined(cache.read(file, 0, 4096)), 'Server');
  t.equal(client.struck, 1, 'asked once');
  await rejectsAs(t, joined(cache.read(file, 0, 4096)), 'Server');
  cache.prefetch(file, 0, MiB);
  await until('the prefetch failed', () => file.fetches.size === 0);
  t.equal(client.struck, 3);
  client.add({ method: 'get', times: 1, action: { kind: 'truncate', bytes: 5000, error: 'Unreachable' } });
  await rejectsAs(t, joined(cache.read(file, 0, 8192)), 'Unreachable');
  t.ok((await joined(cache.read(file, 0, bytes.length))).equals(bytes));
  cache.release(file);
  await until('the pins are gone', () => file.content.pins === 0);
  t.equal(cache.statistics.transferBytes, 0);
});

t.test('an answer that ends early is an error, not old memory', async (t) => {
  const { source } = await withObject(content(1000));
  const { memory } = await withObject(content(1000));
  const { cache } = await openCache(t, memory);
  const file = cache.acquire(source, 5000);
  await rejectsAs(t, joined(cache.read(file, 0, 5000)), 'Corrupt');
  t.notOk(file.content.isPageValid(0));
  cache.release(file);
});

t.test('an interrupted reader leaves no trace; the fetch goes on for the next', async (t) => {
  const { memory, client, source, bytes } = await withObject(content(MiB));
  const { cache } = await openCache(t, client);
  const file = cache.acquire(source, bytes.length);
  const held = gate();
  client.add({ method: 'get', times: 1, action: { kind: 'delay', until: held.opened } });
  const abort = new AbortController();
  const reading = joined(cache.read(file, 0, MiB, abort.signal));
  await turn();
  abort.abort(new Error('interrupted'));
  await t.rejects(reading, { message: 'interrupted' });
  cache.release(file);
  held.open();
  await until('the fetch ended', () => file.content.pins === 0);
  const again = cache.acquire(source, bytes.length);
  t.ok((await joined(cache.read(again, 0, MiB))).equals(bytes));
  t.equal(gets(memory), 1);
  cache.release(again);
});

t.test('memory is waited for in turn, and an interrupted wait takes none', async (t) => {
  const { client, source, bytes } = await withObject(content(8 * MiB));
  const { cache } = await openCache(t, client, { memoryLimitBytes: 2 * MiB });
  const file = cache.acquire(source, bytes.length);
  const held = gate();
  client.add({ method: 'get', times: 1, action: { kind: 'delay', until: held.opened } });
  const first = joined(cache.read(file, 0, MiB));
  await turn();
  const abort = new AbortController();
  const given = joined(cache.read(file, MiB, 2 * MiB, abort.signal));
  const third = joined(cache.read(file, 2 * MiB, 3 * MiB));
  t.equal(cache.prefetch(file, 3 * MiB, 4 * MiB), 3 * MiB, 'a guess gets none');
  abort.abort(new Error('interrupted'));
  await t.rejects(given, { message: 'interrupted' });
  t.equal(cache.statistics.transferBytes, MiB);
  held.open();
  t.ok((await first).equals(bytes.subarray(0, MiB)));
  t.ok((await third).equals(bytes.subarray(2 * MiB, 3 * MiB)));
  await until('all is released', () => cache.statistics.transferBytes === 0);
  cache.release(file);
});

t.test('close ends what is under way and lets nothing begin', async (t) => {
  const { client, source, bytes } = await withObject(content(8 * MiB));
  const { cache, close } = await openCache(t, client, { memoryLimitBytes: 2 * MiB });
  const file = cache.acquire(source, bytes.length);
  client.add({ method: 'get', times: 1, action: { kind: 'delay', until: 60_000 } });
  const reads = [0, 1, 2].map((i) => rejectsAs(t, joined(cache.read(file, i * MiB, (i + 1) * MiB)), 'Aborted'));
  await turn();
  await close();
  await Promise.all(reads);
  await rejectsAs(t, cache.probe('k', undefined), 'Aborted');
  await rejectsAs(t, joined(cache.read(file, 5 * MiB, 6 * MiB)), 'Aborted');
  t.equal(cache.statistics.transferBytes, 0);
  cache.release(file);
  t.equal(file.content.pins, 0);
});

t.test('complete brings all to the disk, and says where it cannot', async (t) => {
  const { memory, client, source, bytes } = await withObject(content(20 * MiB));
  const { cache } = await openCache(t, client);
  const file = cache.acquire(source, bytes.length);
  t.equal(await cache.complete(file), true);
  t.equal(await cache.complete(file), true);
  t.equal(memory.counters.bytesReceived, bytes.length);
  cache.release(file);
  const small = await openCache(t, client, { maxBytes: 10 * MiB });
  const other = small.cache.acquire(source, bytes.length);
  t.equal(await small.cache.complete(other), false, 'larger than the cache');
  t.ok(small.store.bytes <= 10 * MiB);
  small.cache.release(other);
  const gone = await openCache(t, client);
  const third = gone.cache.acquire(source, bytes.length);
  client.add({ method: 'get', action: { kind: 'fail', error: 'Timeout' } });
  t.equal(await gone.cache.complete(third), false);
  gone.cache.release(third);
});

t.test('the cache directory removed while running costs speed only', async (t) => {
  const { memory, client, source, bytes } = await withObject(content(8 * MiB));
  const { cache, directory, store } = await openCache(t, client, { memoryLimitBytes: 4 * MiB });
  const file = cache.acquire(source, bytes.length);
  await cache.read(file, 0, 4 * MiB);
  cache.release(file);
  await until('written', () => file.content.pins === 0);
  rmSync(directory, { recursive: true });
  const again = cache.acquire(source, bytes.length);
  t.ok((await joined(cache.read(again, 0, bytes.length))).equals(bytes));
  await store.save();
  const received = memory.counters.bytesReceived;
  await until('written', () => again.content.isComplete);
  t.ok((await joined(cache.read(again, 0, bytes.length))).equals(bytes));
  t.equal(memory.counters.bytesReceived, received, 'it is made anew and used');
  cache.release(again);
});

t.test('the index directory alone removed', async (t) => {
  const { client, source, bytes } = await withObject(content(MiB));
  const { cache, directory, close } = await openCache(t, client);
  rmSync(join(directory, 'index'), { recursive: true });
  const file = cache.acquire(source, bytes.length);
  t.ok((await joined(cache.read(file, 0, bytes.length))).equals(bytes));
  cache.release(file);
  await close();
});

interface Reader {
  readonly file: number;
  readonly offset: number;
  readonly length: number;
  readonly ahead: number;
  readonly interrupted: boolean;
}

const reader: fc.Arbitrary<Reader> = fc.record({
  file: fc.nat(2),
  offset: fc.nat(4 * MiB),
  length: fc.integer({ min: 1, max: MiB }),
  ahead: fc.constantFrom(0, 0, 200_000, 3 * MiB),
  interrupted: fc.constantFrom(false, false, false, true),
});

t.test('whatever is read is the truth: many readers, faults, evictions, little memory', async (t) => {
  const memory = new MemoryClient();
  const truth = [content(4 * MiB + 17, 1), content(MiB - 3, 2), content(70_000, 3)];
  for (const [i, bytes] of truth.entries()) await memory.put(`o${i}`, bytes);
  const run = async (rounds: Reader[][], memoryMiB: number, cacheMiB: number, faults: number[]): Promise<void> => {
    const client = new FaultyClient(memory);
    for (const skip of faults) {
      client.add({ method: 'get', skip, times: 1, action: { kind: 'truncate', bytes: 9_999, error: 'Unreachable' } });
      client.add({ method: 'get', skip: skip + 3, times: 1, action: { kind: 'fail', error: 'Timeout' } });
      client.add({ method: 'get', skip: skip + 1, times: 2, action: { kind: 'delay', until: turn() } });
    }
    const options = { memoryLimitBytes: memoryMiB * MiB, maxBytes: cacheMiB * MiB };
    const { cache, store, close } = await openCache(t, client, options);
    const one = async ({ file: number, offset, length, ahead, interrupted }: Reader): Promise<void> => {
      const bytes = truth[number];
      const file = cache.acquire({ key: `o${number}`, etag: md5Etag(bytes) }, bytes.length);
      const abort = new AbortController();
      try {
        if (ahead > 0) cache.prefetch(file, offset, offset + ahead);
        const reading = joined(cache.read(file, offset, offset + length, abort.signal));
        if (interrupted) abort.abort(new Error('interrupted'));
        const got = await reading;
        if (!got.equals(bytes.subarray(offset, offset + length)))
          throw new Error(`wrong bytes of ${number} at ${offset}`);
      } catch (error) {
        const expected = isS3Error(error, 'Unreachable') || isS3Error(error, 'Timeout');
        if (!expected && (error as Error).message !== 'interrupted') throw error;
      } finally {
        cache.release(file);
      }
    };
    for (const round of rounds) {
      await Promise.all(round.map(one));
      await store.save();
      if (store.bytes > cacheMiB * MiB) throw new Error(`${store.bytes} bytes on the disk`);
    }
    await until('nothing is held', () => cache.statistics.transferBytes === 0);
    await close();
  };
  const rounds = fc.array(fc.array(reader, { minLength: 1, maxLength: 6 }), { minLength: 1, maxLength: 4 });
  const faults = fc.array(fc.nat(12), { maxLength: 3 });
  const limits = [fc.constantFrom(1, 4, 32), fc.constantFrom(0, 1, 3, 64)] as const;
  await fc.assert(fc.asyncProperty(rounds, ...limits, faults, run), { numRuns: 25 });
});

t.test('a file that is larger than the cache is read on', async (t) => {
  const { client, source, bytes } = await withObject(content(24 * MiB));
  const { cache, store } = await openCache(t, client, { memoryLimitBytes: 8 * MiB, maxBytes: 5 * MiB });
  const file: CachedFile = cache.acquire(source, bytes.length);
  for (let at = 0; at < bytes.length; at += MiB) {
    const got = await joined(cache.read(file, at, at + MiB));
    if (!got.equals(bytes.subarray(at, at + MiB))) t.fail(`wrong bytes at ${at}`);
    if (store.bytes > 5 * MiB) t.fail(`${store.bytes} bytes on the disk`);
  }
  t.ok(store.bytes > 0 && store.bytes < GiB);
  cache.release(file);
});
