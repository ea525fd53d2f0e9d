/**
 * Mounting and unmounting: mount(2) for root, the setuid helper fusermount3 for everybody else. Both give a descriptor
 * of /dev/fuse on which the kernel has put INIT.
 */
import { spawn } from 'node:child_process';
import { readFile, realpath, stat, writeFile } from 'node:fs/promises';
import { MAX_IO_BYTES } from '../constants.js';
import { errno, errnoName } from '../errno.js';
import { native } from './native.js';

/** mount(2) and umount2(2) flags, from linux/mount.h. */
const MS_RDONLY = 1;
const MS_NOSUID = 2;
const MS_NODEV = 4;
const MS_NOEXEC = 8;
const MNT_DETACH = 2;
const UMOUNT_NOFOLLOW = 8;
/** The type in /proc/mounts: "fuse." and the subtype. */
export const SUBTYPE = 'pailfs';

export interface MountOptions {
  /** The source shown in /proc/mounts, e.g. s3://bucket. */
  readonly fsname: string;
  readonly readOnly?: boolean;
  /** Let other users in; for a user this needs user_allow_other in /etc/fuse.conf. */
  readonly allowOther?: boolean;
  /** Let the kernel check permission bits. */
  readonly defaultPermissions?: boolean;
  /** Honour setuid bits and device files; only root may ask. */
  readonly suid?: boolean;
  readonly dev?: boolean;
  readonly noExec?: boolean;
  /** Largest READ (bytes). */
  readonly maxRead?: number;
  readonly devicePath?: string;
  readonly fusermount?: string;
}

/** Why a mount or unmount failed, in one line that says what to do; `code` is an errno name, or ENOHELPER. */
export class MountError extends Error {
  override readonly name = 'MountError';
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

/** The mount point, resolved; it has to be a directory. */
export async function resolveMountpoint(path: string): Promise<string> {
  try {
    const resolved = await realpath(path);
    if ((await stat(resolved)).isDirectory()) return resolved;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'EIO';
    if (code === 'ENOENT') throw new MountError(code, `${path} does not exist: create it with mkdir`);
    if (code === 'ENOTCONN') throw new MountError(code, `${path} is a dead mount: run "umount -l ${path}" first`);
    throw new MountError(code, `${path} cannot be used as a mount point (${code})`);
  }
  throw new MountError('ENOTDIR', `${path} is not a directory`);
}

/** True where mount(2) is ours to call. */
export function mayMount(): boolean {
  return process.geteuid?.() === 0;
}

function openDevice(path: string): number {
  const fd = native().openDevice(path);
  if (fd >= 0) return fd;
  const name = errnoName(fd);
  if (fd === -errno.ENOENT || fd === -errno.ENODEV || fd === -errno.ENXIO) {
    throw new MountError(
      name,
      `${path} is not there: load the module with "modprobe fuse", or give it to the container`,
    );
  }
  throw new MountError(name, `${path} cannot be opened (${name})`);
}

async function mountDirectly(mountpoint: string, options: MountOptions): Promise<number> {
  const fd = openDevice(options.devicePath ?? '/dev/fuse');
  let flags = 0;
  if (!options.suid) flags |= MS_NOSUID;
  if (!options.dev) flags |= MS_NODEV;
  if (options.readOnly) flags |= MS_RDONLY;
  if (options.noExec) flags |= MS_NOEXEC;
  const data = [`fd=${fd}`, 'rootmode=40000', `user_id=${process.getuid?.()}`, `group_id=${process.getgid?.()}`];
  data.push(`max_read=${options.maxRead ?? MAX_IO_BYTES}`);
  if (options.allowOther) data.push('allow_other');
  if (options.defaultPermissions) data.push('default_permissions');
  const result = await new Promise<number>((resolve) =>
    native().mount(options.fsname, mountpoint, `fuse.${SUBTYPE}`, flags, data.join(','), resolve),
  );
  if (result === 0) return fd;
  native().closeDescriptor(fd);
  const name = errnoName(result);
  const remedy = result === -errno.EPERM ? ': CAP_SYS_ADMIN is missing (in a container, run it with --privileged)' : '';
  throw new MountError(name, `mounting on ${mountpoint} failed (${name})${remedy}`);
}

/** Runs fusermount3; its complaint is the error. `inherited` becomes descriptor 3. */
function runHelper(helper: string, args: string[], inherited?: number): Promise<void> {
  const environment = inherited === undefined ? process.env : { ...process.env, _FUSE_COMMFD: '3' };
  return new Promise((resolve, reject) => {
    const child = spawn(helper, args, {
      stdio: ['ignore', 'ignore', 'pipe', inherited === undefined ? 'ignore' : inherited],
      env: environment,
    });
    let complaint = '';
    child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      complaint += text;
    });
    child.on('error', (error: NodeJS.ErrnoException) => {
      const missing = error.code === 'ENOENT';
      const name = helper === 'umount' ? 'mount' : 'fuse3';
      const remedy = missing ? `is not installed: "apt-get install ${name}"` : `does not run (${error.code})`;
      reject(new MountError('ENOHELPER', `${helper} ${remedy}`));
    });
    child.on('close', (code) => {
      if (code === 0) resolve();
      else reject(new MountError(/busy/i.test(complaint) ? 'EBUSY' : 'EPERM', complaint.trim() || `${helper} failed`));
    });
  });
}

