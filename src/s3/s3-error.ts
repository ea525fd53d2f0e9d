/** The closed set of ways in which a request to the store can fail. What it means for a program is decided in vfs/to-errno.ts. */
export type S3ErrorKind =
  /** NoSuchKey, NoSuchUpload, or 404 without a code. */
  | 'NotFound'
  | 'NoSuchBucket'
  /** 403 that repeating does not change. */
  | 'AccessDenied'
  /** No credentials were found, or those found are not known to the server (InvalidAccessKeyId, SignatureDoesNotMatch). */
  | 'Credentials'
  /** 412 */
  | 'PreconditionFailed'
  /** 409 ConditionalRequestConflict */
  | 'ConditionalConflict'
  /** 304 */
  | 'NotModified'
  /** 403 InvalidObjectState: must be restored first. */
  | 'Archived'
  /** The bucket lives in another region (and the redirect could not be followed). */
  | 'WrongRegion'
  /** EntityTooLarge, more parts or bytes than the server takes. */
  | 'TooLarge'
  /** The server has no room, or a quota is reached. */
  | 'NoSpace'
  /** KeyTooLongError */
  | 'KeyTooLong'
  /** 501 and what the server says it does not support. */
  | 'NotImplemented'
  /** Any other 4xx. */
  | 'InvalidRequest'
  /** 429, SlowDown, RequestLimitExceeded after all retries. */
  | 'Throttled'
  /** 5xx after all retries. */
  | 'Server'
  /** No answer in time after all retries. */
  | 'Timeout'
  /** The name does not resolve, nothing listens, TLS failed, or the connection broke, after all retries. */
  | 'Unreachable'
  /** The answer contradicts itself or the request: length, range, checksum, body that does not parse. */
  | 'Corrupt'
  /** The caller's signal fired, or the client was closed. */
  | 'Aborted'
  | 'Unknown';

export interface S3ErrorDetails {
  /** Operation name of the S3 API, for example GetObject. */
  readonly operation: string;
  readonly key?: string;
  readonly status?: number;
  /** The <Code> of the error document. */
  readonly code?: string;
  readonly requestId?: string;
  /** For WrongRegion: the region that the server named. */
  readonly region?: string;
  /** For NotModified and PreconditionFailed where the answer says: the version that stands. */
  readonly etag?: string;
  readonly cause?: unknown;
}

export class S3Error extends Error {
  override readonly name = 'S3Error';
  readonly kind: S3ErrorKind;
  readonly details: S3ErrorDetails;

  constructor(kind: S3ErrorKind, message: string, details: S3ErrorDetails) {
    super(message, { cause: details.cause });
    this.kind = kind;
    this.details = details;
  }
}

export function isS3Error(error: unknown, kind?: S3ErrorKind): error is S3Error {
  return error instanceof S3Error && (kind === undefined || error.kind === kind);
}
