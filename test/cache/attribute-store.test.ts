import t from 'tap';
import { AttributeStore, type KnownObject } from '../../src/cache/attribute-store.js';
import { CacheIndex } from '../../src/cache/cache-index.js';
import { silentLogger } from '../../src/log.js';
import { TestClock, temporary } from './fixture.js';

function open(t: Parameters<typeof temporary>[0], directory = temporary(t)) {
  const clock = new TestClock();
  const index = CacheIndex.open(directory, silentLogger);
  t.teardown(() => index.close());
  return { clock, index, directory, store: new AttributeStore(index, clock) };
}

/** @param age how old the object was at the answer (ms) */
function info(date: number, age: number, more: Partial<KnownObject> = {}): KnownObject {
  const fixed = { etag: 'e', size: 5, headers: {}, metadata: { mode: '420' }, tagCount: 0, archived: false };
  return { ...fixed, lastModified: Math.floor((date - age) / 1000) * 1000, date, ...more };
}

t.test('counts for the same ETag, size and second', async (t) => {
  const { store, clock } = open(t);
  const known = info(clock.now(), 10_000);
  store.put('k', known);
  const { lastModified } = known;
  t.match(store.get('k', { etag: 'e', size: 5, lastModified }), { metadata: { mode: '420' } }, 'at once');
  t.ok(store.get('k', { etag: 'e', size: 5, lastModified: lastModified + 999 }));
  t.notOk(store.get('k', { etag: 'x', size: 5, lastModified }));
  t.notOk(store.get('k', { etag: 'e', size: 6, lastModified }));
  t.notOk(store.get('k', { etag: 'e', size: 5, lastModified: lastModified + 1000 }));
  t.notOk(store.get('other', { etag: 'e', size: 5, lastModified }));
  t.match(store.latest('k'), { etag: 'e' });
  t.equal(store.latest(''), undefined);
  store.remove('k');
  t.equal(store.latest('k'), undefined);
});

t.test('racy: learnt within two seconds of the date, it counts for two seconds and is asked again', async (t) => {
  const { store, clock } = open(t);
  const known = info(clock.now(), 1_000);
  const version = { etag: 'e', size: 5, lastModified: known.lastModified };
  store.put('k', known);
  t.ok(store.get('k', version));
  clock.advance(900);
  t.ok(store.get('k', version));
  clock.advance(1_200);
  t.notOk(store.get('k', version));
  store.put('k', info(clock.now(), 1_000, { lastModified: known.lastModified, date: known.date + 2_100 }));
  clock.advance(86_400_000);
  t.ok(store.get('k', version), 'final');
});

t.test('racy: what was just asked is there, whatever the age of the object', async (t) => {
  for (const age of [0, 1_000, 1_999, 2_000, 2_001, 3_000]) {
    const { store, clock } = open(t);
    // Both dates have whole seconds.
    const date = Math.floor(clock.now() / 1000) * 1000;
    const lastModified = Math.floor((clock.now() - age) / 1000) * 1000;
    store.put('k', info(date, 0, { lastModified, date }));
    clock.advance(5);
    t.ok(store.get('k', { etag: 'e', size: 5, lastModified }), `${age} ms`);
  }
});

t.test('the clocks of the server and of this machine may differ', async (t) => {
  for (const skew of [-3_600_000, 3_600_000]) {
    const { store, clock } = open(t);
    const known = info(clock.now() + skew, 0);
    const version = { etag: 'e', size: 5, lastModified: known.lastModified };
    store.put('k', known);
    t.ok(store.get('k', version), `${skew}: fresh`);
    clock.advance(3_000);
    t.notOk(store.get('k', version), `${skew}: racy`);
  }
});

t.test('what this mount wrote is known though its date is not', async (t) => {
  const { store, clock } = open(t);
  const known = info(clock.now(), 0);
  store.putWritten('k', known);
  clock.advance(3_600_000);
  const listed = store.get('k', { etag: 'e', size: 5, lastModified: known.date + 2_000 });
  t.equal(listed?.lastModified, known.date + 2_000, 'with the date of the listing');
  t.notOk(store.get('k', { etag: 'e', size: 5, lastModified: known.date + 60_000 }), 'somebody copied it onto itself');
});

t.test('a restart keeps what was learnt of objects', async (t) => {
  const first = open(t);
  const known = info(first.clock.now(), 10_000);
  first.store.put('k', known);
  first.store.put('long'.repeat(256), known);
  await first.index.close();
  const { store } = open(t, first.directory);
  const version = { etag: 'e', size: 5, lastModified: known.lastModified };
  t.match(store.get('k', version), known);
  t.match(store.get('long'.repeat(256), version), known);
});

t.test('learning: metadata below a prefix count above and beside it', async (t) => {
  const { store } = open(t);
  t.equal(store.learnt('a/'), undefined);
  store.learn('a/', false);
  t.equal(store.learnt('a/'), false);
  store.learn('b/c/', true);
  for (const prefix of ['b/c/', 'b/', '', 'a/', 'z/']) t.equal(store.learnt(prefix), true, prefix);
  store.learn('b/c/', false);
  t.equal(store.learnt('b/c/'), true, 'one without changes nothing');
});
