/**
 * `npm run test:systemd`: the unit and the fstab line of docs/operations.md under a systemd that is really booted
 * (scripts/systemd-root.sh), on buckets of the embedded server. The commands are those of the page, with the bucket and
 * the server put in. The last line is `N passed, N failed`.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { buildAddon, compile } from './build.js';
import { installDependencies, root } from './set-up.js';

const script = join(root, 'scripts', 'systemd-root.sh');
const BUCKET = 'my-photos';
/** Installing the root on a bare machine, and booting (ms). */
const UP_LIMIT_MS = 600_000;
const COMMAND_LIMIT_MS = 60_000;
/** Within which something that systemd does by itself has to have happened; RestartSec is 10 s (ms). */
const SOON_MS = 40_000;
const HELLO = 'hello from the store\n';

class Failure extends Error {}

/** Runs a program; the server answers in this process, so nothing here may block. */
function run(arguments_, { env, limit = COMMAND_LIMIT_MS }) {
  return new Promise((resolve) => {
    const child = spawn(script, arguments_, { env, stdio: ['ignore', 'pipe', 'pipe'] });
    let said = '';
    let out = '';
    child.stdout.on('data', (piece) => {
      out += piece;
      said += piece;
    });
    child.stderr.on('data', (piece) => {
      said += piece;
    });
    const timer = setTimeout(() => child.kill('SIGKILL'), limit);
    child.on('close', (status, signal) => {
      clearTimeout(timer);
      resolve({ status, out, said: signal === null ? said : `${said}\nended by ${signal} after ${limit / 1000} s` });
    });
  });
}

