/**
 * Requests, from the kernel's bytes. Decoding is strict: a frame that is too short, too long for what it says, or whose
 * strings do not end gives a negative errno instead of a request, and never throws. Nothing here does I/O.
 *
 * The byte views in a decoded request (WRITE, SETXATTR, SYMLINK) point into the frame.
 */
import type { Timespec } from '../clock.js';
import { MAX_IO_BYTES, MAX_NAME_BYTES } from '../constants.js';
import { errno, type Failure } from '../errno.js';
import {
  FSYNC_FDATASYNC,
  GETATTR_FH,
  IN_HEADER_BYTES,
  OPEN_KILL_SUIDGID,
  opcode,
  SETXATTR_ACL_KILL_SGID,
  setattr,
  WRITE_CACHE,
  WRITE_KILL_SUIDGID,
} from './abi.js';
import type { Frame, RequestHeader } from './frame.js';
import { decodeName } from './name.js';
import type { AttributeChange } from './operations.js';
import type { Request } from './request.js';

const INVALID: Failure = -errno.EINVAL;
const BODY = IN_HEADER_BYTES;

/** The index of the NUL that ends the string at `at`, or -1. */
function endOfString(frame: Frame, at: number): number {
  for (let end = at; end < frame.length; end++) if (frame.bytes[end] === 0) return end;
  return -1;
}

/** One path component; empty and over-long ones, and those with a slash, are refused. */
function nameAt(frame: Frame, at: number): string | Failure {
  const end = endOfString(frame, at);
  if (end <= at) return INVALID;
  if (end - at > MAX_NAME_BYTES) return -errno.ENAMETOOLONG;
  const name = decodeName(frame.bytes, at, end);
  return name.includes('/') ? INVALID : name;
}

/** Where the string behind the one at `at` starts. Only for one that nameAt has taken. */
function behindName(frame: Frame, at: number): number {
  return endOfString(frame, at) + 1;
}

type Decoder = (frame: Frame) => Request | Failure;

/** A decoder whose body has a fixed part of `size` bytes (more is taken: newer kernels append fields). */
function fixed(size: number, decode: Decoder): Decoder {
  return (frame) => (frame.length < BODY + size ? INVALID : decode(frame));
}

/** A decoder of a fixed part and one name behind it. */
function named(size: number, decode: (frame: Frame, name: string) => Request | Failure): Decoder {
  return (frame) => {
    if (frame.length < BODY + size) return INVALID;
    const name = nameAt(frame, BODY + size);
    return typeof name === 'number' ? name : decode(frame, name);
  };
}

function decodeInit(frame: Frame): Request | Failure {
  const extended = frame.length >= BODY + 20;
  return {
    op: 'init',
    major: frame.u32(BODY),
    minor: frame.u32(BODY + 4),
    maxReadahead: frame.length >= BODY + 16 ? frame.u32(BODY + 8) : 0,
    flags: frame.length >= BODY + 16 ? frame.u32(BODY + 12) : 0,
    flags2: extended ? frame.u32(BODY + 16) : 0,
  };
}

function decodeBatchForget(frame: Frame): Request | Failure {
  const count = frame.u32(BODY);
  if (frame.length < BODY + 8 + count * 16) return INVALID;
  const nodes: { nodeid: number; nlookup: number }[] = [];
  for (let i = 0; i < count; i++) {
    const at = BODY + 8 + i * 16;
    nodes.push({ nodeid: frame.u64(at), nlookup: frame.u64(at + 8) });
  }
  return { op: 'batchForget', nodes };
}

function timeAt(frame: Frame, secondsAt: number, nanosecondsAt: number): Timespec {
  return { sec: frame.i64(BODY + secondsAt), nsec: frame.u32(BODY + nanosecondsAt) };
}

