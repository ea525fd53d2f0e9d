/** What each failure is to a program, and what the log has of those that are no answer. */
import pino from 'pino';
import t from 'tap';
import { errno, errnoName } from '../../src/errno.js';
import { silentLogger } from '../../src/log.js';
import { S3Error, type S3ErrorKind } from '../../src/s3/s3-error.js';
import { FsError, toErrno } from '../../src/vfs/to-errno.js';

const failure = (kind: S3ErrorKind): S3Error =>
  new S3Error(kind, 'said so', { operation: 'GetObject', key: 'k', status: 400, code: 'Said', requestId: 'R1' });

t.test('each kind of failure is one errno', async (t) => {
  const kinds: Record<S3ErrorKind, string> = {
    NotFound: 'ENOENT',
    NoSuchBucket: 'EIO',
    AccessDenied: 'EACCES',
    Credentials: 'EACCES',
    PreconditionFailed: 'ESTALE',
    ConditionalConflict: 'ESTALE',
    NotModified: 'EIO',
    Archived: 'EREMOTEIO',
    WrongRegion: 'EIO',
    TooLarge: 'EFBIG',
    NoSpace: 'ENOSPC',
    KeyTooLong: 'ENAMETOOLONG',
    NotImplemented: 'EOPNOTSUPP',
    InvalidRequest: 'EIO',
    Throttled: 'EIO',
    Server: 'EIO',
    Timeout: 'EIO',
    Unreachable: 'EIO',
    Corrupt: 'EIO',
    Aborted: 'EINTR',
    Unknown: 'EIO',
  };
  for (const [kind, name] of Object.entries(kinds))
    t.equal(errnoName(toErrno(failure(kind as S3ErrorKind), silentLogger, 'read')), name, kind);
  const system = (code: string): Error => Object.assign(new Error(code), { code });
  for (const code of ['ENOSPC', 'EDQUOT', 'EFBIG', 'ENOMEM'])
    t.equal(errnoName(toErrno(system(code), silentLogger, 'write')), code, 'of a disk here');
  t.equal(errnoName(toErrno(system('EROFS'), silentLogger, 'write')), 'EIO', 'the disk of the state directory');
  t.equal(toErrno(new FsError(errno.ENOTEMPTY, 'd'), silentLogger, 'rmdir'), -errno.ENOTEMPTY);
  t.equal(toErrno(new DOMException('', 'AbortError'), silentLogger, 'read'), -errno.EINTR);
});

t.test('what has no meaning of its own is in the log, with its cause and the request id', async (t) => {
  const lines: Array<Record<string, unknown>> = [];
  const options = { level: 'info', serializers: { err: pino.stdSerializers.err } };
  const logger = pino(options, { write: (line: string) => void lines.push(JSON.parse(line)) });
  toErrno(failure('Server'), logger, 'read');
  t.match(lines.pop(), { operation: 'read', kind: 'Server', key: 'k', status: 400, code: 'Said', requestId: 'R1' });
  toErrno(new TypeError('a bug'), logger, 'write');
  t.match(lines.pop(), { operation: 'write', err: { message: 'a bug', stack: /to-errno\.test/ } });
  for (const kind of ['NotFound', 'Aborted', 'PreconditionFailed'] as const) toErrno(failure(kind), logger, 'lookup');
  toErrno(new FsError(errno.ENOENT, 'f'), logger, 'lookup');
  t.same(lines, [], 'answers are no faults');
});
