/** Subtrees listed flat: each directory exactly as a LIST of its own has it, for close to the fewest LISTs, and not for ever. */
import fc from 'fast-check';
import t from 'tap';
import { Listing, type ListingOptions } from '../../src/cache/listing.js';
import type { ListedEntry } from '../../src/cache/listing-entries.js';
import { OwnChanges } from '../../src/cache/own-changes.js';
import { Walks } from '../../src/cache/walks.js';
import { MAX_CHANGED_PREFIXES, MiB, WALK_SERIES_MS } from '../../src/constants.js';
import { silentLogger } from '../../src/log.js';
import { FaultyClient } from '../../src/s3/faulty-client.js';
import { MemoryClient } from '../../src/s3/memory-client.js';
import type { ListOptions, ListPage, ObjectClient } from '../../src/s3/object-client.js';
import { nameIn } from '../../src/vfs/name.js';
import { TestClock, turn } from './fixture.js';

t.setTimeout(120_000);
const empty = Buffer.alloc(0);
const lists = (client: MemoryClient): number => client.counters.requests.ListObjectsV2 ?? 0;

function fill(client: MemoryClient, keys: Iterable<string>): void {
  for (const key of keys) client.store(key, empty, `"${key.length}"`, { headers: {}, metadata: {}, tags: [] });
}

interface Setting {
  readonly clock: TestClock;
  readonly walks: Walks;
  readonly changes: OwnChanges;
  /** Reads a directory as READDIR does; `plain`: asked for itself. */
  read(prefix: string, plain?: boolean): Promise<ListedEntry[]>;
  /** Reads all of a subtree, each directory before those in it, in the order of the keys or another. */
  find(prefix: string, order?: (names: string[]) => string[]): Promise<number>;
  /** The last listing that was read. */
  last: Listing;
}

function setUp(client: ObjectClient, maxBytes = 4 * MiB): Setting {
  const clock = new TestClock();
  const changes = new OwnChanges(clock);
  const walks = new Walks({ client, clock, logger: silentLogger, changes, maxAgeMs: 30_000, maxBytes });
  const options: ListingOptions = { client, clock, nameIn, walks, hydrate: async () => {} };
  const setting: Setting = {
    clock,
    walks,
    changes,
    last: undefined as never,
    async read(prefix, plain) {
      const walk = plain ? undefined : walks.enter(prefix, false);
      const listing = new Listing(() => prefix, options, { walk });
      setting.last = listing;
      const entries: ListedEntry[] = [];
      for (let number = 0; ; number++) {
        const page = await listing.page(number);
        if (page === undefined) return entries;
        entries.push(...page.entries);
      }
    },
    async find(prefix, order = (names) => names) {
      clock.advance(1);
      const entries = await setting.read(prefix);
      const below = entries.filter((entry) => entry.directory && !entry.isBeginning).map((entry) => entry.part);
      let files = entries.length - below.length;
      for (const part of order(below)) files += await setting.find(prefix + part, order);
      return files;
    },
  };
  return setting;
}

/** `directories` of `files` each, side by side. */
function* flatTree(directories: number, files: number, name = 'd'): Generator<string> {
  for (let d = 0; d < directories; d++)
    for (let f = 0; f < files; f++) yield `t/${name}${String(d).padStart(5, '0')}/f${f}`;
}

t.test('10,000 files in 1,000 directories: ten LISTs, and three before the walk is recognised', async (t) => {
  const client = new MemoryClient();
  fill(client, flatTree(1_000, 10));
  const { find } = setUp(client);
  t.equal(await find('t/'), 10_000);
  t.ok(lists(client) <= 12 + 3, `${lists(client)} LISTs`);
});

