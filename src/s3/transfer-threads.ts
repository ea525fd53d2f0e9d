/**
 * Exchanges whose answer is long run in threads of their own (transfer-thread.ts), all others here. Bodies that are sent
 * stay here too: they would have to be copied.
 */
import { MessageChannel, Worker } from 'node:worker_threads';
import { MiB } from '../constants.js';
import type { BodySink, HttpHead, HttpRequest, HttpTransport, Transport } from './http-transport.js';
import type { FromThread, ReturnedMemory, ThreadOptions, ToThread } from './transfer-messages.js';
import { TransportError } from './transport-error.js';

/** From so many bytes on an answer is worth the messages. */
const LONG_ANSWER_BYTES = 1 * MiB;
/** Of JavaScript objects in a thread: it holds pieces of bodies only until they are handed over. */
const THREAD_HEAP_MIB = 64;

/** One exchange in a thread. */
interface Job {
  readonly onHead: (head: HttpHead) => BodySink;
  readonly end: (error: unknown, head?: HttpHead) => void;
  sink: BodySink | undefined;
  head: HttpHead | undefined;
}

class Thread {
  readonly worker: Worker;
  readonly jobs = new Map<number, Job>();
  readonly #memory = new MessageChannel();
  readonly #returned = new Int32Array(new SharedArrayBuffer(4));

  constructor(script: URL, options: ThreadOptions) {
    const returned: ReturnedMemory = { port: this.#memory.port2, count: this.#returned.buffer as SharedArrayBuffer };
    this.worker = new Worker(script, {
      workerData: { ...options, returned },
      transferList: [this.#memory.port2],
      resourceLimits: { maxYoungGenerationSizeMb: 2, maxOldGenerationSizeMb: THREAD_HEAP_MIB },
    });
    this.worker.unref();
  }

  tell(message: ToThread): void {
    this.worker.postMessage(message);
  }

  giveBack(memory: ArrayBuffer): void {
    this.#memory.port1.postMessage(memory, [memory]);
    Atomics.add(this.#returned, 0, 1);
    Atomics.notify(this.#returned, 0);
  }

  begin(id: number, job: Job): void {
    if (this.jobs.size === 0) this.worker.ref();
    this.jobs.set(id, job);
  }

  /** What it still tells of the exchange is heard by nobody. */
  end(id: number): void {
    this.jobs.delete(id);
    if (this.jobs.size === 0) this.worker.unref();
  }
}

export class TransferThreads implements Transport {
  readonly #own: HttpTransport;
  readonly #options: ThreadOptions;
  readonly #threads: Array<Thread | undefined>;
  #nextId = 0;
  #received = 0;
  #closed = false;

  /**
   * @param own for everything else
   * @param count of threads, each of which is begun when it is needed
   * @param options of each
   * @param script what they run, for tests
   */
  constructor(
    own: HttpTransport,
    count: number,
    options: ThreadOptions,
    readonly longBytes = LONG_ANSWER_BYTES,
    readonly script = new URL('./transfer-thread.js', import.meta.url),
  ) {
    this.#own = own;
    this.#options = options;
    this.#threads = new Array(count).fill(undefined);
  }

  get bytesReceived(): number {
    return this.#own.bytesReceived + this.#received;
  }

  get bytesSent(): number {
    return this.#own.bytesSent;
  }

  exchange(request: HttpRequest, onHead: (head: HttpHead) => BodySink): Promise<HttpHead> {
    const { body, expectBytes = 0, signal } = request;
    if (body !== undefined || expectBytes < this.longBytes) return this.#own.exchange(request, onHead);
    if (this.#closed) return Promise.reject(new TransportError('aborted', 'the client is closed'));
    if (signal?.aborted) return Promise.reject(new TransportError('aborted', 'aborted'));
    return this.#inThread(request, onHead);
  }

  #inThread(request: HttpRequest, onHead: (head: HttpHead) => BodySink): Promise<HttpHead> {
    const { signal, body: _, ...rest } = request;
    const id = this.#nextId++;
    const thread = this.#leastBusy();
    return new Promise((resolve, reject) => {
      const onAbort = (): void => this.#giveUp(thread, id, new TransportError('aborted', 'aborted'));
      const end = (error: unknown, head?: HttpHead): void => {
        signal?.removeEventListener('abort', onAbort);
        thread.end(id);
        if (head !== undefined) resolve(head);
        else reject(error);
      };
      signal?.addEventListener('abort', onAbort);
      thread.begin(id, { onHead, end, sink: undefined, head: undefined });
      thread.tell({ kind: 'begin', id, request: rest });
    });
  }

  #leastBusy(): Thread {
    let best = 0;
    const load = (at: number): number => this.#threads[at]?.jobs.size ?? 0;
    for (let at = 1; at < this.#threads.length; at++) if (load(at) < load(best)) best = at;
    const present = this.#threads[best];
    if (present !== undefined) return present;
    const thread = new Thread(this.script, this.#options);
    this.#threads[best] = thread;
    thread.worker.on('message', (message: FromThread) => this.#hear(thread, message));
    // It takes its exchanges along; the next one begins another.
    thread.worker.on('error', (error) => this.#lost(thread, error));
    thread.worker.on('exit', () => this.#lost(thread, undefined));
    return thread;
  }

  #hear(thread: Thread, message: FromThread): void {
    const job = thread.jobs.get(message.id);
    try {
      if (job !== undefined) this.#take(job, message);
    } catch (error) {
      // What the head or a piece of the body was refused for.
      this.#giveUp(thread, message.id, error);
    }
    if (message.kind === 'bytes') thread.giveBack(message.bytes.buffer as ArrayBuffer);
  }

  #take(job: Job, message: FromThread): void {
    if (message.kind === 'head') {
      job.head = message.head;
      job.sink = job.onHead(message.head);
    } else if (message.kind === 'bytes') {
      const { buffer, byteOffset, length } = message.bytes;
      this.#received += length;
      job.sink!(Buffer.from(buffer, byteOffset, length));
    } else if (message.kind === 'end') job.end(undefined, job.head);
    else {
      const { failure, message: text, code } = message;
      job.end(new TransportError(failure, text, Object.assign(new Error(text), { code })));
    }
  }

  #giveUp(thread: Thread, id: number, error: unknown): void {
    thread.tell({ kind: 'abort', id });
    thread.jobs.get(id)?.end(error);
  }

  #lost(thread: Thread, error: unknown): void {
    const at = this.#threads.indexOf(thread);
    if (at < 0) return;
    this.#threads[at] = undefined;
    const why = error instanceof Error ? `: ${error.message}` : '';
    for (const job of [...thread.jobs.values()])
      job.end(new TransportError('broken', `the thread of the transfer ended${why}`, error));
  }

  close(): void {
    this.#closed = true;
    this.#own.close();
    for (const thread of this.#threads) {
      if (thread === undefined) continue;
      for (const job of [...thread.jobs.values()]) job.end(new TransportError('aborted', 'the client is closed'));
      void thread.worker.terminate();
    }
  }
}
