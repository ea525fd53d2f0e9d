/**
 * The FUSE protocol's numbers: opcodes, struct sizes, flags. Source: include/uapi/linux/fuse.h, version 7.38, and for
 * STATX (7.39), passthrough (7.40) and COPY_FILE_RANGE_64 (7.45) the same file of later kernels. All fields are in the machine's byte order;
 * every machine that Node runs on Linux for is little-endian but s390x, which is refused at load.
 */

export const PROTOCOL_MAJOR = 7;
/** The newest minor version whose structures are known here. */
export const PROTOCOL_MINOR = 45;
/** 7.28 (Linux 4.20) brought MAX_PAGES; nothing older is tried. */
export const OLDEST_MINOR = 28;

export const opcode = {
  LOOKUP: 1,
  FORGET: 2,
  GETATTR: 3,
  SETATTR: 4,
  READLINK: 5,
  SYMLINK: 6,
  MKNOD: 8,
  MKDIR: 9,
  UNLINK: 10,
  RMDIR: 11,
  RENAME: 12,
  LINK: 13,
  OPEN: 14,
  READ: 15,
  WRITE: 16,
  STATFS: 17,
  RELEASE: 18,
  FSYNC: 20,
  SETXATTR: 21,
  GETXATTR: 22,
  LISTXATTR: 23,
  REMOVEXATTR: 24,
  FLUSH: 25,
  INIT: 26,
  OPENDIR: 27,
  READDIR: 28,
  RELEASEDIR: 29,
  FSYNCDIR: 30,
  ACCESS: 34,
  CREATE: 35,
  INTERRUPT: 36,
  DESTROY: 38,
  NOTIFY_REPLY: 41,
  BATCH_FORGET: 42,
  FALLOCATE: 43,
  READDIRPLUS: 44,
  RENAME2: 45,
  LSEEK: 46,
  COPY_FILE_RANGE: 47,
  TMPFILE: 51,
  STATX: 52,
  COPY_FILE_RANGE_64: 53,
} as const;

/** struct fuse_in_header, and struct fuse_out_header (bytes). */
export const IN_HEADER_BYTES = 40;
export const OUT_HEADER_BYTES = 16;
/** FUSE_MIN_READ_BUFFER: a read(2) of the device with less is refused (bytes). */
export const MIN_READ_BUFFER_BYTES = 8192;
/** struct fuse_attr, fuse_attr_out, fuse_entry_out, fuse_open_out, fuse_statfs_out, fuse_statx_out, fuse_init_out (bytes). */
export const ATTR_BYTES = 88;
export const ATTR_OUT_BYTES = 16 + ATTR_BYTES;
export const ENTRY_OUT_BYTES = 40 + ATTR_BYTES;
export const OPEN_OUT_BYTES = 16;
export const STATFS_OUT_BYTES = 80;
export const STATX_OUT_BYTES = 288;
export const INIT_OUT_BYTES = 64;
/** struct fuse_dirent without its name (bytes); records are aligned to 8. */
export const DIRENT_BYTES = 24;

/** FUSE_INIT_EXT and the rest of INIT's flags that are asked for here; flags2 starts at bit 32. */
export const init = {
  ASYNC_READ: 1 << 0,
  ATOMIC_O_TRUNC: 1 << 3,
  BIG_WRITES: 1 << 5,
  DONT_MASK: 1 << 6,
  DO_READDIRPLUS: 1 << 13,
  ASYNC_DIO: 1 << 15,
  PARALLEL_DIROPS: 1 << 18,
  POSIX_ACL: 1 << 20,
  MAX_PAGES: 1 << 22,
  CACHE_SYMLINKS: 1 << 23,
  EXPLICIT_INVAL_DATA: 1 << 25,
  HANDLE_KILLPRIV_V2: 1 << 28,
  SETXATTR_EXT: 1 << 29,
  INIT_EXT: 1 << 30,
} as const;

/** The same of flags2, counted from its own bit 0 (Linux 6.6 and 6.9). */
export const init2 = { DIRECT_IO_ALLOW_MMAP: 1 << 4, PASSTHROUGH: 1 << 5 } as const;
/** From this minor version on (Linux 6.12) the kernel drops cached pages also after a write with FOPEN_DIRECT_IO, not only before. */
export const COHERENT_DIRECT_IO_MINOR = 41;

/** FATTR_* of struct fuse_setattr_in.valid. */
export const setattr = {
  MODE: 1 << 0,
  UID: 1 << 1,
  GID: 1 << 2,
  SIZE: 1 << 3,
  ATIME: 1 << 4,
  MTIME: 1 << 5,
  FH: 1 << 6,
  ATIME_NOW: 1 << 7,
  MTIME_NOW: 1 << 8,
  CTIME: 1 << 10,
  KILL_SUIDGID: 1 << 11,
} as const;

/** FOPEN_* of struct fuse_open_out.open_flags. */
export const fopen = {
  DIRECT_IO: 1 << 0,
  KEEP_CACHE: 1 << 1,
  CACHE_DIR: 1 << 3,
  NOFLUSH: 1 << 5,
  PASSTHROUGH: 1 << 7,
} as const;

export const GETATTR_FH = 1 << 0;
export const WRITE_CACHE = 1 << 0;
export const WRITE_KILL_SUIDGID = 1 << 2;
export const FSYNC_FDATASYNC = 1 << 0;
export const OPEN_KILL_SUIDGID = 1 << 0;
export const SETXATTR_ACL_KILL_SGID = 1 << 0;

/** enum fuse_notify_code; it stands in fuse_out_header.error, with unique 0. */
export const notify = { INVAL_INODE: 2, INVAL_ENTRY: 3, DELETE: 6 } as const;

/** STATX_BASIC_STATS and STATX_BTIME, from linux/stat.h. */
export const STATX_BASIC_STATS = 0x7ff;
export const STATX_BTIME = 0x800;

/** The kernel refuses a reply whose error is not in (-512, 0]: its own numbers start there. */
export const LARGEST_ERRNO = 511;

/** What read(2) and write(2) of the device answer after an abort, where the kernel says so (others: ENODEV). */
export const ECONNABORTED = 103;
