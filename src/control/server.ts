/**
 * The daemon's end of the control socket. It is 0600 in a directory of 0700, so whoever can connect is the user of the
 * mount, or root. A line that is no request gets an answer that says so; it cannot harm the daemon.
 */
import { chmodSync, unlinkSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { exitCode } from '../exit-code.js';
import type { Logger } from '../log.js';
import { StartupFailure } from '../startup-failure.js';
import { ask } from './client.js';
import type { ControlAnswer, ControlRequest, DaemonStatus } from './messages.js';
import { MAX_SOCKET_PATH_BYTES } from './socket-path.js';

/** A request is a path at most, in which JSON may write six characters for a byte; what is longer is cut off. */
const MAX_LINE_BYTES = 32 * 1024;
/** Connections at one time. */
const MAX_CONNECTIONS = 32;

export type Tell = (answer: ControlAnswer) => void;

export interface ControlHandlers {
  status(): DaemonStatus;
  /** Ends with `done` or `failed`. `gone` fires when the asker goes away. */
  umount(request: Extract<ControlRequest, { ask: 'umount' }>, tell: Tell, gone: AbortSignal): Promise<void>;
  sync(request: Extract<ControlRequest, { ask: 'sync' }>, tell: Tell, gone: AbortSignal): Promise<void>;
  handOver(tell: Tell): Promise<void>;
}

export interface ControlServer {
  readonly path: string;
  /** Stops listening and removes the socket. */
  close(): void;
  /** Ends the connections: who waits for the end of the daemon learns of it. */
  end(): void;
}

function isPath(path: unknown): path is readonly string[] {
  const isName = (name: unknown): boolean =>
    typeof name === 'string' && !['', '.', '..'].includes(name) && !/[/\0]/.test(name);
  return Array.isArray(path) && path.every(isName);
}

function parseRequest(line: string): ControlRequest | undefined {
  try {
    const request = JSON.parse(line) as ControlRequest;
    if (request?.ask === 'status' || request?.ask === 'hand over') return request;
    if (request?.ask === 'sync') return isPath(request.path) ? request : undefined;
    if (request?.ask !== 'umount' || typeof request.lazy !== 'boolean') return undefined;
    const { timeoutMs } = request;
    return timeoutMs === undefined || (Number.isFinite(timeoutMs) && timeoutMs >= 0) ? request : undefined;
  } catch {
    return undefined;
  }
}

async function answer(socket: Socket, line: string, handlers: ControlHandlers, log: Logger): Promise<void> {
  const tell: Tell = (told) => {
    if (socket.writable) socket.write(`${JSON.stringify(told)}\n`);
  };
  const request = parseRequest(line);
  if (request === undefined) {
    tell({ failed: { line: 'the daemon does not know this request', exitCode: exitCode.usage } });
    socket.end();
    return;
  }
  try {
    if (request.ask === 'status') {
      tell({ status: handlers.status() });
      socket.end();
      return;
    }
    const gone = new AbortController();
    socket.once('close', () => gone.abort());
    if (request.ask === 'sync') {
      await handlers.sync(request, tell, gone.signal);
      socket.end();
      return;
    }
    // The connection then stays until the daemon ends: that is how the asker knows.
    if (request.ask === 'umount') await handlers.umount(request, tell, gone.signal);
    else await handlers.handOver(tell);
  } catch (error) {
    log.error({ err: error }, 'a request on the control socket failed');
    tell({ failed: { line: (error as Error).message, exitCode: exitCode.unexpected } });
    socket.end();
  }
}

function serve(socket: Socket, handlers: ControlHandlers, log: Logger): void {
  let received = '';
  socket.setEncoding('utf8');
  // A client that went away is no concern of the daemon.
  socket.on('error', () => {});
  const receive = (text: string) => {
    received += text;
    const end = received.indexOf('\n');
    if (end < 0) {
      if (received.length > MAX_LINE_BYTES) socket.destroy();
      return;
    }
    socket.off('data', receive);
    socket.resume();
    void answer(socket, received.slice(0, end), handlers, log);
  };
  socket.on('data', receive);
}

/** Takes away the socket of a daemon that is gone. */
async function clearStale(path: string): Promise<void> {
  const answered = await ask(path, { ask: 'status' }, { timeoutMs: 2_000 }).catch((error) => error as Error);
  if (!(answered instanceof Error)) {
    throw new StartupFailure(exitCode.mountpointBusy, `another daemon answers at ${path}: unmount it first`);
  }
  try {
    unlinkSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    // The socket is made within this call, so that it never exists with other rights.
    const before = process.umask(0o177);
    try {
      server.listen(path, resolve);
    } finally {
      process.umask(before);
    }
  });
}

export async function startControlServer(path: string, handlers: ControlHandlers, log: Logger): Promise<ControlServer> {
  if (Buffer.byteLength(path) > MAX_SOCKET_PATH_BYTES) {
    const line = `${path} is too long for a socket (${MAX_SOCKET_PATH_BYTES} bytes): choose a shorter --runtime-dir`;
    throw new StartupFailure(exitCode.directoryUnusable, line);
  }
  await clearStale(path);
  const open = new Set<Socket>();
  const server = createServer((socket) => {
    open.add(socket);
    socket.once('close', () => open.delete(socket));
    serve(socket, handlers, log);
  });
  server.maxConnections = MAX_CONNECTIONS;
  await listen(server, path);
  server.on('error', (error) => log.error({ err: error }, 'the control socket failed'));
  chmodSync(path, 0o600);
  // The mount keeps the daemon alive, not this.
  server.unref();
  const end = () => {
    for (const socket of open) socket.end();
  };
  return { path, close: () => void server.close(), end };
}
