/** The life of a mount, from the command that makes it to each of its ends. */
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { DaemonStatus } from '../../src/control/messages.js';
import { exitCode } from '../../src/exit-code.js';
import { mountedAt } from '../../src/local/mount-table.js';
import { noKernelMounts, sh, start, until } from '../mount/harness.js';
import { bucket, getObject, makePlace, type Place, putObject, runIn } from './fixture.js';

const skip = noKernelMounts;
t.setTimeout(400_000);
/** The tap object of one subtest. */
type Tap = Pick<typeof t, 'same'>;

async function statusOf(place: Place): Promise<DaemonStatus> {
  const { code, stdout, stderr } = await place.pailfs(['status', place.mountpoint, '--json']);
  if (code !== 0) throw new Error(stderr);
  return JSON.parse(stdout);
}

/** A program that writes to a file and keeps it open, without the flushes that a shell's redirections cause. */
function holdOpen(path: string, text: string) {
  const script =
    "const fs = require('fs'); fs.writeSync(fs.openSync(process.argv[1], 'w'), process.argv[2]); setTimeout(() => {}, 60000)";
  return start(process.execPath, ['-e', script, path, text], { timeout: 60_000 });
}

const kept = ['inodes.log', 'server.json', 'staged'];

/** Nothing of the mount is left: no entry in the mount table, no daemon, no socket, no lock. */
async function allGone(t: Tap, place: Place): Promise<void> {
  await until('the daemon ended', () => place.daemons().length === 0, 15_000);
  t.same(mountedAt(place.mountpoint), undefined, 'no mount');
  t.same(readdirSync(join(place.directory, 'run')), [], 'no socket');
  const ids = readdirSync(join(place.directory, 'state'), { withFileTypes: true }).filter((one) => one.isDirectory());
  for (const { name } of ids)
    t.same(
      readdirSync(join(place.directory, 'state', name)).filter((one) => !kept.includes(one)),
      [],
      'no lock',
    );
}

t.test('in the background: it returns when the mount answers, and pailfs umount ends it', { skip }, async (t) => {
  const place = await makePlace(t);
  await putObject(place, 'roses.txt', 'red\n');
  const mounted = await place.pailfs(['mount', `s3://${bucket}`, place.mountpoint]);
  t.same(mounted, { code: 0, signal: null, stdout: '', stderr: '', timedOut: false });
  t.equal((await sh(`cat ${place.mountpoint}/roses.txt`)).stdout, 'red\n');
  t.equal((await sh(`echo blue > ${place.mountpoint}/violets.txt`)).code, 0);
  await place.sync();
  t.equal(await getObject(place, 'violets.txt'), 'blue\n');
  const [pid] = place.daemons();
  t.match(readFileSync(`/proc/${pid}/cmdline`, 'utf8'), /pailfs\.js/);
  t.equal(readFileSync(`/proc/${pid}/stat`, 'utf8').split(' ')[4 + 1], String(pid), 'a session of its own');
  t.equal(await runIn(place, 'readlink', [`/proc/${pid}/cwd`]).then(({ stdout }) => stdout.trim()), '/');
  t.ok(readdirSync(`/proc/${pid}/task`).length > 16, 'sixteen threads for the pool');
  const log = readFileSync(join(place.directory, 'state', 'pailfs.log'), 'utf8');
  t.match(log, /"msg":"mounted"/);
  t.notMatch(log, place.server.credentials.secretAccessKey);
  const unmounted = await place.pailfs(['umount', place.mountpoint]);
  t.same(unmounted, { code: 0, signal: null, stdout: '', stderr: '', timedOut: false });
  t.same(place.daemons(), [], 'the daemon has ended when umount returns');
  await allGone(t, place);
});

