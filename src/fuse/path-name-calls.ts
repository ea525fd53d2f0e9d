/** Making, removing, renaming and listing names, as libfuse's path interface asks for it. */
import { errno, type Failure } from '../errno.js';
import type { PathCalls } from './fuse-native-package.js';
import { foldedIno } from './libfuse-stat.js';
import { decodeName, encodeName } from './name.js';
import { isHiding, isLibfuseName } from './open-paths.js';
import type { Answer, DirentSink, EntryReply, RequestContext } from './operations.js';
import type { PathCall, PathServer } from './path-server.js';
import type { Place } from './path-walk.js';

/** Entries asked of the filesystem at a time. */
const ENTRIES_AT_ONCE = 1000;
const O_DIRECTORY = 0o200000;
const MAKING_MODE = 0o1777;
const S_IFMT = 0o170000;

type NameCalls = Pick<
  PathCalls,
  'readdir' | 'fsyncdir' | 'readlink' | 'mknod' | 'unlink' | 'rename' | 'link' | 'symlink' | 'mkdir' | 'rmdir'
>;

interface Entries {
  readonly names: string[];
  readonly stats: Array<{ mode: number; ino: number }>;
}

/**
 * Takes so many entries at a time and remembers where they end. They are asked for in full (plus), so that their types are
 * the true ones; libfuse 2 cannot hand the rest on.
 */
class EntrySink implements DirentSink {
  readonly plus = true;
  offset = 0;
  taken = 0;
  readonly entries: Entries = { names: [], stats: [] };
  /** Nodes that gained a lookup; counted only when readdir has answered, which may count them behind add. */
  readonly lookups: Array<readonly [name: string, nodeid: number]> = [];

  add(name: string, offset: number, ino: number, type: number, entry?: EntryReply): boolean {
    if (this.taken === ENTRIES_AT_ONCE) return false;
    this.taken += 1;
    if (entry !== undefined && entry.nodeid !== 0 && name !== '.' && name !== '..')
      this.lookups.push([name, entry.nodeid]);
    this.offset = offset;
    this.entries.names.push(name);
    this.entries.stats.push({ mode: type & S_IFMT, ino: foldedIno(ino) });
    return true;
  }
}

class NameWork {
  readonly #server: PathServer;

  constructor(server: PathServer) {
    this.#server = server;
  }

  /** Something new under a path. */
  async make(
    call: PathCall,
    path: string,
    work: (ctx: RequestContext, place: Place) => Answer<EntryReply>,
  ): Promise<number> {
    if (isLibfuseName(path)) return -errno.EPERM;
    const place = await call.named(path);
    if (typeof place === 'number') return place;
    if (place.nodeid !== -errno.ENOENT) return place.nodeid < 0 ? place.nodeid : -errno.EEXIST;
    const entry = await work(call, place);
    if (typeof entry === 'number') return entry;
    call.adopt(path, entry.nodeid);
    return 0;
  }

