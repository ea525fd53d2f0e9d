/**
 * Decorates any ObjectClient with failures: before the work, after it (the lost answer), late, or in the middle of a
 * GET. Rules are matched in order and wear out, so a test says exactly what goes wrong when.
 */
import type * as api from './object-client.js';
import { S3Error, type S3ErrorKind } from './s3-error.js';

export type ClientMethod = Exclude<keyof api.ObjectClient, 'counters' | 'close'>;

export interface ClientFault {
  /** Absent: any. */
  readonly method?: ClientMethod | readonly ClientMethod[];
  /** Absent: any. For copies the destination; for list and listUploads the prefix; for deleteMany the first key. */
  readonly key?: string | RegExp;
  /** How often it strikes; absent: always. */
  readonly times?: number;
  /** Matching calls that are let through first. */
  readonly skip?: number;
  readonly action:
    | { readonly kind: 'fail'; readonly error: S3ErrorKind; readonly details?: { code?: string; etag?: string } }
    /** Does the work, then fails. */
    | { readonly kind: 'lose-answer'; readonly error: S3ErrorKind }
    /** Waits for this promise (or so many ms), then goes on. */
    | { readonly kind: 'delay'; readonly until: Promise<unknown> | number }
    /** A GET that delivers so many bytes and then fails. */
    | { readonly kind: 'truncate'; readonly bytes: number; readonly error: S3ErrorKind }
    /** Runs first: a second writer that lands in between. */
    | { readonly kind: 'call'; readonly before: () => void | Promise<void> };
}

interface ActiveFault {
  readonly fault: ClientFault;
  left: number;
  skip: number;
}

function matches({ method, key }: ClientFault, calledMethod: ClientMethod, calledKey: string): boolean {
  if (method !== undefined && !(typeof method === 'string' ? method === calledMethod : method.includes(calledMethod))) {
    return false;
  }
  return key === undefined || (typeof key === 'string' ? key === calledKey : key.test(calledKey));
}

export class FaultyClient implements api.ObjectClient {
  #faults: ActiveFault[] = [];
  /** Calls that a fault struck. */
  struck = 0;

  constructor(readonly inner: api.ObjectClient) {}

  add(fault: ClientFault): void {
    this.#faults.push({ fault, left: fault.times ?? Number.POSITIVE_INFINITY, skip: fault.skip ?? 0 });
  }

  clear(): void {
    this.#faults = [];
  }

  get counters(): api.RequestCounters {
    return this.inner.counters;
  }

  #strike(method: ClientMethod, key: string): ClientFault['action'] | undefined {
    for (const active of this.#faults) {
      if (active.left <= 0 || !matches(active.fault, method, key)) continue;
      if (active.skip > 0) {
        active.skip--;
        continue;
      }
      active.left--;
      this.struck++;
      return active.fault.action;
    }
    return undefined;
  }

  async #run<T>(method: ClientMethod, key: string, work: () => Promise<T>, get?: api.GetOptions): Promise<T> {
    const action = this.#strike(method, key);
    if (action === undefined) return work();
    const failure = (kind: S3ErrorKind, details = {}) =>
      new S3Error(kind, `${method}: injected ${kind}`, { operation: method, key, ...details });
    switch (action.kind) {
      case 'fail':
        throw failure(action.error, action.details);
      case 'lose-answer':
        await work();
        throw failure(action.error);
      case 'delay':
        await (typeof action.until === 'number' ? pause(action.until, get?.signal) : action.until);
        return work();
      case 'call':
        await action.before();
        return work();
      case 'truncate':
        if (get === undefined) throw new TypeError('truncate is for get');
        await this.#truncate(key, get, action.bytes);
        throw failure(action.error);
    }
  }

  /** Delivers the first bytes only. */
  async #truncate(key: string, options: api.GetOptions, bytes: number): Promise<void> {
    let left = bytes;
    const onData = (piece: Uint8Array) => {
      if (left > 0) options.onData(piece.subarray(0, left));
      left -= piece.length;
    };
    await this.inner.get(key, { ...options, onInfo: options.onInfo?.bind(options), onData });
  }

  head(key: string, options?: api.CallOptions) {
    return this.#run('head', key, () => this.inner.head(key, options));
  }

  get(key: string, options: api.GetOptions) {
    return this.#run('get', key, () => this.inner.get(key, options), options);
  }

  list(options: api.ListOptions) {
    return this.#run('list', options.prefix, () => this.inner.list(options));
  }

  put(key: string, body: Uint8Array, options?: api.PutOptions) {
    return this.#run('put', key, () => this.inner.put(key, body, options));
  }

  createUpload(key: string, options?: api.CreateUploadOptions) {
    return this.#run('createUpload', key, () => this.inner.createUpload(key, options));
  }

  uploadPart(key: string, id: string, number: number, body: Uint8Array, options?: api.CallOptions) {
    return this.#run('uploadPart', key, () => this.inner.uploadPart(key, id, number, body, options));
  }

  uploadPartCopy(key: string, id: string, number: number, source: string, options?: api.PartCopyOptions) {
    return this.#run('uploadPartCopy', key, () => this.inner.uploadPartCopy(key, id, number, source, options));
  }

  completeUpload(key: string, id: string, parts: readonly api.UploadedPart[], options: api.CompleteOptions) {
    return this.#run('completeUpload', key, () => this.inner.completeUpload(key, id, parts, options));
  }

  abortUpload(key: string, uploadId: string, options?: api.CallOptions) {
    return this.#run('abortUpload', key, () => this.inner.abortUpload(key, uploadId, options));
  }

  listUploads(prefix: string, options?: api.CallOptions) {
    return this.#run('listUploads', prefix, () => this.inner.listUploads(prefix, options));
  }

  copy(source: string, destination: string, options?: api.CopyOptions) {
    return this.#run('copy', destination, () => this.inner.copy(source, destination, options));
  }

  delete(key: string, options?: api.CallOptions & { ifMatch?: string }) {
    return this.#run('delete', key, () => this.inner.delete(key, options));
  }

  deleteMany(targets: readonly api.DeleteTarget[], options?: api.CallOptions) {
    const [first] = targets;
    const key = typeof first === 'object' ? first.key : (first ?? '');
    return this.#run('deleteMany', key, () => this.inner.deleteMany(targets, options));
  }

  getTags(key: string, options?: api.CallOptions) {
    return this.#run('getTags', key, () => this.inner.getTags(key, options));
  }

  close(): Promise<void> {
    return this.inner.close();
  }
}

function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal?.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
