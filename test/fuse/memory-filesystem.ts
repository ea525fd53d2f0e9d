/**
 * A whole filesystem in memory: the driver's test bed, and the "null mount" of the benchmark. It checks the contract
 * from its side: nodes live exactly as long as the kernel's lookup count, open handles or names say, and a violation
 * throws, so that a test sees it.
 */
import { type Timespec, timespecFromMs } from '../../src/clock.js';
import { KiB, MAX_IO_BYTES } from '../../src/constants.js';
import { errno } from '../../src/errno.js';
import {
  type Answer,
  type AttributeChange,
  type AttrReply,
  type ConnectionInfo,
  type CreateReply,
  type DirentSink,
  type EntryReply,
  type FileAttributes,
  type Notifier,
  type OpenReply,
  type Operations,
  type RequestContext,
  ROOT_NODEID,
  type StatfsReply,
  type Status,
  type WriteFlags,
} from '../../src/fuse/operations.js';
import { SparseBytes } from './sparse-bytes.js';

const S_IFMT = 0o170000;
const S_IFDIR = 0o040000;
const S_IFREG = 0o100000;
const S_IFLNK = 0o120000;
const S_ISUID = 0o4000;
const S_ISGID = 0o2000;
const S_IXGRP = 0o010;
const O_TRUNC = 0o1000;
const RENAME_NOREPLACE = 1;
const RENAME_EXCHANGE = 2;
const XATTR_CREATE = 1;
const XATTR_REPLACE = 2;

interface Node {
  readonly id: number;
  mode: number;
  uid: number;
  gid: number;
  rdev: number;
  nlink: number;
  nlookup: number;
  opens: number;
  atime: Timespec;
  mtime: Timespec;
  ctime: Timespec;
  readonly btime: Timespec;
  readonly xattrs: Map<string, Uint8Array>;
  /** Files only. */
  readonly data: SparseBytes;
  target?: Uint8Array;
  /** Directories only; `cookies` gives every name an offset that stays while others come and go. */
  children?: Map<string, { node: Node; cookie: number }>;
  nextCookie: number;
  parent?: Node;
}

export interface MemoryOptions {
  readonly ttlMs?: number;
  readonly keepCache?: boolean;
}

export class MemoryFilesystem implements Operations {
  readonly nodes = new Map<number, Node>();
  readonly handles = new Map<number, Node>();
  info?: ConnectionInfo;
  notifier?: Notifier;
  destroyed = 0;
  readonly #ttlMs: number;
  readonly #keepCache: boolean;
  #nextId = ROOT_NODEID;
  #nextHandle = 1;

  constructor(options: MemoryOptions = {}) {
    this.#ttlMs = options.ttlMs ?? 1000;
    this.#keepCache = options.keepCache ?? true;
    const root = this.#make(S_IFDIR | 0o755, 0, 0);
    root.nlink = 2;
  }

  get root(): Node {
    return this.#node(ROOT_NODEID);
  }

  init(info: ConnectionInfo, notifier: Notifier): void {
    this.info = info;
    this.notifier = notifier;
  }

  destroy(): void {
    this.destroyed += 1;
  }

  /** Makes a file without the kernel; for preparing a test. */
  addFile(name: string, content: Uint8Array | string = '', parent = this.root): number {
    const node = this.#make(S_IFREG | 0o644, 0, 0);
    node.data.write(0, Buffer.from(content));
    this.#attach(parent, name, node);
    return node.id;
  }

  lookup(_ctx: RequestContext, parent: number, name: string): Answer<EntryReply> {
    const child = this.#directory(parent).get(name);
    return child ? this.#entry(child.node) : -errno.ENOENT;
  }

  forget(nodeid: number, nlookup: number): void {
    const node = this.#node(nodeid);
    if (nlookup > node.nlookup) throw new Error(`node ${nodeid} forgotten ${nlookup} times of ${node.nlookup}`);
    node.nlookup -= nlookup;
    this.#drop(node);
  }

  getattr(_ctx: RequestContext, nodeid: number): Answer<AttrReply> {
    return this.#attr(this.#node(nodeid));
  }

