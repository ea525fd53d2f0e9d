import fc from 'fast-check';
import t from 'tap';
import { Listing, type ListingOptions, type ListingPage } from '../../src/cache/listing.js';
import { ListingCache } from '../../src/cache/listing-cache.js';
import type { ListedEntry } from '../../src/cache/listing-entries.js';
import { LIST_PAGE_KEYS, MAX_INDEXED_ENTRIES, MAX_LISTED_ENTRIES } from '../../src/constants.js';
import { FaultyClient } from '../../src/s3/faulty-client.js';
import { compareKeys } from '../../src/s3/key.js';
import { MemoryClient } from '../../src/s3/memory-client.js';
import type { ListOptions, ListPage } from '../../src/s3/object-client.js';
import { nameIn } from '../../src/vfs/name.js';
import { gate, TestClock, turn, until } from './fixture.js';

const empty = Buffer.alloc(0);
const lists = (client: MemoryClient): number => client.counters.requests.ListObjectsV2 ?? 0;

/** Puts keys without the digest of each body. */
function fill(client: MemoryClient, keys: Iterable<string>): void {
  for (const key of keys) client.store(key, empty, 'e', { headers: {}, metadata: {}, tags: [] });
}

function setUp(client: MemoryClient | FaultyClient, more: Partial<ListingOptions> = {}) {
  const options: ListingOptions = {
    client,
    clock: new TestClock(),
    nameIn,
    hydrate: async () => {},
    ...more,
  };
  return { options, listing: (prefix = 'd/', begun = '') => new Listing(() => prefix, options, { begun }) };
}

async function all(listing: Listing): Promise<ListedEntry[]> {
  const entries: ListedEntry[] = [];
  for (let number = 0; ; number++) {
    const page = await listing.page(number);
    if (page === undefined) return entries;
    entries.push(...page.entries);
  }
}

t.test('a page is as old as the beginning of its LIST', async (t) => {
  const clock = new TestClock();
  const client = new MemoryClient(clock);
  fill(
    client,
    Array.from({ length: LIST_PAGE_KEYS + 5 }, (_, i) => `d/f${String(i).padStart(4, '0')}`),
  );
  const asked: Array<boolean | undefined> = [];
  const slow = async (options: ListOptions): Promise<ListPage> => {
    asked.push(options.metadata);
    // What is told was read at once, and the answer took long.
    clock.advance(30_000);
    return client.list(options);
  };
  const pages: ListingPage[] = [];
  const { options } = setUp(client, {
    clock,
    client: Object.assign(Object.create(client), { list: slow }),
    metadata: true,
    hydrate: async (_prefix, page) => void pages.push(page),
  });
  const begun = Math.floor(clock.now() / 1000) * 1000;
  await all(new Listing(() => 'd/', options));
  t.same(asked, [true, true]);
  t.equal(pages[0].date, begun);
  t.equal(pages[1].entries.length, 6, 'with the last object of the page before, which waited for what comes');
  t.equal(pages[1].date, begun, 'which is as old as that page');
});

t.test('10,000 names are ten LISTs', async (t) => {
  const client = new MemoryClient();
  fill(
    client,
    Array.from({ length: 10_000 }, (_, i) => `d/f${i}`),
  );
  fill(client, ['d', 'd/', 'e/f']);
  const { listing } = setUp(client);
  const it = listing();
  t.equal((await all(it)).length, 10_000);
  t.equal(lists(client), 11, 'the marker makes 10,001 keys');
  t.ok(it.isComplete);
  t.match(it.marker, { key: 'd/' });
  t.equal(it.find('f9999')?.name, 'f9999');
  t.equal(it.find('f10000'), undefined);
  await client.delete('d/');
  t.equal(await listing().loadAll(), true);
  t.equal(lists(client), 21);
});

t.test('each key has one name, and no name comes twice', async () => {
  const component = fc.string({ unit: fc.constantFrom('a', 'b', '-', '.', '0', '/', 'é', '\u{1f600}'), maxLength: 5 });
  await fc.assert(
    fc.asyncProperty(
      fc.uniqueArray(component, { maxLength: 40 }),
      fc.integer({ min: 1, max: 7 }),
      async (keys, cut) => {
        const memory = new MemoryClient();
        fill(
          memory,
          keys.map((key) => `d/${key}`),
        );
        // A server that returns short pages, and shows the prefix again that it ended with.
        const client = new (class extends MemoryClient {
          override async list(options: ListOptions): Promise<ListPage> {
            const page = await memory.list({ ...options, maxKeys: cut });
            if (!options.startAfter?.endsWith('/') || options.startAfter === 'd/') return page;
            return { ...page, prefixes: [options.startAfter, ...page.prefixes] };
          }
        })();
        const { listing } = setUp(client);
        const found = await all(listing());
        const parts = new Set(keys.map((key) => key.slice(0, key.indexOf('/') + 1) || key));
        const wanted = [...parts].filter((part) => part !== '').sort(compareKeys);
        const isRight = ({ name, part, directory }: ListedEntry): boolean =>
          name === nameIn('', directory ? part.slice(0, -1) : part, !directory && parts.has(`${part}/`))?.name;
        return (
          new Set(found.map((entry) => entry.name)).size === found.length &&
          found.every(isRight) &&
          JSON.stringify(found.map((entry) => entry.part).sort(compareKeys)) === JSON.stringify(wanted)
        );
      },
    ),
    { numRuns: 80 },
  );
});

