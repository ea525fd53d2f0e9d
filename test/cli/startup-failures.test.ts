/** Each way in which a mount cannot start: one line with its remedy, its own exit code, and nothing left behind. */
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createTcpServer } from 'node:net';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import t from 'tap';
import { exitCode } from '../../src/exit-code.js';
import { mountedAt } from '../../src/local/mount-table.js';
import { encodeFileHeader, encodeFrame, JOURNAL_VERSION } from '../../src/writeback/journal-format.js';
import { noKernelMounts } from '../mount/harness.js';
import { listen } from '../s3/loopback.js';
import { bucket, makePlace, type Place, runIn } from './fixture.js';

const skip = noKernelMounts;
t.setTimeout(400_000);

interface Expected {
  readonly code: number;
  readonly line: RegExp;
}

async function failsWith(
  t: Pick<typeof import('tap').t, 'equal' | 'match' | 'notMatch' | 'same'>,
  place: Place,
  args: readonly string[],
  { code, line }: Expected,
  env: NodeJS.ProcessEnv = {},
): Promise<void> {
  const before = mountedAt(place.mountpoint);
  const result = await place.pailfs(args, { env });
  t.equal(result.code, code, `exit code of pailfs ${args.join(' ')}: ${result.stderr}`);
  t.match(result.stderr, line);
  t.match(result.stderr, /^pailfs: [^\n]+\n$/, 'one line');
  t.equal(result.stdout, '');
  t.notMatch(result.stderr, /pailfs-secret/);
  t.same(mountedAt(place.mountpoint), before);
}

const source = `s3://${bucket}`;