t.test('status', { skip }, async (t) => {
  const place = await makePlace(t);
  await putObject(place, 'beds/one/roses.txt', 'red\n');
  t.match(await place.pailfs(['status']), { code: 0, stdout: /no bucket is mounted|on / });
  const mounted = await place.pailfs([
    `${bucket}/beds`,
    place.mountpoint,
    '-o',
    'ro,metadata_ttl=5s,_netdev,x-systemd.automount',
  ]);
  t.equal(mounted.code, 0, mounted.stderr);
  t.equal((await sh(`cat ${place.mountpoint}/one/roses.txt; ls ${place.mountpoint}`)).stdout, 'red\none\n');
  t.match((await sh(`touch ${place.mountpoint}/x`)).stderr, /Read-only/);
  const { stdout } = await place.pailfs(['status', '--json']);
  const { daemons } = JSON.parse(stdout);
  const status = daemons.find(({ mountpoint }: DaemonStatus) => mountpoint === place.mountpoint);
  t.match(status, {
    version: /^\d+\.\d+\.\d+/,
    pid: place.daemons()[0],
    bucket,
    prefix: 'beds/',
    endpoint: place.server.endpoint,
    region: 'us-east-1',
    anonymous: false,
    driver: 'kernel',
    privileged: true,
    readOnly: true,
    openFiles: 0,
    dirty: [],
    conflicts: [],
    requests: { retries: 0, byOperation: { GetObject: 1 } },
    operations: { open: { count: 1, errors: 0 } },
    cache: { hits: Number },
    memory: { rssBytes: Number },
  });
  const holder = start('/bin/sh', ['-c', `exec 3<${place.mountpoint}/one/roses.txt; echo open; exec sleep 30`]);
  let { openFiles } = await statusOf(place);
  for (let i = 0; i < 50 && openFiles === 0; i++) openFiles = (await statusOf(place)).openFiles;
  t.equal(openFiles, 1);
  const busy = await place.pailfs(['umount', place.mountpoint]);
  t.equal(busy.code, exitCode.mountpointBusy);
  t.match(busy.stderr, /in use.*fuser -vm .*--lazy/);
  t.equal((await place.pailfs(['umount', '--lazy', place.mountpoint])).code, 0);
  t.equal(mountedAt(place.mountpoint), undefined);
  t.equal(place.daemons().length, 1, 'it waits for the last close');
  holder.child.kill('SIGKILL');
  await holder.result;
  await allGone(t, place);
  const people = await place.pailfs(['status']);
  t.notMatch(people.stdout, place.mountpoint);
  t.notMatch(JSON.stringify(status), place.server.credentials.secretAccessKey);
});

t.test('status for people', { skip }, async (t) => {
  const place = await makePlace(t);
  await place.mount();
  t.match(await place.pailfs(['status', place.mountpoint]), {
    code: 0,
    stdout: new RegExp(`^s3://${bucket} on ${place.mountpoint}\n {2}server .*\n {2}daemon .*not in S3 {3}0 files`, 's'),
  });
});

t.test('a killed daemon: status names its mount, and the next mount clears it', { skip }, async (t) => {
  const place = await makePlace(t);
  await place.mount();
  const [pid] = place.daemons();
  process.kill(pid, 'SIGKILL');
  await until('killed', () => place.daemons().length === 0);
  t.match((await sh(`ls ${place.mountpoint}`)).stderr, /not connected/);
  const { unanswered, deadSockets } = JSON.parse((await place.pailfs(['status', '--json'])).stdout);
  const ours = unanswered.filter(({ mountpoint }: { mountpoint: string }) => mountpoint === place.mountpoint);
  t.same(ours, [{ mountpoint: place.mountpoint, source: `s3://${bucket}`, life: 'dead' }]);
  t.equal(deadSockets.length, 1);
  t.match(await place.pailfs(['status', place.mountpoint]), {
    code: exitCode.notMounted,
    stderr: /is gone.*pailfs umount/,
  });
  await place.mount();
  t.equal((await sh(`ls ${place.mountpoint}`)).code, 0);
  t.equal((await place.pailfs(['umount', place.mountpoint])).code, 0);
  await allGone(t, place);
});