function decodeSetattr(frame: Frame): Request | Failure {
  const valid = frame.u32(BODY);
  const change: { -readonly [K in keyof AttributeChange]: AttributeChange[K] } = {
    killSuidgid: (valid & setattr.KILL_SUIDGID) !== 0,
  };
  if (valid & setattr.FH) change.fh = frame.u64(BODY + 8);
  if (valid & setattr.SIZE) change.size = frame.u64(BODY + 16);
  if (valid & setattr.ATIME) change.atime = valid & setattr.ATIME_NOW ? 'now' : timeAt(frame, 32, 56);
  if (valid & setattr.MTIME) change.mtime = valid & setattr.MTIME_NOW ? 'now' : timeAt(frame, 40, 60);
  if (valid & setattr.CTIME) change.ctime = timeAt(frame, 48, 64);
  if (valid & setattr.MODE) change.mode = frame.u32(BODY + 68);
  if (valid & setattr.UID) change.uid = frame.u32(BODY + 76);
  if (valid & setattr.GID) change.gid = frame.u32(BODY + 80);
  if ((change.size ?? 0) > Number.MAX_SAFE_INTEGER) return -errno.EFBIG;
  return { op: 'setattr', change };
}

function decodeSymlink(frame: Frame): Request | Failure {
  const name = nameAt(frame, BODY);
  if (typeof name === 'number') return name;
  const at = behindName(frame, BODY);
  const end = endOfString(frame, at);
  return end <= at ? INVALID : { op: 'symlink', name, target: frame.bytes.subarray(at, end) };
}

function decodeRename(frame: Frame, fixedBytes: number, flags: number): Request | Failure {
  const at = BODY + fixedBytes;
  const name = nameAt(frame, at);
  if (typeof name === 'number') return name;
  const newName = nameAt(frame, behindName(frame, at));
  if (typeof newName === 'number') return newName;
  return { op: 'rename', name, newParent: frame.u64(BODY), newName, flags };
}

function decodeRead(op: 'read' | 'readdir' | 'readdirplus'): Decoder {
  return fixed(40, (frame) => {
    const offset = frame.u64(BODY + 8);
    // A readdir offset is what the filesystem gave; a file's is bounded by what a double can tell apart.
    if (offset > Number.MAX_SAFE_INTEGER) return INVALID;
    const size = frame.u32(BODY + 16);
    // A shorter answer to READ would mean end of file, so an over-long one is refused; a listing is simply cut.
    if (size > MAX_IO_BYTES && op === 'read') return INVALID;
    return { op, fh: frame.u64(BODY), offset, size: Math.min(size, MAX_IO_BYTES) };
  });
}

function decodeWrite(frame: Frame): Request | Failure {
  const offset = frame.u64(BODY + 8);
  const size = frame.u32(BODY + 16);
  const flags = frame.u32(BODY + 20);
  if (frame.length !== BODY + 40 + size) return INVALID;
  if (offset + size > Number.MAX_SAFE_INTEGER) return -errno.EFBIG;
  return {
    op: 'write',
    fh: frame.u64(BODY),
    offset,
    data: frame.bytes.subarray(BODY + 40, BODY + 40 + size),
    flags: { killSuidgid: (flags & WRITE_KILL_SUIDGID) !== 0, fromPageCache: (flags & WRITE_CACHE) !== 0 },
  };
}

/** struct fuse_setxattr_in without the fields that FUSE_SETXATTR_EXT appends, and with them (bytes). */
const SETXATTR_BYTES = 8;
const SETXATTR_EXT_BYTES = 16;

/** Which of the two forms it is shows in the length: no frame has that of both. */
function decodeSetxattr(frame: Frame): Request | Failure {
  const size = frame.u32(BODY);
  const nameIn = (at: number): boolean => {
    const end = endOfString(frame, at);
    return end > at && frame.length === end + 1 + size;
  };
  const isShort = nameIn(BODY + SETXATTR_BYTES);
  const at = BODY + (isShort ? SETXATTR_BYTES : SETXATTR_EXT_BYTES);
  if (!isShort && (frame.length < at || !nameIn(at))) return INVALID;
  const end = endOfString(frame, at);
  return {
    op: 'setxattr',
    name: decodeName(frame.bytes, at, end),
    value: frame.bytes.subarray(end + 1, end + 1 + size),
    flags: frame.u32(BODY + 4),
    killSgid: isShort ? undefined : (frame.u32(BODY + 8) & SETXATTR_ACL_KILL_SGID) !== 0,
  };
}

