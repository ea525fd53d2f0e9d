/** What the server has been asked, for tests that count requests. A request counts when it arrives. */
import type { EmbeddedRequests } from './api.js';
import type { S3Request } from './request.js';

const KEPT = 10_000;

interface Line {
  operation: string;
  key: string;
  /** 0: no answer, or not yet. */
  status: number;
  range?: string;
}

export class RequestCount implements EmbeddedRequests {
  #byOperation: Record<string, number> = {};
  #log: Line[] = [];
  #running = 0;
  #waiting: Array<() => void> = [];
  total = 0;
  bytesReceived = 0;
  bytesSent = 0;

  get byOperation(): Readonly<Record<string, number>> {
    return { ...this.#byOperation };
  }

  get log(): ReadonlyArray<Line> {
    return this.#log.slice(-KEPT);
  }

  reset(): void {
    this.#byOperation = {};
    this.#log = [];
    this.total = 0;
    this.bytesReceived = 0;
    this.bytesSent = 0;
  }

  begin(): CountedRequest {
    this.#running++;
    return new CountedRequest(this);
  }

  /** Resolves when no request is being handled. */
  idle(): Promise<void> {
    return this.#running === 0 ? Promise.resolve() : new Promise((resolve) => this.#waiting.push(resolve));
  }

  add(line: Line): void {
    this.total++;
    this.#byOperation[line.operation] = (this.#byOperation[line.operation] ?? 0) + 1;
    this.#log.push(line);
    if (this.#log.length > 2 * KEPT) this.#log = this.#log.slice(-KEPT);
  }

  end(sent: number, received: number): void {
    this.bytesSent += sent;
    this.bytesReceived += received;
    if (--this.#running > 0) return;
    for (const wake of this.#waiting.splice(0)) wake();
  }
}

export class CountedRequest {
  readonly #count: RequestCount;
  #line: Line | undefined;
  sent = 0;

  constructor(count: RequestCount) {
    this.#count = count;
  }

  name({ operation, key, headers }: S3Request): void {
    this.#line = { operation, key, status: 0 };
    if (headers.range !== undefined) this.#line.range = headers.range;
    this.#count.add(this.#line);
  }

  set status(status: number) {
    if (this.#line) this.#line.status = status;
  }

  end(received: number): void {
    this.#count.end(this.sent, received);
  }
}
