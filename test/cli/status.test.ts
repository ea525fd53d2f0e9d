/** What `pailfs status` shows people of what S3 does not have. */
import t from 'tap';
import { statusText } from '../../src/cli/status.js';
import type { DaemonStatus, UnsavedFile } from '../../src/control/messages.js';

const now = 1_800_000_000_000;

function status(parts: Partial<DaemonStatus>): DaemonStatus {
  return {
    version: '1.0.0',
    pid: 7,
    bucket: 'garden',
    prefix: '',
    endpoint: 'http://127.0.0.1:1',
    region: 'us-east-1',
    anonymous: false,
    mountpoint: '/mnt',
    driver: 'kernel',
    privileged: true,
    passthrough: 'on',
    readOnly: false,
    uptimeSeconds: 90_061,
    stateDirectory: '/s',
    cacheDirectory: '/c',
    requests: { byOperation: {}, retries: 0, errors: 0, bytesReceived: 0, bytesSent: 0 },
    operations: {},
    cache: {},
    openFiles: 0,
    openDirectories: 0,
    inodes: 1,
    dirty: [],
    draining: false,
    conflicts: [],
    conditionalWrites: 'honoured',
    conditionalCopies: 'honoured',
    staging: { usedBytes: 4096, limitBytes: 1024 ** 3 },
    notificationsDropped: 0,
    memory: { rssBytes: 0, heapBytes: 0, externalBytes: 0 },
    ...parts,
  };
}

function lines(parts: Partial<DaemonStatus>): string[] {
  const all = statusText(status(parts), now).split('\n');
  const from = all.findIndex((line) => line.startsWith('  not in S3'));
  return all.slice(from, all.indexOf('  conflicts   0'));
}

t.test('nothing waits', async (t) => {
  t.same(lines({}), ['  not in S3   0 files, 4.0 KiB of at most 1.0 GiB']);
  t.match(statusText(status({}), now), /up 1 d 1 h/);
});

t.test('each state, those with a failure first', async (t) => {
  const dirty: UnsavedFile[] = [
    { path: '/open', size: 1, state: 'open' },
    { path: '/b', size: 2048, state: 'waiting' },
    { path: '/c', size: 1, state: 'running' },
    { path: '/r', size: 1, state: 'refused', failure: 'EACCES', reason: 'access denied', nextTryAt: now + 600_000 },
    { path: '/f', size: 1, state: 'failed', failure: 'EIO', nextTryAt: now - 5 },
    { path: '/odd\n\x1b[2J\x9b', size: 1, state: 'resting' },
  ];
  const waiting = {
    queued: 5,
    running: 1,
    removals: 1,
    removalFailure: 'EIO',
    stateFailure: 'i/o error, fdatasync',
    isAway: true,
    oldest: { path: '/b', since: now - 61_000 },
  };
  t.same(lines({ dirty, waiting }).slice(1), [
    '  write-back  2 queued, 1 uploading, 1 failed, 1 refused; 1 deletion (EIO)',
    '    the disk of the state directory fails: i/o error, fdatasync',
    '    S3 does not answer: tries go on by themselves',
    '    oldest  /b, for 1 min 1 s on this machine only',
    '    failed  /f (1 B): EIO, next try in 0 s',
    '    refused  /r (1 B): access denied, next try in 10 min',
    '    uploading  /c (1 B)',
    '    queued  /b (2.0 KiB)',
    '    queued  /odd\\n\\u001b[2J? (1 B)',
    '    open  /open (1 B)',
  ]);
});

t.test('many files are counted', async (t) => {
  const dirty = Array.from({ length: 50 }, (_, at): UnsavedFile => ({ path: `/f${at}`, size: 1, state: 'waiting' }));
  const shown = lines({ dirty });
  t.equal(shown.length, 22);
  t.equal(shown.at(-1), '    queued  and 30 more');
});

t.test('a mount that is gone', async (t) => {
  t.match(
    statusText(status({ draining: true }), now),
    /^s3:\/\/garden on \/mnt \(unmounted: what is left is being uploaded\)\n/,
  );
});

t.test('a server that ignores conditions is named', async (t) => {
  t.notMatch(statusText(status({}), now), /ignores/);
  t.match(statusText(status({ conditionalWrites: 'ignored' }), now), /ignores conditions on writes/);
  t.match(statusText(status({ conditionalCopies: 'ignored' }), now), /ignores conditions on copies/);
});