t.test('two levels, with markers; another order than that of the keys', async (t) => {
  const client = new MemoryClient();
  for (let top = 0; top < 20; top++) {
    fill(client, [`t/${top}/`]);
    for (let d = 0; d < 50; d++)
      fill(client, [`t/${top}/${d}/`, ...Array.from({ length: 10 }, (_, f) => `t/${top}/${d}/${f}`)]);
  }
  const least = Math.ceil(client.objects.size / 1_000);
  t.equal(await setUp(client).find('t/'), 10_000);
  t.ok(lists(client) <= least * 1.2 + 3, `${lists(client)} LISTs, ${least} at least`);
  const before = lists(client);
  const numeric = (names: string[]): string[] => names.sort((a, b) => Number.parseInt(a, 10) - Number.parseInt(b, 10));
  t.equal(await setUp(client).find('t/', numeric), 10_000);
  const unsorted = lists(client) - before;
  t.ok(unsorted <= 4 * least, `${unsorted} LISTs in the order of the numbers, where ${20 * 50} directories are`);
});

t.test('a directory of many directories: its names in the plain way, what is in them flat', async (t) => {
  const client = new MemoryClient();
  fill(client, ['t/a/1', 't/b/1', 't/c/1']);
  const deep = [...flatTree(4_000, 10)].map((key) => key.replace('t/', 't/m/'));
  fill(client, deep);
  const { find, walks } = setUp(client);
  t.equal(await find('t/'), 40_003);
  const least = 41;
  t.ok(lists(client) <= (least + 4) * 1.2 + 3, `${lists(client)} LISTs, ${least} at least`);
  t.ok(walks.bytes <= 4.5 * MiB, `${walks.bytes} bytes`);
});

t.test('memory is bounded, however the tree is walked', async (t) => {
  const client = new MemoryClient();
  fill(client, flatTree(3_000, 20));
  const limit = 2 * MiB;
  const { read, walks, clock } = setUp(client, limit);
  const directories = (await read('t/')).map((entry) => `t/${entry.part}`);
  let highest = 0;
  for (let i = 0; i < directories.length; i++) {
    clock.advance(1);
    // Four programs, each from its own place on.
    t.equal((await read(directories[(i % 4) * 750 + (i >> 2)])).length, 20);
    highest = Math.max(highest, walks.bytes);
  }
  t.ok(highest > limit / 4 && highest <= limit + 0.5 * MiB, `${highest} bytes`);
  t.ok(lists(client) <= 60 * 1.3 + 10, `${lists(client)} LISTs for 60 pages`);
});

t.test('a wrong guess stops: only the top of each subtree is looked at', async (t) => {
  const client = new MemoryClient();
  const tops = 60;
  for (let top = 0; top < tops; top++)
    for (let d = 0; d < 30; d++)
      fill(
        client,
        Array.from({ length: 100 }, (_, f) => `t/${100 + top}/${d}/${f}`),
      );
  const { read } = setUp(client);
  const directories = await read('t/');
  t.equal(directories.length, tops);
  for (const { part } of directories) t.equal((await read(`t/${part}`)).length, 30);
  t.ok(lists(client) <= 1 + tops + 10, `${lists(client)} LISTs where ${1 + tops} are needed`);
});

t.test('one directory after another by hand costs no more than before', async (t) => {
  const client = new MemoryClient();
  fill(client, [...flatTree(50, 100)]);
  const { read, clock } = setUp(client);
  await read('t/');
  await read('t/d00003/');
  await read('t/d00030/');
  t.equal(lists(client), 3);
  // What the third brought along is told of the next; a page more is read ahead.
  await read('t/d00031/');
  t.equal(lists(client), 4);
  clock.advance(WALK_SERIES_MS + 1);
  await read('t/d00032/');
  t.equal(lists(client), 5, 'no walk any more');
});

t.test('a listing is as old as the LIST that its keys came with', async (t) => {
  const client = new MemoryClient();
  fill(client, flatTree(400, 10));
  const setting = setUp(client);
  const { read, clock } = setting;
  const directories = (await read('t/')).map((entry) => `t/${entry.part}`);
  await read(directories[0]);
  clock.advance(5);
  const asked = clock.monotonic();
  await read(directories[1]);
  for (const directory of directories.slice(2, 60)) {
    clock.advance(200);
    await read(directory);
    t.equal(setting.last.startedAt, asked);
  }
  // Half the time that a listing counts has passed.
  clock.advance(9_000);
  await read(directories[60]);
  clock.advance(9_000);
  await read(directories[61]);
  t.equal(setting.last.startedAt, asked, 'still');
  clock.advance(5_000);
  await read(directories[62]);
  t.equal(setting.last.startedAt, clock.monotonic(), 'too old: asked again');
});