  /** A name goes, and with it what was held under it. */
  async #remove(call: PathCall, path: string, operation: 'unlink' | 'rmdir'): Promise<number> {
    const place = await call.named(path);
    if (typeof place === 'number') return place;
    if (place.nodeid < 0) return place.nodeid;
    const status = await this.#server.operations[operation](call, place.parent, place.name);
    if (status === 0) this.#server.lookups.drop(path);
    return status;
  }

  async unlink(call: PathCall, path: string): Promise<number> {
    const { opens } = this.#server;
    if (opens.isLastOfHidden(path)) return 0;
    const status = await this.#remove(call, path, 'unlink');
    if (status === 0) opens.detach(path);
    return status;
  }

  async rmdir(call: PathCall, path: string): Promise<number> {
    if (this.#server.opens.hidesBelow(path)) return -errno.ENOTEMPTY;
    return this.#remove(call, path, 'rmdir');
  }

  async rename(call: PathCall, path: string, newPath: string): Promise<number> {
    const { opens, operations, lookups } = this.#server;
    if (isLibfuseName(newPath)) return this.#hide(call, path, newPath);
    if (opens.hidesBelow(newPath)) return -errno.ENOTEMPTY;
    const from = await call.named(path);
    if (typeof from === 'number') return from;
    if (from.nodeid < 0) return from.nodeid;
    const to = await call.named(newPath);
    if (typeof to === 'number') return to;
    const status = await operations.rename(call, from.parent, from.name, to.parent, to.name, 0);
    if (status !== 0) return status;
    lookups.drop(path);
    lookups.drop(newPath);
    opens.renamed(path, newPath);
    return 0;
  }

  /** What libfuse means is: remove it, and let those who have it open go on. */
  async #hide(call: PathCall, path: string, hiddenPath: string): Promise<number> {
    const { opens } = this.#server;
    if (!isHiding(path, hiddenPath) || opens.nodeAt(path) === undefined) return -errno.EPERM;
    const status = await this.#remove(call, path, 'unlink');
    if (status === 0) opens.hide(path, hiddenPath);
    return status;
  }

  /** Opens a directory for as long as the work takes. */
  async #inDirectory<T>(
    call: PathCall,
    nodeid: number,
    work: (fh: number) => Promise<T | Failure>,
  ): Promise<T | Failure> {
    const { operations } = this.#server;
    const answer = await operations.opendir(call, nodeid, O_DIRECTORY);
    if (typeof answer === 'number') return answer;
    try {
      return await work(answer.fh);
    } finally {
      await operations.releasedir(nodeid, answer.fh);
    }
  }

  list(call: PathCall, path: string, nodeid: number): Promise<Entries | Failure> {
    const { lookups } = this.#server;
    const prefix = path === '/' ? '/' : `${path}/`;
    return this.#inDirectory(call, nodeid, async (fh) => {
      const sink = new EntrySink();
      do {
        sink.taken = 0;
        try {
          const status = await this.#server.operations.readdir(call, nodeid, fh, sink.offset, sink);
          if (status < 0) return status;
        } finally {
          for (const [name, child] of sink.lookups.splice(0)) {
            lookups.take(child);
            lookups.hold(prefix + name, child);
          }
        }
      } while (sink.taken > 0);
      return sink.entries;
    });
  }

  syncDirectory(call: PathCall, nodeid: number, dataOnly: boolean): Promise<number> {
    const { operations } = this.#server;
    return this.#inDirectory(call, nodeid, async (fh) => operations.fsyncdir(call, nodeid, fh, dataOnly));
  }

  /** The target, where a string can carry it. */
  async readlink(call: PathCall, nodeid: number): Promise<string | Failure> {
    const target = await this.#server.operations.readlink(call, nodeid);
    if (typeof target === 'number') return target;
    const bytes = Buffer.from(target.buffer, target.byteOffset, target.length);
    const text = decodeName(bytes);
    return /\p{Surrogate}/u.test(text) ? -errno.EILSEQ : text;
  }
}

export function nameCalls(server: PathServer): NameCalls {
  const { operations } = server;
  const names = new NameWork(server);
  const { mknod, link } = operations;
  return {
    readdir: (path, done) => {
      const work = (call: PathCall) => server.onNode(call, path, (nodeid) => names.list(call, path, nodeid));
      server.serve<Entries>('readdir', [path], work, (outcome) => {
        if (typeof outcome === 'number') done(outcome);
        else done(0, outcome.names, outcome.stats);
      });
    },
    fsyncdir: (path, dataOnly, _fh, done) => {
      const work = (call: PathCall) =>
        server.onNode(call, path, (nodeid) => names.syncDirectory(call, nodeid, dataOnly !== 0));
      server.serve('fsyncdir', [path], work, done);
    },
    readlink: (path, done) => {
      const work = (call: PathCall) => server.onNode<string>(call, path, (nodeid) => names.readlink(call, nodeid));
      server.serve<string>('readlink', [path], work, (outcome) => {
        if (typeof outcome === 'number') done(outcome);
        else done(0, outcome);
      });
    },
    unlink: (path, done) => {
      server.serve('unlink', [path], (call) => names.unlink(call, path), done);
    },
    rmdir: (path, done) => {
      server.serve('rmdir', [path], (call) => names.rmdir(call, path), done);
    },
    rename: (path, newPath, done) => {
      server.serve('rename', [path, newPath], (call) => names.rename(call, path, newPath), done);
    },
    mkdir: (path, mode, done) => {
      const work = (call: PathCall) =>
        names.make(call, path, (ctx, { parent, name }) => operations.mkdir(ctx, parent, name, mode & MAKING_MODE, 0));
      server.serve('mkdir', [path], work, done);
    },
    symlink: (target, path, done) => {
      const work = (call: PathCall) =>
        names.make(call, path, (ctx, { parent, name }) => operations.symlink(ctx, parent, name, encodeName(target)));
      server.serve('symlink', [target, path], work, done);
    },
    mknod:
      mknod &&
      ((path, mode, rdev, done) => {
        const making = mode & (S_IFMT | MAKING_MODE);
        const work = (call: PathCall) =>
          names.make(call, path, (ctx, { parent, name }) => mknod.call(operations, ctx, parent, name, making, rdev, 0));
        server.serve('mknod', [path], work, done);
      }),
    link:
      link &&
      ((path, newPath, done) => {
        const work = (call: PathCall) =>
          server.onNode(call, path, (nodeid) =>
            names.make(call, newPath, (ctx, { parent, name }) => link.call(operations, ctx, nodeid, parent, name)),
          );
        server.serve('link', [path, newPath], work, done);
      }),
  };
}
