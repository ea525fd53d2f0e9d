/**
 * What waits to be brought to the store, and when each is tried. An item rests a moment first, so that what changes again
 * or goes at once costs nothing; then so many run side by side. One that fails is tried again later and later; one that
 * was refused waits until somebody asks; when several fail in a row the store is taken to be away, and is asked by single
 * tries until one succeeds. Knows nothing of what an item is.
 */
import type { Clock } from '../clock.js';

export interface FlushQueueOptions<T> {
  readonly clock: Clock;
  /** Brings one over; 'again': it changed meanwhile. */
  readonly run: (item: T) => Promise<'done' | 'again'>;
  /** Whether an item has something for the store: asked when it was brought over, since it may have changed again just now. */
  readonly waits: (item: T) => boolean;
  /** Items that have to go before this one. */
  readonly blockers: (item: T) => readonly T[];
  /** Nothing runs and these wait for others: where they wait in a circle, takes one out of it and answers true. */
  readonly unlock: (items: readonly T[]) => Promise<boolean>;
  /** Whether a failure passes by itself. */
  readonly passes: (error: unknown) => boolean;
  readonly parallel: number;
  /** How long an item rests (ms). */
  readonly lingerMs: number;
  /** While items come in, so many run at one time: who makes them needs the machine more. */
  readonly parallelWhileBusy: number;
}

export type FlushState = 'resting' | 'waiting' | 'running' | 'failed' | 'refused';

interface Waiter {
  resolve(): void;
  reject(error: unknown): void;
}

interface Entry<T> {
  readonly item: T;
  state: FlushState;
  /** Not before this (monotonic, ms). */
  readyAt: number;
  attempts: number;
  error: unknown;
  /** Somebody waits for it. */
  isUrgent: boolean;
  waiters: Waiter[];
}

/** Items come in as long as the last came so recently (ms); what is ready is held back by them at most so long (ms). */
const BUSY_MS = 200;
const PATIENCE_MS = 2_000;
/** First and longest wait after a failure (ms). */
const BACKOFF_FIRST_MS = 1_000;
const BACKOFF_MAX_MS = 60_000;
/** A refusal is tried again after so long (ms): somebody may have changed a policy. */
const REFUSED_MS = 600_000;
/** So many failures in a row, without a success, mean that the store is away. */
const AWAY_FAILURES = 4;

export class FlushQueue<T> {
  readonly #options: FlushQueueOptions<T>;
  readonly #entries = new Map<T, Entry<T>>();
  /** In the order in which they have rested. */
  readonly #resting = new Set<Entry<T>>();
  readonly #ready = new Set<Entry<T>>();
  readonly #urgent = new Set<Entry<T>>();
  readonly #blocked = new Set<Entry<T>>();
  readonly #failed = new Set<Entry<T>>();
  #running = 0;
  #addedAt = Number.NEGATIVE_INFINITY;
  #failures = 0;
  #awayUntil = 0;
  #timer: NodeJS.Timeout | undefined;
  /** When it fires (performance.now(), ms). */
  #timerAt = 0;
  #closed = false;
  #unlocking = false;
  #onChange: Array<() => void> = [];

  constructor(options: FlushQueueOptions<T>) {
    this.#options = options;
  }

  get size(): number {
    return this.#entries.size;
  }

  get running(): number {
    return this.#running;
  }

  /** The store does not answer; the next try comes by itself. */
  get isAway(): boolean {
    return this.#failures >= AWAY_FAILURES;
  }

  /** `readyAt`: when it is tried next (monotonic, ms). */
  stateOf(item: T): { readonly state: FlushState; readonly error: unknown; readonly readyAt: number } | undefined {
    return this.#entries.get(item);
  }

  /** The item has something for the store; one that rests begins to rest anew. */
  add(item: T): void {
    this.#addedAt = this.#options.clock.monotonic();
    const present = this.#entries.get(item);
    if (present !== undefined && present.state !== 'resting') return;
    const entry = present ?? {
      item,
      state: 'resting',
      readyAt: 0,
      attempts: 0,
      error: undefined,
      isUrgent: false,
      waiters: [],
    };
    entry.readyAt = this.#options.clock.monotonic() + this.#options.lingerMs;
    this.#entries.set(item, entry);
    this.#resting.delete(entry);
    this.#resting.add(entry);
    this.#schedule();
  }

