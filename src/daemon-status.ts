/** What a daemon tells of itself: collected from its parts when somebody asks, and free of anything secret. */
import type { CheckedBucket } from './bucket.js';
import { systemClock } from './clock.js';
import type { Settings } from './config.js';
import type { DaemonStatus } from './control/messages.js';
import type { Mounted } from './fuse/driver.js';
import type { Source } from './local/source.js';
import { packageVersion } from './package.js';
import type { Filesystem, FilesystemStatus } from './vfs/filesystem.js';

export interface StatusParts {
  readonly settings: Settings;
  readonly source: Source;
  readonly bucket: CheckedBucket;
  readonly directories: { readonly state: string; readonly cache: string };
  readonly filesystem: Filesystem;
  readonly mounted: Mounted;
  /** Of the monotonic clock (ms). */
  readonly startedAt: number;
}

const version = packageVersion();

/** Whether the kernel reads files of the cache by itself, and if not, why. */
export function passthroughState(settings: Settings, { passthroughRefusal }: FilesystemStatus): string {
  if (settings.passthrough === 'off') return 'off';
  return passthroughRefusal === undefined ? 'on' : `off (${passthroughRefusal})`;
}

export function daemonStatus(parts: StatusParts, draining: boolean): DaemonStatus {
  const { settings, source, bucket, directories, mounted } = parts;
  const filesystem = parts.filesystem.status();
  const { cache, openFiles, openDirectories, inodes, dirty, conflicts, waiting, staging } = filesystem;
  const { operations, notifications } = mounted.stats();
  const { requests, retries, errors, bytesReceived, bytesSent } = bucket.client.counters;
  const memory = process.memoryUsage();
  return {
    version,
    pid: process.pid,
    bucket: source.bucket,
    prefix: source.prefix,
    endpoint: bucket.probe.endpoint,
    region: bucket.probe.region,
    anonymous: bucket.probe.anonymous,
    conditionalWrites: bucket.writes.support.writes,
    conditionalCopies: bucket.writes.support.copies,
    mountpoint: mounted.mountpoint,
    driver: settings.driver,
    privileged: mounted.privileged,
    passthrough: passthroughState(settings, filesystem),
    readOnly: settings.ro,
    uptimeSeconds: Math.round((systemClock.monotonic() - parts.startedAt) / 100) / 10,
    stateDirectory: directories.state,
    cacheDirectory: directories.cache,
    requests: { byOperation: { ...requests }, retries, errors, bytesReceived, bytesSent },
    operations: Object.fromEntries(Object.entries(operations).filter(([, { count }]) => count > 0)),
    cache,
    openFiles,
    openDirectories,
    inodes,
    dirty,
    waiting,
    draining,
    conflicts,
    staging,
    notificationsDropped: notifications.dropped,
    memory: { rssBytes: memory.rss, heapBytes: memory.heapUsed, externalBytes: memory.external },
  };
}
