/**
 * From a decoded request to the operation, and from its answer to the reply: one handler an operation, and one sender a
 * shape of reply. What the kernel gains by a reply (a lookup, an open handle) is counted once the reply has reached it,
 * and taken back from the filesystem when it has not.
 */
import { MAX_IO_BYTES, PAGE_BYTES } from '../constants.js';
import { errno } from '../errno.js';
import { OUT_HEADER_BYTES } from './abi.js';
import type { Call } from './call.js';
import { DirentBuffer } from './dirent.js';
import { encodeName } from './name.js';
import type { AttrReply, CreateReply, EntryReply, OpenReply, StatfsReply } from './operations.js';
import { putAttrReply, putEntry, putOffset, putOpen, putSize, putStatfs, putStatxReply } from './reply.js';
import type { OpName, Request, RequestBodies } from './request.js';
import type { Session } from './session.js';

const BODY = OUT_HEADER_BYTES;
/** More pieces than this are joined: writev(2) takes 1,024. */
const MAX_PIECES = 1000;

function sendStatus(session: Session, call: Call, status: number): void {
  if (status === 0) session.deliver(call, 0);
  else session.fail(call, status);
}

function sendEntry(session: Session, call: Call, entry: EntryReply): void {
  const bytes = putEntry(session.scratch, BODY, entry) - BODY;
  if (session.deliver(call, bytes)) session.holdings.lookedUp(entry.nodeid);
  else if (entry.nodeid !== 0) session.operations.forget(entry.nodeid, 1);
}

function sendAttr(session: Session, call: Call, reply: AttrReply): void {
  session.deliver(call, putAttrReply(session.scratch, BODY, reply) - BODY);
}

function sendStatx(session: Session, call: Call, reply: AttrReply): void {
  session.deliver(call, putStatxReply(session.scratch, BODY, reply) - BODY);
}

function sendOpen(session: Session, call: Call, open: OpenReply): void {
  if (session.deliver(call, putOpen(session.scratch, BODY, open) - BODY)) {
    session.holdings.files.add(open.fh, call.nodeid);
  } else session.giveUpHandle('release', call.nodeid, open.fh);
}

function sendOpendir(session: Session, call: Call, open: OpenReply): void {
  if (session.deliver(call, putOpen(session.scratch, BODY, open) - BODY)) {
    session.holdings.directories.add(open.fh, call.nodeid);
  } else session.giveUpHandle('releasedir', call.nodeid, open.fh);
}

function sendCreate(session: Session, call: Call, { entry, open }: CreateReply): void {
  const at = putEntry(session.scratch, BODY, entry);
  if (session.deliver(call, putOpen(session.scratch, at, open) - BODY)) {
    session.holdings.lookedUp(entry.nodeid);
    session.holdings.files.add(open.fh, entry.nodeid);
  } else {
    session.giveUpHandle('release', entry.nodeid, open.fh);
    session.operations.forget(entry.nodeid, 1);
  }
}

function sendStatfs(session: Session, call: Call, reply: StatfsReply): void {
  session.deliver(call, putStatfs(session.scratch, BODY, reply) - BODY);
}

function sendOffset(session: Session, call: Call, offset: number): void {
  if (!Number.isSafeInteger(offset)) session.fail(call, offset);
  else session.deliver(call, putOffset(session.scratch, BODY, offset) - BODY);
}

function sendLink(session: Session, call: Call, target: Uint8Array): void {
  // The kernel's buffer is one page, with room for a NUL.
  if (target.length >= PAGE_BYTES) session.fail(call, -errno.ENAMETOOLONG);
  else session.deliver(call, 0, [target]);
}

/** Sends a count of bytes that must not be above what was asked. */
function countSender(most: number): (session: Session, call: Call, count: number) => void {
  return (session, call, count) => {
    if (!Number.isInteger(count) || count > most) session.fail(call, count);
    else session.deliver(call, putSize(session.scratch, BODY, count) - BODY);
  };
}

