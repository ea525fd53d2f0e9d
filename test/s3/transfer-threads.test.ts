/** The client keeps its promises, and bears what servers do, where answers are received in threads; and what threads add. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import t, { type Test } from 'tap';
import { KiB, MiB } from '../../src/constants.js';
import { HttpTransport } from '../../src/s3/http-transport.js';
import { TransferThreads } from '../../src/s3/transfer-threads.js';
import type { TransportError } from '../../src/s3/transport-error.js';
import { objectClientConformance } from '../conformance/object-client.js';
import { connect, embedded, listen } from './loopback.js';

process.env.PAILFS_TEST_TRANSFER_THREADS = '1';
await import('./misbehaviour.test.js');

await t.test('embedded server', async (t) => {
  const server = await embedded(t);
  await objectClientConformance(t, 'LeanClient in threads', () => connect(t, server.endpoint));
});

const LIMITS = { maxSockets: 4, connectMs: 5_000 };

function threads(t: Test, script?: URL): TransferThreads {
  const own = new HttpTransport({ ...LIMITS, proxyFor: () => undefined });
  const transport = new TransferThreads(own, 1, { ...LIMITS, env: {} }, 1, script);
  t.teardown(() => transport.close());
  return transport;
}

const get = (port: number, expectBytes: number, signal?: AbortSignal) => ({
  origin: { secure: false, hostname: '127.0.0.1', port },
  method: 'GET',
  target: '/',
  headers: ['host', 'x'],
  idleMs: 5_000,
  queueMs: 5_000,
  expectBytes,
  signal,
});

/** Answers each request with as many bytes of its number, counted from 1; the `stalled` one only with half of them. */
function numbered(t: Test, bytes: number, stalled = 0): Promise<number> {
  let number = 0;
  const server = net.createServer((socket) => {
    socket.on('error', () => undefined);
    socket.on('data', () => {
      number++;
      socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${bytes}\r\n\r\n`);
      socket.write(Buffer.alloc(number === stalled ? bytes / 2 : bytes, number));
    });
  });
  return listen(t, server);
}

const nothing = () => () => undefined;

const failureOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'none',
    (error: TransportError) => `${error.failure}: ${error.message}`,
  );

async function received(transport: TransferThreads, port: number, bytes: number, expected: number): Promise<Buffer> {
  const pieces: Buffer[] = [];
  await transport.exchange(get(port, expected), () => (piece) => pieces.push(Buffer.from(piece)));
  const all = Buffer.concat(pieces);
  if (all.length !== bytes) throw new Error(`${all.length} bytes`);
  return all;
}

t.test('bodies that are as long as expected, and those that are not', async (t) => {
  const transport = threads(t);
  const port = await numbered(t, MiB);
  for (const [index, expected] of [MiB, 2 * MiB, 100 * KiB, 1].entries()) {
    const body = await received(transport, port, MiB, expected);
    t.ok(
      body.every((byte) => byte === index + 1),
      `${expected} expected`,
    );
  }
  t.equal(transport.bytesReceived, 4 * MiB);
});

t.test('what was given up is over, and what is asked next is not mixed with it', async (t) => {
  const transport = threads(t);
  const port = await numbered(t, MiB, 1);
  const abort = new AbortController();
  let begun = (): void => undefined;
  const hasBegun = new Promise<void>((resolve) => {
    begun = resolve;
  });
  const first = transport.exchange(get(port, MiB, abort.signal), () => () => begun());
  await hasBegun;
  abort.abort();
  t.match(await failureOf(first), /^aborted/);
  t.match(await failureOf(transport.exchange(get(port, MiB, abort.signal), nothing)), /^aborted/);
  const refused = transport.exchange(get(port, MiB), () => () => {
    throw new Error('refused');
  });
  await t.rejects(refused, { message: 'refused' });
  const bodies = await Promise.all([1, 2, 3].map(() => received(transport, port, MiB, MiB)));
  for (const body of bodies)
    t.ok(
      body.every((byte) => byte === body[0]),
      'of one answer',
    );
});

t.test('a thread that ends takes its exchanges along, and the next one has another', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'pailfs-threads-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const script = join(directory, 'dies.mjs');
  writeFileSync(
    script,
    "import { parentPort } from 'node:worker_threads'; parentPort.on('message', () => { throw new Error('dead'); });",
  );
  const transport = threads(t, pathToFileURL(script));
  for (let i = 0; i < 2; i++)
    t.match(await failureOf(transport.exchange(get(1, MiB), nothing)), /^broken: .* ended: dead/);
});

t.test('close ends what is under way', async (t) => {
  const transport = threads(t);
  const port = await numbered(t, MiB, 1);
  let begun = (): void => undefined;
  const hasBegun = new Promise<void>((resolve) => {
    begun = resolve;
  });
  const stalled = transport.exchange(get(port, MiB), () => () => begun());
  await hasBegun;
  transport.close();
  t.match(await failureOf(stalled), /^aborted/);
  t.match(await failureOf(transport.exchange(get(port, MiB), nothing)), /^aborted/);
});
