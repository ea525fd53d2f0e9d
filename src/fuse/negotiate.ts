/** INIT: what is asked of the kernel, out of what it offers. Pure, so that a table of kernels can be a test. */
import { CONGESTION_THRESHOLD, KiB, MAX_BACKGROUND, MAX_IO_BYTES, PAGE_BYTES } from '../constants.js';
import { errno, type Failure } from '../errno.js';
import { COHERENT_DIRECT_IO_MINOR, init, init2, OLDEST_MINOR, PROTOCOL_MAJOR, PROTOCOL_MINOR } from './abi.js';
import type { InitReply } from './reply.js';
import type { InitRequest } from './request.js';

/** Without MAX_PAGES the kernel sends at most 32 pages. */
const MAX_IO_WITHOUT_MAX_PAGES = 128 * KiB;

/**
 * Asked for where offered. Left out on purpose: WRITEBACK_CACHE (it would take size and mtime from us), POSIX_LOCKS and
 * FLOCK_LOCKS (unset, the kernel locks locally), AUTO_INVAL_DATA (beats EXPLICIT_INVAL_DATA and drops pages that we
 * wrote ourselves), READDIRPLUS_AUTO (plus is wanted always), and the splice flags (the device is read in one call).
 */
const WANTED =
  init.ASYNC_READ |
  init.ATOMIC_O_TRUNC |
  init.BIG_WRITES |
  init.DO_READDIRPLUS |
  init.ASYNC_DIO |
  init.PARALLEL_DIROPS |
  init.MAX_PAGES |
  init.CACHE_SYMLINKS |
  init.EXPLICIT_INVAL_DATA |
  init.HANDLE_KILLPRIV_V2 |
  init.INIT_EXT;

/**
 * Permissions are checked by the ACLs that we answer, the umask is left to us (a default ACL takes its place), and who sets
 * an ACL without being in the group is named (Linux 5.13).
 */
const ACL_NEEDED = init.POSIX_ACL | init.DONT_MASK;
const ACL_WANTED = ACL_NEEDED | init.SETXATTR_EXT;

/**
 * Filesystems that may lie below a backing file, this one included: 2 would let the cache lie on overlayfs, and forbid
 * every overlayfs over the mount.
 */
const MAX_STACK_DEPTH = 1;

/** Whether some opens of a file may have direct I/O beside others that use the kernel's pages, and still be mapped. */
export function mixesDirectIo({ minor, flags2 }: InitReply): boolean {
  return minor >= COHERENT_DIRECT_IO_MINOR && (flags2 & init2.DIRECT_IO_ALLOW_MMAP) !== 0;
}

export interface Wishes {
  /** Asked for where it is offered. */
  readonly passthrough: boolean;
  /** Nothing is mounted where the kernel has none: it would check by modes alone, and let in too many. */
  readonly acl: boolean;
}

/** The reply, or a failure when the kernel's protocol is too old. A newer major is answered by the caller. */
export function negotiate(request: InitRequest, { passthrough, acl }: Wishes): InitReply | Failure {
  if (request.major !== PROTOCOL_MAJOR || request.minor < OLDEST_MINOR) return -errno.EPROTO;
  if (acl && (request.flags & ACL_NEEDED) !== ACL_NEEDED) return -errno.EOPNOTSUPP;
  // flags2 may be sent only to a kernel that offers INIT_EXT.
  const wanted2 = init2.DIRECT_IO_ALLOW_MMAP | (passthrough ? init2.PASSTHROUGH : 0);
  const flags2 = request.flags & init.INIT_EXT ? request.flags2 & wanted2 : 0;
  const maxWrite = request.flags & init.MAX_PAGES ? MAX_IO_BYTES : MAX_IO_WITHOUT_MAX_PAGES;
  return {
    minor: Math.min(request.minor, PROTOCOL_MINOR),
    maxReadahead: Math.min(request.maxReadahead, MAX_IO_BYTES),
    flags: request.flags & (acl ? WANTED | ACL_WANTED : WANTED),
    flags2,
    maxStackDepth: flags2 & init2.PASSTHROUGH ? MAX_STACK_DEPTH : 0,
    maxBackground: MAX_BACKGROUND,
    congestionThreshold: CONGESTION_THRESHOLD,
    maxWrite,
    maxPages: maxWrite / PAGE_BYTES,
  };
}

/** Why there is no mount, for people. */
export function refusalText({ major, minor }: InitRequest, failure: Failure): string {
  if (failure === -errno.EOPNOTSUPP) return 'the kernel has no POSIX ACLs for FUSE: mount without --acl';
  return `the kernel's FUSE protocol ${major}.${minor} is too old`;
}
