import { DeleteObjectCommand, ListObjectsCommand, ListObjectsV2Command, PutObjectCommand } from '@aws-sdk/client-s3';
import fc from 'fast-check';
import t from 'tap';
import { fromOrdered, KeyIndex, toOrdered } from '../../src/embedded/key-index.js';
import { listPage, type PageQuery } from '../../src/embedded/listing.js';
import { Bucket, failureOf, raw, startServer } from './fixture.js';

const character = fc.constantFrom('a', 'b', '/', '.', '\u00e9', '\uffff', '\ue000', '\u{10000}', '\u{10ffff}');
const text = (minLength: number, maxLength: number) =>
  fc.array(character, { minLength, maxLength }).map((characters) => characters.join(''));

/** What S3 says a listing is, without any cleverness. */
function naive(keys: readonly string[], { prefix, delimiter, after, maxKeys }: PageQuery) {
  const bytes = (key: string) => Buffer.from(key);
  const entries = new Map<string, boolean>();
  for (const key of keys) {
    if (!key.startsWith(prefix)) continue;
    const cut = delimiter === '' ? -1 : key.indexOf(delimiter, prefix.length);
    const entry = cut < 0 ? key : key.slice(0, cut + delimiter.length);
    if (Buffer.compare(bytes(entry), bytes(after)) > 0) entries.set(entry, entries.get(entry) || cut >= 0);
  }
  const sorted = [...entries].sort(([a], [b]) => Buffer.compare(bytes(a), bytes(b)));
  const page = sorted.slice(0, maxKeys);
  return {
    keys: page.filter(([, group]) => !group).map(([entry]) => entry),
    prefixes: page.filter(([, group]) => group).map(([entry]) => entry),
    ...(sorted.length > maxKeys && { next: page.at(-1)![0] }),
  };
}

t.test('the ordered form compares as UTF-8 bytes and can be undone', async (t) => {
  fc.assert(
    fc.property(text(0, 6), text(0, 6), (a, b) => {
      const [x, y] = [toOrdered(a), toOrdered(b)];
      const expected = Buffer.compare(Buffer.from(a), Buffer.from(b));
      return (x < y ? -1 : x > y ? 1 : 0) === expected && fromOrdered(x) === a;
    }),
  );
  t.pass('held');
});

t.test('a page equals that of the naive model, whatever was added and removed before', async (t) => {
  const steps = fc.array(fc.record({ key: text(1, 4), add: fc.boolean(), list: fc.boolean() }), { maxLength: 120 });
  const query = fc.record({
    prefix: text(0, 2),
    delimiter: fc.oneof(fc.constant(''), fc.constant('/'), text(1, 2)),
    after: text(0, 3),
    maxKeys: fc.integer({ min: 1, max: 8 }),
  });
  fc.assert(
    fc.property(steps, query, (steps, query) => {
      const index = new KeyIndex();
      const keys = new Set<string>();
      for (const { key, add, list } of steps) {
        if (add && !keys.has(key)) index.add(key);
        if (!add && keys.has(key)) index.remove(key);
        if (add) keys.add(key);
        else keys.delete(key);
        if (list) index.view();
      }
      t.equal(index.size, keys.size);
      t.same(listPage(index.view(), query), naive([...keys], query));
    }),
    { numRuns: 500 },
  );
});

t.test('over HTTP: paging gives each entry once, in both versions', async (t) => {
  const { client } = await startServer(t);
  const keys = ['a', 'a/', 'a/1', 'a/2', 'b//x', 'b/c/d', 'c d+e', 'e\u00e9', '\uffff', '\u{1f600}', '../up', '.'];
  for (const Key of keys) await client.send(new PutObjectCommand({ Bucket, Key }));
  const sorted = keys.slice().sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  for (const MaxKeys of [1, 2, 5, 1000]) {
    const flat: string[] = [];
    const grouped: string[] = [];
    let ContinuationToken: string | undefined;
    do {
      const page = await client.send(new ListObjectsV2Command({ Bucket, MaxKeys, ContinuationToken }));
      flat.push(...(page.Contents ?? []).map(({ Key }) => Key!));
      ContinuationToken = page.NextContinuationToken;
    } while (ContinuationToken);
    let Marker: string | undefined;
    do {
      const page = await client.send(
        new ListObjectsCommand({ Bucket, MaxKeys, Marker, Delimiter: '/', EncodingType: 'url' }),
      );
      const decoded = (name: string) => decodeURIComponent(name.replaceAll('+', ' '));
      grouped.push(...(page.Contents ?? []).map(({ Key }) => decoded(Key!)));
      grouped.push(...(page.CommonPrefixes ?? []).map(({ Prefix }) => decoded(Prefix!)));
      Marker = page.NextMarker && decoded(page.NextMarker);
    } while (Marker);
    t.same(flat, sorted);
    t.same(grouped.sort(), ['.', '../', 'a', 'a/', 'b/', 'c d+e', 'e\u00e9', '\uffff', '\u{1f600}'].sort());
  }
  const started = await client.send(new ListObjectsV2Command({ Bucket, Delimiter: '/', StartAfter: 'a/1' }));
  t.equal(started.CommonPrefixes?.[0]?.Prefix, 'b/', 'a prefix that is not above start-after is left out');
});

t.test('strange keys are listed as they are, and gone at once when deleted', async (t) => {
  const { server, client } = await startServer(t);
  const Key = 'a&<b>\r\n"c';
  await client.send(new PutObjectCommand({ Bucket, Key }));
  t.equal((await client.send(new ListObjectsV2Command({ Bucket }))).Contents?.[0]?.Key, Key);
  const url = await raw(server, { path: `/${Bucket}`, query: 'encoding-type=url&list-type=2' });
  t.match(url.body.toString(), '<Key>a%26%3Cb%3E%0D%0A%22c</Key>');
  await client.send(new DeleteObjectCommand({ Bucket, Key }));
  t.equal((await client.send(new ListObjectsV2Command({ Bucket }))).KeyCount, 0);
  t.equal(await failureOf(client.send(new ListObjectsV2Command({ Bucket, MaxKeys: 0 }))), 'no failure');
  t.equal(await failureOf(client.send(new ListObjectsV2Command({ Bucket, MaxKeys: -1 }))), '400 InvalidArgument');
});

t.test('a page among 100,000 keys does not cost the keys that it skips', { timeout: 60_000 }, async (t) => {
  const index = new KeyIndex();
  for (let i = 0; i < 100_000; i++) index.add(`d${i % 50}/${i}`);
  index.view();
  const compared = { count: 0 };
  const { sorted, dead } = index.view();
  const counted = new Proxy(sorted as string[], {
    get: (target, name, receiver) => {
      if (typeof name === 'string' && /^\d+$/.test(name)) compared.count++;
      return Reflect.get(target, name, receiver);
    },
  });
  const page = listPage({ sorted: counted, dead }, { prefix: '', delimiter: '/', after: '', maxKeys: 1000 });
  t.equal(page.prefixes.length, 50);
  t.ok(compared.count < 50 * 40, `looked at ${compared.count} keys`);
});