t.test('what this mount changed is not told from before', async (t) => {
  const client = new MemoryClient();
  fill(client, flatTree(100, 10));
  const { read, changes, clock } = setUp(client);
  const directories = (await read('t/')).map((entry) => `t/${entry.part}`);
  await read(directories[0]);
  t.equal((await read(directories[1])).length, 10);
  clock.advance(1);
  await client.delete(`${directories[5]}f3`);
  changes.note(`${directories[5]}f3`);
  fill(client, [`${directories[6]}below/x`]);
  changes.note(`${directories[6]}below/x`);
  const before = lists(client);
  t.equal((await read(directories[5])).length, 9);
  t.equal((await read(directories[6])).length, 11);
  t.equal(lists(client), before + 2);
  t.equal((await read(directories[7])).length, 10);
  t.equal(lists(client), before + 2, 'the rest stands');
  for (let i = 0; i <= MAX_CHANGED_PREFIXES; i++) changes.note(`elsewhere/${i}/x`);
  await client.delete(`${directories[8]}f3`);
  t.equal((await read(directories[8])).length, 9, 'too many changes to remember each');
});

t.test('where the flat LIST is refused the plain way goes on', async (t) => {
  const memory = new MemoryClient();
  fill(memory, flatTree(100, 10));
  const refusing = new (class extends FaultyClient {
    override async list(options: ListOptions): Promise<ListPage> {
      if (options.delimiter === undefined)
        this.add({ method: 'list', times: 1, action: { kind: 'fail', error: 'AccessDenied' } });
      return super.list(options);
    }
  })(memory);
  const { find } = setUp(refusing);
  t.equal(await find('t/'), 1_000);
  t.equal(refusing.struck, 1, 'and is not tried again');
});

/** As SeaweedFS: a directory stands where its name sorts without the slash, so that what is behind a key may miss it. */
class Unordered extends MemoryClient {
  constructor(readonly tells: boolean) {
    super();
  }

  override async list(options: ListOptions): Promise<ListPage> {
    const { startAfter } = options;
    const all = await super.list({ ...options, startAfter: undefined });
    const order = (key: string): string => key.replaceAll('/', '\0');
    const isBehind = (key: string): boolean => startAfter === undefined || order(key) > order(startAfter);
    const objects = all.objects.filter(({ key }) => isBehind(key));
    objects.sort((a, b) => (order(a.key) < order(b.key) ? -1 : 1));
    return { ...all, objects, ...(this.tells && { unordered: true }) };
  }
}

t.test('a server that lists in another order is asked for each directory', async (t) => {
  for (const tells of [true, false]) {
    const client = new Unordered(tells);
    fill(client, flatTree(20, 10));
    // Only the order of these two shows it, where the server does not tell.
    fill(client, ['t/d00009/x-', 't/d00009/x/y']);
    const { find } = setUp(client);
    t.equal(await find('t/'), 202);
    t.equal(lists(client), 22 + 1, 'the top, each directory in it, and one that was of no use');
  }
});

t.test('two programs in one tree share what comes', async (t) => {
  const client = new MemoryClient();
  fill(client, flatTree(1_000, 10));
  const { find } = setUp(client);
  t.same(await Promise.all([find('t/'), find('t/')]), [10_000, 10_000]);
  t.ok(lists(client) <= 12 + 8, `${lists(client)} LISTs`);
});

/** Keys that do not look like paths, or sort where one would not think. */
const component = fc.oneof(
  fc.constantFrom(
    'a',
    'b',
    'n',
    'x',
    '.',
    '..',
    '',
    'a-',
    'a0',
    'é',
    '\u{1f600}',
    '\uffee',
    'e_$folder$',
    'a_$folder$',
    '=pailfs=x',
  ),
  fc.string({ unit: fc.constantFrom('a', '-', '.', '0', '~', ' ', '\u007f'), minLength: 1, maxLength: 3 }),
  fc.constantFrom('l'.repeat(256), `${'l'.repeat(250)}é`, 'l'.repeat(600)),
);
const keys = fc.uniqueArray(
  fc.array(component, { minLength: 1, maxLength: 4 }).map((parts) => `t/${parts.join('/')}`),
  { minLength: 1, maxLength: 60 },
);

