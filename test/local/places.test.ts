/** Sources, directories, the mount table and the lock of the state directory. */
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';
import t from 'tap';
import { exitCode } from '../../src/exit-code.js';
import { baseDirectories, mountId, privateDirectory, refuseInside } from '../../src/local/directories.js';
import { parseMountTable } from '../../src/local/mount-table.js';
import { lifeOf, resolvePlace } from '../../src/local/mountpoint.js';
import { parseSource } from '../../src/local/source.js';
import { lockState, mayLive, thisProcess } from '../../src/local/state-lock.js';
import { run } from '../mount/harness.js';

function temporary(t: Test): string {
  const directory = mkdtempSync(join(tmpdir(), 'pailfs-local-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

t.test('sources', async (t) => {
  t.same(parseSource('s3://bucket'), { bucket: 'bucket', prefix: '', url: 's3://bucket' });
  t.same(parseSource('bucket/'), { bucket: 'bucket', prefix: '', url: 's3://bucket' });
  t.same(parseSource('s3://b.ucket/a/b//'), { bucket: 'b.ucket', prefix: 'a/b/', url: 's3://b.ucket/a/b' });
  const point = 'arn:aws:s3:us-west-2:123456789012:accesspoint/mine';
  t.same(parseSource(`s3://${point}/a`), { bucket: point, prefix: 'a/', url: `s3://${point}/a` });
  for (const wrong of ['', 's3://', 'https://bucket', 's3:///a', 'a b', '../x']) {
    t.throws(() => parseSource(wrong), { message: /./, exitCode: exitCode.usage }, wrong);
  }
});

t.test('where directories lie', async (t) => {
  t.same(baseDirectories({}, { XDG_RUNTIME_DIR: '/run/user/0' }, 0), {
    state: '/var/lib/pailfs',
    cache: '/var/cache/pailfs',
    runtime: '/run/pailfs',
  });
  t.same(baseDirectories({}, { XDG_RUNTIME_DIR: '/run/user/7', XDG_CACHE_HOME: '/c' }, 7, '/h'), {
    state: '/h/.local/state/pailfs',
    cache: '/c/pailfs',
    runtime: '/run/user/7/pailfs',
  });
  t.equal(baseDirectories({}, {}, 7, '/h').runtime, '/h/.local/state/pailfs/control');
  t.same(baseDirectories({ stateDir: '/s', cacheDir: '/c', runtimeDir: '/r' }, {}, 0), {
    state: '/s',
    cache: '/c',
    runtime: '/r',
  });
  const id = mountId(parseSource('s3://bucket/a b'), 'http://h');
  t.match(id, /^bucket-a-b-[0-9a-f]{12}$/);
  t.equal(id, mountId(parseSource('bucket/a b/'), 'http://h/'));
  t.not(id, mountId(parseSource('bucket/a-b'), 'http://h'));
  t.not(id, mountId(parseSource('bucket/a b'), 'http://i'));
  t.ok(Buffer.byteLength(mountId(parseSource(`bucket/${'x'.repeat(900)}`), 'http://h')) < 100);
});

t.test('directories are ours alone', async (t) => {
  const base = temporary(t);
  const made = privateDirectory(join(base, 'a', 'b'));
  t.equal(statSync(made).mode & 0o777, 0o700);
  t.equal(statSync(join(base, 'a')).mode & 0o777, 0o700);
  chmodSync(join(base, 'a'), 0o770);
  t.throws(() => privateDirectory(made), { exitCode: exitCode.directoryUnusable, message: /others may write to .*a;/ });
  chmodSync(join(base, 'a'), 0o1777);
  t.equal(privateDirectory(made), made, 'sticky');
  chmodSync(join(base, 'a'), 0o755);
  symlinkSync(made, join(base, 'link'));
  t.equal(privateDirectory(join(base, 'link')), made);
  writeFileSync(join(base, 'file'), '');
  t.throws(() => privateDirectory(join(base, 'file')), { message: /./, exitCode: exitCode.directoryUnusable });
  if (process.geteuid?.() === 0) {
    chownSync(join(base, 'a'), 65534, 65534);
    t.throws(() => privateDirectory(made), /belongs to another user/);
  }
});

t.test('a directory in the mount point is found, also through links and where it does not exist yet', async (t) => {
  const base = temporary(t);
  mkdirSync(join(base, 'mnt'));
  symlinkSync(join(base, 'mnt'), join(base, 'link'));
  const place = join(base, 'mnt');
  for (const inside of ['mnt', 'mnt/a', 'mnt/a/b/c', 'link/a', 'x/../mnt/a']) {
    t.throws(
      () => refuseInside(join(base, inside), place, 'cache-dir'),
      { message: /./, exitCode: exitCode.directoryInsideMount },
      inside,
    );
  }
  for (const outside of ['mnt2', 'x/y', '.'])
    t.doesNotThrow(() => refuseInside(join(base, outside), place, 'cache-dir'), outside);
});

t.test('the mount table', async (t) => {
  const text = [
    '36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue',
    '37 35 0:40 / /a\\040b\\134c rw shared:2 master:3 - fuse.pailfs s3://b\\040c rw',
    '38 35 0:41 / /plain rw - tmpfs none rw',
    'not a line',
    '',
  ].join('\n');
  t.same(parseMountTable(text), [
    { mountpoint: '/mnt2', type: 'ext3', source: '/dev/root' },
    { mountpoint: '/a b\\c', type: 'fuse.pailfs', source: 's3://b c' },
    { mountpoint: '/plain', type: 'tmpfs', source: 'none' },
  ]);
});

t.test('a place is resolved, whether it is there or not', async (t) => {
  const base = temporary(t);
  mkdirSync(join(base, 'mnt'));
  symlinkSync(join(base, 'mnt'), join(base, 'link'));
  t.equal(await resolvePlace(join(base, 'link')), join(base, 'mnt'));
  t.equal(await resolvePlace(join(base, 'absent')), join(base, 'absent'));
  t.equal(await lifeOf(join(base, 'mnt')), 'none');
});

t.test('the lock: held by the living, taken from the dead', async (t) => {
  const directory = temporary(t);
  const lock = lockState(directory, '/mnt');
  t.same(readdirSync(directory), ['lock']);
  t.equal(statSync(join(directory, 'lock')).mode & 0o777, 0o600);
  const held = {
    exitCode: exitCode.stateLocked,
    message: new RegExp(`mounted on /mnt by process ${process.pid}: run "pailfs umount /mnt"`),
  };
  t.throws(() => lockState(directory, '/other'), held);
  lock.release();
  t.same(readdirSync(directory), []);
  lock.release();
  const dead = await run(process.execPath, ['-e', '']);
  t.equal(dead.code, 0);
  const us = thisProcess('/mnt');
  writeFileSync(join(directory, 'lock'), JSON.stringify({ ...us, pid: 2 ** 22 }));
  lockState(directory, '/mnt').release();
  writeFileSync(join(directory, 'lock'), JSON.stringify({ ...us, started: '1' }));
  lockState(directory, '/mnt').release();
  writeFileSync(join(directory, 'lock'), '');
  const again = lockState(directory, '/mnt');
  t.equal(JSON.parse(readFileSync(join(directory, 'lock'), 'utf8')).pid, process.pid);
  again.release();
});

t.test('the lock: of another boot, machine or container', async (t) => {
  const us = thisProcess('/mnt');
  t.ok(mayLive(us, us));
  t.notOk(mayLive({ ...us, boot: 'before' }, us), 'the machine was started again');
  t.ok(mayLive({ ...us, boot: 'before', host: 'other' }, us), 'another machine, on shared storage');
  t.ok(mayLive({ ...us, pidNamespace: 'pid:[1]', pid: 2 ** 22 }, us), 'a container, whose numbers are others');
  const directory = temporary(t);
  writeFileSync(join(directory, 'lock'), JSON.stringify({ ...us, boot: 'x', host: 'other' }));
  t.throws(
    () => lockState(directory, '/mnt'),
    /of another machine or container \(other\): where that one is gone, remove /,
  );
});

t.test('of many that find a stale lock at one time, one wins', async (t) => {
  const directory = temporary(t);
  const module = new URL('../../src/local/state-lock.js', import.meta.url).href;
  // Who won holds the lock until all have tried, however late they come.
  const script = `const { lockState } = await import(${JSON.stringify(module)});
    const { readdirSync, writeFileSync } = await import('node:fs');
    const [at, directory, answers] = process.argv.slice(1);
    while (Date.now() < Number(at)) {}
    try { lockState(directory, '/mnt'); console.log('won'); } catch (error) { console.log(error.exitCode); }
    writeFileSync(answers + '/' + process.pid, '');
    const end = Date.now() + 30_000;
    setInterval(() => { if (readdirSync(answers).length === 4 || Date.now() > end) process.exit(); }, 20);`;
  for (let round = 0; round < 3; round++) {
    writeFileSync(join(directory, 'lock'), JSON.stringify({ ...thisProcess('/mnt'), started: '1' }));
    const at = String(Date.now() + 1200);
    const answers = join(directory, `answers-${round}`);
    mkdirSync(answers);
    const args = ['--input-type=module', '-e', script, at, directory, answers];
    const results = await Promise.all([0, 1, 2, 3].map(() => run(process.execPath, args)));
    t.same(results.map(({ stdout }) => stdout.trim()).sort(), ['81', '81', '81', 'won']);
  }
});
