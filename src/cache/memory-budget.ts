/**
 * A bound on the bytes that transfers hold at one time. Whoever needs bytes for a request that somebody waits for
 * reserves them and waits its turn (first in, first out); what is only a guess (readahead) takes them if they are free.
 */
export class MemoryBudget {
  readonly limit: number;
  #used = 0;
  readonly #waiting: Array<{ readonly bytes: number; readonly grant: () => void }> = [];

  constructor(limit: number) {
    this.limit = limit;
  }

  get used(): number {
    return this.#used;
  }

  /** Takes the bytes only if they are free and nobody waits. */
  tryReserve(bytes: number): boolean {
    if (this.#waiting.length > 0 || !this.#fits(bytes)) return false;
    this.#used += bytes;
    return true;
  }

  /** A request larger than the whole budget is granted when nothing else is held. */
  async reserve(bytes: number, signal?: AbortSignal): Promise<void> {
    if (this.tryReserve(bytes)) return;
    await new Promise<void>((resolve, reject) => {
      const entry = {
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
      if (signal?.aborted) {
        reject(signal.reason);
        return;
      }
      signal?.addEventListener('abort', abort, { once: true });
      this.#waiting.push(entry);
    });
  }

  release(bytes: number): void {
    this.#used -= bytes;
    this.#serve();
  }

  #fits(bytes: number): boolean {
    return this.#used + bytes <= this.limit || this.#used === 0;
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
