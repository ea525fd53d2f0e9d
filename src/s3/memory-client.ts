/**
 * ObjectClient in memory: the fake for unit tests and models, with S3's semantics as the rest of pailfs relies on
 * them (byte order, whole-second dates, ETags that follow content, conditions, multipart rules). It does what AWS
 * does; nothing is lenient, so that code which passes here meets no surprise there.
 */
import { type Clock, systemClock } from '../clock.js';
import { crc32 } from './crc32.js';
import { md5Etag } from './etag.js';
import { compareKeys } from './key.js';
import { type StoredAttributes, type StoredObject, storedAttributes } from './memory-object.js';
import { MemoryUploads } from './memory-uploads.js';
import type * as api from './object-client.js';
import { pushAttributes } from './object-headers.js';
import { isS3Error, S3Error, type S3ErrorKind } from './s3-error.js';

export class MemoryClient implements api.ObjectClient {
  readonly objects = new Map<string, StoredObject>();
  readonly uploads: MemoryUploads;
  /** Whether listings tell metadata, as MinIO's do; AWS's do not. */
  listsMetadata = false;
  readonly #requests: Record<string, number> = {};
  #errors = 0;
  #received = 0;
  #sent = 0;
  #closed = false;
  /** Keys in order; undefined after a key came or went. */
  #order: string[] | undefined;

  constructor(readonly clock: Clock = systemClock) {
    this.uploads = new MemoryUploads(this);
  }

