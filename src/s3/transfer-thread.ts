/**
 * A thread that receives the bodies of long answers, so that the main thread, which answers the kernel, does not: it runs
 * the same HttpTransport, and hands over what arrives.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { KiB } from '../constants.js';
import { type BodySink, type HttpHead, HttpTransport } from './http-transport.js';
import { proxyFor } from './proxy.js';
import type { FromThread, ThreadOptions, ToThread } from './transfer-messages.js';
import { TransportError } from './transport-error.js';

/** Handed over at once: each message wakes the main thread. */
const HAND_OVER_BYTES = 256 * KiB;
/** What has arrived is handed over after this, however little it is (ms). */
const HAND_OVER_MS = 2;

const { maxSockets, connectMs, ca, env } = workerData as ThreadOptions;
const transport = new HttpTransport({
  maxSockets,
  connectMs,
  ca,
  proxyFor: ({ secure, hostname, port }) => proxyFor(secure, hostname, port, env),
});
const underWay = new Map<number, AbortController>();

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
      if (this.#filled + piece.length > this.#bytes.length) {
        this.handOver();
        this.#bytes = new Uint8Array(Math.max(piece.length, HAND_OVER_BYTES));
      }
      this.#bytes.set(piece, this.#filled);
      this.#filled += piece.length;
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
  }
}

parentPort?.on('message', (message: ToThread) => {
  if (message.kind === 'begin') void run(message);
  else underWay.get(message.id)?.abort();
});
