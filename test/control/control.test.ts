/** The control socket: who may speak, what is answered, and what nonsense does to it. */
import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import type { Test } from 'tap';
import t from 'tap';
import { ask, askStatus, NoDaemonError } from '../../src/control/client.js';
import type { ControlAnswer, DaemonStatus } from '../../src/control/messages.js';
import { type ControlHandlers, startControlServer } from '../../src/control/server.js';
import { allSockets, socketPath } from '../../src/control/socket-path.js';
import { exitCode } from '../../src/exit-code.js';
import { decodeName, encodeName } from '../../src/fuse/name.js';
import { silentLogger } from '../../src/log.js';
import { run } from '../mount/harness.js';

const someLeft = { files: 2, bytes: 10, removals: 1, underWay: 4, sent: 9, isAway: false };
const nothing: Pick<ControlHandlers, 'umount' | 'sync' | 'handOver'> = {
  umount: async () => {},
  sync: async () => {},
  handOver: async () => {},
};
const status = { pid: 7, mountpoint: '/mnt' } as DaemonStatus;

async function serve(t: Test, handlers: Partial<ControlHandlers> = {}) {
  const directory = mkdtempSync(join(tmpdir(), 'pailfs-control-'));
  const path = socketPath(directory, '/mnt');
  const all = { status: () => status, ...nothing, ...handlers };
  const server = await startControlServer(path, all, silentLogger);
  t.teardown(() => {
    server.close();
    rmSync(directory, { recursive: true });
  });
  return { directory, path, server };
}

/** Sends text as it is; answers what came back. */
function exchange(path: string, text: string | Uint8Array): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    let received = '';
    socket.setEncoding('utf8').on('data', (data) => {
      received += data;
    });
    socket.on('error', (error: NodeJS.ErrnoException) =>
      /EPIPE|ECONNRESET/.test(error.code!) ? undefined : reject(error),
    );
    socket.on('close', () => resolve(received));
    socket.end(text);
  });
}

t.test('status', async (t) => {
  const { path, directory } = await serve(t);
  t.same(await askStatus(path), status);
  t.equal(statSync(path).mode & 0o777, 0o600);
  t.same(allSockets(directory), [path]);
  t.same(allSockets(join(directory, 'absent')), []);
});

t.test('umount: progress, and the end of the daemon', async (t) => {
  const asked: unknown[] = [];
  let end = () => {};
  const { path, server } = await serve(t, {
    umount: async (request, tell, gone) => {
      asked.push(request);
      tell({ progress: someLeft });
      tell({ done: { notice: 'soon' } });
      await new Promise<void>((resolve) => {
        end = resolve;
        gone.addEventListener('abort', () => resolve());
      });
    },
  });
  const seen: unknown[] = [];
  const request = { ask: 'umount', lazy: true, timeoutMs: 500 } as const;
  const answer = await ask(path, request, { onProgress: (progress) => seen.push(progress) });
  t.same([answer, seen, asked], [{ done: { notice: 'soon' } }, [someLeft], [request]]);
  let ended = false;
  const waiting = ask(path, request, { untilEnd: true }).then((last: ControlAnswer) => {
    ended = true;
    return last;
  });
  await askStatus(path);
  t.notOk(ended, 'the daemon is there still');
  end();
  const late = Promise.race([waiting, new Promise((resolve) => setTimeout(resolve, 200, 'waits'))]);
  t.equal(await late, 'waits', 'until the connection closes');
  server.end();
  t.same(await waiting, { done: { notice: 'soon' } });
});

t.test('sync: a name that is not UTF-8 arrives as it was, and the daemon ends the connection', async (t) => {
  const asked: unknown[] = [];
  const { path } = await serve(t, {
    sync: async (request, tell) => {
      asked.push(request.path);
      tell({ progress: someLeft });
      tell({ done: {} });
    },
  });
  const names = ['plain', decodeName(Buffer.from([0x66, 0xff, 0x80, 0xc3])), 'ä\n"', '…'.repeat(85)];
  const seen: unknown[] = [];
  const answer = await ask(path, { ask: 'sync', path: names }, { onProgress: (progress) => seen.push(progress) });
  t.same([answer, seen, asked], [{ done: {} }, [someLeft], [names]]);
  t.same(encodeName((asked as string[][])[0][1]), Buffer.from([0x66, 0xff, 0x80, 0xc3]));
  t.match(await exchange(path, '{"ask":"sync","path":[]}\n'), /"done"/, 'the root, and the end of the connection');
  const longest = Array.from({ length: 16 }, () => decodeName(Buffer.alloc(255, 0xff)));
  t.same(await ask(path, { ask: 'sync', path: longest }), { done: {} }, 'PATH_MAX of bytes that JSON has to escape');
});

