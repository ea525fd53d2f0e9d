/** Write-back as users and administrators meet it: the real command, a server that is slow or away, and kill -9. */
import { readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Test } from 'tap';
import t from 'tap';
import type { DaemonStatus } from '../../src/control/messages.js';
import { exitCode } from '../../src/exit-code.js';
import { mountedAt } from '../../src/local/mount-table.js';
import { check, noKernelMounts, sh, start, until } from '../mount/harness.js';
import { bucket, getObject, makePlace, type Place, runIn } from './fixture.js';

const skip = noKernelMounts;
t.setTimeout(400_000);

const on = ['--write-back', 'on'];
const off = ['--write-back', 'off'];
const writing = ['PutObject', 'CreateMultipartUpload', 'UploadPart', 'CompleteMultipartUpload', 'DeleteObjects'];

/** Every write waits so long before it is done. */
function slow(place: Place, ms: number): void {
  place.server.faults.add({ match: { operation: writing }, action: { kind: 'delay', ms } });
}

/** No write is done, nor answered, before what this answers is called; the end of the test calls it. */
function hold(t: Test, place: Place, operation = writing): () => void {
  let release = () => {};
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  t.teardown(() => release());
  place.server.faults.add({ match: { operation }, action: { kind: 'call', before: () => released } });
  return release;
}

/** Runs a command, and calls `then` when it says something: however slow the machine is, that comes in between. */
function untilSaid(place: Place, args: readonly string[], words: string, then: () => void) {
  const { child, result } = place.begin(args);
  child.stderr?.on('data', (text: string) => {
    if (text.includes(words)) then();
  });
  return result;
}

function away(place: Place): void {
  const action = { kind: 'error', status: 503, code: 'ServiceUnavailable' } as const;
  place.server.faults.add({ match: { operation: writing }, action });
}

async function statusOf(place: Place): Promise<DaemonStatus> {
  const { code, stdout, stderr } = await place.pailfs(['status', place.mountpoint, '--json']);
  if (code !== 0) throw new Error(stderr);
  return JSON.parse(stdout);
}

async function statusUntil(place: Place, what: string, holds: (status: DaemonStatus) => boolean) {
  for (let i = 0; i < 60; i++) {
    const status = await statusOf(place);
    if (holds(status)) return status;
    await sleep(100);
  }
  throw new Error(`${what}: not in time`);
}

/** The directory with the journal. */
function stateOf(place: Place): string {
  const base = join(place.directory, 'state');
  const [id] = readdirSync(base).filter((name) => statSync(join(base, name)).isDirectory());
  return join(base, id);
}

async function write(place: Place, files: Readonly<Record<string, string>>): Promise<void> {
  for (const [name, text] of Object.entries(files)) {
    const source = join(place.directory, 'source');
    writeFileSync(source, text);
    await check(`cp ${source} ${place.mountpoint}/${name}`);
  }
}

function killDaemon(place: Place): Promise<void> {
  for (const pid of place.daemons()) process.kill(pid, 'SIGKILL');
  return until('killed', () => place.daemons().length === 0);
}

async function foreground(t: Test, place: Place) {
  const daemon = place.begin(['mount', bucket, place.mountpoint, '-f', ...on], { timeout: 120_000 });
  t.teardown(() => daemon.child.kill('SIGKILL'));
  await until('mounted', () => mountedAt(place.mountpoint) !== undefined, 20_000);
  return daemon;
}

