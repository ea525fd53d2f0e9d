/**
 * `pailfs demo`: the embedded S3 server with a sample bucket, mounted, until Ctrl-C. The server is a process of its own,
 * so that the daemon's loop is its own too, and in a session of its own, so that Ctrl-C reaches it only after what is
 * dirty was uploaded; it ends by itself when this process is gone.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { resolveSettings, type Settings } from '../config.js';
import { type ExitCode, exitCode } from '../exit-code.js';
import { mountedAt } from '../local/mount-table.js';
import { createLogger, type Logger } from '../log.js';
import { packageRoot } from '../package.js';
import { createObjectClient } from '../s3/client-config.js';
import { StartupFailure } from '../startup-failure.js';
import { sampleObjects } from './sample-bucket.js';
import { say } from './say.js';
import { serveMount } from './worker.js';

export interface DemoArguments {
  /** Absent: a directory of its own. */
  readonly mountpoint?: string;
  /** Of the server; 0: any free one. */
  readonly port: number;
}

const bucket = 'sample';
/** The embedded server's own pair: it is no secret. */
const credentials = { accessKeyId: 'pailfs', secretAccessKey: 'pailfs-secret' };

interface Server {
  readonly endpoint: string;
  readonly process: ChildProcess;
}

async function startServer(directory: string, port: number): Promise<Server> {
  const main = fileURLToPath(new URL('dist/src/embedded/main.js', packageRoot));
  const args = [main, '--directory', directory, '--port', String(port), '--bucket', bucket, '--until-stdin-closes'];
  const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'pipe'], detached: true });
  let complaint = '';
  child.stderr!.setEncoding('utf8').on('data', (text: string) => {
    complaint += text;
  });
  const endpoint = await new Promise<string>((found, reject) => {
    child.stdout!.setEncoding('utf8').once('data', (text: string) => found(text.trim()));
    child.once('exit', () => {
      const why = /EADDRINUSE/.test(complaint) ? `port ${port} is taken` : complaint.split('\n')[0];
      reject(new StartupFailure(exitCode.unexpected, `the sample server does not start: ${why}`));
    });
  });
  return { endpoint, process: child };
}

async function seed(endpoint: string, log: Logger): Promise<void> {
  const options = { bucket, endpoint, region: 'us-east-1', maxConnections: 8, ioTimeoutMs: 10_000 };
  const client = await createObjectClient({ ...options, credentialProvider: async () => credentials }, log);
  await Promise.all(
    sampleObjects().map(({ key, body, contentType }) => client.put(key, body, { headers: { contentType } })),
  );
  await client.close();
}

/** The default chain finds these, and nothing else that the shell has set. */
function useDemoCredentials(): void {
  for (const name of ['AWS_PROFILE', 'AWS_SESSION_TOKEN', 'AWS_ENDPOINT_URL', 'AWS_ENDPOINT_URL_S3', 'AWS_REGION']) {
    delete process.env[name];
  }
  process.env.AWS_ACCESS_KEY_ID = credentials.accessKeyId;
  process.env.AWS_SECRET_ACCESS_KEY = credentials.secretAccessKey;
}

function settingsFor(endpoint: string, directory: string): Settings {
  return resolveSettings({
    commandLine: new Map([
      ['endpoint-url', endpoint],
      ['region', 'us-east-1'],
      ['state-dir', join(directory, 'state')],
      ['cache-dir', join(directory, 'cache')],
      ['foreground', 'true'],
      // People look at the bucket from both sides here.
      ['metadata-ttl', '1s'],
      ['log-level', 'warn'],
    ]),
    mountWords: new Map(),
    env: process.env,
    cwd: process.cwd(),
  });
}

function introduction(place: string, endpoint: string): string {
  const keys = `AWS_ACCESS_KEY_ID=${credentials.accessKeyId} AWS_SECRET_ACCESS_KEY=${credentials.secretAccessKey}`;
  const aws = `aws --endpoint-url ${endpoint} --region us-east-1`;
  const command = fileURLToPath(new URL('bin/pailfs.js', packageRoot));
  return [
    '',
    `The sample bucket s3://${bucket} is mounted on ${place}`,
    '',
    'In another shell:',
    `  ls -lR ${place}`,
    `  cat ${join(place, 'README.txt')}`,
    `  cp ${join(place, 'photos/mygarden.jpg')} ${join(place, 'photos/copy.jpg')}`,
    `  ${keys} ${aws} s3 ls --recursive s3://${bucket}`,
    `  ${command} status ${place}`,
    '',
    'Ctrl-C here unmounts it and removes everything.',
    '',
  ].join('\n');
}

/** Takes the demo's files away, unless something is still mounted, whose files they would seem to be. */
function removeDirectory(directory: string, place: string): void {
  if (mountedAt(place) === undefined) rmSync(directory, { recursive: true, force: true });
  else say(`${place} is still mounted: run "umount -l ${place}", then remove ${directory}`);
}

async function serveDemo(place: string, directory: string, port: number, onServer: (server: Server) => void) {
  const log = createLogger({ level: 'warn' });
  const server = await startServer(join(directory, 'objects'), port);
  onServer(server);
  await seed(server.endpoint, log);
  useDemoCredentials();
  const settings = settingsFor(server.endpoint, directory);
  return serveMount(
    { source: `s3://${bucket}`, mountpoint: place, settings, env: process.env, log },
    { onReady: ({ mountpoint }) => console.log(introduction(mountpoint, server.endpoint)) },
  );
}

export async function runDemo({ mountpoint, port }: DemoArguments): Promise<ExitCode> {
  const directory = mkdtempSync(join(tmpdir(), 'pailfs-demo-'));
  const place = mountpoint === undefined ? join(directory, bucket) : resolve(mountpoint);
  if (!existsSync(place) && mountpoint === undefined) mkdirSync(place);
  let server: Server | undefined;
  // Also where a signal ends the process before the mount stands.
  process.once('exit', () => {
    server?.process.kill('SIGKILL');
    removeDirectory(directory, place);
  });
  const code = await serveDemo(place, directory, port, (started) => {
    server = started;
  });
  const ended = once(server!.process, 'exit');
  server!.process.stdin!.end();
  await ended;
  return code;
}
