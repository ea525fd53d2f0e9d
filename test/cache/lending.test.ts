/** Contents whose file somebody reads past the store (the kernel): which can be lent, and what the borrower may do. */
import { fstatSync, ftruncateSync, readFileSync, rmSync, truncateSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { BlockStore } from '../../src/cache/block-store.js';
import type { Content } from '../../src/cache/content.js';
import { MiB } from '../../src/constants.js';
import { blockFiles, content as bytesOf, openStore, until } from './fixture.js';

const bytes = bytesOf(3 * MiB + 100);
const acquire = (store: BlockStore, key = 'a'): Content => store.acquire(key, 'etag', bytes.length);

async function filled(store: BlockStore, key = 'a'): Promise<Content> {
  const content = acquire(store, key);
  await store.write(content, 0, [bytes]);
  return content;
}

t.test('what is whole and checked is lent, to one at a time', async (t) => {
  const { store } = await openStore(t);
  const content = acquire(store);
  t.equal(store.lending.lend(content), undefined, 'nothing is there');
  await store.write(content, 0, [bytes.subarray(0, 2 * MiB)]);
  t.equal(store.lending.lend(content), undefined, 'a part of it is a hole');
  await store.write(content, 2 * MiB, [bytes.subarray(2 * MiB)]);
  const fd = store.lending.lend(content)!;
  t.equal(fstatSync(fd).size, bytes.length);
  t.equal(store.lending.lend(content), undefined);
  store.lending.giveBack(content);
  t.equal(store.lending.lend(content), fd);
  store.release(content);
});

t.test(
  'after a restart it is lent once every block was read, and that is remembered while nobody has it',
  async (t) => {
    const first = await openStore(t);
    first.store.release(await filled(first.store));
    await first.close();
    const { store } = await openStore(t, { directory: first.directory });
    const content = acquire(store);
    t.equal(store.lending.lend(content), undefined);
    await store.read(content, 0, 2 * MiB);
    t.equal(store.lending.lend(content), undefined);
    await store.read(content, 2 * MiB, bytes.length);
    t.not(store.lending.lend(content), undefined);
    store.lending.giveBack(content);
    store.release(content);
    await store.save();
    const again = acquire(store);
    t.not(again, content, 'only the index knew it');
    t.not(store.lending.lend(again), undefined);
    store.release(again);
  },
);

t.test('a damaged block is not lent, nor a file of another size', async (t) => {
  const first = await openStore(t);
  first.store.release(await filled(first.store));
  await first.close();
  const [path] = blockFiles(first.directory);
  const damaged = readFileSync(path);
  damaged[2 * MiB] ^= 1;
  writeFileSync(path, damaged);
  const { store } = await openStore(t, { directory: first.directory });
  const content = acquire(store);
  t.equal(await store.read(content, 0, bytes.length), undefined);
  t.equal(store.lending.lend(content), undefined);
  await store.write(content, 2 * MiB, [bytes.subarray(2 * MiB, 3 * MiB)]);
  await store.read(content, 0, bytes.length);
  truncateSync(path, bytes.length + 1);
  t.equal(store.lending.lend(content), undefined, 'the kernel would read beyond its end');
  truncateSync(path, bytes.length);
  t.not(store.lending.lend(content), undefined);
  store.release(content);
});

t.test(
  'what is taken out belongs to its borrower: nothing of it is cached, and nothing is written to it',
  async (t) => {
    const { store, directory } = await openStore(t);
    const content = await filled(store);
    const fd = store.lending.lend(content)!;
    const reading = store.read(content, 0, bytes.length);
    store.lending.takeOut(content);
    writeSync(fd, 'borrowed', 0);
    t.equal(await reading, undefined, 'not what the borrower wrote');
    t.equal(store.bytes, 0);
    await store.write(content, 0, [bytes]);
    t.equal(readFileSync(`/proc/self/fd/${fd}`).subarray(0, 8).toString(), 'borrowed');
    const other = acquire(store);
    t.not(other, content);
    t.notOk(other.isPageValid(0));
    store.lending.giveBack(content);
    store.release(content);
    store.release(other);
    await until('its file is gone', () => blockFiles(directory).length === 0);
  },
);

t.test('what was taken out comes back as another version', async (t) => {
  const { store, directory } = await openStore(t);
  const content = await filled(store);
  const fd = store.lending.lend(content)!;
  store.lending.takeOut(content);
  ftruncateSync(fd, 2 * MiB);
  writeSync(fd, 'changed', 0);
  store.lending.giveBack(content, { key: 'a', etag: 'new', size: 2 * MiB });
  store.release(content);
  await until('it is cached', () => store.bytes === 2 * MiB);
  const now = store.acquire('a', 'new', 2 * MiB);
  const wanted = Buffer.from(bytes.subarray(0, 2 * MiB));
  wanted.write('changed');
  t.ok(wanted.equals((await store.read(now, 0, 2 * MiB))!));
  t.not(store.lending.lend(now), undefined);
  store.release(now);
  t.equal(blockFiles(directory).length, 1);
});

t.test('what cannot come back goes', async (t) => {
  const { store, directory } = await openStore(t);
  const content = await filled(store);
  store.lending.lend(content);
  store.lending.takeOut(content);
  rmSync(join(directory, 'blocks'), { recursive: true });
  store.lending.giveBack(content, { key: 'a', etag: 'new', size: bytes.length });
  store.release(content);
  await store.close();
  t.equal(store.bytes, 0);
});

t.test('what is lent is not written: it has everything', async (t) => {
  const { store } = await openStore(t);
  const content = await filled(store);
  const fd = store.lending.lend(content)!;
  await store.write(content, 0, [Buffer.alloc(100)]);
  t.ok(readFileSync(`/proc/self/fd/${fd}`).equals(bytes));
  store.lending.giveBack(content);
  store.release(content);
});
