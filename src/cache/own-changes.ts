/**
 * When this mount last changed something in the store below a prefix. Keys that were listed before that, for another
 * directory, do not tell how this one is now: the overlay that stands over listings lives only as long as its directory.
 */
import type { Clock } from '../clock.js';
import { MAX_CHANGED_PREFIXES } from '../constants.js';

export class OwnChanges {
  readonly #clock: Clock;
  readonly #at = new Map<string, number>();
  /** All that is not remembered one by one any more. */
  #before = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** A key is about to change, or has changed. */
  note(key: string): void {
    const now = this.#clock.monotonic();
    for (let slash = key.lastIndexOf('/'); slash >= 0; slash = slash === 0 ? -1 : key.lastIndexOf('/', slash - 1)) {
      this.#at.set(key.slice(0, slash + 1), now);
    }
    this.#at.set('', now);
    if (this.#at.size <= MAX_CHANGED_PREFIXES) return;
    this.#at.clear();
    this.#before = now;
  }

  /** Whether anything below a prefix has changed since `startedAt` (monotonic, ms), or may have. */
  since(prefix: string, startedAt: number): boolean {
    return Math.max(this.#at.get(prefix) ?? Number.NEGATIVE_INFINITY, this.#before) >= startedAt;
  }
}