t.test('buckets', { skip }, async (t) => {
  const place = await makePlace(t);
  const { mountpoint } = place;
  await failsWith(t, place, ['mount', 's3://absent', mountpoint], {
    code: exitCode.noBucket,
    line: /bucket absent does not exist.*aws s3 mb/,
  });
  await failsWith(t, place, ['mount', 's3://express--use1-az4--x-s3', mountpoint], {
    code: exitCode.unsupportedBucket,
    line: /directory bucket/,
  });
  await failsWith(t, place, ['mount', 's3://arn:aws:s3::123456789012:accesspoint/mine.mrap', mountpoint], {
    code: exitCode.unsupportedBucket,
    line: /Multi-Region Access Point/,
  });
  await failsWith(t, place, ['mount', 'https://garden/', mountpoint], { code: exitCode.usage, line: /write s3:\/\// });
  const error = { kind: 'error', status: 301, code: 'PermanentRedirect' } as const;
  place.server.faults.add({ match: { operation: 'ListObjectsV2' }, action: error });
  await failsWith(t, place, ['mount', source, mountpoint], { code: exitCode.wrongRegion, line: /--region/ });
  place.server.faults.clear();
  place.server.denied.add('ListObjectsV2');
  await failsWith(t, place, ['mount', source, mountpoint, '--no-sign-request'], {
    code: exitCode.denied,
    line: /s3:ListBucket|--profile/,
  });
  t.same(place.daemons(), []);
});

t.test('credentials', { skip }, async (t) => {
  const place = await makePlace(t);
  const none = { AWS_ACCESS_KEY_ID: undefined, AWS_SECRET_ACCESS_KEY: undefined };
  const expected = { code: exitCode.credentials, line: /aws configure/ };
  await failsWith(t, place, ['mount', source, place.mountpoint], expected, none);
  await failsWith(t, place, ['mount', source, place.mountpoint], expected, { AWS_ACCESS_KEY_ID: 'unknown' });
  await failsWith(t, place, ['mount', source, place.mountpoint, '--profile', 'absent'], expected, none);
});

t.test('endpoints', { skip }, async (t) => {
  const place = await makePlace(t);
  const { mountpoint } = place;
  const closed = createTcpServer();
  const port = await listen(t, closed);
  await new Promise((resolve) => closed.close(resolve));
  await failsWith(
    t,
    place,
    ['mount', source, mountpoint, '--endpoint-url', `http://127.0.0.1:${port}`, '--io-timeout', '1s'],
    {
      code: exitCode.unreachable,
      line: /cannot be reached.*--endpoint-url/,
    },
  );
  const web = createServer((_, response) => response.end('<html>hello</html>'));
  await failsWith(
    t,
    place,
    ['mount', source, mountpoint, '--endpoint-url', `http://127.0.0.1:${await listen(t, web)}`],
    {
      code: exitCode.store,
      line: /does not speak S3/,
    },
  );
});

t.test('mount points', { skip }, async (t) => {
  const place = await makePlace(t);
  const { directory, mountpoint } = place;
  await failsWith(t, place, ['mount', source, join(directory, 'absent')], {
    code: exitCode.mountpointMissing,
    line: /does not exist: create it with mkdir/,
  });
  writeFileSync(join(directory, 'file'), '');
  await failsWith(t, place, ['mount', source, join(directory, 'file')], {
    code: exitCode.mountpointNotDirectory,
    line: /is not a directory/,
  });
  await place.mount();
  await failsWith(t, place, ['mount', source, mountpoint], {
    code: exitCode.mountpointBusy,
    line: /busy: s3:\/\/garden is mounted there already; run "pailfs umount/,
  });
  symlinkSync(mountpoint, join(directory, 'link'));
  await failsWith(t, place, ['mount', source, join(directory, 'link')], {
    code: exitCode.mountpointBusy,
    line: /busy/,
  });
  mkdirSync(join(directory, 'second'));
  await failsWith(t, place, ['mount', source, join(directory, 'second')], {
    code: exitCode.stateLocked,
    line: /mounted on .*mnt by process \d+: run "pailfs umount/,
  });
  t.equal((await place.pailfs(['umount', mountpoint])).code, 0);
});

t.test('a mount point that is not empty is fine', { skip }, async (t) => {
  const place = await makePlace(t);
  writeFileSync(join(place.mountpoint, 'below'), '');
  await place.mount();
  t.equal((await place.pailfs(['umount', place.mountpoint])).code, 0);
  t.ok(existsSync(join(place.mountpoint, 'below')));
});

t.test('directories', { skip }, async (t) => {
  const place = await makePlace(t);
  const { directory, mountpoint } = place;
  for (const option of ['state-dir', 'cache-dir', 'runtime-dir']) {
    const inside = join(mountpoint, 'deep', 'er');
    await failsWith(t, place, ['mount', source, mountpoint, `--${option}`, inside], {
      code: exitCode.directoryInsideMount,
      line: new RegExp(`inside the mount point .*--${option}`),
    });
    t.notOk(existsSync(join(mountpoint, 'deep')));
  }
  const open = join(directory, 'open');
  mkdirSync(open);
  chmodSync(open, 0o777);
  await failsWith(t, place, ['mount', source, mountpoint, '--cache-dir', open], {
    code: exitCode.directoryUnusable,
    line: /others may write to/,
  });
  writeFileSync(join(directory, 'file'), '');
  await failsWith(t, place, ['mount', source, mountpoint, '--state-dir', join(directory, 'file', 'x')], {
    code: exitCode.directoryUnusable,
    line: /cannot be used \(ENOTDIR\)/,
  });
  await failsWith(t, place, ['mount', source, mountpoint, '--log-file', join(directory, 'absent', 'log')], {
    code: exitCode.directoryUnusable,
    line: /--log-file/,
  });
});

t.test('usage', { skip }, async (t) => {
  const place = await makePlace(t);
  const { mountpoint } = place;
  const usage = (line: RegExp) => ({ code: exitCode.usage, line });
  await failsWith(
    t,
    place,
    ['mount', source, mountpoint, '--cache-sice=1G'],
    usage(/--cache-sice: did you mean cache-size/),
  );
  await failsWith(
    t,
    place,
    ['mount', source, mountpoint, '-o', 'alow_other'],
    usage(/-o alow_other: did you mean allow-other/),
  );
  await failsWith(t, place, ['mount', source, mountpoint, '-o', 'remount,ro'], usage(/remount/));
  const acl = ['-o', 'acl', '--driver', 'fuse-native'];
  await failsWith(t, place, ['mount', source, mountpoint, ...acl], usage(/acl needs the kernel driver/));
  await failsWith(t, place, ['mount', source, mountpoint], usage(/PAILFS_CACHE_SIZE: "much"/), {
    PAILFS_CACHE_SIZE: 'much',
  });
  await failsWith(t, place, ['mount', source], usage(/a bucket and a mount point/));
  await failsWith(t, place, ['umount', mountpoint], { code: exitCode.notMounted, line: /no bucket is mounted/ });
  await failsWith(t, place, ['status', mountpoint], { code: exitCode.notMounted, line: /no bucket is mounted/ });
});

/** The daemon as a user who finds what is left of fusermount3 or /dev/fuse on a system that lacks them. */
async function asUser(place: Place, script: string) {
  const unshare = ['-m', '--', '/bin/sh', '-ec', script, place.directory];
  return runIn(place, 'unshare', unshare, { timeout: 40_000 });
}

t.test('what the system lacks', { skip }, async (t) => {
  const place = await makePlace(t);
  const { directory, mountpoint } = place;
  chmodSync(directory, 0o755);
  const user = 'setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all --';
  const dirs = ['state', 'cache', 'run'].map(
    (name) => `export PAILFS_${name === 'run' ? 'RUNTIME' : name.toUpperCase()}_DIR="$0/user/${name}"`,
  );
  const prepare = `mkdir -p "$0/user"; chown -R 65534:65534 "$0/user" "${mountpoint}"; ${dirs.join('; ')}`;
  const mount = `${process.execPath} "${join(directory, 'package', 'bin', 'pailfs.js')}" mount ${source} "${mountpoint}"`;
  // The package may lie where only root can read; the user gets it under its own path.
  const show = `mkdir -p "$0/package"; mount --rbind "${join(import.meta.dirname, '..', '..', '..')}" "$0/package"`;
  const helper = await asUser(place, `${show}; ${prepare}; exec ${user} env PATH="$0/no" ${mount}`);
  t.equal(helper.code, exitCode.noFusermount, helper.stderr);
  t.match(helper.stderr, /fusermount3.*apt-get install fuse3.*dnf install fuse3.*apk add fuse3/);
  const hidden = 'mount -t tmpfs none /dev; mknod -m 666 /dev/null c 1 3';
  const device = await asUser(place, `${show}; ${hidden}; exec ${mount} 2>&1`);
  t.equal(device.code, exitCode.noFuse, device.stdout);
  t.match(device.stdout, /\/dev\/fuse is not there.*modprobe fuse/);
});

t.test('journals that are not ours to take up are refused, and left alone', { skip }, async (t) => {
  const place = await makePlace(t);
  await place.mount(['--write-back', 'on']);
  t.equal((await place.pailfs(['umount', place.mountpoint])).code, 0);
  const state = join(place.directory, 'state');
  const [id] = readdirSync(state).filter((name) => existsSync(join(state, name, 'staged')));
  const path = join(state, id, 'journal');
  const newer = encodeFileHeader();
  newer.writeUInt32LE(JOURNAL_VERSION + 1, 8);
  newer.writeUInt32LE(crc32(newer.subarray(0, 12)), 12);
  const other = Buffer.concat([encodeFileHeader(), encodeFrame(1, [[0, JSON.stringify('meadow/')]])]);
  const journals = [
    { bytes: newer, line: /the journal has format 2, and this pailfs reads 1: use a newer one; or .*--state-dir/ },
    { bytes: other, line: /journal belongs to "meadow\/", not to "garden\/"; or .*--state-dir/ },
  ];
  for (const { bytes, line } of journals) {
    for (const mode of ['on', 'off']) {
      writeFileSync(path, bytes);
      await failsWith(t, place, ['mount', source, place.mountpoint, '--write-back', mode], {
        code: exitCode.journalRefused,
        line,
      });
      t.same(readFileSync(path), bytes, 'as it was');
      t.same(place.daemons(), []);
    }
  }
  t.notOk(existsSync(join(state, id, 'lock')));
});

t.test('a package that is not built says so', async (t) => {
  const place = await makePlace(t);
  const copy = join(place.directory, 'copy');
  const bin = join(import.meta.dirname, '..', '..', '..', 'bin');
  t.equal((await runIn(place, 'cp', ['-r', bin, `${copy}`])).code, 0);
  mkdirSync(join(copy, 'bin'));
  const made = await runIn(place, process.execPath, [join(copy, 'pailfs.js'), 'status']);
  t.equal(made.code, exitCode.notBuilt);
  t.match(made.stderr, /npm run build/);
});
