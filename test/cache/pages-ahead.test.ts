/** Large directories listed side by side: nothing missed or told twice, for at most a fifth more LISTs, in a fraction of the time. */
import fc from 'fast-check';
import t from 'tap';
import { guessBehind, strideOf } from '../../src/cache/key-guess.js';
import { Listing, type ListingOptions } from '../../src/cache/listing.js';
import { AheadLimit } from '../../src/cache/pages-ahead.js';
import { MAX_PAGES_AHEAD, MAX_PAGES_AHEAD_IN_ALL } from '../../src/constants.js';
import { FaultyClient } from '../../src/s3/faulty-client.js';
import { compareKeys } from '../../src/s3/key.js';
import { MemoryClient } from '../../src/s3/memory-client.js';
import type { ListOptions, ListPage } from '../../src/s3/object-client.js';
import { nameIn } from '../../src/vfs/name.js';
import { TestClock, turn, until } from './fixture.js';

t.setTimeout(120_000);

/** Sorted once; counts requests, those under way, and how many answers came one after another. */
class Server extends MemoryClient {
  readonly #names: string[];
  /** LISTs so far, under way now and at most, and rounds: answers of one round were asked before any of them came. */
  lists = 0;
  running = 0;
  most = 0;
  rounds = 0;
  #round: Promise<void> | undefined;
  onList: ((count: number) => void) | undefined;

  constructor(
    names: Iterable<string>,
    readonly pageKeys = 1_000,
  ) {
    super();
    this.#names = [...new Set(names)].sort(compareKeys);
  }

  change(add: readonly string[], remove: readonly string[]): void {
    for (const name of remove) {
      const at = this.#names.indexOf(name);
      if (at >= 0) this.#names.splice(at, 1);
    }
    for (const name of add) if (!this.#names.includes(name)) this.#names.push(name);
    this.#names.sort(compareKeys);
  }

  override async list({ prefix, startAfter = '', token }: ListOptions): Promise<ListPage> {
    this.lists++;
    this.onList?.(this.lists);
    this.running++;
    this.most = Math.max(this.most, this.running);
    this.#round ??= (async () => {
      for (let i = 0; i < 20; i++) await turn();
      this.rounds++;
      this.#round = undefined;
    })();
    await this.#round;
    this.running--;
    const objects: ListPage['objects'] = [];
    const prefixes: string[] = [];
    const after = (token ?? startAfter).slice(prefix.length);
    let low = 0;
    let high = this.#names.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (compareKeys(this.#names[middle], after) <= 0) low = middle + 1;
      else high = middle;
    }
    const page = this.#names.slice(low, low + this.pageKeys);
    for (const name of page) {
      if (name.endsWith('/')) prefixes.push(prefix + name);
      else objects.push({ key: prefix + name, etag: 'e', size: 1, lastModified: 0 });
    }
    const isLast = low + this.pageKeys >= this.#names.length;
    return { objects, prefixes, nextToken: isLast ? undefined : prefix + page[page.length - 1], date: 0 };
  }
}

function listingOf(client: MemoryClient | FaultyClient, limit = new AheadLimit()): Listing {
  const ahead = { limit, maxAgeMs: 30_000 };
  const options: ListingOptions = { client, clock: new TestClock(), nameIn, ahead, hydrate: async () => {} };
  return new Listing(() => 'd/', options);
}

async function names(listing: Listing): Promise<string[]> {
  const found: string[] = [];
  for (let number = 0; ; number++) {
    const page = await listing.page(number);
    if (page === undefined) return found;
    for (const { part } of page.entries) found.push(part);
  }
}

/** The same for every run. */
function pseudoRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

const hex = (random: () => number, digits: number): string =>
  Array.from({ length: digits }, () => Math.floor(random() * 16).toString(16)).join('');

const COUNT = 100_000;
const shapes: Record<string, (i: number, random: () => number) => string> = {
  'file-00000.dat': (i) => `file-${String(i).padStart(6, '0')}.dat`,
  'file-0': (i) => `file-${i}`,
  directories: (i) => `d${1_000_000 + i}/`,
  hashes: (_i, random) => hex(random, 32),
  uuids: (_i, random) => [8, 4, 4, 4, 12].map((digits) => hex(random, digits)).join('-'),
  times: (i) => `log-${new Date(Date.UTC(2024, 0, 1) + i * 61_000).toISOString()}.json`,
};

for (const [shape, name] of Object.entries(shapes)) {
  t.test(`100,000 names like ${shape}`, async (t) => {
    const random = pseudoRandom(7);
    const all = Array.from({ length: COUNT }, (_, i) => name(i, random));
    const server = new Server(all);
    const found = await names(listingOf(server));
    t.ok(found.join() === all.sort(compareKeys).join(), 'all of them, in order');
    const least = COUNT / 1_000;
    t.ok(server.lists <= least * 1.2, `${server.lists} LISTs, ${least} at least`);
    // Days of the month are not those of a counter.
    t.ok(server.rounds <= least * (shape === 'times' ? 0.9 : 0.5), `in the time of ${server.rounds} one after another`);
    t.comment(`${server.lists} LISTs, ${server.rounds} one after another`);
    t.ok(server.most > 2 && server.most <= MAX_PAGES_AHEAD + 2, `${server.most} at one time`);
  });
}