t.test('kill -9 right after close(): the next mount takes everything up', { skip }, async (t) => {
  const place = await makePlace(t);
  hold(t, place);
  await place.mount(on);
  await check(`mkdir -p ${place.mountpoint}/beds/deep`);
  await write(place, { roses: 'red\n', 'beds/deep/violets': 'blue\n' });
  await check(`ln -s roses ${place.mountpoint}/link; mv ${place.mountpoint}/roses ${place.mountpoint}/renamed`);
  await killDaemon(place);
  t.equal(await getObject(place, 'renamed'), undefined, 'nothing was uploaded');
  place.server.faults.clear();
  slow(place, 300);
  const next = await place.pailfs(['mount', bucket, place.mountpoint, ...on]);
  t.match(next, {
    code: 0,
    stderr: /^pailfs: taking up \d+ files, \d+ B that an earlier mount had not uploaded\n$/,
  });
  t.equal(
    await check(`cat ${place.mountpoint}/renamed ${place.mountpoint}/beds/deep/violets`),
    'red\nblue\n',
    'at once',
  );
  const synced = await place.pailfs(['sync', place.mountpoint]);
  t.equal(synced.code, 0, synced.stderr);
  t.same([await getObject(place, 'renamed'), await getObject(place, 'beds/deep/violets')], ['red\n', 'blue\n']);
  t.equal(await getObject(place, 'roses'), undefined);
  t.equal(await getObject(place, 'link'), 'roses');
  t.match(await place.pailfs(['umount', place.mountpoint]), { code: 0 });
  t.match(await place.pailfs(['mount', bucket, place.mountpoint, ...on]), { code: 0, stderr: '' }, 'nothing is left');
});

t.test('a mount without write-back uploads what one with it left', { skip }, async (t) => {
  const place = await makePlace(t);
  hold(t, place);
  await place.mount(on);
  await write(place, { roses: 'red\n' });
  await killDaemon(place);
  place.server.faults.clear();
  const next = await place.pailfs(['mount', bucket, place.mountpoint, ...off]);
  t.match(next, {
    code: 0,
    stderr: /^pailfs: uploaded 1 file, 4 B that an earlier mount had not uploaded\n$/,
  });
  t.equal(await getObject(place, 'roses'), 'red\n');
  t.notOk(readdirSync(stateOf(place)).includes('journal'));
});

t.test('umount: progress, --timeout leaves the rest in the journal and says how to go on', { skip }, async (t) => {
  const place = await makePlace(t);
  await place.mount(on);
  hold(t, place);
  await write(place, { roses: 'red\n', violets: 'blue\n' });
  const { code, stderr } = await place.pailfs(['umount', place.mountpoint, '--timeout', '1500ms']);
  t.equal(code, exitCode.leftInJournal, stderr);
  t.match(stderr, /^pailfs: uploading: 2 files, 9 B left.*\n/);
  const last = new RegExp(
    `\\npailfs: not in S3 yet: 2 files, 9 B; it waits in ${stateOf(place)}, and the next "pailfs mount s3://${bucket}" .*takes it up\\n$`,
  );
  t.match(stderr, last);
  t.equal(mountedAt(place.mountpoint), undefined);
  t.same(place.daemons(), [], 'the daemon has ended');
  place.server.faults.clear();
  const next = await place.pailfs(['mount', bucket, place.mountpoint, ...on]);
  t.match(next, { code: 0, stderr: /taking up 2 files, 9 B/ });
  t.match(await place.pailfs(['umount', place.mountpoint]), { code: 0 });
  t.same([await getObject(place, 'roses'), await getObject(place, 'violets')], ['red\n', 'blue\n']);
});

t.test('umount waits while S3 is away, and goes on when it is back', { skip }, async (t) => {
  const place = await makePlace(t);
  await place.mount([...on, '--io-timeout', '1s']);
  away(place);
  await write(place, { roses: 'red\n' });
  await statusUntil(place, 'a failure', ({ dirty }) => dirty[0]?.state === 'failed');
  const umount = place.begin(['umount', place.mountpoint]);
  await sleep(3_000);
  t.equal(umount.child.exitCode, null);
  place.server.faults.clear();
  const { code, stderr } = await umount.result;
  t.equal(code, 0, stderr);
  t.match(stderr, /uploading: 1 file, 4 B left; trying again what failed \(.+\)\n/);
  t.equal(await getObject(place, 'roses'), 'red\n');
});

