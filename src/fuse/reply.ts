/**
 * Replies, as the kernel's bytes. Every function writes one structure into a frame at an offset and answers the offset
 * behind it; nothing is allocated, because one reply is written to the device before the next is encoded.
 */
import type { Timespec } from '../clock.js';
import {
  ATTR_BYTES,
  ATTR_OUT_BYTES,
  ENTRY_OUT_BYTES,
  fopen,
  INIT_OUT_BYTES,
  OPEN_OUT_BYTES,
  OUT_HEADER_BYTES,
  PROTOCOL_MAJOR,
  STATFS_OUT_BYTES,
  STATX_BASIC_STATS,
  STATX_BTIME,
  STATX_OUT_BYTES,
} from './abi.js';
import type { Frame } from './frame.js';
import type { AttrReply, EntryReply, FileAttributes, OpenReply, StatfsReply } from './operations.js';

/** The longest time that is told to the kernel (seconds): it adds the time to a clock of its own, which must not wrap. */
const LONGEST_TTL_SECONDS = 10 * 365 * 86_400;

/** struct fuse_out_header. `length` is that of the whole reply. */
export function putHeader(out: Frame, low: number, high: number, error: number, length: number): number {
  out.putU32(0, length);
  out.putU32(4, error);
  out.putU32(8, low);
  out.putU32(12, high);
  return OUT_HEADER_BYTES;
}

function ttlSeconds(ms: number): number {
  return ms > 0 ? Math.min(Math.floor(ms / 1000), LONGEST_TTL_SECONDS) : 0;
}

function ttlNanoseconds(ms: number): number {
  return ms > 0 && ms < Number.MAX_SAFE_INTEGER ? Math.floor((ms % 1000) * 1e6) : 0;
}

/** struct fuse_attr */
export function putAttributes(out: Frame, at: number, attributes: FileAttributes): number {
  out.put64(at, attributes.ino);
  out.put64(at + 8, attributes.size);
  out.put64(at + 16, attributes.blocks);
  out.put64(at + 24, attributes.atime.sec);
  out.put64(at + 32, attributes.mtime.sec);
  out.put64(at + 40, attributes.ctime.sec);
  out.putU32(at + 48, attributes.atime.nsec);
  out.putU32(at + 52, attributes.mtime.nsec);
  out.putU32(at + 56, attributes.ctime.nsec);
  out.putU32(at + 60, attributes.mode);
  out.putU32(at + 64, attributes.nlink);
  out.putU32(at + 68, attributes.uid);
  out.putU32(at + 72, attributes.gid);
  out.putU32(at + 76, attributes.rdev);
  out.putU32(at + 80, attributes.blksize);
  out.putU32(at + 84, 0);
  return at + ATTR_BYTES;
}

/** struct fuse_entry_out. A negative entry carries only its time. */
export function putEntry(out: Frame, at: number, entry: EntryReply): number {
  out.put64(at, entry.nodeid);
  out.put64(at + 8, entry.generation);
  out.put64(at + 16, ttlSeconds(entry.entryTtlMs));
  out.put64(at + 24, ttlSeconds(entry.attrTtlMs));
  out.putU32(at + 32, ttlNanoseconds(entry.entryTtlMs));
  out.putU32(at + 36, ttlNanoseconds(entry.attrTtlMs));
  if (entry.nodeid === 0) out.bytes.fill(0, at + 40, at + ENTRY_OUT_BYTES);
  else putAttributes(out, at + 40, entry.attributes);
  return at + ENTRY_OUT_BYTES;
}

/** struct fuse_attr_out */
export function putAttrReply(out: Frame, at: number, reply: AttrReply): number {
  out.put64(at, ttlSeconds(reply.attrTtlMs));
  out.putU32(at + 8, ttlNanoseconds(reply.attrTtlMs));
  out.putU32(at + 12, 0);
  putAttributes(out, at + 16, reply.attributes);
  return at + ATTR_OUT_BYTES;
}

/** struct fuse_sx_time */
function putStatxTime(out: Frame, at: number, time: Timespec): void {
  out.put64(at, time.sec);
  out.putU32(at + 8, time.nsec);
}

