/**
 * When a request is sent again. Full jitter (a random wait up to a doubling ceiling) spreads clients apart; a token
 * bucket shared by all requests bounds how fast repeats reach a server that is in trouble, without failing anyone
 * early: a mount rather waits than answers EIO. The deadline ends it. Time, sleep and randomness come in from outside.
 */
import type { Clock } from '../clock.js';
import type { Remedy } from './error-mapping.js';

export interface RetryPolicy {
  /** Requests for one call, the first included, since it last made progress. */
  readonly attempts: number;
  /** No attempt starts later than this after the call began or last made progress (ms). */
  readonly deadlineMs: number;
  /** Ceiling of the first wait, of the first wait after a throttling answer, and of any wait (ms). */
  readonly baseMs: number;
  readonly slowDownBaseMs: number;
  readonly capMs: number;
}

export const retryPolicy = (deadlineMs: number): RetryPolicy => ({
  attempts: 40,
  deadlineMs,
  baseMs: 50,
  slowDownBaseMs: 400,
  capMs: 5_000,
});

/** Repeats per second that all requests together may send, and how many at once after quiet times. */
const REFILL_PER_SECOND = 50;
const BURST = 200;

export class RetryBudget {
  #tokens = BURST;
  #at: number;

  constructor(now: number) {
    this.#at = now;
  }

  /** Takes one token and answers how long its taker has to wait for it (ms); debts are allowed, so waits queue up. */
  take(now: number): number {
    this.#tokens = Math.min(BURST, this.#tokens + ((now - this.#at) * REFILL_PER_SECOND) / 1000);
    this.#at = now;
    this.#tokens -= 1;
    return this.#tokens >= 0 ? 0 : (-this.#tokens * 1000) / REFILL_PER_SECOND;
  }
}

/** Corrections that are tried once for a call; if the answer stays the same, the error stands. */
const corrections: ReadonlySet<Remedy> = new Set(['refresh-credentials', 'correct-clock', 'follow-region']);

export class RetryState {
  /** Attempts that have failed so far. */
  failures = 0;
  #begun: number;
  #sinceProgress = 0;
  readonly #used = new Set<Remedy>();

  constructor(
    readonly policy: RetryPolicy,
    readonly clock: Clock,
    readonly budget: RetryBudget,
    readonly random: () => number,
  ) {
    this.#begun = clock.monotonic();
  }

  /** Something new arrived (bytes of a body): the count and the deadline start again. */
  progress(): void {
    this.#sinceProgress = 0;
    this.#begun = this.clock.monotonic();
  }

  /** Milliseconds until the deadline. */
  remaining(): number {
    return this.#begun + this.policy.deadlineMs - this.clock.monotonic();
  }

  /** Milliseconds to wait before the next attempt; undefined: give up. */
  next(remedy: Remedy): number | undefined {
    this.failures++;
    this.#sinceProgress++;
    if (remedy === 'none') return undefined;
    if (corrections.has(remedy)) {
      if (this.#used.has(remedy)) return undefined;
      this.#used.add(remedy);
      return 0;
    }
    if (this.#sinceProgress >= this.policy.attempts) return undefined;
    const base = remedy === 'slow-down' ? this.policy.slowDownBaseMs : this.policy.baseMs;
    const ceiling = Math.min(this.policy.capMs, base * 2 ** (this.#sinceProgress - 1));
    const delay = ceiling * this.random() + this.budget.take(this.clock.monotonic());
    return delay < this.remaining() ? delay : undefined;
  }
}

export type Sleep = (ms: number, signal: AbortSignal | undefined) => Promise<void>;

/** Resolves early when the signal fires: the caller looks at the signal anyway. */
export const sleep: Sleep = (ms, signal) =>
  new Promise((resolve) => {
    if (signal?.aborted) {
      resolve();
      return;
    }
    const done = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal?.addEventListener('abort', done);
  });
