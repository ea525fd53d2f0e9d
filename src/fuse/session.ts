/**
 * One connection to the kernel, without its device: frames come in through receive(), replies go out through a Channel.
 * Every request gets exactly one reply (those that want none get none), whatever the operation does: an answer, a
 * promise, an exception, or nonsense. Lookup counts and open handles are kept exactly, and given back at the end.
 */
import { errno, errnoName, type Failure } from '../errno.js';
import type { Logger } from '../log.js';
import { ECONNABORTED, INIT_OUT_BYTES, LARGEST_ERRNO, OUT_HEADER_BYTES, opcode, PROTOCOL_MAJOR } from './abi.js';
import { Call, holdsBytes, uniqueKey, wantsNoReply } from './call.js';
import { decodeRequest } from './decode.js';
import { decodeHeader, Frame } from './frame.js';
import { handle } from './handlers.js';
import { type BackingCalls, KernelHoldings } from './holdings.js';
import { isThreadEnding } from './interrupt.js';
import { InterruptedCalls } from './interrupted-calls.js';
import { mixesDirectIo, negotiate, refusalText } from './negotiate.js';
import type { Answer, ConnectionInfo, Notifier, Operations } from './operations.js';
import { putHeader, putInit, putSize } from './reply.js';
import type { InitRequest } from './request.js';

/** Requests with bytes in them that are shorter than this are copied out of their large buffer (bytes). */
const SMALL_REQUEST_BYTES = 8 * 1024;
/** Room for the header and the largest reply structure; everything longer is sent in pieces. */
const SCRATCH_BYTES = 512;

export interface Channel {
  /** Writes one reply, whole: 0 or a negative errno. The frame and the pieces may be used again once it returns. */
  send(frame: Frame, pieces?: readonly Uint8Array[]): number;
  /** A frame that receive() kept is free again. */
  giveBack(frame: Frame): void;
}

export interface SessionOptions {
  readonly operations: Operations;
  readonly channel: Channel;
  readonly notifier: Notifier;
  readonly log: Logger;
  readonly privileged: boolean;
  /** The max_read mount option (bytes). */
  readonly maxRead: number;
  /** How backing files are registered; absent: passthrough is not asked for. */
  readonly backingCalls?: BackingCalls;
  /** Let the kernel check permissions by ACLs. Default: no. */
  readonly acl?: boolean;
  /** Whether the thread that was interrupted is to end; replaced in tests. */
  readonly isEnding?: (pid: number) => boolean;
}

export interface SessionStats {
  /** Frames that were read, the bad ones included. */
  readonly requests: number;
  readonly badFrames: number;
  /** Requests whose operation has not answered. */
  readonly pending: number;
  readonly nlookup: number;
  readonly nodes: number;
  readonly openFiles: number;
  readonly openDirectories: number;
  /** Backing files that are registered. */
  readonly backings: number;
}

function isPromise<T>(answer: Answer<T>): answer is Promise<T | Failure> {
  return typeof (answer as Promise<T> | undefined)?.then === 'function';
}