t.test('a killed daemon: umount clears its mount', { skip }, async (t) => {
  const place = await makePlace(t);
  await place.mount();
  process.kill(place.daemons()[0], 'SIGKILL');
  await until('killed', () => place.daemons().length === 0);
  t.match(await place.pailfs(['umount', place.mountpoint]), { code: 0, stderr: /its daemon was gone/ });
  t.equal(mountedAt(place.mountpoint), undefined);
  t.same(readdirSync(join(place.directory, 'run')), []);
  t.equal((await place.pailfs(['umount', place.mountpoint])).code, exitCode.notMounted);
});

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  t.test(`${signal} uploads what is open and dirty, and unmounts`, { skip }, async (t) => {
    const place = await makePlace(t);
    const daemon = place.begin(['mount', bucket, place.mountpoint, '-f']);
    await until('mounted', () => mountedAt(place.mountpoint) !== undefined, 20_000);
    const script = `exec 3>${place.mountpoint}/draft; echo words >&3; echo ready; read -r line; echo more >&3`;
    const writer = start('/bin/sh', ['-c', script], { input: '' });
    await writer.result;
    const holder = holdOpen(`${place.mountpoint}/open`, 'kept\n');
    const isOpen = ({ path, size }: { path: string; size: number }): boolean => path.endsWith('/open') && size > 0;
    let { dirty } = await statusOf(place);
    for (let i = 0; i < 50 && !dirty.some(isOpen); i++) ({ dirty } = await statusOf(place));
    t.match(dirty.filter(isOpen), [{ size: 5 }]);
    daemon.child.kill(signal);
    await until('detached', () => mountedAt(place.mountpoint) === undefined);
    holder.child.kill('SIGKILL');
    await holder.result;
    const { code, stderr } = await daemon.result;
    t.equal(code, 0, stderr);
    t.match(stderr, /in use: it was detached lazily/);
    t.equal(await getObject(place, 'draft'), 'words\nmore\n');
    t.equal(await getObject(place, 'open'), 'kept\n');
    await allGone(t, place);
  });
}

t.test('without write-back: a second signal no longer waits, and names what S3 does not have', { skip }, async (t) => {
  const place = await makePlace(t);
  const daemon = place.begin(['mount', bucket, place.mountpoint, '-f', '--write-back=off']);
  await until('mounted', () => mountedAt(place.mountpoint) !== undefined, 20_000);
  place.server.faults.add({ match: { operation: 'PutObject' }, action: { kind: 'delay', ms: 60_000 } });
  const lost = join(place.directory, 'lost');
  writeFileSync(lost, 'lost\n');
  const writer = start('cp', [lost, `${place.mountpoint}/late`], { timeout: 60_000 });
  let { dirty } = await statusOf(place);
  for (let i = 0; i < 50 && dirty.length === 0; i++) ({ dirty } = await statusOf(place));
  const late = await place.pailfs(['umount', place.mountpoint, '--timeout', '700ms']);
  t.equal(late.code, exitCode.timedOut, late.stderr);
  t.match(late.stderr, /uploading: 1 file, 5 B left\npailfs: 1 file, 5 bytes not in S3 yet;.*stays mounted/);
  daemon.child.kill('SIGTERM');
  await new Promise((resolve) => setTimeout(resolve, 500));
  t.equal(daemon.child.exitCode, null, 'it waits for the upload');
  daemon.child.kill('SIGTERM');
  const { code, stderr } = await daemon.result;
  t.equal(code, exitCode.notSaved, stderr);
  t.match(stderr, /"path":"[^"]*late".*not uploaded: what was written stays in the state directory/);
  await writer.result;
  const state = join(place.directory, 'state');
  const [id] = readdirSync(state).filter((name) => statSync(join(state, name)).isDirectory());
  const [staged] = readdirSync(join(state, id, 'staged'));
  t.equal(readFileSync(join(state, id, 'staged', staged), 'utf8'), 'lost\n');
  place.server.faults.clear();
  const next = await place.pailfs(['mount', bucket, place.mountpoint, '--write-back=off']);
  t.match(next, { code: 0, stderr: /^pailfs: warning: 1 files? .*staged\n$/ });
  t.ok(existsSync(join(state, id, 'staged', staged)), 'left alone');
});

t.test('umount(8): the daemon notices, finishes and ends', { skip }, async (t) => {
  const place = await makePlace(t);
  const daemon = place.begin(['mount', bucket, place.mountpoint, '-f']);
  await until('mounted', () => mountedAt(place.mountpoint) !== undefined, 20_000);
  t.equal((await sh(`echo words > ${place.mountpoint}/draft; umount ${place.mountpoint}`)).code, 0);
  t.equal((await daemon.result).code, 0);
  t.equal(await getObject(place, 'draft'), 'words\n');
  await allGone(t, place);
});

t.test('the starter of a mount is killed before it stands: nothing is left', { skip }, async (t) => {
  const place = await makePlace(t);
  place.server.faults.add({ match: { operation: 'ListObjectsV2' }, action: { kind: 'delay', ms: 1_500 } });
  const starter = place.begin(['mount', bucket, place.mountpoint]);
  await until('the bucket was asked', () => place.server.requests.total > 0, 20_000);
  starter.child.kill('SIGKILL');
  await starter.result;
  await new Promise((resolve) => setTimeout(resolve, 3_000));
  t.equal(mountedAt(place.mountpoint), undefined);
  t.same(place.daemons(), []);
});

