/** The multipart half of MemoryClient, with AWS's rules: part sizes, order, and 409 when the key was written meanwhile. */
import { MAX_PARTS, MIN_PART_BYTES } from '../constants.js';
import { md5Etag, multipartEtag } from './etag.js';
import { compareKeys } from './key.js';
import type { MemoryClient } from './memory-client.js';
import { type StoredAttributes, storedAttributes } from './memory-object.js';
import type * as api from './object-client.js';

interface Upload {
  readonly key: string;
  readonly initiated: number;
  readonly attributes: StoredAttributes;
  readonly parts: Map<number, { body: Uint8Array; etag: string }>;
  /** Somebody wrote or deleted the key since Create. */
  overtaken: boolean;
}

const COMPLETE = 'CompleteMultipartUpload';

export class MemoryUploads {
  readonly #uploads = new Map<string, Upload>();
  /** Complete may be repeated: what it answered, by upload. */
  readonly #completed = new Map<string, { key: string; reply: api.WriteReply }>();
  #next = 1;

  constructor(readonly client: MemoryClient) {}

  async create(key: string, options: api.CallOptions & api.WriteAttributes): Promise<string> {
    this.client.checkAttributes('CreateMultipartUpload', key, options);
    await this.client.begin('CreateMultipartUpload', key, options);
    const id = `upload-${this.#next++}`;
    const attributes = storedAttributes(options);
    this.#uploads.set(id, { key, initiated: this.client.date(), attributes, parts: new Map(), overtaken: false });
    return id;
  }

  addPart(operation: string, key: string, uploadId: string, number: number, body: Uint8Array): api.UploadedPart {
    const upload = this.#find(operation, key, uploadId);
    if (!Number.isInteger(number) || number < 1 || number > MAX_PARTS) {
      throw this.client.fail('InvalidRequest', operation, key);
    }
    const etag = md5Etag(body);
    upload.parts.set(number, { body, etag });
    return { number, etag, size: body.length };
  }

  async complete(
    key: string,
    uploadId: string,
    parts: readonly api.UploadedPart[],
    options: api.CompleteOptions,
  ): Promise<api.WriteReply> {
    await this.client.begin(COMPLETE, key, options);
    const before = this.#completed.get(uploadId);
    if (before !== undefined && before.key === key) return before.reply;
    const upload = this.#find(COMPLETE, key, uploadId);
    const bodies = this.#assemble(upload, parts);
    const body = Buffer.concat(bodies);
    if (body.length !== options.size) throw this.client.fail('InvalidRequest', COMPLETE, key);
    this.client.checkWrite(COMPLETE, key, options);
    const conditional = options.ifMatch !== undefined || options.ifAbsent;
    if (conditional && upload.overtaken) throw this.client.fail('ConditionalConflict', COMPLETE, key);
    this.#uploads.delete(uploadId);
    const etag = multipartEtag(parts.map((part) => part.etag))!;
    const reply = this.client.store(key, new Uint8Array(body), etag, upload.attributes);
    this.#completed.set(uploadId, { key, reply });
    return reply;
  }

  abort(key: string, uploadId: string): void {
    if (this.#uploads.get(uploadId)?.key === key) this.#uploads.delete(uploadId);
  }

  list(prefix: string): api.PendingUpload[] {
    return [...this.#uploads]
      .filter(([, { key }]) => key.startsWith(prefix))
      .map(([uploadId, { key, initiated }]) => ({ key, uploadId, initiated }))
      .sort((a, b) => compareKeys(a.key, b.key) || a.initiated - b.initiated);
  }

  /** An object came, changed or went under this key. */
  written(key: string): void {
    for (const upload of this.#uploads.values()) if (upload.key === key) upload.overtaken = true;
  }

  #find(operation: string, key: string, uploadId: string): Upload {
    const upload = this.#uploads.get(uploadId);
    if (upload === undefined || upload.key !== key) throw this.client.fail('NotFound', operation, key);
    return upload;
  }

  #assemble(upload: Upload, parts: readonly api.UploadedPart[]): Uint8Array[] {
    if (parts.length === 0) throw this.client.fail('InvalidRequest', COMPLETE, upload.key);
    return parts.map((part, i) => {
      const stored = upload.parts.get(part.number);
      const ordered = i === 0 || part.number > parts[i - 1].number;
      const small = i < parts.length - 1 && (stored?.body.length ?? 0) < MIN_PART_BYTES;
      if (stored === undefined || stored.etag !== part.etag || !ordered || small) {
        throw this.client.fail('InvalidRequest', COMPLETE, upload.key);
      }
      return stored.body;
    });
  }
}
