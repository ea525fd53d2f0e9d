/**
 * The one interface to the store: keys, bytes, ETags and error kinds. It knows nothing of inodes, names or errno.
 * Implementations: LeanClient (real, http), MemoryClient (fake for unit tests), FaultyClient (decorator that injects
 * faults); all three pass test/conformance/object-client.ts.
 *
 * Keys are whole keys (with the mount's prefix), as JS strings without lone surrogates; they are sent byte for byte and
 * never normalised. ETags are opaque strings without quotes. Every method rejects with S3Error only. `signal` ends a
 * call early with kind Aborted. Reads and idempotent writes are retried inside (retry.ts); what is rejected has
 * exhausted its retries or cannot change by repeating.
 */
import type { S3Error } from './s3-error.js';

export interface CallOptions {
  readonly signal?: AbortSignal;
}

/** Headers of an object that a PUT or a REPLACE copy loses unless they are sent again. */
export interface ObjectHeaders {
  readonly contentType?: string;
  readonly contentEncoding?: string;
  readonly contentDisposition?: string;
  readonly contentLanguage?: string;
  readonly cacheControl?: string;
  readonly expires?: string;
  readonly storageClass?: string;
  readonly websiteRedirect?: string;
}

/** What HEAD and GET tell of one object version. */
export interface ObjectInfo {
  readonly key: string;
  readonly etag: string;
  /** Size of the whole object (bytes), also in the answer to a range. */
  readonly size: number;
  /** Last-Modified, milliseconds since 1970, whole seconds. */
  readonly lastModified: number;
  readonly versionId?: string;
  readonly headers: ObjectHeaders;
  /** User metadata: names in lower case without `x-amz-meta-`, values as received. */
  readonly metadata: Readonly<Record<string, string>>;
  /** x-amz-tagging-count; 0 where the server does not say. */
  readonly tagCount: number;
  /** x-amz-server-side-encryption and its key, as received. */
  readonly encryption?: { readonly algorithm: string; readonly keyId?: string };
  /** Value of x-amz-archive-status or a class that must be restored before reading (GLACIER, DEEP_ARCHIVE). */
  readonly archived: boolean;
  /** The server's Date header, milliseconds since 1970; the client's clock where it sent none. */
  readonly date: number;
}

export interface GetOptions extends CallOptions {
  /** First byte wanted and the byte after the last; both absent: the whole object. */
  readonly start?: number;
  readonly end?: number;
  /** Fails with PreconditionFailed when the object has another ETag (or NotFound when it is gone). */
  readonly ifMatch?: string;
  /** Fails with NotModified when the object still has this ETag. */
  readonly ifNoneMatch?: string;
  /** Called once, before the first onData. */
  onInfo?(info: ObjectInfo): void;
  /**
   * Pieces in order, without gap; a piece is only valid during the call. When a connection breaks in the body, the
   * client resumes behind the last piece under If-Match of the same version, so no byte is delivered twice.
   */
  onData(piece: Uint8Array): void;
}

export interface ListedObject {
  readonly key: string;
  readonly etag: string;
  readonly size: number;
  /** Milliseconds since 1970. */
  readonly lastModified: number;
  readonly storageClass?: string;
  /**
   * All user metadata, as in ObjectInfo, where ListOptions.metadata asked for it and the server told it. Absent: nothing
   * is known of it; an object without metadata has an empty record.
   */
  readonly metadata?: Readonly<Record<string, string>>;
}

export interface ListOptions extends CallOptions {
  readonly prefix: string;
  readonly delimiter?: string;
  /** Only keys after this one (UTF-8 byte order). */
  readonly startAfter?: string;
  /** nextToken of the page before. */
  readonly token?: string;
  /** 1 to 1,000; the server may return fewer. */
  readonly maxKeys?: number;
  /** Asks for user metadata too, which is no part of S3: where the server is not MinIO nothing else is sent. */
  readonly metadata?: boolean;
}

export interface ListPage {
  /** In UTF-8 byte order, like `prefixes`; the two interleave. */
  readonly objects: ListedObject[];
  readonly prefixes: string[];
  /** Absent on the last page. */
  readonly nextToken?: string;
  /** The server lists in another order: what comes behind a key that it does not have cannot be asked for. */
  readonly unordered?: true;
  readonly date: number;
}

/** At most one of the two; on a server without conditional writes they are ignored (see `capabilities`). */
export interface WriteCondition {
  readonly ifMatch?: string;
  /** Only when nothing stands under the key. */
  readonly ifAbsent?: boolean;
}

export interface WriteAttributes {
  /** Encryption asked for this object; that of the mount, where it has one, goes before it. */
  readonly encryption?: ObjectInfo['encryption'];
  readonly headers?: ObjectHeaders;
  readonly metadata?: Readonly<Record<string, string>>;
  /** Tag set as key=value pairs, to be kept by a PUT or a multipart upload. */
  readonly tags?: ReadonlyArray<readonly [string, string]>;
}

