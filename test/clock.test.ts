import t from 'tap';
import { sameTime, stampsOf, systemClock, timespecToMs } from '../src/clock.js';

t.test('stamps of one millisecond differ, and none goes back', async (t) => {
  let monotonic = 5.25;
  let now = 1_700_000_000_123;
  const stamp = stampsOf({ now: () => now, monotonic: () => monotonic });
  t.same(stamp(), { sec: 1_700_000_000, nsec: 123_250_000 });
  t.same(stamp(), { sec: 1_700_000_000, nsec: 123_250_001 });
  monotonic = 6.125;
  t.same(stamp(), { sec: 1_700_000_000, nsec: 123_250_002 }, 'its own milliseconds begin elsewhere');
  now += 1;
  t.same(stamp(), { sec: 1_700_000_000, nsec: 124_125_000 });
  monotonic = 6.999_999_5;
  stamp();
  t.same(stamp(), { sec: 1_700_000_000, nsec: 124_999_999 }, 'and ends before the next');
});

t.test('of the system: now', async (t) => {
  const stamp = stampsOf(systemClock);
  const begun = Date.now();
  let last = stamp();
  for (let i = 0; i < 1_000; i++) {
    const next = stamp();
    t.notOk(sameTime(last, next));
    last = next;
  }
  t.ok(timespecToMs(last) >= begun && timespecToMs(last) < Date.now() + 1);
});