t.test('an object beside a prefix of its name, with pages between', async (t) => {
  const client = new MemoryClient();
  fill(client, ['d/a', 'd/a/x', 'd/..', 'd/b']);
  fill(
    client,
    Array.from({ length: 2_500 }, (_, i) => `d/a-${i}`),
  );
  const it = setUp(client).listing();
  await it.page(0);
  t.equal(it.find('a'), undefined, 'it may still have to make way');
  t.equal(await it.loadAll(), true);
  t.match(it.find('a'), { directory: true });
  t.match(it.find('=pailfs-object=a'), { directory: false, part: 'a' });
  t.match(it.find('=pailfs=..'), { directory: false, part: '..' });
  const other = new MemoryClient();
  fill(other, ['d/a', 'd/a/x']);
  const whole = setUp(other).listing();
  await whole.loadAll();
  t.same([...(whole.names?.keys() ?? [])], ['=pailfs-object=a', 'a']);
});

t.test('a marker with content is a directory and a file in it', async (t) => {
  const client = new MemoryClient();
  fill(client, ['d/x', 'd//y', 'd//']);
  await client.put('d/', Buffer.from('content'));
  const it = setUp(client).listing();
  t.same(
    (await all(it)).map(({ name, part }) => [name, part]),
    [
      ['=pailfs-object=', ''],
      ['=pailfs=', '/'],
      ['x', 'x'],
    ],
  );
});

t.test('components too long for a name come once for all that begin alike, also over pages', async (t) => {
  const client = new MemoryClient();
  const long = 'l'.repeat(240);
  const keys = Array.from({ length: 2_300 }, (_, i) => `d/${long}${String(i).padStart(20, '0')}`);
  fill(client, [...keys, `d/${long}`, `d/${long}10`, `d/${long}10/x`, `d/${'é'.repeat(128)}`]);
  const it = setUp(client).listing();
  const names = (await all(it)).map((entry) => entry.name);
  t.same(names, [long, `=pailfs-long=${long}`, `${long}10`, `=pailfs-long=${'é'.repeat(120)}`]);
  const inside = (await all(setUp(client).listing(`d/${long}`, long))).map((entry) => entry.name);
  t.equal(inside.length, 2_301);
  t.ok(inside.includes('=pailfs=00000000000000000042'));
  t.ok(inside.includes('=pailfs-object=10'), 'its escape does not fit beside the directory');
});

t.test('a zero-byte NAME_$folder$ makes a directory of what has no other reason to be one', async (t) => {
  const setUpWith = async (extra: number) => {
    const client = new MemoryClient();
    fill(client, ['d/a_$folder$', 'd/b/x', 'd/b_$folder$', 'd/c', 'd/c_$folder$', 'd/_$folder$', 'd/sub/e_$folder$']);
    await client.put('d/f_$folder$', Buffer.from('a file like others'));
    fill(
      client,
      Array.from({ length: extra }, (_, i) => `d/b-${i}`),
    );
    const entries = (await all(setUp(client).listing())).filter((entry) => !entry.name.startsWith('b-'));
    return entries.map((entry) => {
      const hidden = !entry.directory && entry.isFolderMarker;
      return `${hidden ? 'hidden ' : ''}${entry.name}${entry.directory ? '/' : ''}`;
    });
  };
  const wanted = ['a/', 'b/', 'c', 'f_$folder$', 'hidden a_$folder$', 'hidden b_$folder$', 'hidden c_$folder$', 'sub/'];
  t.same((await setUpWith(0)).sort(), ['_$folder$', ...wanted]);
  t.same((await setUpWith(MAX_INDEXED_ENTRIES + 1_500)).sort(), ['_$folder$', ...wanted], 'in a large directory');
});

t.test('a page that is empty and not the last', async (t) => {
  const memory = new MemoryClient();
  fill(memory, ['d/x', 'd/y']);
  const client = new (class extends MemoryClient {
    override async list(options: ListOptions): Promise<ListPage> {
      if (options.token === undefined) return { objects: [], prefixes: [], nextToken: 'd/', date: 0 };
      return memory.list(options);
    }
  })();
  t.same(
    (await all(setUp(client).listing())).map((entry) => entry.part),
    ['x', 'y'],
  );
});

