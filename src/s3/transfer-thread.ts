/**
 * A thread that receives the bodies of long answers, so that the main thread, which answers the kernel, does not: it runs
 * the same HttpTransport, and hands over what arrives.
 */
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { KiB } from '../constants.js';
import { type BodySink, type HttpHead, HttpTransport } from './http-transport.js';
import { proxyFor } from './proxy.js';
import type { FromThread, ReturnedMemory, ThreadOptions, ToThread } from './transfer-messages.js';
import { TransportError } from './transport-error.js';

/** Handed over at once: each message wakes the main thread. */
const HAND_OVER_BYTES = 256 * KiB;
/** What has arrived is handed over after this, however little it is (ms). */
const HAND_OVER_MS = 2;

const { maxSockets, connectMs, ca, env, returned } = workerData as ThreadOptions & { returned: ReturnedMemory };
const transport = new HttpTransport({
  maxSockets,
  connectMs,
  ca,
  proxyFor: ({ secure, hostname, port }) => proxyFor(secure, hostname, port, env),
});
const underWay = new Map<number, AbortController>();
/** Bodies that are being gathered. */
const gatherings = new Set<Gathering>();

/** What the main thread has not looked at yet is held by so many pieces at most; then nothing more is received. */
const MAX_PIECES = 32;
/** At least this often it is looked whether memory has come back (ms). */
const LOOK_MS = 1_000;
const count = new Int32Array(returned.count);
let pieces = 0;

/** Memory for one piece. Waits for some, and everything in this thread with it: what is sent meanwhile waits in the sockets. */
function takeMemory(): Uint8Array<ArrayBuffer> {
  if (pieces < MAX_PIECES) {
    pieces++;
    return new Uint8Array(HAND_OVER_BYTES);
  }
  for (let isFirst = true; ; isFirst = false) {
    const seen = Atomics.load(count, 0);
    const back = receiveMessageOnPort(returned.port);
    if (back !== undefined) return new Uint8Array(back.message as ArrayBuffer);
    // All of it may be here, in bodies of which little has come.
    if (isFirst) for (const gathering of gatherings) gathering.handOver();
    else Atomics.wait(count, 0, seen, LOOK_MS);
  }
}

function tell(message: FromThread, transferred: ArrayBuffer[] = []): void {
  parentPort?.postMessage(message, transferred);
}

/** The body of one answer, gathered. */
class Gathering {
  readonly #id: number;
  #bytes = new Uint8Array(0);
  #filled = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(id: number) {
    this.#id = id;
  }

  begin(head: HttpHead): BodySink {
    tell({ kind: 'head', id: this.#id, head });
    return (piece) => {
      for (let at = 0; at < piece.length; ) {
        if (this.#filled === this.#bytes.length) {
          this.handOver();
          this.#bytes = takeMemory();
        }
        const next = Math.min(piece.length, at + this.#bytes.length - this.#filled);
        this.#bytes.set(piece.subarray(at, next), this.#filled);
        this.#filled += next - at;
        at = next;
      }
      this.#timer ??= setTimeout(() => this.handOver(), HAND_OVER_MS);
    };
  }

  handOver(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#filled === 0) return;
    const bytes = this.#bytes.subarray(0, this.#filled);
    tell({ kind: 'bytes', id: this.#id, bytes }, [this.#bytes.buffer]);
    this.#bytes = new Uint8Array(0);
    this.#filled = 0;
  }
}

async function run({ id, request }: Extract<ToThread, { kind: 'begin' }>): Promise<void> {
  const abort = new AbortController();
  underWay.set(id, abort);
  const gathering = new Gathering(id);
  gatherings.add(gathering);
  try {
    await transport.exchange({ ...request, signal: abort.signal }, (head) => gathering.begin(head));
    gathering.handOver();
    tell({ kind: 'end', id });
  } catch (error) {
    gathering.handOver();
    const { failure, message, cause } = error as TransportError;
    const code = (cause as NodeJS.ErrnoException | undefined)?.code;
    tell({ kind: 'failed', id, failure: error instanceof TransportError ? failure : 'broken', message, code });
  } finally {
    underWay.delete(id);
    gatherings.delete(gathering);
  }
}

parentPort?.on('message', (message: ToThread) => {
  if (message.kind === 'begin') void run(message);
  else underWay.get(message.id)?.abort();
});
