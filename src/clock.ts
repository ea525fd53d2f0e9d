/** Time comes in as an argument everywhere, so that tests own it. */
export interface Clock {
  /** Wall clock, milliseconds since 1970. Follows corrections of the system clock. */
  now(): number;
  /** Milliseconds that never go back; for ages and deadlines. */
  monotonic(): number;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
};

/** A point in time as stat(2) has it. `nsec` is 0 to 999,999,999, also before 1970. */
export interface Timespec {
  readonly sec: number;
  readonly nsec: number;
}

export function timespecFromMs(ms: number): Timespec {
  const sec = Math.floor(ms / 1000);
  return { sec, nsec: Math.floor((ms - sec * 1000) * 1e6) };
}

/**
 * Now, again and again, with digits below the millisecond: no two answers in one millisecond are the same, and none goes
 * back within it. By its times this mount knows an object that it wrote from what another host wrote at the same moment.
 */
export function stampsOf(clock: Clock): () => Timespec {
  let lastMs = Number.NaN;
  let last = 0;
  return () => {
    const ms = clock.now();
    // What is left of the millisecond is room for the answers that follow within it.
    const digits = Math.floor((clock.monotonic() % 1) * 900_000);
    last = ms === lastMs ? Math.min(999_999, Math.max(digits, last + 1)) : digits;
    lastMs = ms;
    const { sec, nsec } = timespecFromMs(ms);
    return { sec, nsec: nsec + last };
  };
}

export function timespecToMs(time: Timespec): number {
  return time.sec * 1000 + time.nsec / 1e6;
}

export function sameTime(a: Timespec, b: Timespec): boolean {
  return a.sec === b.sec && a.nsec === b.nsec;
}

export function isBefore(a: Timespec, b: Timespec): boolean {
  return a.sec < b.sec || (a.sec === b.sec && a.nsec < b.nsec);
}
