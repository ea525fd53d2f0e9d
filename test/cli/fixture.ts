/**
 * The command as users run it: bin/pailfs.js in processes of its own, against the embedded server in the test's. Whatever
 * a test leaves (mounts, daemons, directories) is taken away with it.
 */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Test } from 'tap';
import type { EmbeddedOptions, EmbeddedServer } from '../../src/embedded/api.js';
import { startEmbeddedServer } from '../../src/embedded/server.js';
import { mountedAt } from '../../src/local/mount-table.js';
import { packageRoot } from '../../src/package.js';
import { abortMount, type RunOptions, type RunResult, run, start } from '../mount/harness.js';

export const bucket = 'garden';
export const binary = fileURLToPath(new URL('bin/pailfs.js', packageRoot));

export interface Place {
  readonly directory: string;
  /** Of the mount; exists. */
  readonly mountpoint: string;
  readonly server: EmbeddedServer;
  readonly env: NodeJS.ProcessEnv;
  /** Runs `pailfs ARGUMENTS` to its end. */
  pailfs(args: readonly string[], options?: RunOptions): Promise<RunResult>;
  /** Starts it, for what does not end by itself. */
  begin(args: readonly string[], options?: RunOptions): ReturnType<typeof start>;
  /** `pailfs mount` of the bucket, in the background; has to work. */
  mount(args?: readonly string[]): Promise<void>;
  /** `pailfs sync` of the whole mount; has to work. */
  sync(): Promise<void>;
  /** Process ids of the daemons that hold a state directory. */
  daemons(): number[];
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Process ids in the locks of the state directories. */
function lockHolders(state: string): number[] {
  if (!existsSync(state)) return [];
  const locks = readdirSync(state).map((id) => join(state, id, 'lock'));
  const owners = locks.flatMap((path) => {
    try {
      return [JSON.parse(readFileSync(path, 'utf8')).pid];
    } catch (error) {
      // A daemon that ends takes it away; not all that is there is a state directory.
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'ENOENT' || code === 'ENOTDIR') return [];
      throw error;
    }
  });
  return owners.filter((pid: number) => alive(pid));
}

export async function makePlace(t: Test, embedded: Partial<EmbeddedOptions> = {}): Promise<Place> {
  const directory = mkdtempSync(join(tmpdir(), 'pailfs-cli-'));
  const mountpoint = join(directory, 'mnt');
  mkdirSync(mountpoint);
  const options = { directory: join(directory, 'objects'), buckets: [bucket], ...embedded };
  const server = await startEmbeddedServer(options);
  const env: NodeJS.ProcessEnv = {
    PATH: process.env.PATH,
    HOME: directory,
    AWS_ACCESS_KEY_ID: server.credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: server.credentials.secretAccessKey,
    AWS_EC2_METADATA_DISABLED: 'true',
    PAILFS_ENDPOINT_URL: server.endpoint,
    PAILFS_REGION: server.region,
    PAILFS_STATE_DIR: join(directory, 'state'),
    PAILFS_CACHE_DIR: join(directory, 'cache'),
    PAILFS_RUNTIME_DIR: join(directory, 'run'),
  };
  const begin = (args: readonly string[], more: RunOptions = {}) =>
    start(process.execPath, [binary, ...args], { timeout: 40_000, ...more, env: { ...env, ...more.env } });
  const place: Place = {
    directory,
    mountpoint,
    server,
    env,
    begin,
    pailfs: (args, more) => begin(args, more).result,
    async mount(args = []) {
      const { code, stderr } = await place.pailfs(['mount', `s3://${bucket}`, mountpoint, ...args]);
      if (code !== 0) throw new Error(`pailfs mount: ${code} ${stderr}`);
    },
    async sync() {
      const { code, stderr } = await place.pailfs(['sync', mountpoint]);
      if (code !== 0) throw new Error(`pailfs sync: ${code} ${stderr}`);
    },
    daemons: () => lockHolders(join(directory, 'state')),
  };
  t.teardown(() => cleanUp(place));
  return place;
}

async function cleanUp({ directory, mountpoint, server, daemons }: Place): Promise<void> {
  for (const pid of daemons()) process.kill(pid, 'SIGKILL');
  while (mountedAt(mountpoint) !== undefined) await abortMount(mountpoint);
  await server.close();
  rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
}

/** Puts an object with a client that has nothing to do with ours. */
export async function putObject(place: Place, key: string, body: string): Promise<void> {
  const { S3Client, PutObjectCommand } = await import('@aws-sdk/client-s3');
  const { endpoint, region, credentials } = place.server;
  const client = new S3Client({ endpoint, region, credentials, forcePathStyle: true });
  await client.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: body }));
  client.destroy();
}

export async function getObject(place: Place, key: string): Promise<string | undefined> {
  const { S3Client, GetObjectCommand } = await import('@aws-sdk/client-s3');
  const { endpoint, region, credentials } = place.server;
  const client = new S3Client({ endpoint, region, credentials, forcePathStyle: true });
  try {
    const { Body } = await client.send(new GetObjectCommand({ Bucket: bucket, Key: key }));
    return await Body!.transformToString();
  } catch (error) {
    if ((error as Error).name === 'NoSuchKey') return undefined;
    throw error;
  } finally {
    client.destroy();
  }
}

/** `run` for programs other than the command, in the same surroundings. */
export function runIn(place: Place, command: string, args: string[], options: RunOptions = {}): Promise<RunResult> {
  return run(command, args, { ...options, env: { ...place.env, ...options.env } });
}