function dataSender(size: number): (session: Session, call: Call, data: Uint8Array | Uint8Array[]) => void {
  return (session, call, data) => {
    let pieces = Array.isArray(data) ? data : [data];
    if (pieces.length > MAX_PIECES) pieces = [Buffer.concat(pieces)];
    let length = 0;
    for (const piece of pieces) length += piece.length;
    if (length > size) session.threw(call, new RangeError(`read answered ${length} bytes for ${size}`));
    else session.deliver(call, 0, pieces);
  };
}

/** Extended attributes: size 0 asks how long the value is, a size too small is ERANGE. */
function xattrSender(size: number): (session: Session, call: Call, value: Uint8Array) => void {
  return (session, call, value) => {
    if (size === 0) session.deliver(call, putSize(session.scratch, BODY, value.length) - BODY);
    else if (value.length > size) session.fail(call, -errno.ERANGE);
    else session.deliver(call, 0, [value]);
  };
}

function xattrNamesSender(size: number): (session: Session, call: Call, names: string[]) => void {
  const send = xattrSender(size);
  return (session, call, names) => send(session, call, encodeName(names.map((name) => `${name}\0`).join('')));
}

function sendEntries(session: Session, call: Call, status: number): void {
  if (status === 0) session.deliverSink(call);
  else session.fail(call, status);
}

function readdir(session: Session, call: Call, request: { fh: number; offset: number; size: number }, plus: boolean) {
  const sink = new DirentBuffer(Math.min(request.size, MAX_IO_BYTES), plus);
  call.sink = sink;
  session.settle(call, session.operations.readdir(call, call.nodeid, request.fh, request.offset, sink), sendEntries);
}

function forget(session: Session, nodeid: number, nlookup: number): void {
  const taken = session.holdings.forget(nodeid, nlookup);
  if (taken > 0) session.operations.forget(nodeid, taken);
}

type Served = Exclude<OpName, 'init' | 'interrupt'>;
type Handlers = { [K in Served]: (session: Session, call: Call, request: RequestBodies[K]) => void };