/** The code blocks of a section of docs/operations.md. */
function blocksOf(title) {
  const page = readFileSync(join(root, 'docs', 'operations.md'), 'utf8');
  const section = page.split(/^## /m).find((part) => part.startsWith(`${title}\n`)) ?? '';
  const blocks = [...section.matchAll(/^```\n(.*?)^```$/gms)].map((match) => match[1]);
  if (blocks.length === 0) throw new Error(`docs/operations.md has no commands under "${title}"`);
  return blocks;
}

/** Puts something in, which has to be there. */
function put(text, ...pairs) {
  for (const [from, to] of pairs) {
    if (!text.includes(from)) throw new Failure(`docs/operations.md has no ${JSON.stringify(from)} any more`);
    text = text.replaceAll(from, to);
  }
  return text;
}

class Machine {
  constructor(env, server, store) {
    this.env = env;
    this.server = server;
    this.store = store;
  }

  /** Answers what a shell script printed; it has to succeed. */
  async sh(text, limit) {
    const { status, out, said } = await run(['run', 'sh', '-euc', text], { env: this.env, limit });
    if (status !== 0) throw new Failure(`exit ${status} of: ${text.trim()}\n${said.trim()}`);
    return out;
  }

  async show(unit, ...properties) {
    const text = await this.sh(`systemctl show ${unit} ${properties.map((name) => `-p ${name}`).join(' ')}`);
    return Object.fromEntries(
      text
        .trim()
        .split('\n')
        .map((line) => line.split(/=(.*)/s, 2)),
    );
  }

  async equal(text, wanted, what) {
    const found = await this.sh(text);
    if (found !== wanted) throw new Failure(`${what}: ${JSON.stringify(found)}, not ${JSON.stringify(wanted)}`);
  }

  async until(text, what, limit = SOON_MS) {
    const end = Date.now() + limit;
    for (;;) {
      try {
        return await this.sh(text);
      } catch (error) {
        if (Date.now() > end) throw new Failure(`${what}, not within ${limit / 1000} s: ${error.message}`);
      }
      await sleep(250);
    }
  }

  async control(action, limit) {
    const { status, said } = await run([action], { env: this.env, limit });
    if (status !== 0) throw new Failure(`${action}: ${said.trim()}`);
  }
}

function same(found, wanted) {
  for (const [name, value] of Object.entries(wanted)) {
    if (found[name] !== value) throw new Failure(`${name} is ${found[name]}, not ${value}: ${JSON.stringify(found)}`);
  }
}

const unit = 'pailfs@photos';
const readsHello = 'cat /srv/photos/hello.txt';
const notMounted = (place) => `! grep -q ' ${place} ' /proc/mounts`;

async function service(machine) {
  const { endpoint, credentials } = machine.server;
  const keys = `AWS_ACCESS_KEY_ID=${credentials.accessKeyId}\\nAWS_SECRET_ACCESS_KEY=${credentials.secretAccessKey}\\n`;
  const [commands] = blocksOf('A service');
  const text = put(
    commands,
    ['MOUNTPOINT=/srv/photos\\n', `MOUNTPOINT=/srv/photos\\n${keys}`],
    ['region = eu-west-1\\n', `region = us-east-1\\nendpoint-url = ${endpoint}\\n`],
  );
  await machine.sh(`cd /opt/pailfs\n${text}`);
  // Type=notify: when systemctl is back, it is mounted.
  await machine.equal(readsHello, HELLO, 'the file');
  same(await machine.show(unit, 'ActiveState', 'SubState', 'NRestarts'), {
    ActiveState: 'active',
    SubState: 'running',
    NRestarts: '0',
  });
}

async function verify(machine) {
  const said = await machine.sh('systemd-analyze verify --man=no /etc/systemd/system/pailfs@.service 2>&1');
  if (said !== '') throw new Failure(said);
}

async function use(machine) {
  await machine.sh(
    'umask 022; cd /srv/photos; echo written > new.txt; mkdir d; cp new.txt d/copy; chmod 640 d/copy; pailfs sync .',
  );
  await machine.equal("stat -c '%a %U' /srv/photos/new.txt /srv/photos/d/copy", '644 root\n640 root\n', 'modes');
  const object = await machine.store('d/copy');
  if (object !== 'written\n') throw new Failure(`d/copy is ${JSON.stringify(object)} in the store`);
  await machine.sh('setpriv --reuid=65534 --regid=65534 --clear-groups cat /srv/photos/new.txt');
}

/** The command, in root's shell or session, finds the daemon of the unit. */
async function status(machine) {
  const log = await machine.sh(`journalctl -u ${unit} --no-pager -o cat`);
  if (!log.includes('/srv/photos')) throw new Failure(`nothing of the mount in the journal: ${log}`);
  for (const session of ['', 'XDG_RUNTIME_DIR=/run/user/0 ']) {
    const told = await machine.sh(`mkdir -p /run/user/0; ${session}pailfs status /srv/photos`);
    if (!told.includes(`s3://${BUCKET}`)) throw new Failure(`${session}pailfs status says: ${told}`);
  }
}

async function killed(machine) {
  // Programs that are in the mount when it dies do not keep it from coming back.
  await machine.sh('systemd-run --quiet --unit=holder -p WorkingDirectory=/srv/photos tail -f hello.txt');
  await machine.sh(`systemctl kill -s SIGKILL ${unit}`);
  await machine.until(`test "$(systemctl show ${unit} -p NRestarts --value)" = 1`, 'it is started again');
  await machine.until(readsHello, 'it is mounted again');
  await machine.equal(readsHello, HELLO, 'the file');
  await machine.equal("grep -c ' /srv/photos ' /proc/mounts", '1\n', 'mounts');
  await machine.sh('systemctl stop holder');
}

async function stopped(machine) {
  await machine.sh(`echo last > /srv/photos/last.txt; systemctl stop ${unit}`);
  same(await machine.show(unit, 'ActiveState', 'Result', 'ExecMainStatus'), {
    ActiveState: 'inactive',
    Result: 'success',
    ExecMainStatus: '0',
  });
  await machine.sh(notMounted('/srv/photos'));
  const object = await machine.store('last.txt');
  if (object !== 'last\n') throw new Failure(`last.txt is ${JSON.stringify(object)} in the store`);
  await machine.sh(`systemctl start ${unit}`);
  await machine.equal(readsHello, HELLO, 'started again');
  await machine.sh(`systemctl restart ${unit}`);
  await machine.equal(readsHello, HELLO, 'restarted');
}

/** What starting again does not change is not tried again. */
async function refused(machine) {
  await machine.sh(`mkdir -p /srv/none
    sed 's/${BUCKET}/there-is-none/; s/photos/none/' /etc/pailfs/photos.env > /etc/pailfs/none.env
    cp /etc/pailfs/photos.conf /etc/pailfs/none.conf
    ! systemctl start pailfs@none 2> /dev/null`);
  same(await machine.show('pailfs@none', 'ActiveState', 'Result', 'ExecMainStatus', 'NRestarts'), {
    ActiveState: 'failed',
    Result: 'exit-code',
    ExecMainStatus: '66',
    NRestarts: '0',
  });
  await machine.sh('systemctl reset-failed pailfs@none');
}

async function fstab(machine) {
  const { endpoint, credentials } = machine.server;
  const [link, line] = blocksOf('fstab');
  const entry = put(
    line,
    [`s3://${BUCKET}/2026`, `s3://${BUCKET}/2026`],
    ['/srv/photos', '/srv/tab'],
    ['region=eu-west-1', `region=us-east-1,endpoint_url=${endpoint}`],
  );
  const profile = `[default]\\naws_access_key_id = ${credentials.accessKeyId}\\naws_secret_access_key = ${credentials.secretAccessKey}\\n`;
  await machine.sh(`${link}
    mkdir -p /root/.aws /srv/tab /srv/nowhere
    printf '${profile}' > /root/.aws/credentials
    chmod 600 /root/.aws/credentials
    cat >> /etc/fstab <<'FSTAB'
${entry}s3://${BUCKET} /srv/nowhere fuse.pailfs endpoint_url=http://127.0.0.1:9,_netdev,nofail 0 0
FSTAB
    systemctl daemon-reload
    systemctl start srv-tab.mount`);
  await machine.equal('cat /srv/tab/in-2026.txt', HELLO, 'the file');
  same(await machine.show('srv-tab.mount', 'ActiveState', 'Result', 'Type'), {
    ActiveState: 'active',
    Result: 'success',
    Type: 'fuse.pailfs',
  });
  await machine.sh('echo written > /srv/tab/new.txt; systemctl stop srv-tab.mount');
  await machine.sh(notMounted('/srv/tab'));
  same(await machine.show('srv-tab.mount', 'ActiveState', 'Result'), { ActiveState: 'inactive', Result: 'success' });
  const object = await machine.store('2026/new.txt');
  if (object !== 'written\n') throw new Failure(`2026/new.txt is ${JSON.stringify(object)} in the store`);
  // The pattern does not find the shell that looks for it.
  await machine.until("! grep -lqs '/srv/ta[b]' /proc/[0-9]*/cmdline", 'the daemon ends');
  await machine.sh('systemctl start srv-tab.mount; echo more > /srv/tab/more.txt; systemctl restart srv-tab.mount');
  await machine.equal('cat /srv/tab/in-2026.txt', HELLO, 'restarted');
  await machine.sh('systemctl stop srv-tab.mount; mount /srv/tab; cat /srv/tab/in-2026.txt; umount /srv/tab');
}

/** Off in order and on again: units and fstab bring everything back, and what is not there does not keep it from booting. */
async function reboot(machine) {
  await machine.sh('echo before > /srv/photos/before.txt');
  const lines = put(blocksOf('A service')[1], ['pailfs@photos', unit]);
  await machine.sh(`cat > /etc/systemd/system/reader.service <<'UNIT'
[Unit]
${lines}
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=cp /srv/photos/hello.txt /var/read
[Install]
WantedBy=multi-user.target
UNIT
    systemctl -q enable reader
    # Now root's own credentials have to do.
    sed -i '/^AWS_/d' /etc/pailfs/photos.env`);
  await machine.control('off');
  const object = await machine.store('before.txt');
  if (object !== 'before\n') throw new Failure(`before.txt is ${JSON.stringify(object)} in the store`);
  await machine.control('up', UP_LIMIT_MS);
  await machine.until(readsHello, 'the unit has mounted it');
  await machine.until('cat /srv/tab/in-2026.txt', 'fstab has mounted it');
  await machine.equal(readsHello, HELLO, 'the file');
  await machine.until('test "$(systemctl show srv-nowhere.mount -p ActiveState --value)" = failed', 'the other fails');
  await machine.sh('systemctl is-active multi-user.target remote-fs.target network-online.target');
  await machine.equal(
    'systemctl is-active reader; cat /var/read',
    `active\n${HELLO}`,
    'a service that needs the mount',
  );
  // What has to give up first holds nobody up.
  const [{ ActiveEnterTimestampMonotonic: booted }, { InactiveExitTimestampMonotonic: tried }, failed] =
    await Promise.all([
      machine.show('multi-user.target', 'ActiveEnterTimestampMonotonic'),
      machine.show('srv-nowhere.mount', 'InactiveExitTimestampMonotonic'),
      machine.show('srv-nowhere.mount', 'StateChangeTimestampMonotonic'),
    ]);
  const gaveUp = failed.StateChangeTimestampMonotonic;
  if (!(Number(tried) > 0 && Number(booted) < Number(gaveUp)))
    throw new Failure(`booted at ${booted} us; the mount without server was tried at ${tried} and failed at ${gaveUp}`);
}

const checks = {
  'the unit as docs/operations.md installs it': service,
  'systemd-analyze verify': verify,
  'reading, writing and modes, also as another user': use,
  'pailfs status finds the daemon': status,
  'killed, it comes back with its mount': killed,
  'stopped, it ends in order': stopped,
  'a bucket that does not exist is not tried again': refused,
  'the line of fstab': fstab,
  'everything is back after a reboot': reboot,
};

async function withMachine(work) {
  const { startEmbeddedServer } = await import('../dist/src/embedded/server.js');
  const { GetObjectCommand, PutObjectCommand, S3Client } = await import('@aws-sdk/client-s3');
  const directory = mkdtempSync(join(tmpdir(), 'pailfs-test-systemd-'));
  const env = { ...process.env, PAILFS_SYSTEMD_DIR: join(directory, 'machine') };
  const server = await startEmbeddedServer({ directory: join(directory, 'objects'), buckets: [BUCKET] });
  const { endpoint, region, credentials } = server;
  const client = new S3Client({ endpoint, region, credentials, forcePathStyle: true });
  const store = async (Key) =>
    (await client.send(new GetObjectCommand({ Bucket: BUCKET, Key }))).Body.transformToString();
  const end = async () => {
    await run(['down'], { env });
    await server.close();
    rmSync(directory, { recursive: true, force: true });
  };
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => end().finally(() => process.exit(1)));
  try {
    for (const Key of ['hello.txt', '2026/in-2026.txt'])
      await client.send(new PutObjectCommand({ Bucket: BUCKET, Key, Body: HELLO }));
    await work(new Machine(env, server, store));
  } finally {
    client.destroy();
    await end();
  }
}

async function main() {
  if (!installDependencies() || !buildAddon() || !compile()) throw new Error('it could not be built');
  let passed = 0;
  let failed = 0;
  await withMachine(async (machine) => {
    const begun = Date.now();
    await machine.control('up', UP_LIMIT_MS);
    console.log(`booted after ${((Date.now() - begun) / 1000).toFixed(1)} s`);
    for (const [name, check] of Object.entries(checks)) {
      const at = Date.now();
      try {
        await check(machine);
        passed++;
        console.log(`ok     ${name} (${((Date.now() - at) / 1000).toFixed(1)} s)`);
      } catch (error) {
        failed++;
        console.log(`FAILED ${name}: ${error instanceof Failure ? error.message : error.stack}`);
        console.log((await run(['run', 'journalctl', '-b', '--no-pager', '-n', '25'], machine)).said);
      }
    }
  });
  console.log(`\n${passed} passed, ${failed} failed`);
  process.exitCode = failed === 0 ? 0 : 1;
}

main().catch((error) => {
  console.error(`test:systemd: ${error.message}`);
  console.log('0 passed, 1 failed');
  process.exitCode = 1;
});