t.test('hand over', async (t) => {
  const { path } = await serve(t, { handOver: async (tell) => tell({ done: {} }) });
  t.same(await ask(path, { ask: 'hand over' }), { done: {} });
});

t.test('the handler learns when the asker goes away', async (t) => {
  let left!: () => void;
  const gone = new Promise<void>((resolve) => {
    left = resolve;
  });
  const { path } = await serve(t, {
    umount: async (_, tell, signal) => {
      signal.addEventListener('abort', left);
      tell({ progress: someLeft });
    },
  });
  const socket = connect(path);
  socket.write('{"ask":"umount","lazy":false}\n');
  socket.once('data', () => socket.destroy());
  await gone;
  t.pass();
});

t.test('a handler that fails is answered', async (t) => {
  const { path } = await serve(t, {
    status: () => {
      throw new Error('broken');
    },
  });
  t.same(await ask(path, { ask: 'status' }), { failed: { line: 'broken', exitCode: exitCode.unexpected } });
  await t.rejects(askStatus(path), NoDaemonError);
});

t.test('nonsense is answered, or cut off, and harms nothing', async (t) => {
  let asked = 0;
  const { path } = await serve(t, {
    umount: async () => {
      asked += 1;
    },
  });
  const wrong = [
    '{}',
    'null',
    '[]',
    '"status"',
    '{"ask":"umount"}',
    '{"ask":"umount","lazy":1}',
    '{"ask":"umount","lazy":false,"timeoutMs":-1}',
    '{"ask":"sync"}',
    '{"ask":"sync","path":"a"}',
    '{"ask":"sync","path":["a/b"]}',
    '{"ask":"sync","path":["..","a"]}',
    '{"ask":"sync","path":[""]}',
    '{"ask":"sync","path":[1]}',
    '{',
    '',
  ];
  for (const line of wrong) t.match(await exchange(path, `${line}\n`), /"failed".*does not know this request/, line);
  t.equal(await exchange(path, 'x'.repeat(100_000)), '', 'a line without an end');
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), async (bytes) => {
      await exchange(path, bytes);
    }),
    { numRuns: 50 },
  );
  t.equal(asked, 0);
  t.same(await askStatus(path), status);
});

t.test('a socket that nobody answers is replaced, one that is answered is not', async (t) => {
  const { path, directory, server } = await serve(t);
  await t.rejects(startControlServer(path, { status: () => status, ...nothing }, silentLogger), {
    message: /./,
    exitCode: exitCode.mountpointBusy,
  });
  const dead = join(directory, 'dead.sock');
  const script = `require('net').createServer().listen(process.argv[1], () => process.kill(process.pid, 'SIGKILL'))`;
  t.equal((await run(process.execPath, ['-e', script, dead])).signal, 'SIGKILL');
  t.ok(existsSync(dead));
  await t.rejects(askStatus(dead), NoDaemonError);
  const second = await startControlServer(dead, { status: () => status, ...nothing }, silentLogger);
  t.same(await askStatus(dead), status);
  second.close();
  t.notOk(existsSync(dead), 'it is gone with its server');
  server.close();
  await t.rejects(startControlServer(`/${'x'.repeat(120)}`, { status: () => status, ...nothing }, silentLogger), {
    message: /./,
    exitCode: exitCode.directoryUnusable,
  });
});

t.test('a daemon that does not answer in time counts as none', async (t) => {
  const { path } = await serve(t, { umount: () => new Promise(() => {}) });
  await t.rejects(ask(path, { ask: 'umount', lazy: false }, { timeoutMs: 100 }), NoDaemonError);
});