export class Session {
  readonly operations: Operations;
  readonly holdings: KernelHoldings;
  /** Replies are encoded here, one at a time. */
  readonly scratch = new Frame(Buffer.alloc(SCRATCH_BYTES));
  readonly log: Logger;
  /** Resolves when INIT has been answered, rejects when the kernel and we have no protocol in common. */
  readonly ready: Promise<ConnectionInfo>;
  readonly #options: SessionOptions;
  readonly #channel: Channel;
  readonly #pending = new Map<number, Call>();
  #settleReady!: { resolve(info: ConnectionInfo): void; reject(error: Error): void };
  #initialised = false;
  #ending: Promise<void> | undefined = undefined;
  #idle: (() => void) | undefined = undefined;
  #requests = 0;
  #badFrames = 0;
  readonly #interrupted: InterruptedCalls;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.#channel = options.channel;
    this.operations = options.operations;
    this.log = options.log;
    this.holdings = new KernelHoldings(options.backingCalls);
    this.#interrupted = new InterruptedCalls(options.isEnding ?? isThreadEnding, (call, failure) =>
      this.fail(call, failure),
    );
    this.ready = new Promise((resolve, reject) => {
      this.#settleReady = { resolve, reject };
    });
    // Whoever mounts awaits it; a session that is fed by hand need not.
    this.ready.catch(() => {});
  }

  stats(): SessionStats {
    return {
      requests: this.#requests,
      badFrames: this.#badFrames,
      pending: this.#pending.size,
      nlookup: this.holdings.nlookup,
      nodes: this.holdings.nodes,
      openFiles: this.holdings.files.size,
      openDirectories: this.holdings.directories.size,
      backings: this.holdings.backings.size,
    };
  }

  /** Serves one frame. True when the session keeps it: it then comes back through the channel's giveBack. */
  receive(frame: Frame): boolean {
    this.#requests += 1;
    const header = decodeHeader(frame);
    if (header === undefined || this.#pending.has(uniqueKey(header.uniqueLow, header.uniqueHigh))) {
      this.#badFrames += 1;
      this.log.error({ length: frame.length, header }, 'a frame of the kernel is not a request');
      return false;
    }
    const call = new Call(header);
    const holds = holdsBytes(header.opcode);
    const own = holds && frame.length < SMALL_REQUEST_BYTES;
    const body = own ? new Frame(Buffer.from(frame.bytes.subarray(0, frame.length))) : frame;
    try {
      this.#serve(call, body);
    } catch (error) {
      this.threw(call, error);
    }
    if (!holds || own) return false;
    const isWaiting = call.pending && !call.replied;
    if (!isWaiting && call.kept === undefined) return false;
    call.frame = frame;
    if (!isWaiting) this.#giveBack(call);
    return true;
  }

  #giveBack(call: Call): void {
    const { frame, kept } = call;
    call.frame = undefined;
    if (frame === undefined) return;
    if (kept === undefined) this.#channel.giveBack(frame);
    else void kept.finally(() => this.#channel.giveBack(frame)).catch(() => undefined);
  }

  #serve(call: Call, frame: Frame): void {
    const request = decodeRequest(call.header, frame);
    if (typeof request === 'number') {
      if (request === -errno.EINVAL) {
        this.#badFrames += 1;
        this.log.error({ opcode: call.header.opcode, length: frame.length }, 'a request could not be decoded');
      }
      if (!wantsNoReply(call.header.opcode)) this.fail(call, request);
    } else if (request.op === 'init') {
      this.#init(call, request);
    } else if (request.op === 'interrupt') {
      this.#interrupt(call, request.uniqueLow, request.uniqueHigh);
    } else if (this.#initialised) {
      handle(this, call, request);
    } else if (!wantsNoReply(call.header.opcode)) {
      this.fail(call, -errno.EIO);
    }
  }

  #init(call: Call, request: InitRequest): void {
    if (this.#initialised) {
      this.fail(call, -errno.EIO);
      return;
    }
    if (request.major > PROTOCOL_MAJOR) {
      // The kernel asks again with our major version.
      putSize(this.scratch, OUT_HEADER_BYTES, PROTOCOL_MAJOR);
      this.deliver(call, 8);
      return;
    }
    const { acl = false, backingCalls } = this.#options;
    const reply = negotiate(request, { passthrough: backingCalls !== undefined, acl });
    if (typeof reply === 'number') {
      this.fail(call, reply);
      this.#settleReady.reject(new Error(refusalText(request, reply)));
      return;
    }
    const { privileged, maxRead, notifier } = this.#options;
    const mixed = mixesDirectIo(reply);
    const info = { protocolMinor: reply.minor, maxWrite: reply.maxWrite, maxRead, privileged, mixesDirectIo: mixed };
    this.operations.init?.(info, notifier);
    this.#initialised = true;
    putInit(this.scratch, OUT_HEADER_BYTES, reply);
    this.deliver(call, INIT_OUT_BYTES);
    // The kernel has agreed once it has the reply.
    if (reply.maxStackDepth > 0) this.operations.passthrough?.(this.holdings.backings);
    this.#settleReady.resolve(info);
  }

  /**
   * A request that is not pending here was either answered already, and the kernel drops our EAGAIN, or comes behind its
   * interrupt, and the kernel sends the interrupt again.
   */
  #interrupt(call: Call, low: number, high: number): void {
    const target = this.#pending.get(uniqueKey(low, high));
    if (target === undefined) this.fail(call, -errno.EAGAIN);
    else this.#interrupted.add(target);
  }

  /** Replies with what an operation answered, now or later; `send` encodes its value. */
  settle<T>(call: Call, answer: Answer<T>, send: (session: Session, call: Call, value: T) => void): void {
    if (!isPromise(answer)) {
      if (typeof answer === 'number' && answer < 0) this.fail(call, answer);
      else send(this, call, answer as T);
      return;
    }
    call.pending = true;
    this.#pending.set(call.unique, call);
    answer
      .then((value) => this.settle(call, value, send))
      .catch((error) => this.threw(call, error))
      .finally(() => this.#settled(call));
  }

  #settled(call: Call): void {
    this.#pending.delete(call.unique);
    this.#giveBack(call);
    if (this.#pending.size === 0) this.#idle?.();
  }

  /** The operation failed with an exception, which is a bug of it, not an answer. */
  threw(call: Call, error: unknown): void {
    this.log.error({ err: error, opcode: call.header.opcode, nodeid: call.nodeid }, 'an operation threw');
    if (call.header.opcode === opcode.INIT) this.#settleReady.reject(error as Error);
    if (!call.replied && !wantsNoReply(call.header.opcode)) this.fail(call, -errno.EIO);
  }

  /** Replies with an error. */
  fail(call: Call, failure: Failure): void {
    let error = failure;
    if (!Number.isInteger(failure) || failure >= 0 || failure < -LARGEST_ERRNO) {
      this.log.error({ opcode: call.header.opcode, failure }, 'an operation answered what is no errno');
      error = -errno.EIO;
    }
    this.#takeBackLookups(call);
    this.#write(call, this.scratch, error, OUT_HEADER_BYTES);
  }

  /** Replies with `bodyBytes` of the scratch frame, and the pieces behind them. False when it did not reach the kernel. */
  deliver(call: Call, bodyBytes: number, pieces?: readonly Uint8Array[]): boolean {
    let length = OUT_HEADER_BYTES + bodyBytes;
    this.scratch.length = length;
    if (pieces) for (const piece of pieces) length += piece.length;
    return this.#write(call, this.scratch, 0, length, pieces);
  }

  /** Replies with the entries of the call's sink. */
  deliverSink(call: Call): void {
    const sink = call.sink!;
    const delivered = this.#write(call, sink.frame, 0, sink.frame.length);
    if (delivered) for (const nodeid of sink.lookups) this.holdings.lookedUp(nodeid);
    else this.#takeBackLookups(call);
  }

  #takeBackLookups(call: Call): void {
    // Emptied, not dropped: the operation of a call that was answered with EINTR goes on adding entries.
    for (const nodeid of call.sink?.lookups.splice(0) ?? []) this.operations.forget(nodeid, 1);
  }

  /** A handle whose number never reached the kernel, so that no RELEASE will come for it. */
  giveUpHandle(kind: 'release' | 'releasedir', nodeid: number, fh: number): void {
    void this.#attempt(kind, () => this.operations[kind](nodeid, fh));
  }

  async #attempt(what: string, run: () => unknown): Promise<void> {
    try {
      await run();
    } catch (error) {
      this.log.error({ err: error }, `${what} failed, and nobody waits for it`);
    }
  }

  #write(call: Call, frame: Frame, error: number, length: number, pieces?: readonly Uint8Array[]): boolean {
    if (call.abandoned) return false;
    if (call.replied) throw new Error('a second reply to one request');
    call.replied = true;
    if (this.#ending) return false;
    if (pieces === undefined) frame.length = length;
    const { uniqueLow, uniqueHigh } = call.header;
    putHeader(frame, uniqueLow, uniqueHigh, error, length);
    const result = this.#channel.send(frame, pieces);
    if (result === 0) return true;
    // The caller was killed, or the mount is gone: there is nobody to tell.
    if (result === -errno.ENOENT || result === -errno.ENODEV || result === -ECONNABORTED) return false;
    this.log.error({ opcode: call.header.opcode, length, error: errnoName(result) }, 'the kernel refused a reply');
    if (error === 0) {
      this.scratch.length = putHeader(this.scratch, uniqueLow, uniqueHigh, -errno.EIO, OUT_HEADER_BYTES);
      this.#channel.send(this.scratch);
    }
    return false;
  }

  /** The kernel has let go: waits for what is being served, gives back nodes and handles, and says so. */
  end(): Promise<void> {
    this.#ending ??= this.#finish();
    return this.#ending;
  }

  async #finish(): Promise<void> {
    this.#settleReady.reject(new Error('the connection ended before INIT'));
    this.#interrupted.end();
    for (const call of this.#pending.values()) call.interrupt();
    if (this.#pending.size > 0) {
      await new Promise<void>((resolve) => {
        this.#idle = resolve;
      });
    }
    const { files, directories } = this.holdings;
    await Promise.all([
      ...files.drain().map((open) => this.#attempt('release', () => this.operations.release(open.nodeid, open.fh))),
      ...directories
        .drain()
        .map((open) => this.#attempt('releasedir', () => this.operations.releasedir(open.nodeid, open.fh))),
    ]);
    for (const { nodeid, nlookup } of this.holdings.drainNodes()) {
      await this.#attempt('forget', () => this.operations.forget(nodeid, nlookup));
    }
    this.holdings.backings.end();
    if (this.#initialised) await this.#attempt('destroy', () => this.operations.destroy?.());
  }
}