  setattr(_ctx: RequestContext, nodeid: number, change: AttributeChange): Answer<AttrReply> {
    const node = this.#node(nodeid);
    const now = timespecFromMs(Date.now());
    if (change.mode !== undefined) node.mode = (node.mode & S_IFMT) | (change.mode & 0o7777);
    if (change.uid !== undefined) node.uid = change.uid;
    if (change.gid !== undefined) node.gid = change.gid;
    if (change.size !== undefined) {
      node.data.truncate(change.size);
      node.mtime = now;
    }
    if (change.atime !== undefined) node.atime = change.atime === 'now' ? now : change.atime;
    if (change.mtime !== undefined) node.mtime = change.mtime === 'now' ? now : change.mtime;
    if (change.killSuidgid) this.#killSuidgid(node);
    node.ctime = change.ctime ?? now;
    return this.#attr(node);
  }

  readlink(_ctx: RequestContext, nodeid: number): Answer<Uint8Array> {
    return this.#node(nodeid).target ?? -errno.EINVAL;
  }

  mknod(ctx: RequestContext, parent: number, name: string, mode: number, rdev: number): Answer<EntryReply> {
    const node = this.#add(ctx, parent, name, mode);
    if (typeof node === 'number') return node;
    node.rdev = rdev;
    return this.#entry(node);
  }

  mkdir(ctx: RequestContext, parent: number, name: string, mode: number): Answer<EntryReply> {
    const node = this.#add(ctx, parent, name, S_IFDIR | (mode & 0o7777));
    return typeof node === 'number' ? node : this.#entry(node);
  }

  symlink(ctx: RequestContext, parent: number, name: string, target: Uint8Array): Answer<EntryReply> {
    const node = this.#add(ctx, parent, name, S_IFLNK | 0o777);
    if (typeof node === 'number') return node;
    // A copy: the request's bytes are ours only until the answer.
    node.target = Uint8Array.from(target);
    return this.#entry(node);
  }

  unlink(_ctx: RequestContext, parent: number, name: string): Status {
    const child = this.#directory(parent).get(name);
    if (!child) return -errno.ENOENT;
    if (child.node.children) return -errno.EISDIR;
    this.#detach(this.#node(parent), name);
    return 0;
  }

  rmdir(_ctx: RequestContext, parent: number, name: string): Status {
    const child = this.#directory(parent).get(name);
    if (!child) return -errno.ENOENT;
    if (!child.node.children) return -errno.ENOTDIR;
    if (child.node.children.size > 0) return -errno.ENOTEMPTY;
    this.#detach(this.#node(parent), name);
    return 0;
  }

  rename(
    _ctx: RequestContext,
    parent: number,
    name: string,
    newParent: number,
    newName: string,
    flags: number,
  ): Status {
    const from = this.#directory(parent).get(name)?.node;
    const over = this.#directory(newParent).get(newName)?.node;
    if (!from) return -errno.ENOENT;
    const source = this.#node(parent);
    const target = this.#node(newParent);
    if (flags & RENAME_EXCHANGE) {
      if (!over) return -errno.ENOENT;
      this.#take(source, name);
      this.#take(target, newName);
      this.#attach(source, name, over);
      this.#attach(target, newName, from);
      return 0;
    }
    if (over && flags & RENAME_NOREPLACE) return -errno.EEXIST;
    if (over === from) return 0;
    if (over?.children && !from.children) return -errno.EISDIR;
    if (over && !over.children && from.children) return -errno.ENOTDIR;
    if (over?.children && over.children.size > 0) return -errno.ENOTEMPTY;
    if (over) this.#detach(target, newName);
    this.#take(source, name);
    this.#attach(target, newName, from);
    return 0;
  }

