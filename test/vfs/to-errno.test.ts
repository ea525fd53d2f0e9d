import pino from 'pino';
import t from 'tap';
import { errno } from '../../src/errno.js';
import { FsError, toErrno } from '../../src/vfs/to-errno.js';

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
