/** The queue of what waits for the store: what waits for others, and what becomes of it when they fail. */
import t from 'tap';
import { FlushQueue } from '../../src/writeback/flush-queue.js';

/** Items that wait for others; `fails` of them do. */
function queueOf(waitsFor: Readonly<Record<string, string[]>>, fails: ReadonlySet<string>, lingerMs = 60_000) {
  const ran: string[] = [];
  const done = new Set<string>();
  const again = new Set<string>();
  const queue = new FlushQueue<string>({
    clock: { now: () => Date.now(), monotonic: () => performance.now() },
    run: async (item) => {
      ran.push(item);
      await new Promise((resolve) => setTimeout(resolve, 5));
      if (fails.has(item)) throw new Error(`${item} is refused`);
      done.add(item);
      return 'done';
    },
    waits: (item) => again.delete(item),
    blockers: (item) => (waitsFor[item] ?? []).filter((other) => !done.has(other)),
    unlock: async () => false,
    passes: () => false,
    parallel: 4,
    parallelWhileBusy: 4,
    lingerMs,
  });
  return { queue, ran, again };
}

t.test('what comes while another runs is not left until the queue would have looked again', async (t) => {
  const { queue, ran } = queueOf({}, new Set(), 20);
  queue.add('a');
  await queue.urge('a');
  queue.add('b');
  while (!ran.includes('b')) await new Promise((resolve) => setTimeout(resolve, 5));
  // b runs: nothing rests, and the next look is far away.
  queue.add('c');
  for (const end = performance.now() + 10_000; queue.size > 0 && performance.now() < end; )
    await new Promise((resolve) => setTimeout(resolve, 10));
  t.same(ran, ['a', 'b', 'c']);
  await queue.close();
});

t.test('what is added in the turn in which it ends is not forgotten', async (t) => {
  const { queue, ran, again } = queueOf({}, new Set());
  queue.add('a');
  again.add('a');
  await queue.urge('a');
  t.same(ran, ['a', 'a']);
  t.equal(queue.size, 0);
  await queue.close();
});

t.test('who is waited for goes first, over several steps', async (t) => {
  const { queue, ran } = queueOf({ a: ['b'], b: ['c'], c: [] }, new Set());
  for (const item of ['a', 'b', 'c']) queue.add(item);
  await queue.urge('a');
  t.same(ran, ['c', 'b', 'a']);
  t.equal(queue.size, 0);
  await queue.close();
});

t.test(
  'what waits for one that fails fails with it, over several steps, and is not tried again and again',
  async (t) => {
    const { queue, ran } = queueOf({ a: ['b'], b: ['c'], c: [] }, new Set(['c']));
    for (const item of ['a', 'b', 'c']) queue.add(item);
    await t.rejects(queue.urge('a'), { message: 'c is refused' });
    await new Promise((resolve) => setTimeout(resolve, 100));
    t.same(ran, ['c'], 'once');
    t.same(
      ['a', 'b', 'c'].map((item) => queue.stateOf(item)?.state),
      ['refused', 'refused', 'refused'],
    );
    await t.rejects(queue.urge('a'), { message: 'c is refused' }, 'and when it is asked for again');
    t.same(ran, ['c', 'c']);
    await queue.close();
  },
);

t.test('what was refused is tried again ten minutes later', async (t) => {
  let now = 0;
  let tries = 0;
  let isRefused = true;
  const queue = new FlushQueue<string>({
    clock: { now: () => now, monotonic: () => now },
    run: async () => {
      tries++;
      if (isRefused) throw new Error('403');
      return 'done';
    },
    waits: () => false,
    blockers: () => [],
    unlock: async () => false,
    passes: () => false,
    parallel: 1,
    parallelWhileBusy: 1,
    lingerMs: 0,
  });
  queue.add('a');
  await t.rejects(queue.urge('a'), /403/);
  const first = tries;
  isRefused = false;
  now = 599_000;
  queue.poke();
  await new Promise((resolve) => setTimeout(resolve, 50));
  t.equal(tries, first);
  t.match(queue.stateOf('a'), { state: 'refused', readyAt: 600_000 });
  now = 600_001;
  queue.poke();
  for (const end = performance.now() + 5_000; queue.size > 0 && performance.now() < end; )
    await new Promise((resolve) => setTimeout(resolve, 5));
  t.equal(tries, first + 1);
  t.equal(queue.size, 0);
  await queue.close();
});
