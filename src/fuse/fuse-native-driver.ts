/**
 * The driver for systems where the addon cannot be built: the package fuse-native, which brings the calls of libfuse 2's
 * path interface, adapted to the same Operations. Slower, and without much of what the kernel driver can: docs/drivers.md.
 */
import { spawnSync } from 'node:child_process';
import { accessSync, constants, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { systemClock } from '../clock.js';
import { applyReadahead, type DriverOptions, type DriverStats, type Mounted } from './driver.js';
import { type LibfuseChannel, loadFuseNative, type PathCalls } from './fuse-native-package.js';
import { LIBFUSE_IO_BYTES, libfuseOptions } from './libfuse-options.js';
import { MountError, mayMount, resolveMountpoint, unmountByProgram } from './mount.js';
import { type OperationCount, observe } from './observe.js';
import type { ConnectionInfo, Notifier, Operations } from './operations.js';
import { attributeCalls } from './path-attribute-calls.js';
import { fileCalls } from './path-file-calls.js';
import { nameCalls } from './path-name-calls.js';
import { PathServer } from './path-server.js';

/** What libfuse 2.9 speaks. */
const PROTOCOL_MINOR = 19;
/** The kernel sends INIT at once. */
const INIT_MS = 10_000;
/** libfuse tells nobody of its end; it closes its descriptor then, which is looked at so often (ms). */
const END_WATCH_MS = 100;
/** fuse-native copies the path into char[1024]. */
const LONGEST_MOUNTPOINT = 1023;
const DEVICE = '/dev/fuse';

/** In one line, for the log of each mount. */
const LIMITS =
  'times of modification cannot be set, new files belong to the user of the mount, a version that another client wrote ' +
  'cannot be opened here before the old one is closed, and more: docs/drivers.md';

/** Nothing to tell: the kernel asks for attributes whenever it needs them, and a path is walked anew for every call. */
const noNotifier: Notifier = { invalInode: () => {}, invalEntry: () => {}, deleted: () => {} };
const NO_NOTIFICATIONS = { waiting: 0, sent: 0, absent: 0, failed: 0, dropped: 0 } as const;

function isDevice(fd: string): boolean {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`) === DEVICE;
  } catch {
    return false;
  }
}

/** Descriptors of this process that are connections. */
function connections(): Set<string> {
  return new Set(readdirSync('/proc/self/fd').filter(isDevice));
}

function mustBeMountable(mountpoint: string): void {
  if (Buffer.byteLength(mountpoint) > LONGEST_MOUNTPOINT) {
    throw new MountError('ENAMETOOLONG', `${mountpoint} is too long for fuse-native (${LONGEST_MOUNTPOINT} bytes)`);
  }
  try {
    accessSync(DEVICE, constants.R_OK | constants.W_OK);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'EIO';
    if (code === 'ENOENT') {
      const line = `${DEVICE} is not there: load the module with "modprobe fuse", or give it to the container`;
      throw new MountError(code, line);
    }
    throw new MountError(code, `${DEVICE} cannot be opened (${code})`);
  }
}

/** What fusermount would refuse, in a line of its own: libfuse prints that on stderr and answers only that it failed. */
function mustBeMountableByUser(options: DriverOptions): void {
  if (mayMount()) return;
  const fusermount = spawnSync('fusermount', ['-V'], { stdio: 'ignore' });
  if (fusermount.error !== undefined) throw new MountError('ENOHELPER', 'fusermount is not installed');
  if (!options.allowOther) return;
  let settings = '';
  try {
    settings = readFileSync('/etc/fuse.conf', 'utf8');
  } catch {
    // A file that is not there allows nothing.
  }
  if (/^\s*user_allow_other\b/m.test(settings)) return;
  throw new MountError('EPERM', 'allow_other is refused: /etc/fuse.conf has no user_allow_other');
}

class PathConnection {
  readonly server: PathServer;
  readonly counts: Readonly<Record<string, OperationCount>>;
  readonly info: ConnectionInfo;
  readonly closed: Promise<void>;
  isClosed = false;
  readonly #options: DriverOptions;
  readonly #channel: LibfuseChannel;
  readonly #operations: Operations;
  #fd: string | undefined;
  #lost!: () => void;

  constructor(operations: Operations, mountpoint: string, options: DriverOptions) {
    this.#options = options;
    const clock = options.clock ?? systemClock;
    const observed = observe(operations, options.log, clock);
    this.counts = observed.counts;
    this.#operations = observed.operations;
    const [uid, gid] = [process.getuid!(), process.getgid!()];
    this.server = new PathServer({ operations: observed.operations, log: options.log, clock, uid, gid });
    const privileged = mayMount();
    this.info = { protocolMinor: PROTOCOL_MINOR, maxWrite: LIBFUSE_IO_BYTES, maxRead: LIBFUSE_IO_BYTES, privileged };
    this.#channel = loadFuseNative()(mountpoint, this.#calls(), libfuseOptions(options, privileged));
    const lost = new Promise<void>((resolve) => {
      this.#lost = resolve;
    });
    this.closed = lost.then(() => this.#end());
  }

  #calls(): PathCalls {
    return {
      ...fileCalls(this.server),
      ...nameCalls(this.server),
      ...attributeCalls(this.server),
      init: (done) => {
        this.#operations.init?.(this.info, noNotifier);
        done(0);
      },
    };
  }

  /** Resolves after INIT. */
  async mount(): Promise<void> {
    const before = connections();
    let timer: NodeJS.Timeout | undefined;
    const mounting = new Promise<void>((resolve, reject) => {
      timer = setTimeout(() => reject(new Error(`no INIT within ${INIT_MS} ms`)), INIT_MS);
      this.#channel.mount((error) => (error === null ? resolve() : reject(error)));
    });
    try {
      await mounting;
    } finally {
      clearTimeout(timer);
      this.#fd = [...connections()].find((fd) => !before.has(fd));
    }
    this.#watch();
  }

  /** Something of a mount that failed stands. */
  get isHalfMounted(): boolean {
    return this.#fd !== undefined;
  }

  #watch(): void {
    const timer = setInterval(() => {
      if (this.#fd !== undefined && isDevice(this.#fd)) return;
      clearInterval(timer);
      this.#lost();
    }, END_WATCH_MS);
  }

  async #end(): Promise<void> {
    await this.server.end();
    this.#channel.letGo();
    this.isClosed = true;
    this.#options.log.info('the kernel has let go of the mount');
  }

  stats(): DriverStats {
    return { session: this.server.stats(), notifications: NO_NOTIFICATIONS, operations: this.counts };
  }
}

function mountingFailed(error: unknown, mountpoint: string): MountError {
  const { message } = error as Error;
  if (message === 'Mountpoint in use') {
    return new MountError('EBUSY', `${mountpoint} is a mount already, over which fuse-native does not mount`);
  }
  return new MountError('EPERM', `libfuse did not mount on ${mountpoint} (${message}); it says why on stderr`);
}

/** Mounts the filesystem; resolves once the kernel and libfuse have agreed on the protocol. Throws MountError. */
export async function mountFuseNative(operations: Operations, options: DriverOptions): Promise<Mounted> {
  const mountpoint = await resolveMountpoint(options.mountpoint);
  mustBeMountable(mountpoint);
  mustBeMountableByUser(options);
  const connection = new PathConnection(operations, mountpoint, options);
  try {
    await connection.mount();
  } catch (error) {
    if (connection.isHalfMounted) await unmountByProgram(mountpoint, { lazy: true });
    throw mountingFailed(error, mountpoint);
  }
  options.log.warn({ limits: LIMITS }, 'fuse-native cannot do all that the kernel driver can');
  await applyReadahead(mountpoint, options);
  return {
    mountpoint,
    notifier: noNotifier,
    info: connection.info,
    privileged: connection.info.privileged,
    closed: connection.closed,
    stats: () => connection.stats(),
    unmount: async (how = {}) => {
      if (!connection.isClosed) await unmountByProgram(mountpoint, { ...how, fusermount: options.fusermount });
    },
  };
}
