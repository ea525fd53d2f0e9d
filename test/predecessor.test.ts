/** A new mount of a bucket whose earlier daemon has not ended. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';
import t from 'tap';
import type { DaemonStatus } from '../src/control/messages.js';
import { type ControlHandlers, startControlServer } from '../src/control/server.js';
import { socketPath } from '../src/control/socket-path.js';
import { exitCode } from '../src/exit-code.js';
import { lockState } from '../src/local/state-lock.js';
import { silentLogger } from '../src/log.js';
import { lockWhenFree, type Succession } from '../src/predecessor.js';
import { start, until } from './mount/harness.js';

const draining = {
  draining: true,
  dirty: [{ path: '/a', size: 2048, state: 'running' }],
  waiting: { queued: 1, running: 1, removals: 3, isAway: false },
} as unknown as DaemonStatus;

/** Another process has the lock, and no mount. */
async function withHolder(t: Test) {
  const directory = mkdtempSync(join(tmpdir(), 'pailfs-predecessor-'));
  const mountpoint = join(directory, 'mnt');
  const module = new URL('../src/local/state-lock.js', import.meta.url).href;
  const script = `import(${JSON.stringify(module)}).then(({ lockState }) => {
    lockState(process.argv[1], process.argv[2]);
    setTimeout(() => {}, 60_000);
  })`;
  const holder = start(process.execPath, ['-e', script, directory, mountpoint], { timeout: 60_000 });
  t.teardown(async () => {
    holder.child.kill('SIGKILL');
    await holder.result;
    rmSync(directory, { recursive: true, force: true });
  });
  const isHeld = (): boolean => {
    try {
      lockState(directory, mountpoint).release();
      return false;
    } catch {
      return true;
    }
  };
  await until('the lock is held', isHeld);
  const told: string[] = [];
  const succession: Succession = {
    stateDirectory: directory,
    runtimeDirectory: directory,
    mountpoint,
    tell: (line) => told.push(line),
  };
  const serve = async (handlers: Partial<ControlHandlers>) => {
    const nothing = { status: () => draining, umount: async () => {}, sync: async () => {}, handOver: async () => {} };
    const path = socketPath(directory, mountpoint);
    const server = await startControlServer(path, { ...nothing, ...handlers }, silentLogger);
    t.teardown(() => server.close());
  };
  return { succession, told, serve, end: () => holder.child.kill('SIGKILL') };
}

t.test('one that does not answer is waited for, and then named', async (t) => {
  const { succession, told } = await withHolder(t);
  await t.rejects(lockWhenFree({ ...succession, patienceMs: 400, limitMs: 1_000 }), {
    exitCode: exitCode.stateLocked,
    message: /^the daemon of the mount that was on .*mnt \(process \d+\) has not ended: try again when it has ended$/,
  });
  t.same(told.length, 1);
  t.match(told[0], /has not ended: waiting for it$/);
});

t.test('the lock is taken as soon as it has ended', async (t) => {
  const { succession, told, serve, end } = await withHolder(t);
  await serve({});
  setTimeout(end, 700);
  const lock = await lockWhenFree(succession);
  lock.release();
  t.match(told, [/still uploads \(left: 1 file, 2.0 KiB, 3 deletions\): waiting for it$/]);
});

t.test('it is asked to hand over, once', async (t) => {
  const { succession, told, serve, end } = await withHolder(t);
  let asked = 0;
  await serve({
    handOver: async (tell) => {
      asked++;
      tell({ done: {} });
      setTimeout(end, 700);
    },
  });
  const lock = await lockWhenFree({ ...succession, patienceMs: 300 });
  lock.release();
  t.equal(asked, 1);
  t.match(told, [/waiting for it$/, /^taking over: what it has not uploaded, this mount will$/]);
});

t.test('one without a journal does not hand over', async (t) => {
  const { succession, told, serve } = await withHolder(t);
  await serve({ handOver: async (tell) => tell({ failed: { line: 'no', exitCode: exitCode.stateLocked } }) });
  await t.rejects(lockWhenFree({ ...succession, patienceMs: 300, limitMs: 900 }), {
    exitCode: exitCode.stateLocked,
    message: /still uploads \(left: 1 file, .*\): try again when it has ended$/,
  });
  t.equal(told.length, 1);
});
