import fc from 'fast-check';
import t from 'tap';
import { MemoryBudget } from '../../src/cache/memory-budget.js';
import { turn } from './fixture.js';

t.test('first in, first out; a guess does not overtake', async (t) => {
  const budget = new MemoryBudget(10);
  const order: string[] = [];
  await budget.reserve(6);
  const large = budget.reserve(8).then(() => order.push('large'));
  const small = budget.reserve(1).then(() => order.push('small'));
  await turn();
  t.same(order, [], 'the small one fits and waits its turn');
  t.notOk(budget.tryReserve(1), 'somebody waits');
  budget.release(6);
  await Promise.all([large, small]);
  t.same(order, ['large', 'small']);
  t.equal(budget.used, 9);
  t.notOk(budget.tryReserve(2));
  t.ok(budget.tryReserve(1));
});

t.test('an aborted wait gives up its place and takes nothing', async (t) => {
  const budget = new MemoryBudget(10);
  await budget.reserve(6);
  const abort = new AbortController();
  const large = budget.reserve(8, abort.signal);
  const small = budget.reserve(4);
  abort.abort(new Error('enough'));
  await t.rejects(large, { message: 'enough' });
  await small;
  t.equal(budget.used, 10);
  await t.rejects(budget.reserve(1, abort.signal), { message: 'enough' });
  budget.release(10);
  t.equal(budget.used, 0);
  await t.rejects(budget.reserve(1, abort.signal), { message: 'enough' }, 'also when it is free');
  t.equal(budget.used, 0);
});

t.test('more than the whole budget is granted alone', async (t) => {
  const budget = new MemoryBudget(10);
  await budget.reserve(3);
  let granted = false;
  const large = budget.reserve(25).then(() => {
    granted = true;
  });
  await turn();
  t.notOk(granted);
  budget.release(3);
  await large;
  t.notOk(budget.tryReserve(1));
  budget.release(25);
  t.ok(budget.tryReserve(10));
});

t.test('a pair: downloads never wait for uploads', async (t) => {
  const [downloads, uploads] = MemoryBudget.pair(64, 16);
  for (let i = 0; i < 6; i++) await uploads.reserve(8);
  let seventh = false;
  const waiting = uploads.reserve(8).then(() => {
    seventh = true;
  });
  await turn();
  t.notOk(seventh, 'what downloads are guaranteed is left');
  // Each of the six may be waiting for a download now.
  await downloads.reserve(8);
  await downloads.reserve(8);
  t.equal(downloads.used + uploads.used, 64);
  t.notOk(downloads.tryReserve(1), 'no guess while an upload waits');
  uploads.release(8);
  await waiting;
  for (let i = 0; i < 6; i++) uploads.release(8);
  for (let i = 0; i < 6; i++) await downloads.reserve(8);
  t.equal(downloads.used, 64, 'all of it when nobody uploads');
  await uploads.reserve(8);
  t.pass('one upload is never starved');
});

t.test('a part larger than the uploads may have leaves the downloads theirs', async (t) => {
  const [downloads, uploads] = MemoryBudget.pair(64, 16);
  await uploads.reserve(100);
  t.equal(downloads.free, 16);
  t.ok(downloads.tryReserve(8));
  t.ok(downloads.tryReserve(8));
  t.equal(downloads.free, 0);
  t.notOk(downloads.tryReserve(8));
  uploads.release(100);
  t.equal(downloads.free, 48);
});

t.test('the sum stays within the limit, and all are served in the end', async () => {
  const step = fc.record({ which: fc.nat(1), bytes: fc.integer({ min: 1, max: 16 }), hold: fc.nat(5) });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
      const pair = MemoryBudget.pair(64, 16);
      let over = 0;
      const run = async ({ which, bytes, hold }: (typeof steps)[number]): Promise<void> => {
        await pair[which].reserve(bytes);
        // One upload of at most 16 bytes may be granted beyond the limit, so that it is not starved.
        over = Math.max(over, pair[0].used + pair[1].used - 64 - 16);
        for (let i = 0; i < hold; i++) await Promise.resolve();
        pair[which].release(bytes);
      };
      await Promise.all(steps.map(run));
      return over <= 0 && pair[0].used === 0 && pair[1].used === 0;
    }),
  );
});