t.test('umount of a file that S3 refuses: the mount stays; --lazy leaves it to the next mount', { skip }, async (t) => {
  const place = await makePlace(t);
  await place.mount(on);
  place.server.denied.add('PutObject');
  await write(place, { roses: 'red\n' });
  const refusedOne = await place.pailfs(['umount', place.mountpoint]);
  t.match(refusedOne, {
    code: exitCode.notSaved,
    stderr: /1 file cannot be uploaded, first .*mnt\/roses \(.*\); .* stays mounted: see the log, or use --lazy\n$/,
  });
  const text = (await place.pailfs(['status', place.mountpoint])).stdout;
  t.match(text, /write-back {2}0 queued, 0 uploading, 0 failed, 1 refused; 0 deletions\n/);
  t.match(text, /\n {4}oldest {2}\/roses, for \d+ s on this machine only\n/);
  t.match(text, /\n {4}refused {2}\/roses \(4 B\): .*denied.*, next try in \d+ min/i);
  const lazy = await place.pailfs(['umount', '--lazy', place.mountpoint]);
  t.match(lazy, {
    code: 0,
    stderr: /not in S3 yet: 1 file, 4 B; the daemon stays .* next "pailfs mount s3:\/\/garden"/,
  });
  await until('the daemon ended', () => place.daemons().length === 0, 15_000);
  place.server.denied.clear();
  t.match(await place.pailfs(['mount', bucket, place.mountpoint, ...on]), { code: 0, stderr: /taking up 1 file, 4 B/ });
  t.match(await place.pailfs(['sync', join(place.mountpoint, 'roses')]), { code: 0, stderr: '' });
  t.equal(await getObject(place, 'roses'), 'red\n');
});

