/**
 * Requests that an INTERRUPT came for. Where the waiting program is ending, the operation is told through its signal; one
 * that does not give up by itself is answered for, because an unanswered request holds the program even against SIGKILL.
 *
 * A signal that the program handles is another matter: no disk answers EINTR to a file's read or fsync, and a database takes
 * it for a disk that fails (PostgreSQL ends itself when an fsync of its log gets it, and is sent SIGHUP, SIGINT and SIGTERM
 * every day). Such a signal interrupts what takes long beyond any use, and never what brings over what was written.
 */
import { type Clock, systemClock } from '../clock.js';
import { errno } from '../errno.js';
import { opcode } from './abi.js';
import type { Call } from './call.js';

/** A request is looked at again after this; an operation has as long to give up by itself (ms). */
const POLL_MS = 200;
/** A signal that has a handler counts after this (ms): who pressed Ctrl-C is let out when the store does not answer. */
const HANDLER_PATIENCE_MS = 10_000;
/** They end by themselves, at the latest when the store has been silent for as long as `--io-timeout`. */
const KEPT: ReadonlySet<number> = new Set([opcode.WRITE, opcode.FLUSH, opcode.FSYNC, opcode.FSYNCDIR]);

/** Whether a thread is to end; `alsoHandled`: also where the program has a handler for its signal. */
type IsEnding = (pid: number, alsoHandled: boolean) => boolean;

export class InterruptedCalls {
  readonly #isEnding: IsEnding;
  readonly #fail: (call: Call, failure: number) => void;
  readonly #clock: Clock;
  /** Since when (monotonic). */
  readonly #calls = new Map<Call, number>();
  #timer: NodeJS.Timeout | undefined = undefined;

  /** @param fail sends an error as the reply */
  constructor(isEnding: IsEnding, fail: (call: Call, failure: number) => void, clock: Clock = systemClock) {
    this.#isEnding = isEnding;
    this.#fail = fail;
    this.#clock = clock;
  }

  add(call: Call): void {
    if (!this.#calls.has(call)) this.#calls.set(call, this.#clock.monotonic());
    this.#serve();
  }

  #serve(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const [call, since] of this.#calls) {
      if (!call.pending || call.replied) this.#calls.delete(call);
      else if (call.signal.aborted) this.#abandon(call);
      else if (this.#isEnding(call.pid, this.#mayGiveUp(call, since))) call.interrupt();
    }
    if (this.#calls.size > 0) this.#timer = setTimeout(() => this.#serve(), POLL_MS);
  }

  #mayGiveUp({ header }: Call, since: number): boolean {
    return !KEPT.has(header.opcode) && this.#clock.monotonic() - since >= HANDLER_PATIENCE_MS;
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
