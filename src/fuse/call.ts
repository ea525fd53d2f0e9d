/** One request that awaits its reply: who asks, and what has to be undone when the reply does not reach the kernel. */
import { opcode } from './abi.js';
import type { DirentBuffer } from './dirent.js';
import type { Frame, RequestHeader } from './frame.js';
import type { RequestContext } from './operations.js';

const TWO_32 = 2 ** 32;

/** The key of the pending table. Bit 63 (a request sent again) is left out: it is the same request. */
export function uniqueKey(low: number, high: number): number {
  return (high & 0x7fff_ffff) * TWO_32 + low;
}

/** Opcodes whose decoded request points into the frame. */
export function holdsBytes(code: number): boolean {
  return code === opcode.WRITE || code === opcode.SETXATTR || code === opcode.SYMLINK;
}

export function wantsNoReply(code: number): boolean {
  return code === opcode.FORGET || code === opcode.BATCH_FORGET || code === opcode.NOTIFY_REPLY;
}

export class Call implements RequestContext {
  readonly header: RequestHeader;
  readonly unique: number;
  readonly uid: number;
  readonly gid: number;
  readonly pid: number;
  readonly nodeid: number;
  /** Set by the one place that writes replies. */
  replied = false;
  /** Answered with EINTR while the operation goes on: what it answers in the end reaches nobody. */
  abandoned = false;
  /** The operation answered through a promise, and stands in the pending table. */
  pending = false;
  /** The request buffer, while the operation may still look into it. */
  frame: Frame | undefined = undefined;
  /** Until when it does, also behind its answer. */
  kept: Promise<unknown> | undefined = undefined;
  /** For READDIR: the lookups in it are taken back when it is not sent. */
  sink: DirentBuffer | undefined = undefined;
  // Most operations never look at their signal, so it is made when asked for.
  #controller: AbortController | undefined = undefined;
  #interrupted = false;

  constructor(header: RequestHeader) {
    this.header = header;
    this.unique = uniqueKey(header.uniqueLow, header.uniqueHigh);
    this.uid = header.uid;
    this.gid = header.gid;
    this.pid = header.pid;
    this.nodeid = header.nodeid;
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#interrupted) this.#controller.abort();
    }
    return this.#controller.signal;
  }

  keepUntil(done: Promise<unknown>): void {
    this.kept = done;
  }

  /** Nobody waits for the answer any more. */
  interrupt(): void {
    this.#interrupted = true;
    this.#controller?.abort();
  }
}
