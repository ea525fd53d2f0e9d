import fc from 'fast-check';
import t from 'tap';
import { kindOf, remedyOf } from '../../src/s3/error-mapping.js';
import { RetryBudget, RetryState, retryPolicy, sleep } from '../../src/s3/retry.js';

class FakeClock {
  ms = 0;
  now = () => this.ms;
  monotonic = () => this.ms;
}

function state(deadlineMs = 60_000, random = () => 1, clock = new FakeClock()) {
  return { clock, retry: new RetryState(retryPolicy(deadlineMs), clock, new RetryBudget(0), random) };
}

t.test('waits double up to their ceiling, with full jitter', async (t) => {
  const { retry } = state();
  t.same(
    [1, 2, 3, 4, 5, 6, 7, 8, 9].map(() => retry.next('wait')),
    [50, 100, 200, 400, 800, 1600, 3200, 5000, 5000],
  );
  const slow = state().retry;
  t.same(
    [1, 2, 3].map(() => slow.next('slow-down')),
    [400, 800, 1600],
  );
  const half = state(60_000, () => 0.5).retry;
  t.same(
    [1, 2].map(() => half.next('wait')),
    [25, 50],
  );
  t.equal(state(60_000, () => 0).retry.next('wait'), 0);
});

t.test('the deadline ends it, progress begins it anew', async (t) => {
  const { clock, retry } = state(1_000);
  clock.ms = 980;
  t.equal(retry.next('wait'), undefined, '50 ms are not left');
  retry.progress();
  t.equal(retry.next('wait'), 50);
  clock.ms = 5_000;
  t.equal(retry.next('wait'), undefined);
});

t.test('attempts are bounded where time stands still', async (t) => {
  const { retry } = state(Number.POSITIVE_INFINITY, () => 0);
  let attempts = 1;
  while (retry.next('wait') !== undefined) attempts++;
  t.equal(attempts, 40);
});

t.test('corrections are tried once each', async (t) => {
  const { retry } = state();
  t.equal(retry.next('refresh-credentials'), 0);
  t.equal(retry.next('follow-region'), 0);
  t.equal(retry.next('refresh-credentials'), undefined);
  t.equal(state().retry.next('none'), undefined);
});

t.test('the budget slows repeats down and recovers', async (t) => {
  const budget = new RetryBudget(0);
  for (let i = 0; i < 200; i++) t.equal(budget.take(0), 0);
  t.equal(budget.take(0), 20);
  t.equal(budget.take(0), 40);
  t.equal(budget.take(10_000), 0);
  fc.assert(
    fc.property(fc.array(fc.nat(50), { minLength: 1, maxLength: 600 }), (gaps) => {
      const bucket = new RetryBudget(0);
      let now = 0;
      let latest = 0;
      for (const gap of gaps) {
        now += gap;
        latest = Math.max(latest, now + bucket.take(now));
      }
      return latest * 50 >= (gaps.length - 200) * 1000 - 1e-6 * gaps.length;
    }),
  );
});

t.test('exactly this is repeated', async (t) => {
  const yes: Array<[number, string | undefined, string]> = [
    [500, 'InternalError', 'wait'],
    [502, undefined, 'wait'],
    [503, 'ServiceUnavailable', 'wait'],
    [503, 'SlowDown', 'slow-down'],
    [504, undefined, 'wait'],
    [429, undefined, 'slow-down'],
    [400, 'RequestTimeout', 'wait'],
    [409, 'OperationAborted', 'wait'],
    [400, 'ExpiredToken', 'refresh-credentials'],
    [403, 'RequestTimeTooSkewed', 'correct-clock'],
  ];
  for (const [status, code, remedy] of yes) t.equal(remedyOf(status, code, undefined), remedy, `${status} ${code}`);
  const no: Array<[number, string | undefined]> = [
    [501, 'NotImplemented'],
    [507, undefined],
    [403, 'AccessDenied'],
    [404, 'NoSuchKey'],
    [400, 'BadDigest'],
    [409, 'ConditionalRequestConflict'],
    [412, 'PreconditionFailed'],
    [416, 'InvalidRange'],
    [301, undefined],
    [400, 'InvalidToken'],
    [304, undefined],
    [405, undefined],
  ];
  for (const [status, code] of no) t.equal(remedyOf(status, code, undefined), 'none', `${status} ${code}`);
  for (const status of [301, 307, 400]) t.equal(remedyOf(status, undefined, 'eu-west-1'), 'follow-region');
  t.equal(remedyOf(403, 'AccessDenied', 'eu-west-1'), 'none');
});

t.test('kinds', async (t) => {
  const cases: Array<[number, string | undefined, string]> = [
    [404, undefined, 'NotFound'],
    [404, 'NoSuchBucket', 'NoSuchBucket'],
    [403, undefined, 'AccessDenied'],
    [403, 'SignatureDoesNotMatch', 'Credentials'],
    [403, 'InvalidObjectState', 'Archived'],
    [400, 'EntityTooLarge', 'TooLarge'],
    [400, 'KeyTooLongError', 'KeyTooLong'],
    [507, 'XMinioStorageFull', 'NoSpace'],
    [403, 'QuotaExceeded', 'NoSpace'],
    [501, undefined, 'NotImplemented'],
    [400, 'Strange', 'InvalidRequest'],
    [503, 'SlowDown', 'Throttled'],
    [500, undefined, 'Server'],
    [304, undefined, 'NotModified'],
    [302, undefined, 'Unknown'],
    [409, 'ConditionalRequestConflict', 'ConditionalConflict'],
    [400, 'constructor', 'InvalidRequest'],
  ];
  for (const [status, code, kind] of cases) t.equal(kindOf(status, code), kind, `${status} ${code}`);
});

t.test('sleep ends with its signal', async (t) => {
  const controller = new AbortController();
  const begun = performance.now();
  setTimeout(() => controller.abort(), 10);
  await sleep(60_000, controller.signal);
  await sleep(60_000, controller.signal);
  t.ok(performance.now() - begun < 10_000);
});
