/**
 * What a failure means for the program that caused it: the only place where errors become errno. Whatever has no meaning
 * of its own is EIO, and is logged with its cause.
 */
import { errno, type Failure } from '../errno.js';
import type { Logger } from '../log.js';
import { S3Error, type S3ErrorKind } from '../s3/s3-error.js';

/** A failure that is known where it happens. */
export class FsError extends Error {
  override readonly name = 'FsError';
  readonly errno: number;

  constructor(number: number, message: string) {
    super(message);
    this.errno = number;
  }
}

const byKind: Readonly<Partial<Record<S3ErrorKind, number>>> = {
  NotFound: errno.ENOENT,
  AccessDenied: errno.EACCES,
  Credentials: errno.EACCES,
  PreconditionFailed: errno.ESTALE,
  ConditionalConflict: errno.ESTALE,
  Archived: errno.EREMOTEIO,
  TooLarge: errno.EFBIG,
  NoSpace: errno.ENOSPC,
  KeyTooLong: errno.ENAMETOOLONG,
  NotImplemented: errno.EOPNOTSUPP,
  Aborted: errno.EINTR,
};

const byCode: Readonly<Record<string, number>> = {
  ENOSPC: errno.ENOSPC,
  EDQUOT: errno.EDQUOT,
  EFBIG: errno.EFBIG,
  ENOMEM: errno.ENOMEM,
};

/** Kinds that are an answer, not a fault: no log line above debug. */
const expected: ReadonlySet<S3ErrorKind> = new Set(['NotFound', 'Aborted', 'PreconditionFailed']);

export function toErrno(error: unknown, logger: Logger, operation: string): Failure {
  if (error instanceof FsError) return -error.errno;
  if (error instanceof S3Error) {
    const { kind, details } = error;
    if (kind === 'Archived') {
      logger.warn(
        { key: details.key },
        'the object is archived: restore it first, for example with `aws s3api restore-object --bucket BUCKET --key KEY --restore-request Days=1`',
      );
    } else
      logger[expected.has(kind) ? 'debug' : 'warn'](
        { err: error, operation, kind, ...pick(details) },
        'a request to the store failed',
      );
    return -(byKind[kind] ?? errno.EIO);
  }
  if (error instanceof DOMException && error.name === 'AbortError') return -errno.EINTR;
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  const known = code === undefined ? undefined : byCode[code];
  // A size that the local disk has no file of is what the program asked for, and no fault.
  logger[code === 'EFBIG' ? 'debug' : 'error']({ err: error, operation }, 'an operation failed');
  return -(known ?? errno.EIO);
}

function pick(details: S3Error['details']): object {
  const { key, status, code, requestId } = details;
  return { key, status, code, requestId };
}
