/** One at a time, first come first served. */
export class Mutex {
  /** undefined: nobody is in it. */
  #tail: Promise<unknown> | undefined;
  #length = 0;

  get busy(): boolean {
    return this.#length > 0;
  }

  run<T>(work: () => Promise<T>): Promise<T> {
    this.#length++;
    const result = (this.#tail ?? Promise.resolve()).then(work).finally(() => {
      if (--this.#length === 0) this.#tail = undefined;
    });
    this.#tail = result.catch(() => undefined);
    return result;
  }
}
