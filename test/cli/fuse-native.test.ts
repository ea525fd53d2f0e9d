/** `--driver fuse-native` as users run it: its life, and what it says where its package or libfuse is missing. */
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { exitCode } from '../../src/exit-code.js';
import { mountedAt } from '../../src/local/mount-table.js';
import { packageRoot } from '../../src/package.js';
import { noFuseNative } from '../mount/driver-choice.js';
import { noKernelMounts, sh, start, until } from '../mount/harness.js';
import { bucket, getObject, makePlace, type Place, putObject, runIn } from './fixture.js';

const skip = noKernelMounts || noFuseNative();
t.setTimeout(200_000);
/** The tap object of one subtest. */
type Tap = Pick<Test, 'same' | 'equal' | 'match'>;
const source = `s3://${bucket}`;
const driver = ['--driver', 'fuse-native'];

async function ended(t: Tap, place: Place): Promise<void> {
  await until('the daemon ended', () => place.daemons().length === 0, 15_000);
  t.same(mountedAt(place.mountpoint), undefined, 'no mount');
}

t.test('mounted, and ended by pailfs umount, SIGTERM and umount(8)', { skip }, async (t) => {
  const place = await makePlace(t);
  const { mountpoint, directory } = place;
  await putObject(place, 'roses.txt', 'red\n');
  await place.mount(driver);
  t.match(mountedAt(mountpoint), { type: 'fuse.pailfs', source });
  t.match(await sh(`cat ${mountpoint}/roses.txt; echo blue > ${mountpoint}/violets.txt`), { code: 0, stdout: 'red\n' });
  await place.sync();
  t.equal(await getObject(place, 'violets.txt'), 'blue\n');
  const { stdout } = await place.pailfs(['status', mountpoint, '--json']);
  const status = JSON.parse(stdout);
  t.match(status, { driver: 'fuse-native', bucket, openFiles: 0 });
  t.match(status.operations, { write: { count: 1, errors: 0 }, create: { count: 1, errors: 0 } });
  const log = readFileSync(join(directory, 'state', 'pailfs.log'), 'utf8');
  t.equal(log.match(/"limits":"times of modification[^"]*docs\/drivers\.md"/g)?.length, 1, 'told once');
  t.match(await place.pailfs(['mount', source, mountpoint, ...driver]), { code: exitCode.mountpointBusy });
  t.match(await place.pailfs(['umount', mountpoint]), { code: 0, stdout: '', stderr: '' });
  await ended(t, place);
  await place.mount(driver);
  process.kill(place.daemons()[0], 'SIGTERM');
  await ended(t, place);
  await place.mount(driver);
  t.match(await sh(`umount ${mountpoint}`), { code: 0 });
  await ended(t, place);
});

t.test('a mount in use is busy; what is written to it after SIGTERM is uploaded', { skip }, async (t) => {
  const place = await makePlace(t);
  const { mountpoint } = place;
  await place.mount(driver);
  const go = join(place.directory, 'go');
  const script = `exec 3>${mountpoint}/held; echo one >&3; while [ ! -e ${go} ]; do sleep 0.05; done; echo two >&3`;
  const program = start('/bin/sh', ['-c', script]);
  await until('it is written', () => readdirSync(join(place.directory, 'state')).length > 0);
  for (let held = false; !held; ) held = (await sh(`fuser -m ${mountpoint}`)).code === 0;
  t.match(await place.pailfs(['umount', mountpoint]), { code: exitCode.mountpointBusy, stderr: /in use/ });
  process.kill(place.daemons()[0], 'SIGTERM');
  await until('it is detached', () => mountedAt(mountpoint) === undefined);
  writeFileSync(go, '');
  await program.result;
  await ended(t, place);
  t.equal(await getObject(place, 'held'), 'one\ntwo\n');
});

t.test('a killed daemon leaves a dead mount, which the next one clears', { skip }, async (t) => {
  const place = await makePlace(t);
  await place.mount(driver);
  process.kill(place.daemons()[0], 'SIGKILL');
  await until('it is dead', () => place.daemons().length === 0);
  t.match(await sh(`ls ${place.mountpoint}`), { stderr: /not connected/ });
  await place.mount(driver);
  t.match(await sh(`echo alive > ${place.mountpoint}/f; cat ${place.mountpoint}/f`), { stdout: 'alive\n' });
  await place.pailfs(['umount', place.mountpoint]);
  await ended(t, place);
});

t.test('a read-only mount', { skip }, async (t) => {
  const place = await makePlace(t);
  await putObject(place, 'f', 'x');
  await place.mount([...driver, '--ro']);
  t.match(await sh(`cat ${place.mountpoint}/f; touch ${place.mountpoint}/g`), { stdout: 'x', stderr: /Read-only/ });
  await place.pailfs(['umount', place.mountpoint]);
  await ended(t, place);
});

/**
 * The package as it is, in a place where `change` has its way with fuse-native; all other packages are the ones here.
 * Answers the path of the command.
 */
function packageWith(place: Place, change: (fuseNative: string) => void): string {
  const root = fileURLToPath(packageRoot);
  const copy = join(place.directory, 'package');
  mkdirSync(join(copy, 'dist'), { recursive: true });
  mkdirSync(join(copy, 'node_modules'));
  for (const name of ['bin', 'package.json']) cpSync(join(root, name), join(copy, name), { recursive: true });
  cpSync(join(root, 'dist', 'src'), join(copy, 'dist', 'src'), { recursive: true });
  symlinkSync(join(root, 'native'), join(copy, 'native'));
  const packages = join(root, 'node_modules');
  for (const name of readdirSync(packages)) {
    if (name !== 'fuse-native') symlinkSync(join(packages, name), join(copy, 'node_modules', name));
  }
  change(join(copy, 'node_modules', 'fuse-native'));
  return join(copy, 'bin', 'pailfs.js');
}

async function saysWhatIsMissing(t: Tap, place: Place, command: string, line: RegExp) {
  const args = [command, 'mount', source, place.mountpoint];
  const { code, stderr } = await runIn(place, process.execPath, [...args, ...driver], { timeout: 30_000 });
  t.equal(code, exitCode.noLibfuse, stderr);
  t.match(stderr, line);
  t.equal(stderr.trimEnd().split('\n').length, 1, 'one line');
  t.equal(mountedAt(place.mountpoint), undefined);
}

t.test('the package is not installed', async (t) => {
  const place = await makePlace(t);
  const command = packageWith(place, () => {});
  await saysWhatIsMissing(t, place, command, /^pailfs: the package fuse-native is not installed: "npm install/);
});

t.test('libfuse.so.2 is missing', { skip: process.arch === 'x64' ? false : 'fuse-native is for x86-64' }, async (t) => {
  const place = await makePlace(t);
  // The system's library stays where it is; the addon asks for one that no system has.
  const command = packageWith(place, (fuseNative) => {
    cpSync(join(fileURLToPath(packageRoot), 'node_modules', 'fuse-native'), fuseNative, { recursive: true });
    // Built here where the library was not there at its installation; it goes before the prebuilt one.
    rmSync(join(fuseNative, 'build'), { recursive: true, force: true });
    const addon = join(fuseNative, 'prebuilds', 'linux-x64', 'node.napi.node');
    const bytes = readFileSync(addon).toString('latin1').replaceAll('libfuse.so.2', 'libfuse.so.X');
    writeFileSync(addon, bytes, 'latin1');
  });
  const line =
    /libfuse\.so\.2 is missing.*apt-get install libfuse2".*libfuse2t64.*dnf install fuse-libs".*apk add fuse"/;
  await saysWhatIsMissing(t, place, command, line);
});
