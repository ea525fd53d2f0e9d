/**
 * The kernel driver: a filesystem, mounted. It puts the parts of this directory together and watches over their end: when
 * the kernel lets go, by whatever means, the filesystem gets everything back and is told so once.
 */
import { systemClock } from '../clock.js';
import { MAX_IO_BYTES } from '../constants.js';
import { errno, errnoName } from '../errno.js';
import type { Logger } from '../log.js';
import { ECONNABORTED } from './abi.js';
import { Device, type DeviceStats } from './device.js';
import { applyReadahead, type DriverOptions, type DriverStats, type Mounted } from './driver.js';
import type { BackingCalls } from './holdings.js';
import { mayMount, mount, resolveMountpoint, unmount } from './mount.js';
import { type NotifierThread, native } from './native.js';
import { FrameNotifier } from './notify.js';
import { type OperationCount, observe } from './observe.js';
import type { ConnectionInfo, Operations } from './operations.js';
import { Session } from './session.js';

/** Notifications that may wait for the kernel. */
const NOTIFICATION_QUEUE = 16_384;
/** How long the notifier's thread may take to come back once the connection is gone (milliseconds). */
const NOTIFIER_END_MS = 5_000;

export interface KernelDriverOptions extends DriverOptions {
  /** Request buffers of 1 MiB at most. */
  readonly maxBuffers?: number;
}

export interface KernelDriverStats extends DriverStats {
  readonly device: DeviceStats;
}

export interface KernelMount extends Mounted {
  stats(): KernelDriverStats;
}

/** A connection's own: its descriptor is open as long as the session makes them. */
function backingCalls(device: number): BackingCalls {
  return {
    open: (fd) => native().backingOpen(device, fd),
    close: (id) => native().backingClose(device, id),
    onlyOpener: (fd) => native().onlyOpener(fd),
  };
}

/** One connection from its descriptor to its end. */
class Connection {
  readonly session: Session;
  readonly notifier: FrameNotifier;
  readonly closed: Promise<void>;
  isClosed = false;
  readonly #fd: number;
  readonly #log: Logger;
  readonly #device: Device;
  readonly #thread: NotifierThread;
  readonly #counts: Readonly<Record<string, OperationCount>>;
  readonly #counters = new Float64Array(4);

  constructor(fd: number, operations: Operations, options: KernelDriverOptions) {
    this.#fd = fd;
    this.#log = options.log;
    const thread = native().notifierOpen(fd, NOTIFICATION_QUEUE);
    if (typeof thread === 'number') throw new Error(`no thread for notifications: ${errnoName(thread)}`);
    this.#thread = thread;
    this.notifier = new FrameNotifier((frame) => native().notifierSend(thread, frame), options.log);
    let lost!: (error: number) => void;
    const connectionLost = new Promise<number>((resolve) => {
      lost = resolve;
    });
    this.#device = new Device({
      fd,
      log: options.log,
      receive: (frame) => this.session.receive(frame),
      lost,
      maxBuffers: options.maxBuffers,
    });
    const observed = observe(operations, options.log, options.clock ?? systemClock);
    this.#counts = observed.counts;
    this.session = new Session({
      operations: observed.operations,
      channel: this.#device,
      notifier: this.notifier,
      log: options.log,
      privileged: mayMount(),
      maxRead: options.maxRead ?? MAX_IO_BYTES,
      acl: options.acl,
      backingCalls: options.passthrough && mayMount() ? backingCalls(fd) : undefined,
    });
    this.closed = connectionLost.then((error) => this.#end(error));
  }

  start(): void {
    this.#device.start();
  }

  stats(): KernelDriverStats {
    native().notifierCounters(this.#thread, this.#counters);
    const [waiting, sent, absent, failed] = this.#counters;
    return {
      session: this.session.stats(),
      device: this.#device.stats(),
      notifications: { waiting, sent, absent, failed, dropped: this.notifier.dropped },
      operations: this.#counts,
    };
  }

  async #end(error: number): Promise<void> {
    await this.session.end();
    this.#releaseDescriptor();
    this.isClosed = true;
    const expected = error === -errno.ENODEV || error === -ECONNABORTED;
    this.#log.info({ error: expected ? undefined : errnoName(error) }, 'the kernel has let go of the mount');
  }

  /** The descriptor closes last: its number must not be given to another file while the thread may write to it. */
  #releaseDescriptor(): void {
    const result = native().notifierClose(this.#thread, NOTIFIER_END_MS);
    if (result === 0) native().closeDescriptor(this.#fd);
    else this.#log.error({ error: errnoName(result) }, 'a notification is stuck in the kernel; /dev/fuse stays open');
  }
}

/** Mounts the filesystem; resolves once the kernel and we have agreed on the protocol. Throws MountError. */
export async function mountKernel(operations: Operations, options: KernelDriverOptions): Promise<KernelMount> {
  const mountpoint = await resolveMountpoint(options.mountpoint);
  const fd = await mount(mountpoint, options);
  const release = (how: { lazy?: boolean }) => unmount(mountpoint, { ...how, fusermount: options.fusermount });
  let connection: Connection | undefined;
  let info: ConnectionInfo;
  try {
    connection = new Connection(fd, operations, options);
    connection.start();
    info = await connection.session.ready;
  } catch (error) {
    await release({ lazy: true });
    // A connection that exists closes its descriptor itself, now that the kernel lets go.
    if (connection) await connection.closed;
    else native().closeDescriptor(fd);
    throw error;
  }
  const { closed, notifier } = connection;
  await applyReadahead(mountpoint, options);
  return {
    mountpoint,
    notifier,
    info,
    privileged: mayMount(),
    closed,
    stats: () => connection.stats(),
    unmount: async (how = {}) => {
      if (!connection.isClosed) await release(how);
    },
  };
}
