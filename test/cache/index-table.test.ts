import fc from 'fast-check';
import type { Database } from 'lmdb';
import t from 'tap';
import { CacheIndex } from '../../src/cache/cache-index.js';
import { IndexTable } from '../../src/cache/index-table.js';
import { silentLogger } from '../../src/log.js';
import { temporary } from './fixture.js';

t.test('a put is seen at once', async (t) => {
  const index = CacheIndex.open(temporary(t), silentLogger);
  const table = index.versions;
  const first = table.put('k', 'one');
  t.equal(table.get('k'), 'one', 'LMDB shows it after the commit only');
  const second = table.put('k', 'two');
  await first;
  t.equal(table.get('k'), 'two');
  await second;
  t.equal(table.get('k'), 'two');
  const gone = table.remove('k');
  t.equal(table.get('k'), undefined);
  await gone;
  t.equal(table.get('k'), undefined);
  await index.close();
});

t.test('any key of the store is a key here', async (t) => {
  const index = CacheIndex.open(temporary(t), silentLogger);
  const table = index.attributes;
  const text = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 20 }),
    fc.string({ unit: 'binary', minLength: 500, maxLength: 1024 }),
    fc.constantFrom('', '\u0001'.repeat(1024), '€'.repeat(341), 'x'.repeat(5000), '\u0000'),
  );
  await fc.assert(
    fc.asyncProperty(fc.dictionary(text, fc.string()), async (entries) => {
      const pairs = Object.entries(entries);
      await Promise.all(pairs.map(([key, value]) => table.put(key, value)));
      const right = pairs.every(([key, value]) => table.get(key) === value);
      await Promise.all(pairs.map(([key]) => table.remove(key)));
      return right && pairs.every(([key]) => table.get(key) === undefined);
    }),
    { numRuns: 20 },
  );
  await index.close();
});

t.test('what LMDB cannot do fails nobody', async (t) => {
  const errors: unknown[] = [];
  const broken = {
    get: () => {
      throw new Error('MDB_CORRUPTED');
    },
    put: () => Promise.reject(new Error('MDB_MAP_FULL')),
    remove: () => {
      throw new Error('ENOSPC');
    },
  } as unknown as Database<string, string>;
  const table = new IndexTable(broken, (error) => errors.push(error));
  t.equal(table.get('k'), undefined);
  await table.put('k', 'v');
  await table.remove('k');
  t.equal(table.get('k'), undefined, 'nothing stays pending');
  t.match(
    errors.map((error) => (error as Error).message),
    ['MDB_CORRUPTED', 'MDB_MAP_FULL', 'ENOSPC', 'MDB_CORRUPTED'],
  );
});
