import t from 'tap';
import { sameTime, stampsOf, systemClock, timespecToMs } from '../src/clock.js';

t.test('stamps of one millisecond differ, and none goes back', async (t) => {
  let monotonic = 5.25;
  let now = 1_700_000_000_123;
  const stamp = stampsOf({ now: () => now, monotonic: () => monotonic });
  t.same(stamp(), { sec: 1_700_000_000, nsec: 123_225_000 });
  t.same(stamp(), { sec: 1_700_000_000, nsec: 123_225_001 });
  monotonic = 6.125;
  t.same(stamp(), { sec: 1_700_000_000, nsec: 123_225_002 }, 'its own milliseconds begin elsewhere');
  now += 1;
  t.same(stamp(), { sec: 1_700_000_000, nsec: 124_112_500 });
  now += 1;
  monotonic = 6.999_999_5;
  for (let i = 0; i < 10_000; i++) stamp();
  t.same(stamp(), { sec: 1_700_000_000, nsec: 125_909_999 }, 'there is room at its end');
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
