/**
 * The main job as a newcomer does it: `npm start`, everyday programs in the mounted sample bucket, an independent S3
 * client on the same endpoint seeing the same bytes, Ctrl-C, and nothing left. Once as the user who runs the tests, once
 * as an ordinary user through fusermount3.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { noKernelMounts, run } from './harness.js';

const root = new URL('../../../', import.meta.url).pathname;
const skip = noKernelMounts;

interface Demo {
  readonly child: ChildProcess;
  readonly place: string;
  /** The line that the demo prints, up to the command. */
  readonly aws: string;
}

async function startDemo(command: string, args: readonly string[], temporary: string): Promise<Demo> {
  // Without what the test runner loads into every Node.
  const { NODE_OPTIONS, ...env } = process.env;
  const child = spawn(command, args, { cwd: root, env: { ...env, TMPDIR: temporary }, detached: true });
  let output = '';
  const text = await new Promise<string>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no mount within 120 s: ${output}`)), 120_000);
    const take = (data: Buffer): void => {
      output += data;
      if (!output.includes('Ctrl-C here')) return;
      clearTimeout(timer);
      resolve(output);
    };
    child.stdout?.on('data', take);
    child.stderr?.on('data', take);
    child.once('exit', (code) => {
      clearTimeout(timer);
      reject(new Error(`the demo ended with ${code}: ${output}`));
    });
  });
  child.removeAllListeners('exit');
  const place = / is mounted on (\S+)/.exec(text)?.[1] ?? '';
  const aws = /^\s*(AWS_ACCESS_KEY_ID=.* aws .*) s3 ls/m.exec(text)?.[1] ?? '';
  return { child, place, aws };
}

/** What people do in a directory; every line checks itself. `$M` is the mount, `$W` a scratch directory. */
const programs = `
set -e
ls -lR "$M" > "$W/listing"; grep -q mygarden.jpg "$W/listing"
cat "$M/README.txt" > /dev/null
head -c 3000000 /dev/urandom > "$W/in"
cp "$W/in" "$M/copy.bin"; cmp "$W/in" "$M/copy.bin"; cp "$M/copy.bin" "$W/out"; cmp "$W/in" "$W/out"
cp "$M/photos/mygarden.jpg" "$W/g.jpg"; cmp "$W/g.jpg" "$M/photos/mygarden.jpg"
mkdir -p "$M/a/b/c"; mv "$M/copy.bin" "$M/a/b/c/moved.bin"; cmp "$W/in" "$M/a/b/c/moved.bin"; test ! -e "$M/copy.bin"
find "$M" -name 'moved.*' | grep -q a/b/c/moved.bin
echo needle-in-a-haystack > "$M/a/b/straw"; grep -r needle-in "$M/a" | grep -q straw
mkdir "$W/tree"; for i in 1 2 3; do mkdir "$W/tree/d$i"; seq 1000 > "$W/tree/d$i/f"; ln -s f "$W/tree/d$i/l"; done; chmod 640 "$W/tree/d1/f"
tar cf "$W/t.tar" -C "$W" tree; tar xf "$W/t.tar" -C "$M"; diff -r "$W/tree" "$M/tree"
rsync -a "$W/tree/" "$M/synced/"; test -z "$(rsync -ai "$W/tree/" "$M/synced/")"
cp "$W/in" "$W/dd"; cp "$W/in" "$M/dd"
for at in 1 77777 1500000 2999990; do printf "offset $at" | dd of="$W/dd" bs=1 seek=$at conv=notrunc status=none; printf "offset $at" | dd of="$M/dd" bs=1 seek=$at conv=notrunc status=none; done
cmp "$W/dd" "$M/dd"
rm "$M/dd"; rm -r "$M/tree"; test ! -e "$M/tree"
echo programs done
`;

/** The same bytes through an S3 client that is not ours, both ways. */
const client = `
set -e
sync "$M/a/b/c/moved.bin" "$M"/synced/*/f
eval "$A s3 ls s3://sample/a/b/c/" | grep -q moved.bin
eval "$A s3 cp --quiet s3://sample/a/b/c/moved.bin $W/aws"; cmp "$W/in" "$W/aws"
eval "$A s3 cp --quiet $W/in s3://sample/from-aws"; sleep 1.1; cmp "$W/in" "$M/from-aws"
mkdir "$W/up"; seq 5 > "$W/up/one"; seq 9 > "$W/up/two"
eval "$A s3 sync --quiet $W/up s3://sample/up"; sleep 1.1; diff -r "$W/up" "$M/up"
eval "$A s3 sync --quiet s3://sample/synced $W/down"; for i in 1 2 3; do cmp "$W/down/d$i/f" "$M/synced/d$i/f"; done
echo client done
`;

/** @param user what to put before a command so that it runs as the mount's owner; the empty list is ourselves */
async function tryIt(
  t: Test,
  command: string,
  args: readonly string[],
  temporary: string,
  user: readonly string[],
): Promise<void> {
  const demo = await startDemo(command, args, temporary);
  const scratch = mkdtempSync(join(temporary, 'scratch-'));
  await run('chmod', ['777', scratch]);
  const env = { ...process.env, HOME: scratch, M: demo.place, W: scratch, A: demo.aws };
  const enter = ['nsenter', '--mount', '--target', String(demo.child.pid), ...user];
  const sh = (script: string) => run(enter[0], [...enter.slice(1), '/bin/sh', '-c', script], { timeout: 120_000, env });
  try {
    const done = await sh(programs);
    t.equal(done.stdout, 'programs done\n', done.stderr);
    const aws = await sh('aws --version');
    if (aws.code !== 0)
      t.pass('an independent client', { skip: 'the aws command is not installed, or not for this user' });
    else {
      const agreed = await sh(client);
      t.equal(agreed.stdout, 'client done\n', agreed.stderr);
    }
  } finally {
    await stop(t, demo);
    rmSync(scratch, { recursive: true, force: true });
  }
  t.notOk(readFileSync('/proc/self/mounts', 'utf8').includes(demo.place), 'no mount is left');
  t.notOk(existsSync(demo.place), 'no directory is left');
  const processes = await run('pgrep', ['-f', temporary]);
  t.equal(processes.stdout, '', 'no process is left');
}

/** Ctrl-C: SIGINT to the whole group of the terminal. */
async function stop(t: Test, { child }: Demo): Promise<void> {
  const ended = new Promise<number | null>((resolve) => {
    child.once('exit', (code) => resolve(code));
  });
  const timer = setTimeout(() => process.kill(-child.pid!, 'SIGKILL'), 30_000);
  process.kill(-child.pid!, 'SIGINT');
  t.equal(await ended, 0, 'Ctrl-C ends it in order');
  clearTimeout(timer);
}

t.test('npm start', { skip, timeout: 300_000 }, async (t) => {
  const temporary = mkdtempSync(join(tmpdir(), 'pailfs-newcomer-'));
  try {
    await tryIt(t, process.execPath, ['scripts/start.js'], temporary, []);
    const left = await run('ls', ['-A', temporary]);
    t.equal(left.stdout, '', 'no temporary file is left');
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
});

t.test('npm start as an ordinary user', { skip, timeout: 300_000 }, async (t) => {
  const temporary = mkdtempSync(join(tmpdir(), 'pailfs-newcomer-'));
  try {
    await run('chown', ['nobody', temporary]);
    // A world-accessible /dev/fuse in a mount namespace of its own, as a desktop has it; the machine's is untouched.
    const setup = `
      mknod -m 666 ${temporary}/fuse c 10 229; mount --bind ${temporary}/fuse /dev/fuse; rm -f ${temporary}/fuse
      exec setpriv --reuid=nobody --regid=nogroup --clear-groups env HOME=${temporary} ${process.execPath} bin/pailfs.js demo`;
    const user = ['setpriv', '--reuid=nobody', '--regid=nogroup', '--clear-groups'];
    await tryIt(t, 'unshare', ['-m', '--propagation', 'private', '/bin/sh', '-ec', setup], temporary, user);
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
});
