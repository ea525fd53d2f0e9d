/**
 * Requests that an INTERRUPT came for. Where the waiting program is ending, the operation is told through its signal; one
 * that does not give up by itself is answered for, because an unanswered request holds the program even against SIGKILL.
 */
import { errno } from '../errno.js';
import type { Call } from './call.js';

/** A request is looked at again after this; an operation has as long to give up by itself (ms). */
const POLL_MS = 200;

export class InterruptedCalls {
  readonly #isEnding: (pid: number) => boolean;
  readonly #fail: (call: Call, failure: number) => void;
  readonly #calls = new Set<Call>();
  #timer: NodeJS.Timeout | undefined = undefined;

  /** @param isEnding whether a thread is to end @param fail sends an error as the reply */
  constructor(isEnding: (pid: number) => boolean, fail: (call: Call, failure: number) => void) {
    this.#isEnding = isEnding;
    this.#fail = fail;
  }

  add(call: Call): void {
    this.#calls.add(call);
    this.#serve();
  }

  #serve(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const call of this.#calls) {
      if (!call.pending || call.replied) this.#calls.delete(call);
      else if (call.signal.aborted) this.#abandon(call);
      else if (this.#isEnding(call.pid)) call.interrupt();
    }
    if (this.#calls.size > 0) this.#timer = setTimeout(() => this.#serve(), POLL_MS);
  }

  #abandon(call: Call): void {
    this.#calls.delete(call);
    this.#fail(call, -errno.EINTR);
    call.abandoned = true;
  }

  end(): void {
    clearTimeout(this.#timer);
    this.#calls.clear();
  }
}