t.test('mount(8) through its helper', { skip }, async (t) => {
  const place = await makePlace(t);
  const helper = join(place.directory, 'mount.fuse.pailfs');
  mkdirSync(join(place.directory, 'mnt2'));
  t.equal(
    (await runIn(place, 'ln', ['-s', join(import.meta.dirname, '..', '..', '..', 'bin', 'pailfs.js'), helper])).code,
    0,
  );
  const words = 'rw,nosuid,noatime,_netdev,nofail,x-systemd.requires=a.target,uid=33,file_mode=0600,allow_other';
  const fake = await runIn(place, helper, [`s3://${bucket}`, place.mountpoint, '-f', '-n', '-v', '-o', words]);
  t.same([fake.code, mountedAt(place.mountpoint)], [0, undefined], 'a fake mount');
  const mounted = await runIn(place, helper, [
    `s3://${bucket}`,
    place.mountpoint,
    '-n',
    '-o',
    words,
    '-t',
    'fuse.pailfs',
  ]);
  t.equal(mounted.code, 0, mounted.stderr);
  await putObject(place, 'roses.txt', 'red\n');
  t.equal((await sh(`stat -c '%u %a' ${place.mountpoint}/roses.txt`)).stdout, '33 600\n');
  t.match(
    readFileSync('/proc/mounts', 'utf8'),
    new RegExp(`s3://${bucket} ${place.mountpoint} fuse.pailfs rw,nosuid,nodev,.*allow_other`),
  );
  const strict = await runIn(place, helper, [`s3://${bucket}`, join(place.directory, 'mnt2'), '-o', 'frobnicate']);
  t.match(strict, { code: exitCode.usage, stderr: /unknown option -o frobnicate/ });
  t.equal((await place.pailfs(['umount', place.mountpoint])).code, 0);
});

t.test('a line of fstab through mount(8) itself, with the helper where it looks', { skip }, async (t) => {
  const place = await makePlace(t);
  await putObject(place, 'roses.txt', 'red\n');
  // A mount namespace of its own, so that the system's /usr/sbin and mounts stay as they are.
  const script = `mkdir "$0/sbin"; ln -s "$1" "$0/sbin/mount.fuse.pailfs"; mount --bind "$0/sbin" /usr/sbin
    echo "s3://${bucket} $0/mnt fuse.pailfs uid=33,file_mode=0600,_netdev,nofail,noauto,x-systemd.automount 0 0" > "$0/fstab"
    mount -T "$0/fstab" "$0/mnt"; stat -c '%u %a' "$0/mnt/roses.txt"; echo blue > "$0/mnt/violets.txt"; umount "$0/mnt"`;
  const bin = join(import.meta.dirname, '..', '..', '..', 'bin', 'pailfs.js');
  const args = ['-m', '--', '/bin/sh', '-ec', script, place.directory, bin];
  const { code, stdout, stderr } = await runIn(place, 'unshare', args, { timeout: 40_000 });
  t.same([code, stdout], [0, '33 600\n'], stderr);
  await allGone(t, place);
  t.equal(await getObject(place, 'violets.txt'), 'blue\n');
});

t.test('a public bucket needs no credentials, and says that it uses none', { skip }, async (t) => {
  const place = await makePlace(t, { publicBuckets: [bucket] });
  await putObject(place, 'roses.txt', 'red\n');
  const env = { AWS_ACCESS_KEY_ID: undefined, AWS_SECRET_ACCESS_KEY: undefined };
  const mounted = await place.pailfs(['mount', bucket, place.mountpoint], { env });
  t.match(mounted, { code: 0, stderr: /warning: no credentials were found; the bucket is public/ });
  t.equal((await sh(`cat ${place.mountpoint}/roses.txt`)).stdout, 'red\n');
  t.equal((await statusOf(place)).anonymous, true);
});

t.test('where listing is denied the mount says what it cannot see', { skip }, async (t) => {
  const place = await makePlace(t);
  place.server.denied.add('ListObjectsV2');
  const mounted = await place.pailfs(['mount', bucket, place.mountpoint]);
  t.match(mounted, {
    code: 0,
    stderr: /^pailfs: warning: s3:ListBucket is denied on garden: ls shows nothing[^\n]*\n$/,
  });
  t.equal((await sh(`echo new > ${place.mountpoint}/new.txt`)).code, 0);
  await place.sync();
  t.equal(await getObject(place, 'new.txt'), 'new\n');
});
