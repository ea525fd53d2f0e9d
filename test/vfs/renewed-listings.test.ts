/** Listings in use are asked anew before they end, counted by the requests; others are not. */
import t from 'tap';
import { LIST_PAGE_KEYS, MAX_RENEWED_ENTRIES } from '../../src/constants.js';
import { code, type TestVolume, withVolume } from './volume-fixture.js';

const TTL = 60_000;
const options = { metadataTtlMs: TTL, attributes: 'listing' as const };
const lists = (volume: TestVolume): number => volume.requests().ListObjectsV2 ?? 0;
const settled = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 20));

t.test('ls now and then: nobody waits, one LIST in four fifths of the time', () =>
  withVolume(async (volume) => {
    await volume.put('a', 'x');
    await volume.list('');
    volume.requests();
    let asked = 0;
    // Ten minutes of a look every ten seconds.
    for (let i = 0; i < 60; i++) {
      volume.clock.advance(10_000);
      if (i === 30) await volume.put('b', 'x');
      await volume.list('');
      await settled();
      asked += lists(volume);
    }
    t.ok(asked >= 600 / 60 && asked <= 600 / 50 + 1, `${asked} LISTs`);
    t.same((await volume.list('')).sort(), ['a', 'b']);
  }, options),
);

t.test('a look near the end is answered from what is there, the next from what was asked meanwhile', () =>
  withVolume(async (volume) => {
    await volume.put('a', 'x');
    await volume.list('');
    volume.clock.advance(TTL * 0.75);
    await volume.list('');
    await settled();
    volume.requests();
    volume.clock.advance(TTL * 0.1);
    await volume.put('b', 'x');
    let answer: () => void = () => {};
    const held = new Promise<void>((resolve) => {
      answer = resolve;
    });
    volume.client.add({ method: 'list', times: 1, action: { kind: 'delay', until: held } });
    t.same(await volume.list(''), ['a'], 'at once');
    t.same(await volume.list(''), ['a'], 'still');
    answer();
    await settled();
    t.equal(lists(volume), 1, 'one for both');
    t.same(await volume.list(''), ['a', 'b']);
    volume.clock.advance(TTL * 0.5);
    t.same(await volume.list(''), ['a', 'b']);
    t.equal(lists(volume), 0, 'it counts from its own beginning');
  }, options),
);

t.test('look-ups are a use too; what nobody looks at is not asked', () =>
  withVolume(async (volume) => {
    await volume.put('a', 'x');
    await volume.list('');
    volume.clock.advance(TTL * 0.85);
    volume.requests();
    await code(volume.entry('absent'));
    await settled();
    t.ok(lists(volume) >= 1);
    volume.clock.advance(TTL * 0.5);
    await volume.entry('a');
    t.equal(lists(volume), 0);
    for (let i = 0; i < 10; i++) {
      volume.clock.advance(TTL * 0.3);
      await settled();
    }
    t.equal(lists(volume), 0);
  }, options),
);

t.test('what this mount does meanwhile stands over what is asked; a failure passes', () =>
  withVolume(async (volume) => {
    await volume.put('d/a', 'x');
    await volume.put('d/b', 'x');
    await volume.list('d');
    volume.clock.advance(TTL * 0.85);
    let answer: () => void = () => {};
    const held = new Promise<void>((resolve) => {
      answer = resolve;
    });
    volume.client.add({ method: 'list', times: 1, action: { kind: 'delay', until: held } });
    await volume.list('d');
    await volume.write('d/ours', 'x');
    await volume.unlink('d/a');
    volume.clock.advance(1);
    answer();
    await settled();
    t.same((await volume.list('d')).sort(), ['b', 'ours']);
    await volume.fs.flushAll();
    volume.clock.advance(TTL * 0.85);
    await volume.entry('d');
    volume.client.add({ method: 'list', times: 1, action: { kind: 'fail', error: 'Timeout' } });
    t.same((await volume.list('d')).sort(), ['b', 'ours']);
    await settled();
    t.equal(volume.client.struck, 2);
    volume.clock.advance(TTL);
    t.same((await volume.list('d')).sort(), ['b', 'ours']);
  }, options),
);

t.test('neither large directories nor those of a walk', () =>
  withVolume(async (volume) => {
    const empty = Buffer.alloc(0);
    for (let i = 0; i <= MAX_RENEWED_ENTRIES; i++)
      volume.memory.store(`large/${i}`, empty, 'e', { headers: {}, metadata: {}, tags: [] });
    for (let i = 0; i < 30; i++)
      volume.memory.store(`tree/${100 + i}/f`, empty, 'e', { headers: {}, metadata: {}, tags: [] });
    t.equal((await volume.list('large', LIST_PAGE_KEYS)).length, MAX_RENEWED_ENTRIES + 1);
    const directories = await volume.list('tree');
    for (const name of directories) {
      volume.clock.advance(1);
      await volume.list(`tree/${name}`);
    }
    volume.clock.advance(TTL * 0.85);
    volume.requests();
    await volume.list('large', LIST_PAGE_KEYS);
    for (const name of directories) await volume.list(`tree/${name}`);
    await settled();
    // The top, and the first of those in it: the walk was none yet.
    t.ok(lists(volume) <= 3);
  }, options),
);
