/**
 * A bound on the bytes that transfers hold at one time. Whoever needs bytes for a request that somebody waits for
 * reserves them and waits its turn (first in, first out); what is only a guess (readahead) takes them if they are free.
 *
 * Downloads and uploads share one memory, but not one queue: a part being uploaded holds its bytes while it waits for
 * the downloads that bring its unchanged ranges, so downloads must never wait for uploads.
 */
interface Waiting {
  readonly bytes: number;
  readonly grant: () => void;
}

export class MemoryBudget {
  readonly limit: number;
  #used = 0;
  readonly #waiting: Waiting[] = [];
  /** The other budget out of the same memory, and what of `limit` it cannot take away. */
  #beside: MemoryBudget | undefined;
  #guaranteed = 0;

  constructor(limit: number) {
    this.limit = limit;
  }

  /** Two budgets that hold at most `limit` together; the first always gets up to `guaranteed`, whatever the second has. */
  static pair(limit: number, guaranteed: number): [MemoryBudget, MemoryBudget] {
    const first = new MemoryBudget(limit);
    const second = new MemoryBudget(limit - guaranteed);
    first.#beside = second;
    first.#guaranteed = guaranteed;
    second.#beside = first;
    return [first, second];
  }

  get used(): number {
    return this.#used;
  }

  /** What tryReserve would grant now. */
  get free(): number {
    if (this.#waiting.length > 0 || (this.#beside !== undefined && this.#beside.#waiting.length > 0)) return 0;
    const beside = this.#beside === undefined ? 0 : this.#beside.#used;
    const total = Math.max(this.limit, this.#beside?.limit ?? 0);
    return Math.max(0, Math.min(this.limit, total - beside) - this.#used, this.#guaranteed - this.#used);
  }

  /** Takes the bytes only if they are free and nobody waits. */
  tryReserve(bytes: number): boolean {
    if (this.#beside !== undefined && this.#beside.#waiting.length > 0) return false;
    return this.#tryReserve(bytes);
  }

  #tryReserve(bytes: number): boolean {
    if (this.#waiting.length > 0 || !this.#fits(bytes)) return false;
    this.#used += bytes;
    return true;
  }

  /** A request larger than the whole budget is granted when nothing else is held. */
  async reserve(bytes: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    if (this.#tryReserve(bytes)) return;
    await new Promise<void>((resolve, reject) => {
      const entry: Waiting = {
        bytes,
        grant: () => {
          signal?.removeEventListener('abort', abort);
          resolve();
        },
      };
      const abort = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(entry), 1);
        reject(signal?.reason);
        this.#serve();
      };
      signal?.addEventListener('abort', abort, { once: true });
      this.#waiting.push(entry);
    });
  }

  release(bytes: number): void {
    this.#used -= bytes;
    this.#serve();
    if (this.#beside !== undefined) this.#beside.#serve();
  }

  #fits(bytes: number): boolean {
    const used = this.#used + bytes;
    if (this.#used === 0 || used <= this.#guaranteed) return true;
    const beside = this.#beside;
    if (beside === undefined) return used <= this.limit;
    return used <= this.limit && used + beside.#used <= Math.max(this.limit, beside.limit);
  }

  #serve(): void {
    while (this.#waiting.length > 0 && this.#fits(this.#waiting[0].bytes)) {
      const entry = this.#waiting.shift();
      if (entry === undefined) return;
      this.#used += entry.bytes;
      entry.grant();
    }
  }
}
