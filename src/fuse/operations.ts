/**
 * What a filesystem does for the kernel. The drivers translate between the FUSE protocol and this interface and know
 * nothing of S3; a filesystem implements it and knows nothing of the protocol's bytes.
 *
 * Every operation answers with its value, or with a negative errno, either at once or through a promise; it answers at
 * once whenever it can, because a promise costs a turn of the event loop. A thrown error or a rejected promise becomes
 * EIO and is logged by the session. An operation that is absent is answered ENOSYS (which the kernel remembers for the
 * connection).
 *
 * Numbers: node ids, handles, offsets and sizes are non-negative integers below 2^53. Sizes are bytes. Names are JS
 * strings decoded from UTF-8; a byte that is not part of valid UTF-8 stands as the lone surrogate U+DC00 + byte (so that
 * every name has exactly one string, and the other way round).
 */
import type { Timespec } from '../clock.js';
import type { Failure } from '../errno.js';

export type Answer<T> = T | Failure | Promise<T | Failure>;
/** For operations without a value: 0 or a negative errno. */
export type Status = number | Promise<number>;

export const ROOT_NODEID = 1;

/** Who asks. `signal` fires when the kernel sends INTERRUPT: a waiting operation then gives up with -EINTR. */
export interface RequestContext {
  readonly unique: number;
  readonly uid: number;
  readonly gid: number;
  readonly pid: number;
  readonly signal: AbortSignal;
  /**
   * The request's bytes are still looked at when the operation has answered, until this resolves. Absent where the driver
   * cannot leave them alone for so long.
   */
  keepUntil?(done: Promise<unknown>): void;
}

export interface FileAttributes {
  readonly ino: number;
  readonly size: number;
  /** Units of 512 bytes. */
  readonly blocks: number;
  readonly atime: Timespec;
  readonly mtime: Timespec;
  readonly ctime: Timespec;
  /** File type and permission bits, as st_mode. */
  readonly mode: number;
  readonly nlink: number;
  readonly uid: number;
  readonly gid: number;
  readonly rdev: number;
  readonly blksize: number;
  /** Birth time for statx, where it is known. */
  readonly btime?: Timespec;
}

/** A name resolved. Each EntryReply that reaches the kernel with nodeid != 0 adds one lookup to that node. */
export interface EntryReply {
  /** 0 is a negative entry: the name does not exist, and the kernel may remember that for entryTtlMs. */
  readonly nodeid: number;
  readonly generation: number;
  readonly entryTtlMs: number;
  readonly attrTtlMs: number;
  /** Ignored where nodeid is 0. */
  readonly attributes: FileAttributes;
}

export interface AttrReply {
  readonly attrTtlMs: number;
  readonly attributes: FileAttributes;
}

export interface OpenReply {
  readonly fh: number;
  /** Keep the pages that the kernel has of this inode (otherwise they are dropped at open). */
  readonly keepCache?: boolean;
  /** Bypass the page cache for this handle. */
  readonly directIo?: boolean;
  /** Directories: let the kernel cache the listing. */
  readonly cacheDir?: boolean;
  /** The daemon needs no FLUSH at close of this handle. */
  readonly noFlush?: boolean;
  /**
   * Passthrough: the kernel reads, writes and maps this backing file and does not ask; with directIo READ and WRITE come
   * all the same. From the first open of a node to its last release either all have the same backing file or none has
   * one, and no keepCache then; otherwise the kernel fails the open with EIO.
   */
  readonly backingId?: number;
}

export interface CreateReply {
  readonly entry: EntryReply;
  readonly open: OpenReply;
}

/** SETATTR: only what is present changes. */
export interface AttributeChange {
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly size?: number;
  readonly atime?: Timespec | 'now';
  readonly mtime?: Timespec | 'now';
  readonly ctime?: Timespec;
  /** Handle through which it was asked (ftruncate and the like). */
  readonly fh?: number;
  /** Clear setuid, and setgid where group-executable (FUSE_HANDLE_KILLPRIV_V2). */
  readonly killSuidgid: boolean;
}

export interface StatfsReply {
  readonly blockSize: number;
  readonly blocks: number;
  readonly blocksFree: number;
  readonly blocksAvailable: number;
  readonly files: number;
  readonly filesFree: number;
  readonly nameMax: number;
}

/** Where readdir puts its entries. One sink belongs to one request. */
export interface DirentSink {
  /** True for READDIRPLUS: `entry` is then wanted for every name but "." and "..". */
  readonly plus: boolean;
  /**
   * Adds one entry; false when the reply is full, the entry then was not taken (and its lookup not counted).
   * @param offset what the kernel passes to resume behind this entry; not 0
   * @param type the S_IFMT bits of st_mode
   * @param entry only for plus; absent means "name and type only", which costs no lookup
   */
  add(name: string, offset: number, ino: number, type: number, entry?: EntryReply): boolean;
}

/** What was agreed with the kernel at INIT. */
export interface ConnectionInfo {
  readonly protocolMinor: number;
  /** Opens of one file may differ in directIo: the kernel's pages stay right, and mappings work. Absent: no. */
  readonly mixesDirectIo?: boolean;
  readonly maxWrite: number;
  readonly maxRead: number;
  readonly privileged: boolean;
}

/** Tells the kernel that something it caches is no longer true. Never blocks: they are sent from a thread of their own. */
export interface Notifier {
  /** Attributes of a node; with offset >= 0 its pages from there too (length 0: to the end). */
  invalInode(nodeid: number, offset: number, length: number): void;
  /** A name in a directory. */
  invalEntry(parent: number, name: string): void;
  /** A name in a directory that is gone (also ends a mount or working directory below it). */
  deleted(parent: number, child: number, name: string): void;
}