  link(_ctx: RequestContext, nodeid: number, newParent: number, newName: string): Answer<EntryReply> {
    if (this.#directory(newParent).has(newName)) return -errno.EEXIST;
    const node = this.#node(nodeid);
    if (node.children) return -errno.EPERM;
    node.nlink += 1;
    this.#attach(this.#node(newParent), newName, node);
    return this.#entry(node);
  }

  open(_ctx: RequestContext, nodeid: number, flags: number, killSuidgid: boolean): Answer<OpenReply> {
    const node = this.#node(nodeid);
    if (flags & O_TRUNC) {
      node.data.truncate(0);
      node.mtime = node.ctime = timespecFromMs(Date.now());
    }
    if (killSuidgid) this.#killSuidgid(node);
    return { fh: this.#handle(node), keepCache: this.#keepCache };
  }

  create(ctx: RequestContext, parent: number, name: string, mode: number): Answer<CreateReply> {
    const node = this.#add(ctx, parent, name, S_IFREG | (mode & 0o7777));
    if (typeof node === 'number') return node;
    return { entry: this.#entry(node), open: { fh: this.#handle(node) } };
  }

  read(_ctx: RequestContext, nodeid: number, fh: number, offset: number, size: number): Answer<Uint8Array[]> {
    this.#opened(nodeid, fh);
    return this.#node(nodeid).data.read(offset, size);
  }

  write(
    _ctx: RequestContext,
    nodeid: number,
    fh: number,
    offset: number,
    data: Uint8Array,
    flags: WriteFlags,
  ): Answer<number> {
    // Pages written back later come with whatever handle the kernel has left.
    if (!flags.fromPageCache) this.#opened(nodeid, fh);
    const node = this.#node(nodeid);
    node.data.write(offset, data);
    node.mtime = node.ctime = timespecFromMs(Date.now());
    if (flags.killSuidgid) this.#killSuidgid(node);
    return data.length;
  }

  flush(_ctx: RequestContext, nodeid: number, fh: number): Status {
    this.#opened(nodeid, fh);
    return 0;
  }

  release(nodeid: number, fh: number): Status {
    const node = this.#opened(nodeid, fh);
    this.handles.delete(fh);
    node.opens -= 1;
    this.#drop(node);
    return 0;
  }

  fsync(): Status {
    return 0;
  }

  opendir(_ctx: RequestContext, nodeid: number): Answer<OpenReply> {
    return { fh: this.#handle(this.#node(nodeid)) };
  }

  readdir(_ctx: RequestContext, nodeid: number, fh: number, offset: number, sink: DirentSink): Status {
    this.#opened(nodeid, fh);
    const node = this.#node(nodeid);
    if (offset < 1 && !sink.add('.', 1, node.id, S_IFDIR)) return 0;
    if (offset < 2 && !sink.add('..', 2, (node.parent ?? node).id, S_IFDIR)) return 0;
    for (const [name, { node: child, cookie }] of node.children!) {
      if (cookie <= offset) continue;
      // #entry counts a lookup, so an entry that does not fit is counted down again.
      const entry = sink.plus ? this.#entry(child) : undefined;
      if (sink.add(name, cookie, child.id, child.mode & S_IFMT, entry)) continue;
      if (entry) this.forget(child.id, 1);
      break;
    }
    return 0;
  }

  releasedir(nodeid: number, fh: number): Status {
    return this.release(nodeid, fh);
  }

  fsyncdir(): Status {
    return 0;
  }

  statfs(): Answer<StatfsReply> {
    const blocks = 2 ** 40 / 4096;
    return {
      blockSize: 4096,
      blocks,
      blocksFree: blocks,
      blocksAvailable: blocks,
      files: this.nodes.size,
      filesFree: 2 ** 32,
      nameMax: 255,
    };
  }

  access(): Status {
    return 0;
  }

  setxattr(_ctx: RequestContext, nodeid: number, name: string, value: Uint8Array, flags: number): Status {
    const { xattrs } = this.#node(nodeid);
    if (flags & XATTR_CREATE && xattrs.has(name)) return -errno.EEXIST;
    if (flags & XATTR_REPLACE && !xattrs.has(name)) return -errno.ENODATA;
    xattrs.set(name, Uint8Array.from(value));
    return 0;
  }

  getxattr(_ctx: RequestContext, nodeid: number, name: string): Answer<Uint8Array> {
    // ENODATA would make ls -l ask for both of every file.
    if (name.startsWith('security.') || name.startsWith('system.posix_acl_')) return -errno.EOPNOTSUPP;
    return this.#node(nodeid).xattrs.get(name) ?? -errno.ENODATA;
  }

  listxattr(_ctx: RequestContext, nodeid: number): Answer<string[]> {
    return [...this.#node(nodeid).xattrs.keys()];
  }

  removexattr(_ctx: RequestContext, nodeid: number, name: string): Status {
    return this.#node(nodeid).xattrs.delete(name) ? 0 : -errno.ENODATA;
  }

  #make(mode: number, uid: number, gid: number): Node {
    const now = timespecFromMs(Date.now());
    const node: Node = {
      ...{ id: this.#nextId++, mode, uid, gid, rdev: 0, nlink: 1, nlookup: 0, opens: 0, nextCookie: 3 },
      ...{ atime: now, mtime: now, ctime: now, btime: now, xattrs: new Map(), data: new SparseBytes() },
    };
    if ((mode & S_IFMT) === S_IFDIR) node.children = new Map();
    this.nodes.set(node.id, node);
    return node;
  }

  #add(ctx: RequestContext, parent: number, name: string, mode: number): Node | number {
    if (this.#directory(parent).has(name)) return -errno.EEXIST;
    const node = this.#make(mode, ctx.uid, ctx.gid);
    if (node.children) node.nlink = 2;
    this.#attach(this.#node(parent), name, node);
    return node;
  }

  #attach(parent: Node, name: string, node: Node): void {
    parent.children!.set(name, { node, cookie: parent.nextCookie++ });
    parent.mtime = parent.ctime = timespecFromMs(Date.now());
    if (!node.children) return;
    node.parent = parent;
    parent.nlink += 1;
  }

  /** Takes a name away, and leaves the node as it is. */
  #take(parent: Node, name: string): Node {
    const { node } = parent.children!.get(name)!;
    parent.children!.delete(name);
    parent.mtime = parent.ctime = timespecFromMs(Date.now());
    if (node.children) parent.nlink -= 1;
    return node;
  }

  #detach(parent: Node, name: string): void {
    const node = this.#take(parent, name);
    node.nlink = node.children ? 0 : node.nlink - 1;
    node.ctime = timespecFromMs(Date.now());
    this.#drop(node);
  }

  /** A node goes when nothing refers to it: no name, no handle, no lookup of the kernel. */
  #drop(node: Node): void {
    if (node.nlink === 0 && node.opens === 0 && node.nlookup === 0) this.nodes.delete(node.id);
  }

  #node(nodeid: number): Node {
    const node = this.nodes.get(nodeid);
    if (!node) throw new Error(`the kernel knows node ${nodeid}, which is gone`);
    return node;
  }

