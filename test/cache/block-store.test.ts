import { existsSync, mkdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { BlockStore } from '../../src/cache/block-store.js';
import type { Content } from '../../src/cache/content.js';
import { BLOCK_BYTES, MiB, PAGE_BYTES } from '../../src/constants.js';
import { isSmallDisk } from '../small-disk.js';
import { blockFiles, content as bytesOf, openStore, temporary, until } from './fixture.js';

const bytes = bytesOf(3 * MiB + 100);
const acquire = (store: BlockStore, key: string, size = bytes.length): Content =>
  store.acquire(key, `etag-${key}`, size);

/** Caches `of` under a key, as a read does. */
async function put(store: BlockStore, key: string, of = bytes): Promise<void> {
  const content = acquire(store, key, of.length);
  await store.write(content, 0, [of]);
  store.release(content);
}

/** What a version has, or undefined where it is not wholly cached. */
async function get(store: BlockStore, key: string, size = bytes.length): Promise<Uint8Array | undefined> {
  const content = acquire(store, key, size);
  try {
    return content.isComplete ? await store.read(content, 0, size) : undefined;
  } finally {
    store.release(content);
  }
}

const same = (found: Uint8Array | undefined, wanted: Buffer): boolean =>
  found !== undefined && Buffer.from(found).equals(wanted);

t.test('a restart keeps contents valid at once', async (t) => {
  const first = await openStore(t);
  await put(first.store, 'a');
  const part = acquire(first.store, 'part');
  await first.store.write(part, PAGE_BYTES, [bytes.subarray(PAGE_BYTES, 3 * PAGE_BYTES)]);
  first.store.release(part);
  const used = first.store.bytes;
  await first.close();
  const { store } = await openStore(t, { directory: first.directory });
  t.equal(store.bytes, used);
  t.ok(same(await get(store, 'a'), bytes));
  const again = acquire(store, 'part');
  t.ok(again.isValid(PAGE_BYTES, 3 * PAGE_BYTES));
  t.notOk(again.isPageValid(0));
  t.ok(same(await store.read(again, PAGE_BYTES, 3 * PAGE_BYTES), bytes.subarray(PAGE_BYTES, 3 * PAGE_BYTES)));
  store.release(again);
  t.equal(await get(store, 'a', 5), undefined, 'another size is another version');
  const other = store.acquire('a', 'other etag', bytes.length);
  t.notOk(other.isPageValid(0));
  store.release(other);
});

t.test('one version is one content, before anything of it is saved too', async (t) => {
  const { store } = await openStore(t);
  const one = acquire(store, 'a');
  const two = acquire(store, 'a');
  t.equal(one, two);
  store.release(one);
  await store.write(two, 0, [bytes]);
  store.release(two);
  t.equal(acquire(store, 'a'), two, 'not saved yet');
  store.release(two);
  await store.save();
  t.ok(same(await get(store, 'a'), bytes));
});

t.test('opening what is not cached leaves nothing behind', async (t) => {
  const { store, index, directory } = await openStore(t);
  for (let i = 0; i < 100; i++) store.release(acquire(store, `k${i}`));
  const content = acquire(store, 'k');
  await store.write(content, 0, []);
  store.release(content);
  await store.save();
  t.same([...index.versions.entries()], []);
  t.same(blockFiles(directory), []);
});

t.test('a flipped bit is found at the first read after a restart', async (t) => {
  const first = await openStore(t);
  await put(first.store, 'a');
  await first.close();
  const [path] = blockFiles(first.directory);
  const damaged = readFileSync(path);
  damaged[BLOCK_BYTES + 77] ^= 4;
  writeFileSync(path, damaged);
  const { store } = await openStore(t, { directory: first.directory });
  const content = acquire(store, 'a');
  t.equal(await store.read(content, 0, bytes.length), undefined);
  t.notOk(content.isValid(BLOCK_BYTES, 2 * BLOCK_BYTES));
  t.ok(content.isValid(0, BLOCK_BYTES), 'the other blocks stay');
  await store.write(content, BLOCK_BYTES, [bytes.subarray(BLOCK_BYTES, 2 * BLOCK_BYTES)]);
  t.ok(same(await store.read(content, 0, bytes.length), bytes));
  store.release(content);
});

t.test('a damaged block that another reader dropped is not served to one that was still checking others', async (t) => {
  const first = await openStore(t);
  await put(first.store, 'a');
  await first.close();
  const [path] = blockFiles(first.directory);
  const damaged = readFileSync(path);
  damaged[2 * BLOCK_BYTES] ^= 1;
  writeFileSync(path, damaged);
  const { store } = await openStore(t, { directory: first.directory });
  const content = acquire(store, 'a');
  const slow = content.blocks.get(1);
  if (slow === undefined) throw new Error('block 1 is not cached');
  let checked!: (sound: boolean) => void;
  slow.verifying = new Promise((resolve) => {
    checked = resolve;
  });
  const both = store.read(content, BLOCK_BYTES, 3 * BLOCK_BYTES);
  t.equal(await store.read(content, 2 * BLOCK_BYTES, 3 * BLOCK_BYTES), undefined);
  t.notOk(content.isValid(2 * BLOCK_BYTES, 3 * BLOCK_BYTES), 'dropped, and not written again yet');
  checked(true);
  t.equal(await both, undefined);
  t.ok(content.isValid(BLOCK_BYTES, 2 * BLOCK_BYTES), 'the sound one stays');
  store.release(content);
});

t.test('adding to a block does not bless what was damaged in it', async (t) => {
  const first = await openStore(t);
  const small = acquire(first.store, 'a');
  await first.store.write(small, 0, [bytes.subarray(0, 4 * PAGE_BYTES)]);
  first.store.release(small);
  await first.close();
  const [path] = blockFiles(first.directory);
  const damaged = readFileSync(path);
  damaged[PAGE_BYTES + 1] ^= 1;
  writeFileSync(path, damaged);
  const { store } = await openStore(t, { directory: first.directory });
  const content = acquire(store, 'a');
  await store.write(content, 8 * PAGE_BYTES, [bytes.subarray(8 * PAGE_BYTES, 9 * PAGE_BYTES)]);
  t.notOk(content.isPageValid(1));
  t.ok(content.isPageValid(8));
  await store.save();
  const page = bytes.subarray(8 * PAGE_BYTES, 9 * PAGE_BYTES);
  t.ok(same(await store.read(content, 8 * PAGE_BYTES, 9 * PAGE_BYTES), page));
  store.release(content);
});

t.test('adding to a sound block of the run before keeps all of it', async (t) => {
  const first = await openStore(t);
  const small = acquire(first.store, 'a');
  await first.store.write(small, 0, [bytes.subarray(0, 4 * PAGE_BYTES)]);
  first.store.release(small);
  await first.close();
  const second = await openStore(t, { directory: first.directory });
  const content = acquire(second.store, 'a');
  const rest = [4, 5, 6].map((page) =>
    second.store.write(content, page * PAGE_BYTES, [bytes.subarray(page * PAGE_BYTES, (page + 1) * PAGE_BYTES)]),
  );
  await Promise.all([second.store.read(content, 0, PAGE_BYTES), ...rest, second.store.save()]);
  second.store.release(content);
  await second.close();
  const { store } = await openStore(t, { directory: first.directory });
  const again = acquire(store, 'a');
  t.ok(same(await store.read(again, 0, 7 * PAGE_BYTES), bytes.subarray(0, 7 * PAGE_BYTES)));
  store.release(again);
});

t.test('a file that was cut or removed is fetched again', async (t) => {
  const first = await openStore(t);
  await put(first.store, 'a');
  await put(first.store, 'b');
  await first.close();
  const [one, two] = blockFiles(first.directory);
  truncateSync(one, BLOCK_BYTES);
  rmSync(two);
  const { store } = await openStore(t, { directory: first.directory });
  for (const key of ['a', 'b']) {
    t.equal(await get(store, key), undefined);
    await put(store, key);
    t.ok(same(await get(store, key), bytes));
  }
});

t.test('files of a run that did not save belong to nothing', async (t) => {
  const first = await openStore(t);
  await put(first.store, 'a');
  await first.close();
  const stray = join(first.directory, 'blocks', 'ff', 'ff00');
  mkdirSync(join(first.directory, 'blocks', 'ff'), { recursive: true });
  writeFileSync(stray, 'x');
  const { store } = await openStore(t, { directory: first.directory });
  t.notOk(existsSync(stray));
  t.ok(same(await get(store, 'a'), bytes));
});

t.test('an index that is garbage is begun anew', async (t) => {
  const first = await openStore(t);
  await put(first.store, 'a');
  await first.close();
  writeFileSync(join(first.directory, 'index', 'data.mdb'), 'garbage'.repeat(5_000));
  const { store, directory } = await openStore(t, { directory: first.directory });
  t.equal(store.bytes, 0);
  t.same(blockFiles(directory), []);
  await put(store, 'a');
  t.ok(same(await get(store, 'a'), bytes));
});

t.test('eviction: under the bound, least recently used first, never what is in use', async (t) => {
  const maxBytes = 10 * MiB;
  const { store, clock, index } = await openStore(t, { maxBytes });
  const mebibyte = bytesOf(MiB, 5);
  const pinned = acquire(store, 'pinned', MiB);
  await store.write(pinned, 0, [mebibyte]);
  for (let i = 0; i < 8; i++) {
    clock.advance(120_000);
    await put(store, `k${i}`, mebibyte);
    await store.save();
  }
  clock.advance(120_000);
  t.ok(same(await get(store, 'k0', MiB), mebibyte));
  for (let i = 8; i < 12; i++) {
    clock.advance(120_000);
    await put(store, `k${i}`, mebibyte);
    t.ok(store.bytes <= maxBytes, `${store.bytes} bytes`);
    await store.save();
  }
  t.ok(same(await store.read(pinned, 0, MiB), mebibyte));
  t.ok(same(await get(store, 'k0', MiB), mebibyte), 'used lately');
  t.equal(await get(store, 'k1', MiB), undefined);
  t.ok(same(await get(store, 'k11', MiB), mebibyte));
  store.release(pinned);
  await store.save();
  const known = new Set([...index.contents.entries()].map(({ key }) => key));
  t.ok(
    [...index.versions.entries()].every(({ value }) => known.has(value)),
    'no version leads to what is gone',
  );
});

t.test('all in use: the bound holds, and there is room again after the release', async (t) => {
  const { store, clock } = await openStore(t, { maxBytes: 4 * MiB });
  const mebibyte = bytesOf(MiB, 5);
  const held = Array.from({ length: 6 }, (_, i) => acquire(store, `k${i}`, MiB));
  await Promise.all(held.map((content) => store.write(content, 0, [mebibyte])));
  t.ok(store.bytes <= 4 * MiB && store.bytes > 0, `${store.bytes} bytes`);
  for (const content of held) store.release(content);
  clock.advance(2_000);
  await put(store, 'late', mebibyte);
  t.ok(same(await get(store, 'late', MiB), mebibyte));
  t.ok(store.bytes <= 4 * MiB);
});

t.test('acquiring what is being evicted gives a whole content, old or new', async (t) => {
  const { store, directory } = await openStore(t, { maxBytes: 2 * MiB });
  const mebibyte = bytesOf(MiB, 5);
  for (let round = 0; round < 30; round++) {
    await put(store, 'a', mebibyte);
    if (round % 2 === 0) await store.save();
    const other = put(store, `b${round}`, mebibyte.subarray(0, MiB - 4096));
    const found = await get(store, 'a', MiB);
    if (found !== undefined && !same(found, mebibyte)) t.fail(`round ${round}`);
    await other;
  }
  t.ok(store.bytes <= 2 * MiB);
  await store.save();
  const sum = blockFiles(directory).reduce((bytes, path) => bytes + statSync(path).size, 0);
  t.equal(sum, store.bytes, 'the account is right');
});

t.test('a smaller cache at the next start', async (t) => {
  const first = await openStore(t);
  for (let i = 0; i < 5; i++) await put(first.store, `k${i}`);
  await first.close();
  const { store } = await openStore(t, { directory: first.directory, maxBytes: 5 * MiB });
  t.ok(store.bytes <= 5 * MiB && store.bytes > 0, `${store.bytes} bytes`);
});

t.test('adopt: moved in, known by its version, partly valid where it was partly written', async (t) => {
  const { store, directory } = await openStore(t);
  const path = join(directory, 'staged');
  writeFileSync(path, bytes);
  const whole = await store.adopt(path, 'a', 'etag-a', bytes.length, [{ start: 0, end: bytes.length }]);
  t.notOk(existsSync(path));
  store.release(whole);
  t.ok(same(await get(store, 'a'), bytes));
  writeFileSync(path, bytes);
  const part = await store.adopt(path, 'b', 'etag-b', bytes.length, [{ start: 100, end: 3 * PAGE_BYTES }]);
  t.same(
    [0, 1, 2, 3].map((page) => part.isPageValid(page)),
    [false, true, true, false],
  );
  store.release(part);
  await t.rejects(store.adopt(join(directory, 'none'), 'c', 'etag-c', 5, []), { code: 'ENOENT' });
  await store.save();
  t.equal(blockFiles(directory).length, 2);
});

t.test('adopt in place of what was cached of the same version', async (t) => {
  const { store, directory } = await openStore(t);
  await put(store, 'a');
  await store.save();
  const reader = acquire(store, 'a');
  const path = join(directory, 'staged');
  writeFileSync(path, bytes);
  store.release(await store.adopt(path, 'a', 'etag-a', bytes.length, [{ start: 0, end: bytes.length }]));
  t.ok(same(await store.read(reader, 0, bytes.length), bytes), 'who reads it goes on');
  store.release(reader);
  t.ok(same(await get(store, 'a'), bytes));
  await store.save();
  await until('the old one is gone', () => blockFiles(directory).length === 1);
});

t.test('adopt from another filesystem', async (t) => {
  const other = existsSync('/dev/shm') ? temporary(t, '/dev/shm') : undefined;
  const { store, directory } = await openStore(t);
  if (other === undefined || statSync(other).dev === statSync(directory).dev) {
    t.pass('adopted', { skip: 'there is no second filesystem' });
    return;
  }
  const path = join(other, 'staged');
  writeFileSync(path, bytes);
  store.release(await store.adopt(path, 'a', 'etag-a', bytes.length, [{ start: 0, end: bytes.length }]));
  t.notOk(existsSync(path));
  t.ok(same(await get(store, 'a'), bytes));
});

t.test('an alias leads to the same bytes, after a restart too', async (t) => {
  const first = await openStore(t);
  await put(first.store, 'a');
  const a = { key: 'a', etag: 'etag-a' };
  const moved = { key: 'moved', etag: 'etag-moved' };
  first.store.aliasVersion(a, moved, bytes.length);
  first.store.aliasVersion({ key: 'none', etag: 'x' }, moved, bytes.length);
  await first.close();
  const second = await openStore(t, { directory: first.directory });
  t.ok(same(await get(second.store, 'moved'), bytes));
  second.store.aliasVersion(moved, { key: 'again', etag: 'etag-again' }, bytes.length);
  let latest = moved;
  for (let i = 0; i < 40; i++) {
    const next = { key: 'many', etag: `e${i}` };
    second.store.aliasVersion(latest, next, bytes.length);
    latest = next;
  }
  await second.close();
  const third = await openStore(t, { directory: first.directory });
  t.equal(third.store.bytes, Math.ceil(bytes.length / PAGE_BYTES) * PAGE_BYTES, 'once on the disk');
  t.ok([...third.index.versions.entries()].length <= 16, 'the names are bounded');
  const last = third.store.acquire('many', 'e39', bytes.length);
  t.ok(last.isComplete);
  third.store.release(last);
});

t.test('saving while it is written and read', async (t) => {
  const first = await openStore(t);
  const content = acquire(first.store, 'a');
  const work: Array<Promise<unknown>> = [];
  for (let at = 0; at < bytes.length; at += 5 * PAGE_BYTES) {
    work.push(first.store.write(content, at, [bytes.subarray(at, at + 5 * PAGE_BYTES)]));
    if (at % (50 * PAGE_BYTES) === 0) {
      work.push(first.store.save());
      await Promise.race(work);
      work.push(first.store.read(content, 0, PAGE_BYTES));
    }
  }
  await Promise.all(work);
  first.store.release(content);
  await first.close();
  const { store } = await openStore(t, { directory: first.directory });
  t.ok(same(await get(store, 'a'), bytes));
});

t.test('after the close nothing is written, what is open can be read', async (t) => {
  const { store, directory, close } = await openStore(t);
  await put(store, 'a');
  const content = acquire(store, 'a');
  await close();
  const other = acquire(store, 'b');
  await store.write(other, 0, [bytes]);
  t.notOk(other.isPageValid(0));
  store.release(other);
  t.ok(same(await store.read(content, 0, bytes.length), bytes));
  store.alias(content, 'c', 'etag-c');
  store.release(content);
  const path = join(directory, 'staged');
  writeFileSync(path, bytes);
  await t.rejects(store.adopt(path, 'd', 'etag-d', bytes.length, []));
  t.ok(existsSync(path), 'still its owner’s');
  await store.save();
});

t.test('a full disk does not break reading', async (t) => {
  const directory = temporary(t);
  if (!isSmallDisk(t, directory, '4m')) return;
  const { store, clock, close } = await openStore(t, { directory });
  t.teardown(close);
  for (let i = 0; i < 6; i++) {
    await put(store, `k${i}`);
    const found = await get(store, `k${i}`);
    t.ok(found === undefined || same(found, bytes));
    clock.advance(5_000);
  }
  t.throws(() => writeFileSync(join(directory, 'others'), Buffer.alloc(4 * MiB)), { code: 'ENOSPC' });
  clock.advance(5_000);
  const content = acquire(store, 'late');
  await store.write(content, 0, [bytes]);
  await store.save();
  store.release(content);
  rmSync(join(directory, 'others'));
  await close();
  t.ok(store.bytes <= 4 * MiB);
});