/** Files that the kernel may use in place of ours (passthrough). */
export interface BackingFiles {
  /** Answers the id for OpenReply, or a negative errno. Every id is closed once. */
  open(fd: number): number;
  close(id: number): void;
  /** Whether anybody but the holder of `fd`, open for writing, has its file open or mapped; true where it cannot be told. */
  isInUse(fd: number): boolean;
}

export interface Operations {
  /** Called once, before any other operation. */
  init?(info: ConnectionInfo, notifier: Notifier): void;
  /** Called at most once, right behind init: the kernel has agreed to passthrough. */
  passthrough?(backings: BackingFiles): void;
  /** Called once, after the last reply: the kernel has let go of every node and handle. */
  destroy?(): void | Promise<void>;

  lookup(ctx: RequestContext, parent: number, name: string): Answer<EntryReply>;
  forget(nodeid: number, nlookup: number): void;
  getattr(ctx: RequestContext, nodeid: number, fh: number | undefined): Answer<AttrReply>;
  setattr(ctx: RequestContext, nodeid: number, change: AttributeChange): Answer<AttrReply>;
  readlink(ctx: RequestContext, nodeid: number): Answer<Uint8Array>;
  mknod?(
    ctx: RequestContext,
    parent: number,
    name: string,
    mode: number,
    rdev: number,
    umask: number,
  ): Answer<EntryReply>;
  mkdir(ctx: RequestContext, parent: number, name: string, mode: number, umask: number): Answer<EntryReply>;
  unlink(ctx: RequestContext, parent: number, name: string): Status;
  rmdir(ctx: RequestContext, parent: number, name: string): Status;
  symlink(ctx: RequestContext, parent: number, name: string, target: Uint8Array): Answer<EntryReply>;
  /** flags: renameat2's RENAME_NOREPLACE 1, RENAME_EXCHANGE 2. */
  rename(ctx: RequestContext, parent: number, name: string, newParent: number, newName: string, flags: number): Status;
  link?(ctx: RequestContext, nodeid: number, newParent: number, newName: string): Answer<EntryReply>;

  /** flags: those of open(2), as the kernel passes them. -ESTALE makes the kernel look the name up again. */
  open(ctx: RequestContext, nodeid: number, flags: number, killSuidgid: boolean): Answer<OpenReply>;
  create(
    ctx: RequestContext,
    parent: number,
    name: string,
    mode: number,
    umask: number,
    flags: number,
  ): Answer<CreateReply>;
  /** O_TMPFILE: a file in this directory's filesystem without a name, open. `link` may give it its first name. */
  tmpfile?(ctx: RequestContext, parent: number, mode: number, umask: number, flags: number): Answer<CreateReply>;
  /** Fewer bytes than asked mean end of file. Pieces are sent in order; they must stay unchanged until the reply is out. */
  read(
    ctx: RequestContext,
    nodeid: number,
    fh: number,
    offset: number,
    size: number,
  ): Answer<Uint8Array | Uint8Array[]>;
  /** `data` is a view of the request buffer, valid until the answer (or ctx.keepUntil). Answers the number of bytes taken. */
  write(
    ctx: RequestContext,
    nodeid: number,
    fh: number,
    offset: number,
    data: Uint8Array,
    flags: WriteFlags,
  ): Answer<number>;
  /** Comes at every close(2) of a descriptor (several for dup and fork); its answer is what close returns. */
  flush(ctx: RequestContext, nodeid: number, fh: number): Status;
  /** Comes once, after the last close; nobody waits for it. */
  release(nodeid: number, fh: number): Status;
  fsync(ctx: RequestContext, nodeid: number, fh: number, dataOnly: boolean): Status;

  opendir(ctx: RequestContext, nodeid: number, flags: number): Answer<OpenReply>;
  /** offset 0 is the start, otherwise that of the last entry taken. Answers 0 also at the end (with nothing added). */
  readdir(ctx: RequestContext, nodeid: number, fh: number, offset: number, sink: DirentSink): Status;
  releasedir(nodeid: number, fh: number): Status;
  fsyncdir(ctx: RequestContext, nodeid: number, fh: number, dataOnly: boolean): Status;

  statfs(ctx: RequestContext, nodeid: number): Answer<StatfsReply>;
  access(ctx: RequestContext, nodeid: number, mask: number): Status;
  /**
   * flags: XATTR_CREATE 1, XATTR_REPLACE 2. killSgid: the setgid bit is to go, because an access ACL is set by somebody who
   * is not in the group; undefined: the kernel did not say.
   */
  setxattr(
    ctx: RequestContext,
    nodeid: number,
    name: string,
    value: Uint8Array,
    flags: number,
    killSgid?: boolean,
  ): Status;
  /** The whole value; the session answers the size queries and ERANGE. */
  getxattr(ctx: RequestContext, nodeid: number, name: string): Answer<Uint8Array>;
  /** All names; the session joins them with NUL. */
  listxattr(ctx: RequestContext, nodeid: number): Answer<string[]>;
  removexattr(ctx: RequestContext, nodeid: number, name: string): Status;

  fallocate?(ctx: RequestContext, nodeid: number, fh: number, offset: number, length: number, mode: number): Status;
  lseek?(ctx: RequestContext, nodeid: number, fh: number, offset: number, whence: number): Answer<number>;
  copyFileRange?(
    ctx: RequestContext,
    from: { nodeid: number; fh: number; offset: number },
    to: { nodeid: number; fh: number; offset: number },
    length: number,
  ): Answer<number>;
}

export interface WriteFlags {
  /** Clear setuid and setgid (the writer lacks CAP_FSETID). */
  readonly killSuidgid: boolean;
  /** Comes from the page cache (mmap), after the fact: there may be no writer to tell. */
  readonly fromPageCache: boolean;
}
