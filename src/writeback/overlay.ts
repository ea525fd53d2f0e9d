/**
 * What this mount did to the names of a directory and a LIST may not show yet. A record says that a name is there (and
 * what it is) or is gone; it stands over any listing that began before the store confirmed it, and is dropped by one
 * that began afterwards.
 */
export interface OverlayRecord<T> {
  /** Grows with every change of any name; a confirmation counts only for the change it belongs to. */
  readonly sequence: number;
  /** undefined: the name is gone. */
  readonly present: T | undefined;
  /** Monotonic time at which the store had it (ms); undefined: not yet. */
  readonly confirmedAt: number | undefined;
}

let sequence = 0;

export class Overlay<T> {
  readonly #records = new Map<string, OverlayRecord<T>>();
  #version = 0;

  /** Changes with whatever changes what is shown. */
  get version(): number {
    return this.#version;
  }

  /** What a name stands for has changed, but for what this mount did. */
  touch(): void {
    this.#version++;
  }

  get size(): number {
    return this.#records.size;
  }

  /** Something was changed that the store does not have yet. */
  get hasUnconfirmed(): boolean {
    for (const record of this.#records.values()) if (record.confirmedAt === undefined) return true;
    return false;
  }

  get(name: string): OverlayRecord<T> | undefined {
    return this.#records.get(name);
  }

  /** Notes a change that the store does not have yet. Answers its sequence. */
  set(name: string, present: T | undefined): number {
    sequence++;
    this.#version++;
    this.#records.set(name, { sequence, present, confirmedAt: undefined });
    return sequence;
  }

  /** Notes a change that the store has since `at`. */
  setConfirmed(name: string, present: T | undefined, at: number): void {
    this.confirm(name, this.set(name, present), at);
  }

  confirm(name: string, of: number, at: number): void {
    const record = this.#records.get(name);
    if (record?.sequence === of) this.#records.set(name, { ...record, confirmedAt: at });
  }

  /** Takes a record back: the store refused the change. */
  revert(name: string, of: number): void {
    if (this.#records.get(name)?.sequence === of) this.drop(name);
  }

  /** Nothing is known of the name any more: the store is to be asked. */
  drop(name: string): void {
    this.#version++;
    this.#records.delete(name);
  }

  /** A listing or look-up that began at `startedAt` (monotonic, ms) has seen what was confirmed before. */
  dropSeen(startedAt: number): void {
    for (const [name, record] of this.#records) {
      if (record.confirmedAt !== undefined && record.confirmedAt < startedAt) this.#records.delete(name);
    }
  }

  /** The record of a name if it stands over what was asked at `startedAt`. */
  over(name: string, startedAt: number): OverlayRecord<T> | undefined {
    const record = this.#records.get(name);
    return record === undefined || (record.confirmedAt ?? startedAt) < startedAt ? undefined : record;
  }

  entries(): IterableIterator<[string, OverlayRecord<T>]> {
    return this.#records.entries();
  }
}
