/**
 * The whole filesystem on a real mount, put together as the program does it. Tests use it in their own process, where
 * they can look inside, or as a process of its own (this file run with its options in argv), where resident memory is
 * the daemon's alone: that one answers messages of its parent.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { systemClock } from '../../src/clock.js';
import { DEFAULT_MEMORY_LIMIT_BYTES, DEFAULT_PART_BYTES, GiB } from '../../src/constants.js';
import type { Mounted } from '../../src/fuse/driver.js';
import { type Logger, silentLogger } from '../../src/log.js';
import { createObjectClient } from '../../src/s3/client-config.js';
import type { LeanClient } from '../../src/s3/lean-client.js';
import { type Filesystem, openFilesystem } from '../../src/vfs/filesystem.js';
import type { VolumeOptions } from '../../src/vfs/volume.js';
import { mountChosen, type TestDriver } from './driver-choice.js';
import { until, within } from './harness.js';
import { BUCKET } from './s3-place.js';

export interface DaemonOptions {
  readonly endpoint: string;
  readonly region: string;
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string };
  readonly mountpoint: string;
  readonly cacheDirectory: string;
  readonly stateDirectory: string;
  readonly ioTimeoutMs?: number;
  readonly driver?: TestDriver;
  readonly cacheBytes?: number;
  /** Default: yes, unless PAILFS_TEST_PASSTHROUGH=off. */
  readonly passthrough?: boolean;
  readonly volume?: Partial<VolumeOptions>;
}

export interface Daemon {
  readonly filesystem: Filesystem;
  readonly client: LeanClient;
  readonly mounted: Mounted;
}

/** How long the kernel and the daemon may take to part; far more than they need, for machines that do much else. */
const END_MS = 30_000;

const defaults: Omit<VolumeOptions, 'stateDirectory'> = {
  prefix: '',
  bucket: BUCKET,
  readOnly: false,
  metadataTtlMs: 60_000,
  openTtlMs: 1_000,
  negativeTtlMs: 1_000,
  attributes: 'auto',
  partBytes: DEFAULT_PART_BYTES,
  memoryLimitBytes: DEFAULT_MEMORY_LIMIT_BYTES,
  stagingBytes: 64 * 2 ** 30,
  uid: 0,
  gid: 0,
  fileMode: 0o644,
  directoryMode: 0o755,
  acl: false,
  canList: true,
  host: 'here',
  writeBack: process.env.PAILFS_TEST_WRITE_BACK === 'on',
  fsync: 's3',
  exclusive: 'host',
};

export async function startDaemon(options: DaemonOptions, logger: Logger = silentLogger): Promise<Daemon> {
  const { endpoint, mountpoint, cacheDirectory, stateDirectory } = options;
  const bucket = options.volume?.bucket ?? defaults.bucket;
  const client = await createObjectClient(
    {
      bucket,
      endpoint,
      region: options.region,
      maxConnections: 64,
      ioTimeoutMs: options.ioTimeoutMs ?? 20_000,
      credentialProvider: async () => options.credentials,
      env: {},
    },
    logger,
  );
  const filesystem = await openFilesystem({
    ...defaults,
    stateDirectory,
    ...options.volume,
    client,
    clock: systemClock,
    logger,
    cacheDirectory,
    cacheBytes: options.cacheBytes ?? 10 * GiB,
  });
  const acl = options.volume?.acl ?? false;
  const passthrough = options.passthrough ?? process.env.PAILFS_TEST_PASSTHROUGH !== 'off';
  const mounted = await mountChosen(
    filesystem,
    { mountpoint, fsname: `s3://${bucket}`, log: logger, defaultPermissions: true, allowOther: true, passthrough, acl },
    options.driver,
  );
  return { filesystem, client, mounted };
}

/** What must be nothing once every program has closed what it had open; `inodes` counts all but the root. */
export function leftovers({ filesystem, mounted }: Daemon): Record<string, number> {
  const { openFiles, openDirectories, inodes, lookups, dirty, staging } = filesystem.status();
  const { session, device } = mounted.stats();
  return {
    openFiles,
    openDirectories,
    inodes: inodes - 1,
    lookups,
    dirty: dirty.length,
    stagedBytes: staging.usedBytes,
    pending: session.pending,
    nlookup: session.nlookup,
    backings: session.backings,
    badFrames: session.badFrames,
    buffersKept: device?.buffersKept ?? 0,
  };
}

/** RELEASE is not awaited by the program that closes: waits until nothing is open and no request is unanswered. */
export async function quiet(daemon: Daemon, ms = 10_000): Promise<void> {
  await until(
    'everything is closed',
    () => {
      const { openFiles, openDirectories, pending } = leftovers(daemon);
      return openFiles + openDirectories + pending === 0;
    },
    ms,
  );
}

/** Unmounts in order, and answers what is left. The mount must be quiet. */
export async function endDaemon(daemon: Daemon, options: DaemonOptions): Promise<Record<string, number>> {
  await quiet(daemon);
  await within(END_MS, 'what waits is brought over', daemon.filesystem.flushAll());
  await within(10_000, 'unmount', daemon.mounted.unmount());
  await within(END_MS, 'end of the connection', daemon.mounted.closed).catch((error) => {
    throw new Error(`${error.message}: ${JSON.stringify({ ...leftovers(daemon), ...daemon.mounted.stats() })}`);
  });
  const left = leftovers(daemon);
  left.staged = readdirSync(join(options.stateDirectory, 'staged')).length;
  // What the cache holds is synced to a disk that others may be writing gigabytes to.
  await within(60_000, 'close', daemon.filesystem.close());
  await daemon.client.close();
  return left;
}

/** Resident memory of a process now and at its highest (bytes). */
export function residentMemory(pid: number): { now: number; highest: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const of = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]) * 1024;
  return { now: of('VmRSS'), highest: of('VmHWM') };
}

async function serveParent(options: DaemonOptions): Promise<void> {
  const daemon = await startDaemon(options);
  process.on('message', async (message) => {
    if (message === 'status') process.send?.({ ...leftovers(daemon), ...daemon.filesystem.status().cache });
    if (message !== 'end') return;
    const left = await endDaemon(daemon, options);
    process.send?.(left, () => process.exit(0));
  });
  process.once('disconnect', () => process.exit(1));
  process.send?.('ready');
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await serveParent(JSON.parse(process.argv[2]));