/** Options of fusermount3 are separated by commas; one inside a value is escaped. */
function helperOptions(options: MountOptions): string {
  const escaped = options.fsname.replace(/[\\,]/g, '\\$&');
  const list = [`fsname=${escaped}`, `subtype=${SUBTYPE}`, `max_read=${options.maxRead ?? MAX_IO_BYTES}`];
  if (options.readOnly) list.push('ro');
  if (options.noExec) list.push('noexec');
  if (options.allowOther) list.push('allow_other');
  if (options.defaultPermissions) list.push('default_permissions');
  return list.join(',');
}

async function mountWithHelper(mountpoint: string, options: MountOptions): Promise<number> {
  const pair = native().socketPair();
  if (typeof pair === 'number') throw new MountError(errnoName(pair), `no socket for fusermount3 (${errnoName(pair)})`);
  const [ours, theirs] = pair;
  try {
    const helper = options.fusermount ?? 'fusermount3';
    await runHelper(helper, ['-o', helperOptions(options), '--', mountpoint], theirs);
    // It has exited, so the descriptor is on the socket already.
    const fd = native().receiveDescriptor(ours);
    if (fd < 0) throw new MountError(errnoName(fd), `fusermount3 sent no descriptor (${errnoName(fd)})`);
    native().setNonblocking(fd);
    return fd;
  } finally {
    native().closeDescriptor(ours);
    native().closeDescriptor(theirs);
  }
}

/** Mounts, and answers the descriptor of the connection. */
export function mount(mountpoint: string, options: MountOptions): Promise<number> {
  return mayMount() ? mountDirectly(mountpoint, options) : mountWithHelper(mountpoint, options);
}

/** Unmounts; lazily: the name goes at once, the rest when nothing is open any more. EBUSY while something is. */
export async function unmount(mountpoint: string, options: { lazy?: boolean; fusermount?: string }): Promise<void> {
  if (!mayMount()) {
    const flags = options.lazy ? ['-u', '-z'] : ['-u'];
    return runHelper(options.fusermount ?? 'fusermount3', [...flags, '--', mountpoint]);
  }
  const flags = UMOUNT_NOFOLLOW | (options.lazy ? MNT_DETACH : 0);
  const result = await new Promise<number>((resolve) => native().unmount(mountpoint, flags, resolve));
  if (result === 0) return;
  const name = errnoName(result);
  const remedy = result === -errno.EBUSY ? ': something is still open in it' : '';
  throw new MountError(name, `unmounting ${mountpoint} failed (${name})${remedy}`);
}

/** The same without the addon: root asks umount(8). */
export function unmountByProgram(mountpoint: string, options: { lazy?: boolean; fusermount?: string }): Promise<void> {
  if (!mayMount()) return unmount(mountpoint, options);
  return runHelper('umount', ['-i', ...(options.lazy ? ['-l'] : []), '--', mountpoint]);
}

/** The device number (major:minor) of what is mounted there, without a request to the filesystem. */
export async function mountDevice(mountpoint: string): Promise<string | undefined> {
  const lines = (await readFile('/proc/self/mountinfo', 'utf8')).split('\n');
  const decoded = (text: string) =>
    text.replace(/\\([0-7]{3})/g, (_, octal) => String.fromCharCode(parseInt(octal, 8)));
  // Of several on one place the last is the one that shows. Bytes above 0x7f are not escaped.
  return lines.map((line) => line.split(' ')).findLast((fields) => decoded(fields[4] ?? '') === mountpoint)?.[2];
}

/** Readahead of a mount (KiB): less leaves throughput on the table, more only costs memory. */
export const MIN_READAHEAD_KIB = 1024;
export const MAX_READAHEAD_KIB = 8192;

/**
 * Raises the mount's readahead, which INIT cannot take above 128 KiB. Answers what is now set (KiB), or why it is not:
 * only root may, and a container may have /sys read-only.
 */
export async function raiseReadahead(mountpoint: string, kib: number): Promise<number | { refused: string }> {
  const wanted = Math.min(Math.max(Math.round(kib), MIN_READAHEAD_KIB), MAX_READAHEAD_KIB);
  const device = await mountDevice(mountpoint);
  if (device === undefined) return { refused: 'the mount is not in /proc/self/mountinfo' };
  try {
    await writeFile(`/sys/class/bdi/${device}/read_ahead_kb`, String(wanted));
    return wanted;
  } catch (error) {
    return { refused: (error as NodeJS.ErrnoException).code ?? String(error) };
  }
}