/** Extended attribute names are no path components: they may hold a slash, and the kernel has bounded them. */
function xattrNameAt(frame: Frame, at: number): string | Failure {
  const end = endOfString(frame, at);
  return end <= at ? INVALID : decodeName(frame.bytes, at, end);
}

/** The older opcode answers a 32-bit count; the kernel's own bound keeps it a whole number of pages. */
const LARGEST_COPY_32 = 0xffff_f000;

function decodeCopy(op: 'copyFileRange' | 'copyFileRange64'): Decoder {
  const largest = op === 'copyFileRange' ? LARGEST_COPY_32 : Number.MAX_SAFE_INTEGER;
  return fixed(56, (frame) => {
    const to = { nodeid: frame.u64(BODY + 16), fh: frame.u64(BODY + 24), offset: frame.u64(BODY + 32) };
    const offset = frame.u64(BODY + 8);
    const length = frame.u64(BODY + 40);
    if (Math.max(to.offset, offset) > Number.MAX_SAFE_INTEGER) return INVALID;
    return { op, fh: frame.u64(BODY), offset, to, length: Math.min(length, largest) };
  });
}

const nameOnly = (op: 'lookup' | 'unlink' | 'rmdir') => named(0, (_frame, name) => ({ op, name }));
const handleOnly = (op: 'flush' | 'release' | 'releasedir') => fixed(24, (frame) => ({ op, fh: frame.u64(BODY) }));
const opening = (op: 'open' | 'opendir') =>
  fixed(8, (frame) => ({
    op,
    flags: frame.u32(BODY),
    killSuidgid: (frame.u32(BODY + 4) & OPEN_KILL_SUIDGID) !== 0,
  }));
const syncing = (op: 'fsync' | 'fsyncdir') =>
  fixed(16, (frame) => ({
    op,
    fh: frame.u64(BODY),
    dataOnly: (frame.u32(BODY + 8) & FSYNC_FDATASYNC) !== 0,
  }));