  /** The item has nothing for the store any more. One that runs ends by itself. */
  remove(item: T): void {
    const entry = this.#entries.get(item);
    if (entry === undefined || entry.state === 'running') return;
    this.#forget(entry);
    for (const waiter of entry.waiters.splice(0)) waiter.resolve();
    this.#changed();
  }

  #forget(entry: Entry<T>): void {
    this.#entries.delete(entry.item);
    for (const set of [this.#resting, this.#ready, this.#urgent, this.#blocked, this.#failed]) set.delete(entry);
  }

  /** Brings an item over now. Rejects with the failure of this try. */
  urge(item: T): Promise<void> {
    const entry = this.#entries.get(item);
    if (entry === undefined) return Promise.resolve();
    const done = new Promise<void>((resolve, reject) => entry.waiters.push({ resolve, reject }));
    this.#hurry(entry);
    this.#pump();
    return done;
  }

  #hurry(entry: Entry<T>): void {
    entry.isUrgent = true;
    if (entry.state === 'running') return;
    for (const set of [this.#resting, this.#ready, this.#failed, this.#blocked]) set.delete(entry);
    entry.state = 'waiting';
    this.#urgent.add(entry);
  }

  /** Tries everything once, also what failed or was refused. Resolves when each is done or has failed. */
  async settle(): Promise<void> {
    const tried = new Set<T>();
    for (;;) {
      const left = [...this.#entries.keys()].filter((item) => !tried.has(item));
      if (left.length === 0) return;
      for (const item of left) tried.add(item);
      await Promise.allSettled(left.map((item) => this.urge(item)));
    }
  }

  /** What items waited for outside the queue may have ended. */
  poke(): void {
    this.#unblock();
    this.#pump();
  }

  /** Resolves at the next change of what is here. */
  change(): Promise<void> {
    return new Promise((resolve) => this.#onChange.push(resolve));
  }

  #changed(): void {
    for (const resolve of this.#onChange.splice(0)) resolve();
  }

  items(): IterableIterator<T> {
    return this.#entries.keys();
  }

  #schedule(): void {
    if (this.#closed) return;
    const delay = this.#delay();
    const at = performance.now() + delay;
    // What came meanwhile may be ready long before what the timer was set for.
    if (this.#timer !== undefined && this.#timerAt <= at) return;
    clearTimeout(this.#timer);
    this.#timerAt = at;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#pump();
    }, delay);
    this.#timer.unref();
  }

  /** Until something may be ready (ms). */
  #delay(): number {
    const now = this.#options.clock.monotonic();
    let next = now + BACKOFF_MAX_MS;
    for (const entry of this.#resting) {
      next = Math.min(next, entry.readyAt);
      break;
    }
    for (const entry of this.#failed) next = Math.min(next, entry.readyAt);
    if (this.#ready.size > 0) next = Math.min(next, Math.max(now + BUSY_MS / 2, this.#awayUntil));
    // Not at once, whatever the clock says: this is a loop.
    return Math.max(10, next - now);
  }

  #pump(): void {
    if (this.#closed) return;
    const now = this.#options.clock.monotonic();
    for (const set of [this.#resting, this.#failed]) {
      for (const entry of set) {
        if (entry.readyAt > now && set === this.#resting) break;
        if (entry.readyAt > now) continue;
        set.delete(entry);
        entry.state = 'waiting';
        this.#ready.add(entry);
      }
    }
    while (this.#running < this.#options.parallel && this.#urgent.size > 0) this.#start(this.#urgent);
    const limit = this.#limitAt(now);
    while (this.#running < limit && this.#ready.size > 0 && now >= this.#awayUntil) this.#start(this.#ready);
    if (this.#running === 0 && this.#ready.size + this.#urgent.size === 0 && this.#blocked.size > 0) this.#unlock();
    if (this.#entries.size > 0) this.#schedule();
  }

  #limitAt(now: number): number {
    if (this.isAway) return 1;
    const { parallel, parallelWhileBusy } = this.#options;
    if (now - this.#addedAt >= BUSY_MS) return parallel;
    // A burst that ends soon is not disturbed at all.
    const [first] = this.#ready;
    return first !== undefined && now - first.readyAt < PATIENCE_MS ? 0 : parallelWhileBusy;
  }

  #unlock(): void {
    if (this.#unlocking) return;
    this.#unlocking = true;
    const items = [...this.#blocked].map(({ item }) => item);
    const settled = (isUnlocked: boolean): void => {
      this.#unlocking = false;
      if (!isUnlocked) return;
      this.#unblock();
      this.#pump();
    };
    void this.#options.unlock(items).then(settled, () => settled(false));
  }

  #unblock(): void {
    for (const entry of this.#blocked) (entry.isUrgent ? this.#urgent : this.#ready).add(entry);
    this.#blocked.clear();
  }

  #start(from: Set<Entry<T>>): void {
    const [entry] = from;
    from.delete(entry);
    const blockers = this.#options.blockers(entry.item);
    if (blockers.length > 0) {
      this.#blocked.add(entry);
      if (!entry.isUrgent) return;
      for (const item of blockers) {
        const blocker = this.#entries.get(item);
        if (blocker !== undefined && !blocker.isUrgent) this.#hurry(blocker);
      }
      return;
    }
    entry.state = 'running';
    this.#running++;
    void this.#options.run(entry.item).then(
      (outcome) => this.#ended(entry, outcome, undefined),
      (error) => this.#ended(entry, 'failed', error),
    );
  }

  #ended(entry: Entry<T>, outcome: 'done' | 'again' | 'failed', error: unknown): void {
    this.#running--;
    if (outcome !== 'failed') {
      this.#failures = 0;
      this.#awayUntil = 0;
      entry.attempts = 0;
      entry.error = undefined;
    }
    // What was added while it ran is looked at here, in the same turn as it would be forgotten.
    if (outcome === 'done' && !this.#options.waits(entry.item)) {
      this.#forget(entry);
      for (const waiter of entry.waiters) waiter.resolve();
    } else if (outcome !== 'failed') {
      entry.state = 'waiting';
      if (entry.waiters.length > 0) this.#urgent.add(entry);
      else {
        entry.isUrgent = false;
        entry.state = 'resting';
        entry.readyAt = this.#options.clock.monotonic() + this.#options.lingerMs;
        this.#resting.add(entry);
      }
    } else this.#fail(entry, error);
    this.#unblock();
    this.#changed();
    this.#pump();
  }

  #fail(entry: Entry<T>, error: unknown): void {
    const now = this.#options.clock.monotonic();
    const passes = this.#options.passes(error);
    entry.error = error;
    entry.isUrgent = false;
    entry.state = passes ? 'failed' : 'refused';
    const backoff = Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** entry.attempts++);
    entry.readyAt = now + (passes ? backoff * (0.75 + Math.random() / 2) : REFUSED_MS);
    this.#failed.add(entry);
    if (passes) {
      this.#failures++;
      const away = Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** Math.min(10, this.#failures - AWAY_FAILURES));
      if (this.isAway) this.#awayUntil = now + away;
    }
    for (const waiter of entry.waiters.splice(0)) waiter.reject(error);
    this.#failBlocked(entry);
  }

  /** What waits for one that failed has failed with it, and is tried when that is. */
  #failBlocked({ item, error, state, readyAt }: Entry<T>): void {
    for (const entry of [...this.#blocked]) {
      if (!this.#options.blockers(entry.item).includes(item)) continue;
      this.#blocked.delete(entry);
      Object.assign(entry, { error, state, readyAt, isUrgent: false });
      this.#failed.add(entry);
      for (const waiter of entry.waiters.splice(0)) waiter.reject(error);
      this.#failBlocked(entry);
    }
  }

  /** Starts nothing more. Resolves when nothing runs. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    while (this.#running > 0) await this.change();
  }
}
