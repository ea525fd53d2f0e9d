/**
 * The composition root: from settings to a mount that stands. The order is such that whatever can be wrong is found
 * before the kernel hears of anything: places, bucket, directories, lock; then the filesystem, the mount, and the control
 * socket.
 */
import { statfsSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { type CheckedBucket, checkWrites, openBucket } from './bucket.js';
import { systemClock } from './clock.js';
import type { Settings } from './config.js';
import { startControlServer } from './control/server.js';
import { socketPath } from './control/socket-path.js';
import { Daemon } from './daemon.js';
import { daemonStatus, passthroughState } from './daemon-status.js';
import { exitCode } from './exit-code.js';
import type { Mounted } from './fuse/driver.js';
import { mountFuseNative } from './fuse/fuse-native-driver.js';
import { loadFuseNative } from './fuse/fuse-native-package.js';
import { mountKernel } from './fuse/kernel-driver.js';
import { native } from './fuse/native.js';
import { keepLeftBehind } from './left-behind.js';
import { type Bases, baseDirectories, mountId, privateDirectory, refuseInside } from './local/directories.js';
import { prepareMountpoint } from './local/mountpoint.js';
import { parseSource, type Source } from './local/source.js';
import type { StateLock } from './local/state-lock.js';
import type { Logger } from './log.js';
import { lockWhenFree } from './predecessor.js';
import { leftText, ProgressLine } from './progress.js';
import { StartupFailure, startupFailure } from './startup-failure.js';
import { type Filesystem, openFilesystem } from './vfs/filesystem.js';

export interface MountRequest {
  readonly source: string;
  readonly mountpoint: string;
  readonly settings: Settings;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly log: Logger;
  /** Called right before the kernel is asked to mount: from then on the process must not simply exit. */
  readonly onMounting?: () => void;
  /** Takes a line for the user while the start goes on. */
  readonly tell?: (line: string) => void;
  /** Shows how far the end of the mount is; absent: the log. */
  readonly progress?: ProgressLine;
}

export interface Started {
  readonly daemon: Daemon;
  /** Resolved. */
  readonly mountpoint: string;
  /** For the user, one line each. */
  readonly notices: readonly string[];
}

interface Directories {
  readonly state: string;
  readonly cache: string;
  readonly runtime: string;
}

/** What is undone, last first, when a later step fails. */
class Undo {
  readonly #steps: Array<() => void | Promise<void>> = [];

  add(step: () => void | Promise<void>): void {
    this.#steps.push(step);
  }

  async run(log: Logger): Promise<void> {
    for (const step of this.#steps.splice(0).reverse()) {
      try {
        await step();
      } catch (error) {
        log.error({ err: error }, 'cleaning up failed');
      }
    }
  }
}

function refuseBeforehand(settings: Settings, bases: Bases, place: string): void {
  if (settings.driver === 'fuse-native' && settings.acl) {
    throw new StartupFailure(exitCode.usage, 'acl needs the kernel driver: leave one of the two away');
  }
  if (settings.driver === 'fuse-native') loadFuseNative();
  else native();
  refuseInside(bases.state, place, 'state-dir');
  refuseInside(bases.cache, place, 'cache-dir');
  refuseInside(bases.runtime, place, 'runtime-dir');
  if (settings.logFile !== undefined) refuseInside(settings.logFile, place, 'log-file');
  if ((settings.suid || settings.dev) && process.geteuid?.() !== 0) {
    throw new StartupFailure(exitCode.usage, 'suid and dev are for root: leave them away, or mount as root');
  }
}

function makeDirectories(bases: Bases, id: string): Directories {
  return {
    state: privateDirectory(join(bases.state, id)),
    cache: privateDirectory(join(bases.cache, id)),
    runtime: privateDirectory(bases.runtime),
  };
}

/** Half of what is free where staged files lie (bytes). */
function halfOfFree(directory: string): number {
  const { bavail, bsize } = statfsSync(directory);
  return Math.floor((bavail * bsize) / 2);
}

function filesystemOf(
  request: MountRequest,
  source: Source,
  bucket: CheckedBucket,
  at: Directories,
): Promise<Filesystem> {
  const { settings, log } = request;
  return openFilesystem({
    client: bucket.client,
    clock: systemClock,
    logger: log,
    prefix: source.prefix,
    bucket: source.bucket,
    readOnly: settings.ro,
    metadataTtlMs: settings.metadataTtl,
    openTtlMs: settings.openTtl,
    negativeTtlMs: settings.negativeTtl,
    attributes: settings.attributes,
    partBytes: settings.partSize,
    memoryLimitBytes: settings.memoryLimit,
    uid: settings.uid ?? process.getuid!(),
    gid: settings.gid ?? process.getgid!(),
    fileMode: settings.fileMode & ~settings.umask,
    directoryMode: settings.dirMode & ~settings.umask,
    acl: settings.acl,
    storageClass: settings.storageClass,
    canList: bucket.probe.canList,
    writeBack: settings.writeBack === 'on',
    fsync: settings.fsync,
    exclusive: settings.exclusive,
    host: hostname(),
    stateDirectory: at.state,
    stagingBytes: settings.stagingSize ?? halfOfFree(at.state),
    cacheDirectory: at.cache,
    cacheBytes: settings.cacheSize,
  });
}

function mountOf(request: MountRequest, source: Source, place: string, filesystem: Filesystem): Promise<Mounted> {
  const { settings, log } = request;
  request.onMounting?.();
  const mountWith = settings.driver === 'fuse-native' ? mountFuseNative : mountKernel;
  return mountWith(filesystem, {
    mountpoint: place,
    fsname: source.url,
    readOnly: settings.ro,
    allowOther: settings.allowOther,
    // Modes and owners mean something: the kernel checks them, also against the user who mounted.
    defaultPermissions: true,
    suid: settings.suid,
    dev: settings.dev,
    noExec: settings.noexec,
    passthrough: settings.passthrough === 'auto',
    acl: settings.acl,
    log,
  });
}

/** Nothing is wrong, but somebody may wait for it. */
function tellUser({ log, tell }: MountRequest, line: string): void {
  log.info(line);
  tell?.(line);
}

function lockOf(request: MountRequest, at: Directories, place: string): Promise<StateLock> {
  return lockWhenFree({
    stateDirectory: at.state,
    runtimeDirectory: at.runtime,
    mountpoint: place,
    tell: (line) => tellUser(request, line),
  });
}

/** What an earlier daemon left in the journal, and what becomes of it. */
function takenUpLines({ takenUp, status }: Filesystem, settings: Settings): string[] {
  if (takenUp === undefined) return [];
  const what = `${leftText(takenUp)} that an earlier mount had not uploaded`;
  const { waiting } = status();
  if (waiting === undefined) return [`uploaded ${what}`];
  const lines = [`taking up ${what}`];
  if (settings.writeBack === 'off') {
    const { queued, removals } = waiting;
    lines.push(
      `${leftText({ files: queued, bytes: 0, removals })} cannot be uploaded now: this mount goes on with --write-back=on`,
    );
  }
  return lines;
}

/** In the log, a line now and then. */
function loggedProgress(log: Logger): ProgressLine {
  const everyMs = 10_000;
  return new ProgressLine({ write: (line) => log.info(line), everyMs, now: () => systemClock.monotonic() });
}

/** Rejects with StartupFailure, and leaves nothing behind then. */
export async function startDaemon(request: MountRequest): Promise<Started> {
  const undo = new Undo();
  try {
    return await start(request, undo);
  } catch (error) {
    await undo.run(request.log);
    throw startupFailure(error);
  }
}

async function start(request: MountRequest, undo: Undo): Promise<Started> {
  const { settings, log, env } = request;
  const source = parseSource(request.source);
  const { place, cleared } = await prepareMountpoint(request.mountpoint);
  if (cleared) log.warn({ mountpoint: place }, 'the dead mount of a daemon that was killed was cleared');
  const bases = baseDirectories(settings, env, process.geteuid!());
  refuseBeforehand(settings, bases, place);
  const opened = await openBucket(source, settings, log);
  undo.add(() => opened.client.close());
  const directories = makeDirectories(bases, mountId(source, opened.probe.endpoint));
  const lock = await lockOf(request, directories, place);
  undo.add(() => lock.release());
  const bucket = checkWrites(opened, directories.state, log);
  const notices = [...bucket.notices];
  const behind = keepLeftBehind(directories.state, settings.writeBack === 'on');
  if (behind !== undefined) notices.push(behind);

  const filesystem = await filesystemOf(request, source, bucket, directories);
  undo.add(() => filesystem.close());
  for (const line of takenUpLines(filesystem, settings)) tellUser(request, line);
  for (const notice of notices) log.warn(notice);
  const mounted = await mountOf(request, source, place, filesystem);
  undo.add(async () => {
    await mounted.unmount({ lazy: true });
    await mounted.closed;
  });
  const startedAt = systemClock.monotonic();
  const parts = { settings, source, bucket, directories, filesystem, mounted, startedAt };
  // The daemon is made last, so that it is not there to end what a failure of the socket undoes.
  let daemon: Daemon | undefined;
  const control = await startControlServer(
    socketPath(directories.runtime, place),
    {
      status: () => daemonStatus(parts, daemon!.isDraining),
      umount: async (asked, tell, gone) => daemon!.umount(asked, tell, gone),
      sync: async ({ path }, tell, gone) => daemon!.sync(path, tell, gone),
      handOver: async (tell) => daemon!.handOver(tell),
    },
    log,
  );
  const release = async (isClosed: boolean) => {
    control.close();
    await bucket.client.close();
    // The lock of a daemon that may still write to its state is that of a dead one once it has ended.
    if (isClosed) lock.release();
    // Last: whoever asked for the end sees it when the connection closes.
    control.end();
  };
  daemon = new Daemon({
    mounted,
    filesystem,
    log,
    source: source.url,
    stateDirectory: directories.state,
    sentBytes: () => bucket.client.counters.bytesSent,
    progress: request.progress ?? loggedProgress(log),
    abort: () => bucket.client.close(),
    release,
  });
  const { endpoint, region } = bucket.probe;
  const passthrough = passthroughState(settings, filesystem.status());
  const { privileged } = mounted;
  log.info({ source: source.url, mountpoint: place, endpoint, region, privileged, passthrough }, 'mounted');
  return { daemon, mountpoint: place, notices };
}