export interface CreateUploadOptions extends CallOptions, WriteAttributes {
  /** Some of its parts will be copied (uploadPartCopy): MinIO takes those only into an upload without checksum. */
  readonly copies?: boolean;
}

export interface PutOptions extends CallOptions, WriteCondition, WriteAttributes {}

export interface WriteReply {
  readonly etag: string;
  readonly versionId?: string;
  /** The server's Date, milliseconds since 1970. */
  readonly date: number;
}

export interface UploadedPart {
  /** 1 to 10,000. */
  readonly number: number;
  readonly etag: string;
  /** Bytes. */
  readonly size: number;
  /** CRC32 of the part's bytes; absent for a part that was copied where the server did not tell it. */
  readonly crc32?: number;
}

export interface CompleteOptions extends CallOptions, WriteCondition {
  /** Bytes of the whole object. */
  readonly size: number;
  /** Those that the upload was created with: some servers have to be told again. */
  readonly tags?: WriteAttributes['tags'];
}

export interface PartCopyOptions extends CallOptions {
  /** First byte of the source and the byte after the last; both absent: the whole source. */
  readonly start?: number;
  readonly end?: number;
  /** Fails with PreconditionFailed when the source has another ETag. */
  readonly sourceIfMatch?: string;
}

export interface CopyOptions extends CallOptions, WriteCondition {
  readonly sourceIfMatch?: string;
  /** Fails with PreconditionFailed when the source changed (metadata too) after this time; whole seconds. */
  readonly sourceIfUnmodifiedSince?: number;
  /** As in WriteAttributes, also where the source's metadata is kept: no copy inherits its encryption. */
  readonly encryption?: ObjectInfo['encryption'];
  /** Absent: the source's metadata and headers are kept. Present: they replace the source's. */
  readonly replace?: WriteAttributes;
}

/** A key, or a key with the version that must stand there. */
export type DeleteTarget = string | { readonly key: string; readonly ifMatch?: string };

export interface DeleteFailure {
  readonly key: string;
  readonly error: S3Error;
}

export interface PendingUpload {
  readonly key: string;
  readonly uploadId: string;
  readonly initiated: number;
}

export interface ObjectClient {
  /** HEAD. Fails with NotFound; AccessDenied also for an absent key where s3:ListBucket is denied. */
  head(key: string, options?: CallOptions): Promise<ObjectInfo>;
  /**
   * GET, whole or a range. An end behind the object's end is cut there. A start at or behind the end, and any range of
   * an empty object, gives the info and no data. An answer with another range, length or version than asked is
   * Corrupt, never data.
   */
  get(key: string, options: GetOptions): Promise<ObjectInfo>;
  /** ListObjectsV2, one page. */
  list(options: ListOptions): Promise<ListPage>;
  /** PutObject of at most MAX_PART_BYTES. An answer that was lost is recognised by looking at the object. */
  put(key: string, body: Uint8Array, options?: PutOptions): Promise<WriteReply>;
  createUpload(key: string, options?: CreateUploadOptions): Promise<string>;
  uploadPart(
    key: string,
    uploadId: string,
    number: number,
    body: Uint8Array,
    options?: CallOptions,
  ): Promise<UploadedPart>;
  uploadPartCopy(
    key: string,
    uploadId: string,
    number: number,
    source: string,
    options?: PartCopyOptions,
  ): Promise<UploadedPart>;
  completeUpload(
    key: string,
    uploadId: string,
    parts: readonly UploadedPart[],
    options: CompleteOptions,
  ): Promise<WriteReply>;
  /** Succeeds also when the upload is already gone. */
  abortUpload(key: string, uploadId: string, options?: CallOptions): Promise<void>;
  listUploads(prefix: string, options?: CallOptions): Promise<PendingUpload[]>;
  /** CopyObject of at most MAX_COPY_BYTES within the bucket. */
  copy(source: string, destination: string, options?: CopyOptions): Promise<WriteReply>;
  /** Succeeds also when the key is absent (unless ifMatch is given and the server honours it). */
  delete(key: string, options?: CallOptions & { ifMatch?: string }): Promise<void>;
  /**
   * DeleteObjects in batches; answers the keys that could not be deleted. What is named with an ETag is deleted only as
   * that version, where the server honours it (else PreconditionFailed for its key).
   */
  deleteMany(targets: readonly DeleteTarget[], options?: CallOptions): Promise<DeleteFailure[]>;
  getTags(key: string, options?: CallOptions): Promise<Array<[string, string]>>;
  /** Requests sent so far by operation name (GetObject, PutObject, …), retries included. */
  readonly counters: RequestCounters;
  /** Ends idle connections. Calls under way end with Aborted. */
  close(): Promise<void>;
}

export interface RequestCounters {
  readonly requests: Readonly<Record<string, number>>;
  readonly retries: number;
  /** Calls that failed, but for those that only answered a question (absent, unchanged, condition false, aborted). */
  readonly errors: number;
  readonly bytesReceived: number;
  readonly bytesSent: number;
}
