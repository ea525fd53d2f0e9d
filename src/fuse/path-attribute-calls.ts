/** Attributes, extended attributes and statfs, as libfuse's path interface asks for them. */
import { timespecFromMs } from '../clock.js';
import type { Failure } from '../errno.js';
import type { PathCalls } from './fuse-native-package.js';
import { statfsNumbers, statNumbers } from './libfuse-stat.js';
import { encodeName } from './name.js';
import { type AttributeChange, ROOT_NODEID } from './operations.js';
import type { PathCall, PathServer } from './path-server.js';

/** (uid_t) -1 and (gid_t) -1: leave it as it is. */
const UNCHANGED = 0xffff_ffff;
/** An access time that is at most this far from the clock was asked for as "now" (ms). */
const NOW_MS = 2_000;

type AttributeCalls = Pick<
  PathCalls,
  | 'getattr'
  | 'fgetattr'
  | 'access'
  | 'statfs'
  | 'chmod'
  | 'chown'
  | 'utimens'
  | 'setxattr'
  | 'getxattr'
  | 'listxattr'
  | 'removexattr'
>;

function unlessUnchanged(id: number): number | undefined {
  return id >>> 0 === UNCHANGED ? undefined : id;
}

/**
 * Of the two times only the access time comes through. Where that is now, touch(1) is the likely reason, and both are set
 * to now; else the modification time stays as it is, rather than become the wrong one.
 */
export function timesOf(atimeMs: number, nowMs: number): Pick<AttributeChange, 'atime' | 'mtime'> {
  if (Math.abs(nowMs - atimeMs) <= NOW_MS) return { atime: 'now', mtime: 'now' };
  // Before 1970, what comes through is not exact.
  return atimeMs > Number.MAX_SAFE_INTEGER ? {} : { atime: timespecFromMs(atimeMs) };
}

class AttributeWork {
  readonly #server: PathServer;

  constructor(server: PathServer) {
    this.#server = server;
  }

  async getattr(call: PathCall, nodeid: number, fh?: number): Promise<Uint32Array | Failure> {
    const answer = await this.#server.operations.getattr(call, nodeid, fh);
    return typeof answer === 'number' ? answer : statNumbers(answer.attributes);
  }

  change(call: PathCall, path: string, change: Omit<AttributeChange, 'killSuidgid'>): Promise<number> {
    return this.#server.onNode(call, path, async (nodeid) => {
      const answer = await this.#server.operations.setattr(call, nodeid, { ...change, killSuidgid: false });
      return typeof answer === 'number' ? answer : 0;
    });
  }

  /** Names with a NUL behind each. */
  async listxattr(call: PathCall, nodeid: number): Promise<Uint8Array | Failure> {
    const names = await this.#server.operations.listxattr(call, nodeid);
    if (typeof names === 'number') return names;
    return Buffer.concat(names.flatMap((name) => [encodeName(name), Buffer.of(0)]));
  }
}

/** The negative errno, or the value behind a 0. */
function telling<T extends object>(done: (result: number, value?: T) => void) {
  return (outcome: T | Failure): void => {
    if (typeof outcome === 'number') done(outcome);
    else done(0, outcome);
  };
}

export function attributeCalls(server: PathServer): AttributeCalls {
  const { operations, opens } = server;
  const attributes = new AttributeWork(server);
  return {
    getattr: (path, fh, done) => {
      const file = fh === undefined ? undefined : opens.get(fh);
      const work = (call: PathCall) =>
        file === undefined
          ? server.onNode<Uint32Array>(call, path, (nodeid) => attributes.getattr(call, nodeid))
          : attributes.getattr(call, file.node.nodeid, file.fh);
      server.serve<Uint32Array>('getattr', file === undefined ? [path] : [], work, telling(done));
    },
    // Goes through getattr with its handle; that it is asked for says this.
    fgetattr: true,
    access: (path, mask, done) => {
      const work = (call: PathCall) =>
        server.onNode<number>(call, path, (nodeid) => operations.access(call, nodeid, mask));
      server.serve('access', [path], work, done);
    },
    statfs: (_path, done) => {
      server.serve(
        'statfs',
        [],
        async (call) => {
          const answer = await operations.statfs(call, ROOT_NODEID);
          return typeof answer === 'number' ? answer : statfsNumbers(answer);
        },
        telling(done),
      );
    },
    chmod: (path, mode, done) => {
      server.serve('chmod', [path], (call) => attributes.change(call, path, { mode }), done);
    },
    chown: (path, uid, gid, done) => {
      const change = { uid: unlessUnchanged(uid), gid: unlessUnchanged(gid) };
      server.serve('chown', [path], (call) => attributes.change(call, path, change), done);
    },
    utimens: (path, atimeMs, _again, done) => {
      const change = timesOf(atimeMs, server.clock.now());
      server.serve('utimens', [path], (call) => attributes.change(call, path, change), done);
    },
    setxattr: (path, name, value, _position, flags, done) => {
      const work = (call: PathCall) =>
        server.onNode<number>(call, path, (nodeid) => operations.setxattr(call, nodeid, name, value, flags));
      server.serve('setxattr', [path, name], work, done);
    },
    getxattr: (path, name, done) => {
      const work = (call: PathCall) =>
        server.onNode<Uint8Array>(call, path, (nodeid) => operations.getxattr(call, nodeid, name));
      server.serve<Uint8Array>('getxattr', [path, name], work, telling(done));
    },
    listxattr: (path, done) => {
      const work = (call: PathCall) =>
        server.onNode<Uint8Array>(call, path, (nodeid) => attributes.listxattr(call, nodeid));
      server.serve<Uint8Array>('listxattr', [path], work, telling(done));
    },
    removexattr: (path, name, done) => {
      const work = (call: PathCall) =>
        server.onNode<number>(call, path, (nodeid) => operations.removexattr(call, nodeid, name));
      server.serve('removexattr', [path, name], work, done);
    },
  };
}