/** struct fuse_statx_out: what GETATTR says, and the birth time where it is known. */
export function putStatxReply(out: Frame, at: number, reply: AttrReply): number {
  const { attributes } = reply;
  out.bytes.fill(0, at, at + STATX_OUT_BYTES);
  out.put64(at, ttlSeconds(reply.attrTtlMs));
  out.putU32(at + 8, ttlNanoseconds(reply.attrTtlMs));
  const stat = at + 32;
  out.putU32(stat, attributes.btime ? STATX_BASIC_STATS | STATX_BTIME : STATX_BASIC_STATS);
  out.putU32(stat + 4, attributes.blksize);
  out.putU32(stat + 16, attributes.nlink);
  out.putU32(stat + 20, attributes.uid);
  out.putU32(stat + 24, attributes.gid);
  out.view.setUint16(stat + 28, attributes.mode, true);
  out.put64(stat + 32, attributes.ino);
  out.put64(stat + 40, attributes.size);
  out.put64(stat + 48, attributes.blocks);
  putStatxTime(out, stat + 64, attributes.atime);
  if (attributes.btime) putStatxTime(out, stat + 80, attributes.btime);
  putStatxTime(out, stat + 96, attributes.ctime);
  putStatxTime(out, stat + 112, attributes.mtime);
  // new_encode_dev of the kernel: 12 bits major between 20 bits minor.
  out.putU32(stat + 128, (attributes.rdev >>> 8) & 0xfff);
  out.putU32(stat + 132, (attributes.rdev & 0xff) | ((attributes.rdev >>> 12) & 0xfff00));
  return at + STATX_OUT_BYTES;
}

/** struct fuse_open_out */
export function putOpen(out: Frame, at: number, open: OpenReply): number {
  let flags = 0;
  if (open.directIo) flags |= fopen.DIRECT_IO;
  if (open.keepCache) flags |= fopen.KEEP_CACHE;
  if (open.cacheDir) flags |= fopen.CACHE_DIR;
  if (open.noFlush) flags |= fopen.NOFLUSH;
  if (open.backingId !== undefined) flags |= fopen.PASSTHROUGH;
  out.put64(at, open.fh);
  out.putU32(at + 8, flags);
  out.putU32(at + 12, open.backingId ?? 0);
  return at + OPEN_OUT_BYTES;
}

/** struct fuse_write_out, and fuse_getxattr_out, which have the same shape. */
export function putSize(out: Frame, at: number, size: number): number {
  out.putU32(at, size);
  out.putU32(at + 4, 0);
  return at + 8;
}

/** struct fuse_lseek_out, and fuse_copy_file_range_out. */
export function putOffset(out: Frame, at: number, offset: number): number {
  out.put64(at, offset);
  return at + 8;
}

/** struct fuse_kstatfs */
export function putStatfs(out: Frame, at: number, statfs: StatfsReply): number {
  out.put64(at, statfs.blocks);
  out.put64(at + 8, statfs.blocksFree);
  out.put64(at + 16, statfs.blocksAvailable);
  out.put64(at + 24, statfs.files);
  out.put64(at + 32, statfs.filesFree);
  out.putU32(at + 40, statfs.blockSize);
  out.putU32(at + 44, statfs.nameMax);
  out.putU32(at + 48, statfs.blockSize);
  out.bytes.fill(0, at + 52, at + STATFS_OUT_BYTES);
  return at + STATFS_OUT_BYTES;
}

export interface InitReply {
  readonly minor: number;
  readonly maxReadahead: number;
  readonly flags: number;
  readonly flags2: number;
  readonly maxBackground: number;
  readonly congestionThreshold: number;
  readonly maxWrite: number;
  readonly maxPages: number;
  /** 0: no passthrough. */
  readonly maxStackDepth: number;
}

/** struct fuse_init_out */
export function putInit(out: Frame, at: number, init: InitReply): number {
  out.bytes.fill(0, at, at + INIT_OUT_BYTES);
  out.putU32(at, PROTOCOL_MAJOR);
  out.putU32(at + 4, init.minor);
  out.putU32(at + 8, init.maxReadahead);
  out.putU32(at + 12, init.flags);
  out.view.setUint16(at + 16, init.maxBackground, true);
  out.view.setUint16(at + 18, init.congestionThreshold, true);
  out.putU32(at + 20, init.maxWrite);
  // Times have nanoseconds.
  out.putU32(at + 24, 1);
  out.view.setUint16(at + 28, init.maxPages, true);
  out.putU32(at + 32, init.flags2);
  out.putU32(at + 36, init.maxStackDepth);
  return at + INIT_OUT_BYTES;
}