t.test('SIGTERM drains; a second signal leaves the rest in the journal', { skip }, async (t) => {
  const place = await makePlace(t);
  const daemon = await foreground(t, place);
  hold(t, place);
  await write(place, { roses: 'red\n' });
  daemon.child.kill('SIGTERM');
  await sleep(1_500);
  t.equal(daemon.child.exitCode, null, 'it waits for the upload');
  daemon.child.kill('SIGTERM');
  const { code, stderr } = await daemon.result;
  t.equal(code, exitCode.leftInJournal, stderr);
  t.match(stderr, /"msg":"uploading: 1 file, 4 B left/);
  t.match(stderr, /"msg":"not in S3 yet: 1 file, 4 B; it waits in .*next \\"pailfs mount s3:\/\/garden\\"/);
  t.equal(mountedAt(place.mountpoint), undefined);
  place.server.faults.clear();
  const second = await foreground(t, place);
  second.child.kill('SIGTERM');
  const ended = await second.result;
  t.equal(ended.code, 0, ended.stderr);
  t.equal(await getObject(place, 'roses'), 'red\n', 'one signal uploads everything');
});

t.test('a second signal keeps what a program has written and not closed', { skip }, async (t) => {
  const place = await makePlace(t);
  const daemon = await foreground(t, place);
  hold(t, place);
  const script =
    "const fs = require('fs'); fs.writeSync(fs.openSync(process.argv[1], 'w'), 'half\\n'); setTimeout(() => {}, 60000)";
  const writer = start(process.execPath, ['-e', script, `${place.mountpoint}/draft`], { timeout: 60_000 });
  t.teardown(() => writer.child.kill('SIGKILL'));
  await statusUntil(place, 'dirty', ({ dirty }) => dirty.length === 1);
  daemon.child.kill('SIGTERM');
  await sleep(500);
  daemon.child.kill('SIGTERM');
  const { code, stderr } = await daemon.result;
  t.equal(code, exitCode.leftInJournal, stderr);
  writer.child.kill('SIGKILL');
  await writer.result;
  place.server.faults.clear();
  t.match(await place.pailfs(['mount', bucket, place.mountpoint, ...on]), { code: 0, stderr: /taking up 1 file, 5 B/ });
  t.equal(await check(`cat ${place.mountpoint}/draft`), 'half\n');
});

t.test('after umount(8) the daemon goes on, and a new mount waits for it', { skip }, async (t) => {
  const place = await makePlace(t);
  await place.mount(on);
  const release = hold(t, place);
  await write(place, { roses: 'red\n' });
  const began = Date.now();
  await check(`umount ${place.mountpoint}`);
  t.ok(Date.now() - began < 2_000, 'umount(8) asks nobody');
  t.equal(place.daemons().length, 1);
  const status = await statusOf(place);
  t.match(status, { draining: true, dirty: [{ path: '/roses' }] });
  t.match((await place.pailfs(['status'])).stdout, /mnt \(unmounted: what is left is being uploaded\)/);
  t.match(await untilSaid(place, ['mount', bucket, place.mountpoint, ...on], 'waiting for it', release), {
    code: 0,
    stderr:
      /^pailfs: the daemon of the mount that was on .*mnt \(process \d+\) still uploads \(left: 1 file, 4 B\): waiting for it\n$/,
  });
  t.equal(await getObject(place, 'roses'), 'red\n', 'it was uploaded first');
  t.equal(await check(`cat ${place.mountpoint}/roses`), 'red\n');
});

t.test('a new mount takes over from a daemon that does not come to an end', { skip }, async (t) => {
  const place = await makePlace(t);
  await place.mount(on);
  hold(t, place, ['PutObject', 'UploadPart']);
  const large = 'rose'.repeat(5_000_000);
  await write(place, { roses: 'red\n', large });
  await check(`umount ${place.mountpoint}`);
  const next = place.begin(['mount', bucket, place.mountpoint, ...on]);
  await sleep(2_000);
  place.server.faults.clear();
  t.match(await next.result, {
    code: 0,
    stderr:
      /waiting for it\npailfs: taking over: what it has not uploaded, this mount will\npailfs: taking up 2 files, 19.1 MiB/,
  });
  t.equal(place.daemons().length, 1);
  t.match(await place.pailfs(['sync', place.mountpoint]), { code: 0 });
  t.ok((await getObject(place, 'large')) === large, 'an upload in parts begins anew');
  t.equal(await getObject(place, 'roses'), 'red\n');
});

t.test('pailfs umount waits for a daemon whose mount is gone', { skip }, async (t) => {
  const place = await makePlace(t);
  await place.mount(on);
  const release = hold(t, place);
  await write(place, { roses: 'red\n' });
  await check(`umount ${place.mountpoint}`);
  t.match(await untilSaid(place, ['umount', place.mountpoint], 'uploading: ', release), {
    code: 0,
    stderr: /uploading: 1 file, 4 B left/,
  });
  t.same(place.daemons(), []);
  t.equal(await getObject(place, 'roses'), 'red\n');
});

t.test('sync: a file, a directory, what fails, and paths that are none', { skip }, async (t) => {
  const place = await makePlace(t);
  await place.mount(on);
  const { mountpoint } = place;
  const release = hold(t, place);
  await check(`mkdir ${mountpoint}/beds`);
  await write(place, { roses: 'red\n', 'beds/violets': 'blue\n' });
  const beds = await untilSaid(place, ['sync', join(mountpoint, 'beds')], 'uploading: ', release);
  t.match(beds, { code: 0, stderr: /^pailfs: uploading: [12] files?, \d+ B left.*\n/ });
  t.equal(await getObject(place, 'beds/violets'), 'blue\n');
  t.match(await runInside(place, join(mountpoint, 'beds'), ['sync', '../roses']), { code: 0 }, 'relative');
  t.equal(await getObject(place, 'roses'), 'red\n');
  place.server.faults.clear();
  place.server.denied.add('PutObject');
  await write(place, { 'beds/lilies': 'white\n', tulips: 'x' });
  t.match(await place.pailfs(['sync', join(mountpoint, 'roses')]), { code: 0 }, 'what is elsewhere does not matter');
  const failed = await place.pailfs(['sync', mountpoint]);
  t.match(failed, {
    code: exitCode.notSaved,
    stderr: /2 files could not be uploaded, first .*mnt\/(beds\/lilies|tulips) \(.*denied.*\)\n$/i,
  });
  place.server.denied.clear();
  t.match(await place.pailfs(['sync', mountpoint]), { code: 0 }, 'it is tried again');
  t.equal(await getObject(place, 'beds/lilies'), 'white\n');
  t.match(await place.pailfs(['sync', join(mountpoint, 'absent')]), {
    code: exitCode.usage,
    stderr: /^pailfs: .*absent does not exist\n$/,
  });
  t.match(await place.pailfs(['sync', place.directory]), {
    code: exitCode.notMounted,
    stderr: /is in no bucket that pailfs mounts\n$/,
  });
});

function runInside(place: Place, cwd: string, args: string[]) {
  const bin = join(import.meta.dirname, '..', '..', '..', 'bin', 'pailfs.js');
  return runIn(place, process.execPath, [bin, ...args], { cwd });
}

t.test('sync: names that are not UTF-8, links, and what is open', { skip }, async (t) => {
  const place = await makePlace(t);
  await place.mount(on);
  const { mountpoint } = place;
  slow(place, 500);
  const bin = join(import.meta.dirname, '..', '..', '..', 'bin', 'pailfs.js');
  const pailfs = `${process.execPath} ${bin}`;
  const name = `$(printf 'f\\377\\303')`;
  const script = `cd ${mountpoint}; mkdir "d${name}"; echo odd > "d${name}/${name}"; cd "d${name}"
    ${pailfs} sync "${name}" && ${pailfs} sync "$PWD/${name}" && ${pailfs} status ${mountpoint} --json`;
  const odd = await runIn(place, '/bin/sh', ['-ec', script], { timeout: 40_000 });
  t.equal(odd.code, 0, odd.stderr);
  t.same(
    (JSON.parse(odd.stdout) as DaemonStatus).dirty.filter(({ path }) => /\/f/.test(path)),
    [],
  );
  await write(place, { target: 'aim\n' });
  await check(
    `ln -s target ${mountpoint}/link; ln -s nowhere ${mountpoint}/dangling; ln -s ${mountpoint}/target ${place.directory}/outside`,
  );
  t.match(await place.pailfs(['sync', join(mountpoint, 'link')]), { code: 0 });
  t.same([await getObject(place, 'target'), await getObject(place, 'link')], ['aim\n', 'target'], 'both ends');
  t.match(await place.pailfs(['sync', join(mountpoint, 'dangling')]), { code: 0 });
  t.equal(await getObject(place, 'dangling'), 'nowhere');
  t.match(await place.pailfs(['sync', join(place.directory, 'outside')]), { code: 0 });
  const open = `exec 3>${mountpoint}/open; echo half >&3; ${pailfs} sync ${mountpoint}/open`;
  t.match(await runIn(place, '/bin/sh', ['-ec', open], { timeout: 40_000 }), { code: 0 });
  t.equal(await getObject(place, 'open'), 'half\n', 'what a program is still writing');
});

t.test('sync without write-back', { skip }, async (t) => {
  const place = await makePlace(t);
  await place.mount(off);
  await write(place, { roses: 'red\n' });
  t.match(await place.pailfs(['sync', place.mountpoint]), { code: 0, stderr: '' });
  t.match(await place.pailfs(['sync', join(place.mountpoint, 'roses')]), { code: 0, stderr: '' });
});

t.test('what a mount without a journal could not upload survives one with it', { skip }, async (t) => {
  const place = await makePlace(t);
  await place.mount(off);
  place.server.denied.add('PutObject');
  await sh(`echo lost > ${place.mountpoint}/late`);
  await sh(`umount ${place.mountpoint}`);
  await until('the daemon ended', () => place.daemons().length === 0, 15_000);
  const [file] = readdirSync(join(stateOf(place), 'staged'));
  t.ok(file);
  const next = await place.pailfs(['mount', bucket, place.mountpoint, ...on]);
  t.match(next, { code: 0, stderr: /1 file that an earlier daemon could not upload lies in .*set-aside\n$/ });
  t.same(readdirSync(join(stateOf(place), 'set-aside')), [file]);
});

t.test('status of a mount that is away', { skip }, async (t) => {
  const place = await makePlace(t);
  await place.mount([...on, '--io-timeout', '1s']);
  away(place);
  await check(`for i in 1 2 3 4 5 6; do echo $i > ${place.mountpoint}/f$i; done`);
  const status = await statusUntil(place, 'away', ({ waiting }) => waiting?.isAway === true);
  t.match(status.waiting, { queued: 6, removals: 0, oldest: { path: /^\/f[1-6]$/, since: Number } });
  const failed = status.dirty.filter(({ state }) => state === 'failed');
  t.ok(failed.length > 0);
  t.match(failed[0], { failure: 'EIO', reason: /./, size: 2 });
  // Between two tries it is due, and stands among the queued.
  let shown = '';
  await until('a failed file is shown', async () => {
    shown = (await place.pailfs(['status', place.mountpoint])).stdout;
    return /\n {4}failed {2}\/f[1-6] \(2 B\): .*, next try in /.test(shown);
  });
  t.match(shown, /S3 does not answer: tries go on by themselves/);
  place.server.faults.clear();
  t.match(await place.pailfs(['sync', place.mountpoint]), { code: 0 });
});