/** A server with short pages, some of them empty. */
class ShortPages extends MemoryClient {
  constructor(
    readonly most: number,
    readonly emptyEvery: number,
  ) {
    super();
  }

  #count = 0;

  override async list(options: ListOptions): Promise<ListPage> {
    await turn();
    this.#count++;
    if (this.#count % this.emptyEvery === 0 && options.delimiter === undefined) {
      const at = options.token ?? options.startAfter;
      if (at !== undefined) return { objects: [], prefixes: [], nextToken: at, date: 0 };
    }
    return super.list({ ...options, maxKeys: this.most });
  }
}

t.test('each directory of any tree is exactly what a LIST of its own shows', async () => {
  const numbers = {
    most: fc.integer({ min: 1, max: 9 }),
    emptyEvery: fc.integer({ min: 2, max: 9 }),
    seed: fc.nat(),
    bytes: fc.constantFrom(600, 3_000, MiB),
  };
  await fc.assert(
    fc.asyncProperty(keys, fc.record(numbers), async (all, { most, emptyEvery, seed, bytes }) => {
      const client = new ShortPages(most, emptyEvery);
      fill(client, all);
      const setting = setUp(client, bytes);
      let random = seed;
      const shuffled = (names: string[]): string[] => {
        if (seed % 3 === 0) return names;
        random = (random * 1103515245 + 12345) % 2 ** 31;
        return names.sort((a, b) => ((a.length * random) % 7) - ((b.length * random) % 7));
      };
      const compare = async (prefix: string): Promise<void> => {
        // Where pages end, and with them when an object comes that waits for a prefix of its name, is left to the server.
        const byName = (a: ListedEntry, b: ListedEntry): number => (a.name < b.name ? -1 : 1);
        const walked = (await setting.read(prefix)).sort(byName);
        const asked = (await setting.read(prefix, true)).sort(byName);
        const wanted = JSON.stringify(asked);
        if (JSON.stringify(walked) !== wanted) throw new Error(`${prefix}: ${JSON.stringify(walked)} is not ${wanted}`);
        const below = asked.filter((entry) => entry.directory && !entry.isBeginning).map((entry) => entry.part);
        for (const part of shuffled(below)) await compare(prefix + part);
      };
      await compare('t/');
    }),
    { numRuns: Number(process.env.PAILFS_MODEL_RUNS ?? 400) },
  );
});

t.test('somebody else writes and removes meanwhile: what is there all the time is told once', async () => {
  const script = fc.array(fc.record({ directory: fc.nat(30), file: fc.nat(60), write: fc.boolean() }), {
    maxLength: 200,
  });
  await fc.assert(
    fc.asyncProperty(script, fc.integer({ min: 2, max: 40 }), async (changes, most) => {
      const client = new ShortPages(most, 1_000);
      const stay = Array.from({ length: 30 }, (_, d) => [`t/${d}/b`, `t/${d}/m/c`, `t/${d}/x`]).flat();
      fill(client, stay);
      const left = [...changes];
      const setting = setUp(client);
      const found: string[] = [];
      const find = async (prefix: string): Promise<void> => {
        for (const { directory, file, write } of left.splice(0, 3)) {
          // Also of a directory that is there all the time, but not for the same key.
          const key = `t/${directory}/${file % 2 === 0 ? `${file}` : `k/${file}`}`;
          if (write) fill(client, [key]);
          else await client.delete(key);
        }
        for (const entry of await setting.read(prefix)) {
          found.push(prefix + entry.part);
          if (entry.directory) await find(prefix + entry.part);
        }
      };
      await find('t/');
      for (const key of stay) {
        const times = found.filter((one) => one === key).length;
        if (times !== 1) throw new Error(`${key} came ${times} times`);
      }
      if (new Set(found).size !== found.length) throw new Error('something came twice');
    }),
    { numRuns: 200 },
  );
});