t.test('the page after the one in use is loaded ahead; its failure does not stick', async (t) => {
  const memory = new MemoryClient();
  fill(
    memory,
    Array.from({ length: 2_500 }, (_, i) => `d/${10_000 + i}`),
  );
  const client = new FaultyClient(memory);
  client.add({ method: 'list', skip: 1, times: 2, action: { kind: 'fail', error: 'Timeout' } });
  const { listing } = setUp(client);
  const it = listing();
  await it.page(0);
  await until('it was asked ahead', () => client.struck === 1);
  await turn();
  await t.rejects(
    it.page(1).then(() => {}),
    { message: /Timeout/ },
  );
  t.equal((await it.page(1))?.entries.length, LIST_PAGE_KEYS);
  await until('it was asked ahead', () => it.pageNow(2) !== undefined);
  t.equal(lists(memory), 3);
  t.equal(await it.page(3), undefined);
});

t.test('two readers of a page cause one LIST', async (t) => {
  const client = new MemoryClient();
  fill(client, ['d/a']);
  const { listing } = setUp(client);
  const it = listing();
  const [one, two] = await Promise.all([it.page(0), it.page(0)]);
  t.equal(one, two);
  t.equal(lists(client), 1);
});

t.test('attributes are there before a page is shown', async (t) => {
  const client = new MemoryClient();
  fill(client, ['d/a']);
  const held = gate();
  const seen: string[] = [];
  const { listing } = setUp(client, {
    hydrate: async (prefix, page) => {
      seen.push(prefix, ...page.entries.map((entry) => entry.part));
      await held.opened;
    },
  });
  const it = listing();
  const page = it.page(0);
  await until('it is hydrated', () => seen.length > 0);
  t.same(seen, ['d/', 'a']);
  t.equal(it.pageNow(0), undefined);
  t.equal(it.find('a'), undefined);
  held.open();
  t.equal((await page)?.entries.length, 1);
});

t.test('a large directory: few pages in memory, dropped ones are listed again without gap or overlap', async (t) => {
  const client = new MemoryClient();
  const count = MAX_INDEXED_ENTRIES + 5_000;
  const name = (i: number): string => `n${100_000 + i}`;
  fill(
    client,
    Array.from({ length: count }, (_, i) => `d/${name(i)}`),
  );
  const { listing } = setUp(client);
  const it = listing();
  t.equal((await all(it)).length, count);
  t.notOk(it.isComplete, 'not all names are known');
  t.equal(it.names, undefined);
  t.ok(it.entryCount <= 5 * LIST_PAGE_KEYS, `${it.entryCount} entries`);
  t.equal(await listing().loadAll(), false);
  // Somebody fills and empties the directory meanwhile.
  const second = (await it.page(1))!;
  const third = (await it.page(2))!;
  for (let number = 3; number < 9; number++) await it.page(number);
  t.equal(it.pageNow(1), undefined);
  fill(
    client,
    Array.from({ length: 1_500 }, (_, i) => `d/${second.entries[3].name}+${i}`),
  );
  for (const entry of third.entries.slice(10, 20)) await client.delete(`d/${entry.name}`);
  const again = [...(await it.page(1))!.entries, ...(await it.page(2))!.entries].map((entry) => entry.part);
  t.equal(again.length, 2_000 + 1_500 - 10);
  t.equal(new Set(again).size, again.length);
  t.equal(again[0], second.entries[0].name);
  t.equal(again[again.length - 1], third.entries[999].name);
  t.equal((await it.page(2))!.last, third.last);
});

t.test('the cache of listings: by age, and bounded by entries', async (t) => {
  const client = new MemoryClient();
  fill(
    client,
    Array.from({ length: 3_000 }, (_, i) => `d/${i}`),
  );
  const clock = new TestClock();
  const { options } = setUp(client, { clock });
  const cache = new ListingCache(options);
  t.equal(cache.fresh(1, 1_000), undefined);
  const one = cache.begin(1, () => 'd/');
  await one.loadAll();
  t.equal(cache.entryCount, 3_001);
  clock.advance(1_000);
  t.equal(cache.fresh(1, 1_000), one);
  clock.advance(1);
  t.equal(cache.fresh(1, 1_000), undefined);
  cache.drop(1);
  t.equal(cache.entryCount, 0);
  for (let directory = 2; directory < 50; directory++) {
    const listing = cache.begin(directory, () => 'd/');
    await listing.loadAll();
    if (directory === 10) cache.drop(9);
    if (cache.entryCount > MAX_LISTED_ENTRIES) t.fail(`${cache.entryCount} entries`);
  }
  t.ok(cache.entryCount > MAX_LISTED_ENTRIES / 2);
  t.equal(cache.fresh(2, 60_000), undefined, 'the oldest went');
  t.ok(cache.fresh(49, 60_000)?.isComplete);
});