t.test('names that say nothing of what comes: hardly more LISTs than one by one', async (t) => {
  const random = pseudoRandom(3);
  const words = Array.from({ length: 300 }, () => hex(random, 1 + Math.floor(random() * 9)));
  const all = new Set<string>();
  while (all.size < 40_000)
    all.add(
      Array.from({ length: 1 + Math.floor(random() ** 3 * 5) }, () => words[Math.floor(random() ** 4 * 300)]).join(
        '_',
      ) +
        (all.size % 7),
    );
  const server = new Server(all);
  t.ok((await names(listingOf(server))).join() === [...all].sort(compareKeys).join(), 'all of them, in order');
  t.ok(server.lists <= 40 * 1.2, `${server.lists} LISTs`);
});

t.test('10,000 names are ten LISTs', async (t) => {
  const server = new Server(Array.from({ length: 10_000 }, (_, i) => `f${i}`));
  t.equal((await names(listingOf(server))).length, 10_000);
  t.equal(server.lists, 10);
});

t.test('who stops reading has little ahead, and several directories share what is allowed', async (t) => {
  const limit = new AheadLimit();
  const servers = Array.from(
    { length: 4 },
    () => new Server(Array.from({ length: COUNT }, (_, i) => `f${100_000 + i}`)),
  );
  for (const server of servers) {
    const listing = listingOf(server, limit);
    for (let number = 0; number < 60; number++) await listing.page(number);
  }
  await until('nothing is under way', () => servers.every(({ running }) => running === 0));
  t.ok(limit.used > 0 && limit.used <= MAX_PAGES_AHEAD_IN_ALL, `${limit.used} pages ahead`);
  for (const { lists } of servers) t.ok(lists <= 61 + MAX_PAGES_AHEAD + 6, `${lists} LISTs for 60 pages`);
  // Those that were left do not stand in the way of one that is read.
  const server = new Server(Array.from({ length: COUNT }, (_, i) => `f${100_000 + i}`));
  t.equal((await names(listingOf(server, limit))).length, COUNT);
  t.ok(server.rounds <= 50, `in the time of ${server.rounds} one after another`);
  t.ok(limit.used <= MAX_PAGES_AHEAD_IN_ALL);
});

t.test('a page ahead that fails is asked again when its turn comes, and its failure told then', async (t) => {
  const server = new Server(Array.from({ length: 50_000 }, (_, i) => `f${100_000 + i}`));
  const client = new FaultyClient(server);
  client.add({ method: 'list', skip: 20, times: 4, action: { kind: 'fail', error: 'Timeout' } });
  const listing = listingOf(client);
  const found: string[] = [];
  let failures = 0;
  for (let number = 0; ; ) {
    const page = await listing.page(number).catch(() => 'failed' as const);
    if (page === 'failed') {
      failures++;
      continue;
    }
    if (page === undefined) break;
    number++;
    for (const { part } of page.entries) found.push(part);
  }
  t.equal(found.length, 50_000);
  t.equal(new Set(found).size, 50_000);
  t.equal(client.struck, 4);
  t.ok(failures <= 4);
});

t.test('any names, while somebody writes and removes: what is there all the time comes once, in order', async () => {
  const piece = fc.constantFrom('a', 'b', '0', '1', '9', 'f', '-', '.', 'z', 'é', '\u{1f600}', '%');
  const component = fc.array(piece, { minLength: 1, maxLength: 6 }).map((pieces) => pieces.join(''));
  const name = fc.tuple(component, fc.boolean()).map(([text, isDirectory]) => (isDirectory ? `${text}/` : text));
  await fc.assert(
    fc.asyncProperty(
      fc.array(name, { minLength: 30, maxLength: 300 }),
      fc.array(name, { maxLength: 60 }),
      fc.integer({ min: 1, max: 6 }),
      async (all, others, pageKeys) => {
        const stay = new Set(all);
        const server = new Server(all, pageKeys);
        const come = others.filter((other) => !stay.has(other));
        server.onList = (count) => {
          const at = (count * 3) % (come.length + 1);
          server.change(come.slice(at, at + 3), come.slice(at + 3, at + 6));
        };
        const found: string[] = [];
        const listing = listingOf(server);
        for (let number = 0; ; number++) {
          const page = await listing.page(number);
          if (page === undefined) break;
          for (const { part } of page.entries) if (stay.has(part)) found.push(part);
        }
        const wanted = [...stay].filter((one) => one !== './' && one !== '../');
        if (new Set(found).size !== found.length) throw new Error(`twice: ${found.join(' ')}`);
        for (const one of wanted) if (!found.includes(one)) throw new Error(`${one} is missing`);
      },
    ),
    { numRuns: 300 },
  );
});

t.test('guesses: counters, with their endings and of any length', async (t) => {
  const page = (from: number, width: number, end = ''): string[] =>
    Array.from({ length: 1_000 }, (_, i) => `n${String(from + i).padStart(width, '0')}${end}`);
  const guess = (all: string[], pages = 1) => guessBehind(all[all.length - 1], strideOf(all, 1_000)!, pages);
  t.match(guess(page(4_000, 6)), /^n00599/);
  t.match(guess(page(9_000, 6, '.txt')), /^n01099|^n01100/, 'carried');
  t.match(guess(page(9_000, 6), 5), /^n0149/);
  const last = page(999_000, 6).map((name) => name.slice(1));
  t.equal(guess(last), undefined, 'no more');
  t.equal(strideOf(['a'], 1_000), undefined);
  t.equal(strideOf(['é1', 'ü2'], 1_000), undefined);
});