const handlers: Handlers = {
  lookup: (s, c, r) => s.settle(c, s.operations.lookup(c, c.nodeid, r.name), sendEntry),
  forget: (s, c, r) => forget(s, c.nodeid, r.nlookup),
  batchForget: (s, _c, r) => {
    for (const { nodeid, nlookup } of r.nodes) forget(s, nodeid, nlookup);
  },
  notifyReply: () => {},
  getattr: (s, c, r) => s.settle(c, s.operations.getattr(c, c.nodeid, r.fh), sendAttr),
  statx: (s, c, r) => s.settle(c, s.operations.getattr(c, c.nodeid, r.fh), sendStatx),
  setattr: (s, c, r) => s.settle(c, s.operations.setattr(c, c.nodeid, r.change), sendAttr),
  readlink: (s, c) => s.settle(c, s.operations.readlink(c, c.nodeid), sendLink),
  statfs: (s, c) => s.settle(c, s.operations.statfs(c, c.nodeid), sendStatfs),
  destroy: (s, c) => {
    s.deliver(c, 0);
    void s.end();
  },
  symlink: (s, c, r) => s.settle(c, s.operations.symlink(c, c.nodeid, r.name, r.target), sendEntry),
  mknod: (s, c, r) => {
    if (!s.operations.mknod) return s.fail(c, -errno.ENOSYS);
    s.settle(c, s.operations.mknod(c, c.nodeid, r.name, r.mode, r.rdev, r.umask), sendEntry);
  },
  mkdir: (s, c, r) => s.settle(c, s.operations.mkdir(c, c.nodeid, r.name, r.mode, r.umask), sendEntry),
  unlink: (s, c, r) => s.settle(c, s.operations.unlink(c, c.nodeid, r.name), sendStatus),
  rmdir: (s, c, r) => s.settle(c, s.operations.rmdir(c, c.nodeid, r.name), sendStatus),
  rename: (s, c, r) =>
    s.settle(c, s.operations.rename(c, c.nodeid, r.name, r.newParent, r.newName, r.flags), sendStatus),
  link: (s, c, r) => {
    if (!s.operations.link) return s.fail(c, -errno.ENOSYS);
    s.settle(c, s.operations.link(c, r.nodeid, c.nodeid, r.newName), sendEntry);
  },
  open: (s, c, r) => s.settle(c, s.operations.open(c, c.nodeid, r.flags, r.killSuidgid), sendOpen),
  create: (s, c, r) => s.settle(c, s.operations.create(c, c.nodeid, r.name, r.mode, r.umask, r.flags), sendCreate),
  tmpfile: (s, c, r) => {
    if (!s.operations.tmpfile) return s.fail(c, -errno.ENOSYS);
    s.settle(c, s.operations.tmpfile(c, c.nodeid, r.mode, r.umask, r.flags), sendCreate);
  },
  read: (s, c, r) => s.settle(c, s.operations.read(c, c.nodeid, r.fh, r.offset, r.size), dataSender(r.size)),
  write: (s, c, r) =>
    s.settle(c, s.operations.write(c, c.nodeid, r.fh, r.offset, r.data, r.flags), countSender(r.data.length)),
  flush: (s, c, r) => s.settle(c, s.operations.flush(c, c.nodeid, r.fh), sendStatus),
  release: (s, c, r) => {
    if (!s.holdings.files.remove(r.fh, c.nodeid)) return s.fail(c, -errno.EBADF);
    s.settle(c, s.operations.release(c.nodeid, r.fh), sendStatus);
  },
  fsync: (s, c, r) => s.settle(c, s.operations.fsync(c, c.nodeid, r.fh, r.dataOnly), sendStatus),
  opendir: (s, c, r) => s.settle(c, s.operations.opendir(c, c.nodeid, r.flags), sendOpendir),
  readdir: (s, c, r) => readdir(s, c, r, false),
  readdirplus: (s, c, r) => readdir(s, c, r, true),
  releasedir: (s, c, r) => {
    if (!s.holdings.directories.remove(r.fh, c.nodeid)) return s.fail(c, -errno.EBADF);
    s.settle(c, s.operations.releasedir(c.nodeid, r.fh), sendStatus);
  },
  fsyncdir: (s, c, r) => s.settle(c, s.operations.fsyncdir(c, c.nodeid, r.fh, r.dataOnly), sendStatus),
  access: (s, c, r) => s.settle(c, s.operations.access(c, c.nodeid, r.mask), sendStatus),
  setxattr: (s, c, r) =>
    s.settle(c, s.operations.setxattr(c, c.nodeid, r.name, r.value, r.flags, r.killSgid), sendStatus),
  getxattr: (s, c, r) => s.settle(c, s.operations.getxattr(c, c.nodeid, r.name), xattrSender(r.size)),
  listxattr: (s, c, r) => s.settle(c, s.operations.listxattr(c, c.nodeid), xattrNamesSender(r.size)),
  removexattr: (s, c, r) => s.settle(c, s.operations.removexattr(c, c.nodeid, r.name), sendStatus),
  fallocate: (s, c, r) => {
    if (!s.operations.fallocate) return s.fail(c, -errno.ENOSYS);
    s.settle(c, s.operations.fallocate(c, c.nodeid, r.fh, r.offset, r.length, r.mode), sendStatus);
  },
  lseek: (s, c, r) => {
    if (!s.operations.lseek) return s.fail(c, -errno.ENOSYS);
    s.settle(c, s.operations.lseek(c, c.nodeid, r.fh, r.offset, r.whence), sendOffset);
  },
  copyFileRange: (s, c, r) => {
    if (!s.operations.copyFileRange) return s.fail(c, -errno.ENOSYS);
    const from = { nodeid: c.nodeid, fh: r.fh, offset: r.offset };
    s.settle(c, s.operations.copyFileRange(c, from, r.to, r.length), countSender(r.length));
  },
  copyFileRange64: (s, c, r) => {
    if (!s.operations.copyFileRange) return s.fail(c, -errno.ENOSYS);
    const from = { nodeid: c.nodeid, fh: r.fh, offset: r.offset };
    s.settle(c, s.operations.copyFileRange(c, from, r.to, r.length), sendOffset);
  },
};

/** Serves one request: replies now, or once its operation has answered. */
export function handle(session: Session, call: Call, request: Exclude<Request, { op: 'init' | 'interrupt' }>): void {
  // The table's type pairs each operation with its own request; TypeScript cannot follow the pairing through an index.
  (handlers[request.op] as (session: Session, call: Call, request: Request) => void)(session, call, request);
}
