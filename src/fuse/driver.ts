/**
 * What every driver is to the rest of the program: a filesystem, mounted, with its numbers and its end. Which driver it
 * is decides the composition root; docs/drivers.md says what each can do.
 */
import type { Clock } from '../clock.js';
import type { Logger } from '../log.js';
import type { DeviceStats } from './device.js';
import { type MountOptions, raiseReadahead } from './mount.js';
import type { OperationCount } from './observe.js';
import type { ConnectionInfo, Notifier } from './operations.js';
import type { SessionStats } from './session.js';

export interface DriverOptions extends MountOptions {
  readonly mountpoint: string;
  readonly log: Logger;
  readonly clock?: Clock;
  /** 1024 to 8192 (KiB). */
  readonly readaheadKib?: number;
  /** Ask the kernel for passthrough; the other driver has none. Default: no. */
  readonly passthrough?: boolean;
  /** Let the kernel check permissions by POSIX ACLs; not with the other driver. Default: no. */
  readonly acl?: boolean;
}

export interface NotificationStats {
  readonly waiting: number;
  readonly sent: number;
  /** The kernel did not have what they were about. */
  readonly absent: number;
  readonly failed: number;
  readonly dropped: number;
}

export interface DriverStats {
  readonly session: SessionStats;
  /** Of drivers that read the device themselves. */
  readonly device?: DeviceStats;
  readonly notifications: NotificationStats;
  readonly operations: Readonly<Record<string, OperationCount>>;
}

export interface Mounted {
  /** Resolved: without symbolic links. */
  readonly mountpoint: string;
  readonly notifier: Notifier;
  readonly info: ConnectionInfo;
  /** Mounted with mount(2), not with fusermount3. */
  readonly privileged: boolean;
  /** Resolves when the kernel has let go and the filesystem was destroyed; never rejects. */
  readonly closed: Promise<void>;
  stats(): DriverStats;
  /** Resolves when the mount point is free; MountError EBUSY while files are open. With lazy, `closed` comes later. */
  unmount(options?: { lazy?: boolean }): Promise<void>;
}

const DEFAULT_READAHEAD_KIB = 4096;

/** Raises the readahead of a mount that stands, where that is allowed. */
export async function applyReadahead(mountpoint: string, options: DriverOptions): Promise<void> {
  const result = await raiseReadahead(mountpoint, options.readaheadKib ?? DEFAULT_READAHEAD_KIB);
  if (typeof result === 'number') options.log.debug({ kib: result }, 'readahead raised');
  else options.log.info({ reason: result.refused }, 'readahead stays at 128 KiB: sequential reads will be slower');
}
