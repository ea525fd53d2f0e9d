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

/** The errno of a failure, and the level of the line that tells of it. */
function answerOf(error: unknown): { answer: number; level: number | undefined } {
  const told: Array<{ level: number }> = [];
  const logger = pino({ level: 'debug' }, { write: (line: string) => void told.push(JSON.parse(line)) });
  return { answer: toErrno(error, logger, 'write'), level: told[0]?.level };
}

const local = (code: string): Error => Object.assign(new Error(code), { code });

t.test('what the disk of the state directory answers', async (t) => {
  const { debug, error } = pino.levels.values;
  t.same(answerOf(local('ENOSPC')), { answer: -errno.ENOSPC, level: error });
  t.same(answerOf(local('EMFILE')), { answer: -errno.EIO, level: error });
  t.same(answerOf(local('EFBIG')), { answer: -errno.EFBIG, level: debug }, 'a program asked for too large a file');
});

t.test('what is known where it happens is told to the program alone', async (t) => {
  t.same(answerOf(new FsError(errno.ESTALE, '/a')), { answer: -errno.ESTALE, level: undefined });
});