  get counters(): api.RequestCounters {
    const requests = { ...this.#requests };
    return { requests, retries: 0, errors: this.#errors, bytesReceived: this.#received, bytesSent: this.#sent };
  }

  /** Counts a request; every call goes through here, so that each is asynchronous like a real one. */
  async begin(operation: string, key: string | undefined, options?: api.CallOptions, sent = 0): Promise<void> {
    await Promise.resolve();
    if (this.#closed || options?.signal?.aborted) throw this.fail('Aborted', operation, key);
    this.#requests[operation] = (this.#requests[operation] ?? 0) + 1;
    this.#sent += sent;
  }

  fail(kind: S3ErrorKind, operation: string, key: string | undefined, etag?: string): S3Error {
    this.#errors++;
    return new S3Error(kind, `${operation}: ${kind}`, { operation, key, etag });
  }

  /** Now, in whole seconds. */
  date(): number {
    return Math.floor(this.clock.now() / 1000) * 1000;
  }

  find(operation: string, key: string): StoredObject {
    const found = this.objects.get(key);
    if (found === undefined) throw this.fail('NotFound', operation, key);
    return found;
  }

  checkWrite(operation: string, key: string, condition: api.WriteCondition): void {
    const stands = this.objects.get(key);
    if (condition.ifMatch !== undefined) {
      if (stands === undefined) throw this.fail('NotFound', operation, key);
      if (stands.etag !== condition.ifMatch) throw this.fail('PreconditionFailed', operation, key, stands.etag);
    } else if (condition.ifAbsent && stands !== undefined) {
      throw this.fail('PreconditionFailed', operation, key, stands.etag);
    }
  }

  store(key: string, body: Uint8Array, etag: string, attributes: StoredAttributes): api.WriteReply {
    if (!this.objects.has(key)) this.#order = undefined;
    this.objects.set(key, { body, etag, lastModified: this.date(), ...attributes });
    this.uploads.written(key);
    return { etag, date: this.date() };
  }

  /** What a header cannot carry is refused as on the wire. */
  checkAttributes(operation: string, key: string, attributes: api.WriteAttributes): void {
    pushAttributes(operation, key, [], attributes);
  }

  #info(key: string, object: StoredObject): api.ObjectInfo {
    const { etag, body, lastModified, headers, metadata, tags, encryption } = object;
    const archived = headers.storageClass === 'GLACIER' || headers.storageClass === 'DEEP_ARCHIVE';
    const copied = { headers: { ...headers }, metadata: { ...metadata } };
    return {
      key,
      etag,
      size: body.length,
      lastModified,
      ...copied,
      tagCount: tags.length,
      encryption,
      archived,
      date: this.date(),
    };
  }

  async head(key: string, options?: api.CallOptions): Promise<api.ObjectInfo> {
    await this.begin('HeadObject', key, options);
    return this.#info(key, this.find('HeadObject', key));
  }

  async get(key: string, options: api.GetOptions): Promise<api.ObjectInfo> {
    const { start = 0, end, ifMatch, ifNoneMatch } = options;
    await this.begin('GetObject', key, options);
    if (start < 0 || (end !== undefined && end < start)) throw this.fail('InvalidRequest', 'GetObject', key);
    const object = this.find('GetObject', key);
    if (ifMatch !== undefined && ifMatch !== object.etag) {
      throw this.fail('PreconditionFailed', 'GetObject', key, object.etag);
    }
    if (ifMatch === undefined && ifNoneMatch === object.etag) {
      throw this.fail('NotModified', 'GetObject', key, object.etag);
    }
    const info = this.#info(key, object);
    if (info.archived) throw this.fail('Archived', 'GetObject', key);
    options.onInfo?.(info);
    const body = object.body.subarray(start, end);
    if (body.length > 0) {
      this.#received += body.length;
      options.onData(body);
    }
    return info;
  }

  async list(options: api.ListOptions): Promise<api.ListPage> {
    const { prefix, delimiter, maxKeys = 1000 } = options;
    await this.begin('ListObjectsV2', undefined, options);
    this.#order ??= [...this.objects.keys()].sort(compareKeys);
    const after = options.token ?? options.startAfter;
    const objects: api.ListedObject[] = [];
    const prefixes: string[] = [];
    let last: string | undefined;
    for (const key of this.#order) {
      if (!key.startsWith(prefix)) continue;
      const cut = delimiter ? key.indexOf(delimiter, prefix.length) : -1;
      const entry = cut < 0 ? key : key.slice(0, cut + delimiter!.length);
      if (entry === last || (after !== undefined && compareKeys(entry, after) <= 0)) continue;
      if (objects.length + prefixes.length >= Math.min(maxKeys, 1000)) {
        return { objects, prefixes, nextToken: last, date: this.date() };
      }
      last = entry;
      if (cut >= 0) prefixes.push(entry);
      else {
        const { etag, body, lastModified, headers, metadata } = this.objects.get(key)!;
        const storageClass = headers.storageClass ?? 'STANDARD';
        const told = options.metadata && this.listsMetadata ? { metadata: { ...metadata } } : {};
        objects.push({ key, etag, size: body.length, lastModified, storageClass, ...told });
      }
    }
    return { objects, prefixes, date: this.date() };
  }

  async put(key: string, body: Uint8Array, options: api.PutOptions = {}): Promise<api.WriteReply> {
    const copy = Uint8Array.from(body);
    this.checkAttributes('PutObject', key, options);
    await this.begin('PutObject', key, options, copy.length);
    this.checkWrite('PutObject', key, options);
    return this.store(key, copy, md5Etag(copy), storedAttributes(options));
  }

  async createUpload(key: string, options: api.CreateUploadOptions = {}): Promise<string> {
    return this.uploads.create(key, options);
  }

  async uploadPart(
    key: string,
    uploadId: string,
    number: number,
    body: Uint8Array,
    options?: api.CallOptions,
  ): Promise<api.UploadedPart> {
    const copy = Uint8Array.from(body);
    await this.begin('UploadPart', key, options, copy.length);
    return { ...this.uploads.addPart('UploadPart', key, uploadId, number, copy), crc32: crc32(copy) };
  }

  async uploadPartCopy(
    key: string,
    uploadId: string,
    number: number,
    source: string,
    options: api.PartCopyOptions = {},
  ): Promise<api.UploadedPart> {
    await this.begin('UploadPartCopy', key, options);
    const from = this.find('UploadPartCopy', source);
    if (options.sourceIfMatch !== undefined && options.sourceIfMatch !== from.etag) {
      throw this.fail('PreconditionFailed', 'UploadPartCopy', key, from.etag);
    }
    if ((options.end ?? 0) > from.body.length) throw this.fail('InvalidRequest', 'UploadPartCopy', key);
    const piece = from.body.slice(options.start, options.end);
    return this.uploads.addPart('UploadPartCopy', key, uploadId, number, piece);
  }

  async completeUpload(
    key: string,
    uploadId: string,
    parts: readonly api.UploadedPart[],
    options: api.CompleteOptions,
  ): Promise<api.WriteReply> {
    return this.uploads.complete(key, uploadId, parts, options);
  }

  async abortUpload(key: string, uploadId: string, options?: api.CallOptions): Promise<void> {
    await this.begin('AbortMultipartUpload', key, options);
    this.uploads.abort(key, uploadId);
  }

  async listUploads(prefix: string, options?: api.CallOptions): Promise<api.PendingUpload[]> {
    await this.begin('ListMultipartUploads', undefined, options);
    return this.uploads.list(prefix);
  }

  async copy(source: string, destination: string, options: api.CopyOptions = {}): Promise<api.WriteReply> {
    const operation = 'CopyObject';
    const { replace, sourceIfMatch, sourceIfUnmodifiedSince } = options;
    if (replace !== undefined) this.checkAttributes(operation, destination, replace);
    await this.begin(operation, destination, options);
    const from = this.find(operation, source);
    const unmodified = sourceIfUnmodifiedSince === undefined || from.lastModified <= sourceIfUnmodifiedSince;
    // S3: a source If-Match that holds beats If-Unmodified-Since.
    const holds = sourceIfMatch === undefined ? unmodified : sourceIfMatch === from.etag;
    if (!holds) throw this.fail('PreconditionFailed', operation, destination, from.etag);
    this.checkWrite(operation, destination, options);
    if (replace === undefined && source === destination) throw this.fail('InvalidRequest', operation, destination);
    const { storageClass: _, ...headers } = from.headers;
    const kept = { headers, metadata: from.metadata, tags: from.tags };
    const attributes = replace === undefined ? kept : { ...storedAttributes(replace), tags: replace.tags ?? from.tags };
    const encryption = options.encryption ?? replace?.encryption;
    return this.store(destination, from.body, md5Etag(from.body), { ...attributes, encryption });
  }

  async delete(key: string, options: api.CallOptions & { ifMatch?: string } = {}): Promise<void> {
    await this.begin('DeleteObject', key, options);
    if (options.ifMatch !== undefined) this.checkWrite('DeleteObject', key, options);
    this.#remove(key);
  }

  async deleteMany(targets: readonly api.DeleteTarget[], options?: api.CallOptions): Promise<api.DeleteFailure[]> {
    const failures: api.DeleteFailure[] = [];
    for (let at = 0; at < targets.length; at += 1000) {
      await this.begin('DeleteObjects', undefined, options);
      for (const target of targets.slice(at, at + 1000)) {
        const { key, ifMatch } = typeof target === 'string' ? { key: target } : target;
        try {
          if (ifMatch !== undefined) this.checkWrite('DeleteObjects', key, { ifMatch });
          this.#remove(key);
        } catch (error) {
          if (!isS3Error(error)) throw error;
          if (error.kind !== 'NotFound') failures.push({ key, error });
        }
      }
    }
    return failures;
  }

  #remove(key: string): void {
    if (!this.objects.delete(key)) return;
    this.#order = undefined;
    this.uploads.written(key);
  }

  async getTags(key: string, options?: api.CallOptions): Promise<Array<[string, string]>> {
    await this.begin('GetObjectTagging', key, options);
    return this.find('GetObjectTagging', key).tags.map(([name, value]) => [name, value]);
  }

  async close(): Promise<void> {
    this.#closed = true;
  }
}