const decoders: (Decoder | undefined)[] = [];
decoders[opcode.INIT] = fixed(8, decodeInit);
decoders[opcode.LOOKUP] = nameOnly('lookup');
decoders[opcode.UNLINK] = nameOnly('unlink');
decoders[opcode.RMDIR] = nameOnly('rmdir');
decoders[opcode.FORGET] = fixed(8, (frame) => ({ op: 'forget', nlookup: frame.u64(BODY) }));
decoders[opcode.BATCH_FORGET] = fixed(8, decodeBatchForget);
decoders[opcode.GETATTR] = fixed(16, (frame) => ({
  op: 'getattr',
  fh: frame.u32(BODY) & GETATTR_FH ? frame.u64(BODY + 8) : undefined,
}));
decoders[opcode.STATX] = fixed(24, (frame) => ({
  op: 'statx',
  fh: frame.u32(BODY) & GETATTR_FH ? frame.u64(BODY + 8) : undefined,
}));
decoders[opcode.SETATTR] = fixed(88, decodeSetattr);
decoders[opcode.READLINK] = () => ({ op: 'readlink' });
decoders[opcode.STATFS] = () => ({ op: 'statfs' });
decoders[opcode.DESTROY] = () => ({ op: 'destroy' });
decoders[opcode.NOTIFY_REPLY] = () => ({ op: 'notifyReply' });
decoders[opcode.SYMLINK] = decodeSymlink;
decoders[opcode.MKNOD] = named(16, (frame, name) => ({
  op: 'mknod',
  name,
  mode: frame.u32(BODY),
  rdev: frame.u32(BODY + 4),
  umask: frame.u32(BODY + 8),
}));
decoders[opcode.MKDIR] = named(8, (frame, name) => ({
  op: 'mkdir',
  name,
  mode: frame.u32(BODY),
  umask: frame.u32(BODY + 4),
}));
decoders[opcode.RENAME] = fixed(8, (frame) => decodeRename(frame, 8, 0));
decoders[opcode.RENAME2] = fixed(16, (frame) => decodeRename(frame, 16, frame.u32(BODY + 8)));
decoders[opcode.LINK] = named(8, (frame, newName) => ({ op: 'link', nodeid: frame.u64(BODY), newName }));
decoders[opcode.OPEN] = opening('open');
decoders[opcode.OPENDIR] = opening('opendir');
decoders[opcode.CREATE] = named(16, (frame, name) => ({
  op: 'create',
  name,
  flags: frame.u32(BODY),
  mode: frame.u32(BODY + 4),
  umask: frame.u32(BODY + 8),
}));
decoders[opcode.TMPFILE] = fixed(16, (frame) => ({
  op: 'tmpfile',
  flags: frame.u32(BODY),
  mode: frame.u32(BODY + 4),
  umask: frame.u32(BODY + 8),
}));
decoders[opcode.READ] = decodeRead('read');
decoders[opcode.READDIR] = decodeRead('readdir');
decoders[opcode.READDIRPLUS] = decodeRead('readdirplus');
decoders[opcode.WRITE] = fixed(40, decodeWrite);
decoders[opcode.FLUSH] = handleOnly('flush');
decoders[opcode.RELEASE] = handleOnly('release');
decoders[opcode.RELEASEDIR] = handleOnly('releasedir');
decoders[opcode.FSYNC] = syncing('fsync');
decoders[opcode.FSYNCDIR] = syncing('fsyncdir');
decoders[opcode.ACCESS] = fixed(8, (frame) => ({ op: 'access', mask: frame.u32(BODY) }));
decoders[opcode.SETXATTR] = fixed(8, decodeSetxattr);
decoders[opcode.GETXATTR] = fixed(8, (frame) => {
  const name = xattrNameAt(frame, BODY + 8);
  return typeof name === 'number' ? name : { op: 'getxattr', name, size: frame.u32(BODY) };
});
decoders[opcode.LISTXATTR] = fixed(8, (frame) => ({ op: 'listxattr', size: frame.u32(BODY) }));
decoders[opcode.REMOVEXATTR] = (frame) => {
  const name = xattrNameAt(frame, BODY);
  return typeof name === 'number' ? name : { op: 'removexattr', name };
};
decoders[opcode.INTERRUPT] = fixed(8, (frame) => ({
  op: 'interrupt',
  uniqueLow: frame.u32(BODY),
  uniqueHigh: frame.u32(BODY + 4),
}));
decoders[opcode.FALLOCATE] = fixed(32, (frame) => {
  const offset = frame.u64(BODY + 8);
  const length = frame.u64(BODY + 16);
  if (offset + length > Number.MAX_SAFE_INTEGER) return -errno.EFBIG;
  return { op: 'fallocate', fh: frame.u64(BODY), offset, length, mode: frame.u32(BODY + 24) };
});
decoders[opcode.LSEEK] = fixed(24, (frame) => {
  const offset = frame.u64(BODY + 8);
  if (offset > Number.MAX_SAFE_INTEGER) return -errno.ENXIO;
  return { op: 'lseek', fh: frame.u64(BODY), offset, whence: frame.u32(BODY + 16) };
});
decoders[opcode.COPY_FILE_RANGE] = decodeCopy('copyFileRange');
decoders[opcode.COPY_FILE_RANGE_64] = decodeCopy('copyFileRange64');

/** The request behind a decoded header, or why it cannot be served (-ENOSYS: an opcode that is not known here). */
export function decodeRequest(header: RequestHeader, frame: Frame): Request | Failure {
  const decode = decoders[header.opcode];
  return decode ? decode(frame) : -errno.ENOSYS;
}
