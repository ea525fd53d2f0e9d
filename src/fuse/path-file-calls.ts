/** Opening, reading, writing and closing files, as libfuse's path interface asks for it. */
import { errno, type Failure } from '../errno.js';
import type { PathCalls } from './fuse-native-package.js';
import { isLibfuseName, type OpenNode } from './open-paths.js';
import type { Operations, RequestContext } from './operations.js';
import type { PathCall, PathServer } from './path-server.js';

const O_RDWR = 2;
const O_CREAT = 0o100;
const O_TRUNC = 0o1000;
/** Permission bits of what is made. It belongs to whoever mounted, so nobody else may make it run in that name. */
const MAKING_MODE = 0o1777;
/** How long an open waits for the last close of an older version, which programs do not wait for (ms). */
const CLOSING_MS = 500;
const WRITE_FLAGS = { killSuidgid: false, fromPageCache: false } as const;

type FileCalls = Pick<
  PathCalls,
  'open' | 'create' | 'read' | 'write' | 'flush' | 'fsync' | 'release' | 'truncate' | 'ftruncate'
>;

function fitted(pieces: Uint8Array | Uint8Array[], into: Uint8Array): number {
  let at = 0;
  for (const piece of Array.isArray(pieces) ? pieces : [pieces]) {
    into.set(piece, at);
    at += piece.length;
  }
  return at;
}

async function within(ms: number, closed: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  await Promise.race([closed, late]);
  clearTimeout(timer);
}

class FileWork {
  readonly #server: PathServer;
  readonly #operations: Operations;

  constructor(server: PathServer) {
    this.#server = server;
    this.#operations = server.operations;
  }

  /**
   * Stale is what another client replaced. While the old version is open here the new one cannot be: the two would share
   * the kernel's pages. Its close may be under way, though.
   */
  async open(call: PathCall, path: string, flags: number): Promise<number | Failure> {
    const outcome = await this.#openOnce(call, path, flags);
    if (outcome !== -errno.ESTALE) return outcome;
    const open = this.#server.opens.nodeAt(path);
    if (open !== undefined) await within(CLOSING_MS, open.closed);
    return this.#openOnce(call, path, flags);
  }

  async #openOnce(call: PathCall, path: string, flags: number): Promise<number | Failure> {
    const held = this.#server.opens.hold(path);
    try {
      const nodeid = await this.#toOpen(call, path, held);
      if (nodeid < 0) return nodeid;
      const answer = await this.#operations.open(call, nodeid, flags, (flags & O_TRUNC) !== 0);
      if (typeof answer === 'number') return answer;
      return await this.#server.opened(call, path, nodeid, answer.fh);
    } finally {
      if (held !== undefined) this.#server.letGo(held);
    }
  }

  /** What is open already is opened again only while it is what its name means. */
  async #toOpen(call: PathCall, path: string, held: OpenNode | undefined): Promise<number | Failure> {
    if (held === undefined || held.hidden) return held?.nodeid ?? call.node(path);
    const now = await call.named(path);
    if (typeof now === 'number' || now.nodeid < 0) return typeof now === 'number' ? now : now.nodeid;
    return now.nodeid === held.nodeid ? now.nodeid : -errno.ESTALE;
  }

  /** fuse-native passes no flags; the kernel holds the descriptor to those that it was opened with. */
  async create(call: PathCall, path: string, mode: number): Promise<number | Failure> {
    if (isLibfuseName(path)) return -errno.EPERM;
    if (this.#server.opens.nodeAt(path) !== undefined) return this.open(call, path, O_RDWR);
    const place = await call.named(path);
    if (typeof place === 'number') return place;
    const flags = O_RDWR | O_CREAT;
    const answer = await this.#operations.create(call, place.parent, place.name, mode & MAKING_MODE, 0, flags);
    if (typeof answer === 'number') return answer;
    const { nodeid } = answer.entry;
    call.adopt(path, nodeid);
    return this.#server.opened(call, path, nodeid, answer.open.fh);
  }

  /** Something with an open file: EBADF for a handle that is none. */
  async onFile<T>(handle: number, work: (nodeid: number, fh: number) => T | Promise<T>): Promise<T | Failure> {
    const file = this.#server.opens.get(handle);
    return file === undefined ? -errno.EBADF : work(file.node.nodeid, file.fh);
  }

  async read(ctx: RequestContext, handle: number, into: Uint8Array, offset: number): Promise<number> {
    const answer = await this.onFile(handle, (nodeid, fh) =>
      this.#operations.read(ctx, nodeid, fh, offset, into.length),
    );
    return typeof answer === 'number' ? answer : fitted(answer, into);
  }

  async write(ctx: RequestContext, handle: number, data: Uint8Array, offset: number): Promise<number> {
    return this.onFile(handle, (nodeid, fh) => this.#operations.write(ctx, nodeid, fh, offset, data, WRITE_FLAGS));
  }

  async resize(ctx: RequestContext, nodeid: number, size: number, fh?: number): Promise<number> {
    const answer = await this.#operations.setattr(ctx, nodeid, { size, fh, killSuidgid: false });
    return typeof answer === 'number' ? answer : 0;
  }
}

export function fileCalls(server: PathServer): FileCalls {
  const { operations } = server;
  const files = new FileWork(server);
  const opening = (done: (result: number, handle?: number) => void) => (outcome: number) =>
    outcome < 0 ? done(outcome) : done(0, outcome);
  return {
    open: (path, flags, done) => {
      server.serve('open', [path], (call) => files.open(call, path, flags), opening(done));
    },
    create: (path, mode, done) => {
      server.serve('create', [path], (call) => files.create(call, path, mode), opening(done));
    },
    // The handle says which file; its path may be gone, or have lost bytes.
    read: (_path, fh, into, _length, offset, done) => {
      server.serve('read', [], (call) => files.read(call, fh, into, offset), done);
    },
    write: (_path, fh, data, _length, offset, done) => {
      server.serve('write', [], (call) => files.write(call, fh, data, offset), done);
    },
    flush: (_path, fh, done) => {
      server.serve('flush', [], (call) => files.onFile(fh, (nodeid, own) => operations.flush(call, nodeid, own)), done);
    },
    fsync: (_path, dataOnly, fh, done) => {
      const work = (call: PathCall) =>
        files.onFile(fh, (nodeid, own) => operations.fsync(call, nodeid, own, dataOnly !== 0));
      server.serve('fsync', [], work, done);
    },
    release: (_path, fh, done) => {
      server.serve('release', [], () => server.release(fh), done);
    },
    truncate: (path, size, done) => {
      const work = (call: PathCall) => server.onNode(call, path, (nodeid) => files.resize(call, nodeid, size));
      server.serve('truncate', [path], work, done);
    },
    ftruncate: (_path, fh, size, done) => {
      const work = (call: PathCall) => files.onFile(fh, (nodeid, own) => files.resize(call, nodeid, size, own));
      server.serve('ftruncate', [], work, done);
    },
  };
}
