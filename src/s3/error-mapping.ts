/**
 * From a status and an S3 error code to what it means (S3ErrorKind) and what may be done about it (Remedy). The list
 * of what is repeated is short on purpose: repeating anything else hides the answer and loads the server.
 */
import type { S3ErrorKind } from './s3-error.js';

/** What lets the same request succeed later: nothing, time, or a correction on our side. */
export type Remedy = 'none' | 'wait' | 'slow-down' | 'refresh-credentials' | 'correct-clock' | 'follow-region';

const kinds: Readonly<Record<string, S3ErrorKind>> = {
  NoSuchKey: 'NotFound',
  NoSuchUpload: 'NotFound',
  NoSuchVersion: 'NotFound',
  NoSuchTagSet: 'NotFound',
  NoSuchBucket: 'NoSuchBucket',
  AccessDenied: 'AccessDenied',
  AllAccessDisabled: 'AccessDenied',
  InvalidAccessKeyId: 'Credentials',
  SignatureDoesNotMatch: 'Credentials',
  InvalidToken: 'Credentials',
  ExpiredToken: 'Credentials',
  ExpiredTokenException: 'Credentials',
  TokenRefreshRequired: 'Credentials',
  RequestTimeTooSkewed: 'Credentials',
  InvalidSecurity: 'Credentials',
  PreconditionFailed: 'PreconditionFailed',
  ConditionalRequestConflict: 'ConditionalConflict',
  InvalidObjectState: 'Archived',
  PermanentRedirect: 'WrongRegion',
  TemporaryRedirect: 'WrongRegion',
  IllegalLocationConstraintException: 'WrongRegion',
  EntityTooLarge: 'TooLarge',
  MaxMessageLengthExceeded: 'TooLarge',
  TooManyParts: 'TooLarge',
  QuotaExceeded: 'NoSpace',
  XMinioStorageFull: 'NoSpace',
  XMinioAdminBucketQuotaExceeded: 'NoSpace',
  InsufficientStorage: 'NoSpace',
  KeyTooLongError: 'KeyTooLong',
  KeyTooLong: 'KeyTooLong',
  NotImplemented: 'NotImplemented',
  XNotImplemented: 'NotImplemented',
  MethodNotAllowed: 'NotImplemented',
  SlowDown: 'Throttled',
  SlowDownRead: 'Throttled',
  SlowDownWrite: 'Throttled',
  RequestLimitExceeded: 'Throttled',
  TooManyRequests: 'Throttled',
  Throttling: 'Throttled',
  ThrottlingException: 'Throttled',
  RequestTimeout: 'Timeout',
  OperationAborted: 'Server',
  InternalError: 'Server',
  ServiceUnavailable: 'Server',
  BadDigest: 'Corrupt',
  InvalidDigest: 'Corrupt',
  XAmzContentSHA256Mismatch: 'Corrupt',
  XAmzContentChecksumMismatch: 'Corrupt',
};

const kindsByStatus: Readonly<Record<number, S3ErrorKind>> = {
  301: 'WrongRegion',
  304: 'NotModified',
  307: 'WrongRegion',
  401: 'Credentials',
  403: 'AccessDenied',
  404: 'NotFound',
  405: 'NotImplemented',
  412: 'PreconditionFailed',
  413: 'TooLarge',
  429: 'Throttled',
  501: 'NotImplemented',
  507: 'NoSpace',
};

/** `code` is undefined where the answer had no error document (every HEAD). */
export function kindOf(status: number, code: string | undefined): S3ErrorKind {
  const byCode = code === undefined || !Object.hasOwn(kinds, code) ? undefined : kinds[code];
  if (byCode !== undefined) return byCode;
  const byStatus = kindsByStatus[status];
  if (byStatus !== undefined) return byStatus;
  if (status >= 500) return 'Server';
  if (status >= 400) return 'InvalidRequest';
  return 'Unknown';
}

const repeatable = new Set([500, 502, 503, 504]);

/** `region` is what the answer named as the bucket's (x-amz-bucket-region or <Region>). */
export function remedyOf(status: number, code: string | undefined, region: string | undefined): Remedy {
  if (status === 429) return 'slow-down';
  if (repeatable.has(status)) return kindOf(status, code) === 'Throttled' ? 'slow-down' : 'wait';
  if (code === 'RequestTimeout' && status === 400) return 'wait';
  if (code === 'OperationAborted' && status === 409) return 'wait';
  if (code === 'ExpiredToken' && (status === 400 || status === 403)) return 'refresh-credentials';
  if (code === 'RequestTimeTooSkewed' && status === 403) return 'correct-clock';
  if (region !== undefined && (status === 301 || status === 307 || status === 400)) return 'follow-region';
  return 'none';
}

/** The status that an error document inside a 200 would have had. */
export function statusOfCode(code: string): number {
  if (kinds[code] === 'Throttled' || code === 'ServiceUnavailable') return 503;
  if (code === 'OperationAborted' || code === 'ConditionalRequestConflict') return 409;
  if (code === 'AccessDenied' || code === 'RequestTimeTooSkewed' || code === 'InvalidObjectState') return 403;
  if (kinds[code] === 'NotFound' || kinds[code] === 'NoSuchBucket') return 404;
  if (code === 'PreconditionFailed') return 412;
  if (code === 'NotImplemented') return 501;
  return code === 'InternalError' ? 500 : 400;
}