  #directory(nodeid: number): Map<string, { node: Node; cookie: number }> {
    const { children } = this.#node(nodeid);
    if (!children) throw new Error(`node ${nodeid} is no directory`);
    return children;
  }

  #handle(node: Node): number {
    const fh = this.#nextHandle++;
    this.handles.set(fh, node);
    node.opens += 1;
    return fh;
  }

  #opened(nodeid: number, fh: number): Node {
    const node = this.handles.get(fh);
    if (node?.id !== nodeid) throw new Error(`handle ${fh} is not open on node ${nodeid}`);
    return node;
  }

  #killSuidgid(node: Node): void {
    node.mode &= node.mode & S_IXGRP ? ~(S_ISUID | S_ISGID) : ~S_ISUID;
  }

  #attributes(node: Node): FileAttributes {
    const { id, mode, nlink, uid, gid, rdev, atime, mtime, ctime, btime } = node;
    const size = node.target ? node.target.length : node.data.size;
    const blocks = Math.ceil(node.data.allocated / 512);
    const blksize = node.children ? 4 * KiB : MAX_IO_BYTES;
    return { ino: id, size, blocks, atime, mtime, ctime, btime, mode, nlink, uid, gid, rdev, blksize };
  }

  #attr(node: Node): AttrReply {
    return { attrTtlMs: this.#ttlMs, attributes: this.#attributes(node) };
  }

  #entry(node: Node): EntryReply {
    node.nlookup += 1;
    const [entryTtlMs, attrTtlMs] = [this.#ttlMs, this.#ttlMs];
    return { nodeid: node.id, generation: 0, entryTtlMs, attrTtlMs, attributes: this.#attributes(node) };
  }
}
