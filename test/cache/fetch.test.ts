import fc from 'fast-check';
import t from 'tap';
import { Fetch } from '../../src/cache/fetch.js';
import { BLOCK_BYTES, PAGE_BYTES } from '../../src/constants.js';
import { content, turn } from './fixture.js';

t.test('bytes come out as they went in, however they are cut', async () => {
  const start = fc.integer({ min: 0, max: 600 }).map((page) => page * PAGE_BYTES);
  const truth = content(3 * BLOCK_BYTES);
  fc.assert(
    fc.property(
      start,
      fc.integer({ min: 1, max: 2 * BLOCK_BYTES }),
      fc.array(fc.nat(400_000)),
      (start, length, cuts) => {
        const end = Math.min(truth.length, start + length);
        const fetch = new Fetch(start, end);
        if (fetch.pieces.reduce((sum, piece) => sum + piece.length, 0) !== end - start) return false;
        let at = start;
        for (const cut of cuts) {
          const to = Math.min(end, at + cut);
          fetch.push(truth.subarray(at, to));
          at = to;
          if (fetch.front !== at || !fetch.has(at) || fetch.has(at + 1)) return false;
        }
        fetch.push(truth.subarray(at, end));
        const from = start + Math.floor((end - start) / 3);
        const into: Uint8Array[] = [];
        fetch.slices(from, end, into);
        return Buffer.concat(into).equals(truth.subarray(from, end));
      },
    ),
    { numRuns: 60 },
  );
});

t.test('waiters wake when their bytes are there, not before', async (t) => {
  const fetch = new Fetch(0, 100);
  const woken: number[] = [];
  const waits = [10, 60, 100].map((until) => fetch.wait(until).then(() => woken.push(until)));
  fetch.push(Buffer.alloc(9));
  await turn();
  t.same(woken, []);
  fetch.push(Buffer.alloc(60));
  await turn();
  t.same(woken, [10, 60]);
  fetch.push(Buffer.alloc(200));
  await Promise.all(waits);
  t.equal(fetch.front, 100, 'more than was asked for is not taken');
});

t.test('a waiter that gives up leaves the others; a failure reaches all that wait for more', async (t) => {
  const fetch = new Fetch(0, 100);
  const abort = new AbortController();
  const given = fetch.wait(50, abort.signal);
  const other = fetch.wait(50);
  const late = fetch.wait(100);
  abort.abort(new Error('interrupted'));
  await t.rejects(given, { message: 'interrupted' });
  await t.rejects(fetch.wait(50, abort.signal), { message: 'interrupted' });
  t.notOk(fetch.abort.signal.aborted, 'what was begun is kept for the next reader');
  fetch.push(Buffer.alloc(50));
  await other;
  const failure = new Error('broken');
  fetch.fail(failure);
  await t.rejects(late, failure);
  await t.rejects(fetch.wait(51), failure, 'also who comes after');
  await fetch.wait(50);
});

t.test('a failure without a reason is one too', async (t) => {
  const fetch = new Fetch(0, 10);
  fetch.fail(undefined);
  await t.rejects(Promise.race([fetch.wait(1), turn().then(() => 'hangs')]).then((value) => t.not(value, 'hangs')));
});
