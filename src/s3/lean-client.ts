/**
 * The real ObjectClient: S3 over the lean request path. What an operation does stands in the file of its noun; this
 * one joins them and adds what needs the bucket's name.
 */
import { deleteObject, deleteObjects } from './deleting.js';
import type { Endpoint } from './endpoint.js';
import { encodeKey } from './key.js';
import { listObjects } from './listing.js';
import { abortUpload, completeUpload, createUpload, listUploads, uploadPart, uploadPartCopy } from './multipart.js';
import type {
  CallOptions,
  CompleteOptions,
  CopyOptions,
  CreateUploadOptions,
  DeleteFailure,
  DeleteTarget,
  GetOptions,
  ListOptions,
  ListPage,
  ObjectClient,
  ObjectInfo,
  PartCopyOptions,
  PendingUpload,
  PutOptions,
  RequestCounters,
  UploadedPart,
  WriteReply,
} from './object-client.js';
import { type Probe, probeBucket } from './probe.js';
import { getObject, getTags, headObject } from './reading.js';
import type { RequestSender } from './request-sender.js';
import { S3Error } from './s3-error.js';
import { copyObject, putObject, type WriteDefaults } from './writing.js';

export class LeanClient implements ObjectClient {
  constructor(
    readonly bucket: string,
    readonly sender: RequestSender,
    readonly defaults: WriteDefaults,
  ) {}

  /** Where requests go now; changes when the bucket turns out to be in another region. */
  get endpoint(): Endpoint {
    return this.sender.endpoint;
  }

  get counters(): RequestCounters {
    const { requests, retries, errors, options } = this.sender;
    const { bytesReceived, bytesSent } = options.transport;
    return { requests, retries, errors, bytesReceived, bytesSent };
  }

  /** Whether the bucket answers and what is denied; see probe.ts. */
  probe(prefix: string, options?: CallOptions): Promise<Probe> {
    return probeBucket(this.sender, this.bucket, prefix, options);
  }

  head(key: string, options?: CallOptions): Promise<ObjectInfo> {
    return headObject(this.sender, key, options);
  }

  get(key: string, options: GetOptions): Promise<ObjectInfo> {
    return getObject(this.sender, key, options);
  }

  list(options: ListOptions): Promise<ListPage> {
    return listObjects(this.sender, options);
  }

  put(key: string, body: Uint8Array, options?: PutOptions): Promise<WriteReply> {
    return putObject(this.sender, this.defaults, key, body, options);
  }

  createUpload(key: string, options?: CreateUploadOptions): Promise<string> {
    return createUpload(this.sender, this.defaults, key, options);
  }

  uploadPart(
    key: string,
    uploadId: string,
    number: number,
    body: Uint8Array,
    options?: CallOptions,
  ): Promise<UploadedPart> {
    return uploadPart(this.sender, key, uploadId, number, body, options);
  }

  async uploadPartCopy(
    key: string,
    uploadId: string,
    number: number,
    source: string,
    options: PartCopyOptions = {},
  ): Promise<UploadedPart> {
    let sourceSize = options.end ?? 0;
    let { sourceIfMatch } = options;
    if (options.end === undefined) {
      // The size of what is copied is part of the answer, so it has to be the size of this very version.
      const info = await headObject(this.sender, source, { signal: options.signal });
      sourceSize = info.size;
      sourceIfMatch ??= info.etag;
    }
    const target = { key, uploadId, number };
    return uploadPartCopy(this.sender, this.bucket, target, source, { ...options, sourceIfMatch, sourceSize });
  }

  completeUpload(
    key: string,
    uploadId: string,
    parts: readonly UploadedPart[],
    options: CompleteOptions,
  ): Promise<WriteReply> {
    return completeUpload(this.sender, key, uploadId, parts, options);
  }

  abortUpload(key: string, uploadId: string, options?: CallOptions): Promise<void> {
    return abortUpload(this.sender, key, uploadId, options);
  }

  listUploads(prefix: string, options?: CallOptions): Promise<PendingUpload[]> {
    return listUploads(this.sender, prefix, options);
  }

  copy(source: string, destination: string, options?: CopyOptions): Promise<WriteReply> {
    return copyObject(this.sender, this.bucket, this.defaults, source, destination, options);
  }

  delete(key: string, options?: CallOptions & { ifMatch?: string }): Promise<void> {
    return deleteObject(this.sender, key, options);
  }

  deleteMany(targets: readonly DeleteTarget[], options?: CallOptions): Promise<DeleteFailure[]> {
    return deleteObjects(this.sender, targets, options);
  }

  getTags(key: string, options?: CallOptions): Promise<Array<[string, string]>> {
    return getTags(this.sender, key, options);
  }

  /** A URL that anyone may GET for so many seconds (at most 604,800, and no longer than the credentials live). */
  async presign(key: string, expiresSeconds: number): Promise<string> {
    const { sender } = this;
    const { endpoint } = sender;
    const path = `${endpoint.basePath}/${encodeKey(key)}`;
    const base = `${endpoint.secure ? 'https' : 'http'}://${endpoint.host}${path}`;
    if (sender.options.mountHeaders?.hasCustomerKey) {
      const details = { operation: 'Presign', key };
      throw new S3Error('NotImplemented', 'Presign: a URL cannot carry the key of sse-c', details);
    }
    const credentials = await sender.options.credentials.get();
    if (credentials === undefined) return base;
    if (!Number.isInteger(expiresSeconds) || expiresSeconds < 1 || expiresSeconds > 604_800) {
      const details = { operation: 'Presign', key };
      throw new S3Error('InvalidRequest', 'Presign: a URL lives 1 to 604,800 seconds', details);
    }
    const { signer } = sender;
    const query = signer.presign(endpoint.host, path, expiresSeconds, sender.now(), credentials, endpoint.scope);
    return `${base}?${query}`;
  }

  async close(): Promise<void> {
    this.sender.options.transport.close();
  }
}
