/**
 * Decorates any ObjectClient so that somebody hears which keys it changes: right before each change is sent, and when it
 * has ended, however that was. What was asked of the store in between may have seen the change or not.
 */
import type * as api from './object-client.js';

type Presign = (key: string, seconds: number) => Promise<string>;

export class WatchedClient implements api.ObjectClient {
  /** Where the client can make presigned addresses. */
  readonly presign: Presign | undefined;
  readonly #inner: api.ObjectClient;
  readonly #onChange: (key: string) => void;

  constructor(inner: api.ObjectClient, onChange: (key: string) => void) {
    this.#inner = inner;
    this.presign = (inner as { presign?: Presign }).presign?.bind(inner);
    this.#onChange = onChange;
  }

  async #changing<T>(keys: readonly string[], work: () => Promise<T>): Promise<T> {
    for (const key of keys) this.#onChange(key);
    try {
      return await work();
    } finally {
      for (const key of keys) this.#onChange(key);
    }
  }

  get counters(): api.RequestCounters {
    return this.#inner.counters;
  }

  head(key: string, options?: api.CallOptions) {
    return this.#inner.head(key, options);
  }

  get(key: string, options: api.GetOptions) {
    return this.#inner.get(key, options);
  }

  list(options: api.ListOptions) {
    return this.#inner.list(options);
  }

  put(key: string, body: Uint8Array, options?: api.PutOptions) {
    return this.#changing([key], () => this.#inner.put(key, body, options));
  }

  createUpload(key: string, options?: api.CreateUploadOptions) {
    return this.#inner.createUpload(key, options);
  }

  uploadPart(key: string, id: string, number: number, body: Uint8Array, options?: api.CallOptions) {
    return this.#inner.uploadPart(key, id, number, body, options);
  }

  uploadPartCopy(key: string, id: string, number: number, source: string, options?: api.PartCopyOptions) {
    return this.#inner.uploadPartCopy(key, id, number, source, options);
  }

  completeUpload(key: string, id: string, parts: readonly api.UploadedPart[], options: api.CompleteOptions) {
    return this.#changing([key], () => this.#inner.completeUpload(key, id, parts, options));
  }

  abortUpload(key: string, uploadId: string, options?: api.CallOptions) {
    return this.#inner.abortUpload(key, uploadId, options);
  }

  listUploads(prefix: string, options?: api.CallOptions) {
    return this.#inner.listUploads(prefix, options);
  }

  copy(source: string, destination: string, options?: api.CopyOptions) {
    return this.#changing([destination], () => this.#inner.copy(source, destination, options));
  }

  delete(key: string, options?: api.CallOptions & { ifMatch?: string }) {
    return this.#changing([key], () => this.#inner.delete(key, options));
  }

  deleteMany(targets: readonly api.DeleteTarget[], options?: api.CallOptions) {
    const keys = targets.map((target) => (typeof target === 'string' ? target : target.key));
    return this.#changing(keys, () => this.#inner.deleteMany(targets, options));
  }

  getTags(key: string, options?: api.CallOptions) {
    return this.#inner.getTags(key, options);
  }

  close(): Promise<void> {
    return this.#inner.close();
  }
}
