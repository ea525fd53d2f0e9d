/**
 * One connection of the path driver: gives every call its context and its walk, answers it exactly once whatever the
 * filesystem does, keeps count of what is held, and gives everything back at the end.
 */
import type { Clock } from '../clock.js';
import { MAX_NAME_BYTES } from '../constants.js';
import { errno, type Failure } from '../errno.js';
import type { Logger } from '../log.js';
import { LARGEST_ERRNO } from './abi.js';
import { KernelHoldings } from './holdings.js';
import { type OpenNode, OpenPaths } from './open-paths.js';
import type { Answer, Operations, RequestContext } from './operations.js';
import { Lookups, type NamedPlace, Walk } from './path-walk.js';
import type { SessionStats } from './session.js';

/** What V8 makes of bytes that are not UTF-8. Which they were is lost, so such a name is nobody's. */
const LOST_BYTES = '\ufffd';

/** Why a path or another name cannot be served, or 0. The kernel lets through names that are longer than a name may be. */
function refusal(names: readonly string[]): Failure | 0 {
  for (const name of names) {
    if (name.includes(LOST_BYTES)) return -errno.EILSEQ;
    if (name.length * 3 <= MAX_NAME_BYTES || !name.startsWith('/')) continue;
    for (const part of name.split('/')) if (Buffer.byteLength(part) > MAX_NAME_BYTES) return -errno.ENAMETOOLONG;
  }
  return 0;
}

export interface PathServerOptions {
  readonly operations: Operations;
  readonly log: Logger;
  readonly clock: Clock;
  /** fuse-native does not tell who asks: everything is done in this name. */
  readonly uid: number;
  readonly gid: number;
}

/** One call of libfuse. */
export class PathCall implements RequestContext {
  readonly pid = 0;
  readonly #walk: Walk;
  #controller: AbortController | undefined;

  constructor(
    readonly unique: number,
    readonly uid: number,
    readonly gid: number,
    walk: Walk,
  ) {
    this.#walk = walk;
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    return this.#controller.signal;
  }

  node(path: string): Promise<number | Failure> {
    return this.#walk.node(this, path);
  }

  /** What the name means in the filesystem now; see Walk.named. */
  named(path: string): Promise<NamedPlace | Failure> {
    return this.#walk.named(this, path);
  }

  /** An entry that was made: its lookup is the call's. */
  adopt(path: string, nodeid: number): void {
    this.#walk.adopt(path, nodeid);
  }

  /** A lookup of the node, which this call has, outlives it: the caller gives it back. */
  keep(nodeid: number): void {
    this.#walk.keep(nodeid);
  }

  end(): void {
    this.#walk.end();
  }
}

export class PathServer {
  readonly operations: Operations;
  readonly log: Logger;
  readonly clock: Clock;
  readonly holdings = new KernelHoldings();
  readonly opens = new OpenPaths();
  readonly lookups: Lookups;
  readonly #options: PathServerOptions;
  #requests = 0;
  #pending = 0;
  #ended = false;

  constructor(options: PathServerOptions) {
    this.#options = options;
    this.operations = options.operations;
    this.log = options.log;
    this.clock = options.clock;
    this.lookups = new Lookups(options.operations, this.holdings);
  }

  stats(): SessionStats {
    return {
      requests: this.#requests,
      // Frames are libfuse's; none of them comes here.
      badFrames: 0,
      pending: this.#pending,
      nlookup: this.holdings.nlookup,
      nodes: this.holdings.nodes,
      openFiles: this.opens.size,
      openDirectories: 0,
      backings: 0,
    };
  }

  /**
   * Does the work of one call and tells its outcome: a negative errno, or the value.
   * @param names paths, link targets and names that came from the caller
   */
  serve<T>(
    what: string,
    names: readonly string[],
    work: (call: PathCall) => Answer<T>,
    tell: (outcome: T | Failure) => void,
  ): void {
    this.#requests += 1;
    if (this.#ended) {
      tell(-errno.ENODEV);
      return;
    }
    const refused = refusal(names);
    if (refused !== 0) {
      tell(refused);
      return;
    }
    this.#pending += 1;
    void this.#run(what, work).then((outcome) => {
      this.#pending -= 1;
      tell(outcome);
    });
  }

  async #run<T>(what: string, work: (call: PathCall) => Answer<T>): Promise<T | Failure> {
    const { uid, gid } = this.#options;
    const walk = new Walk(this.operations, this.lookups, (path) => this.opens.nodeAt(path)?.nodeid);
    const call = new PathCall(this.#requests, uid, gid, walk);
    try {
      const outcome = await work(call);
      if (typeof outcome !== 'number' || outcome >= -LARGEST_ERRNO) return outcome;
      this.log.error({ what, outcome }, 'an operation answered what is no errno');
    } catch (error) {
      this.log.error({ err: error, what }, 'an operation threw');
    } finally {
      call.end();
    }
    return -errno.EIO;
  }

  /** The node of a path, and what is done with it; where the node proves stale, once more with the one it is now. */
  async onNode<T>(call: PathCall, path: string, work: (nodeid: number) => Answer<T>): Promise<T | Failure> {
    for (let again = true; ; again = false) {
      const nodeid = await call.node(path);
      if (nodeid < 0) return nodeid;
      const outcome = await work(nodeid);
      if (outcome !== -errno.ESTALE || !again) return outcome;
    }
  }

  /**
   * The node that was just opened or made under a path. The kernel's inode of the path may have one node only: where
   * another one is open, there is no answer.
   */
  #nodeOpened(call: PathCall, path: string, nodeid: number): OpenNode | undefined {
    const open = this.opens.hold(path);
    if (open === undefined) {
      call.keep(nodeid);
      return this.opens.begin(path, nodeid);
    }
    if (open.nodeid === nodeid) return open;
    this.letGo(open);
    return undefined;
  }

  /** The number of a handle that the filesystem gave; -ESTALE, and the handle given back, where the path is open as another. */
  async opened(call: PathCall, path: string, nodeid: number, fh: number): Promise<number | Failure> {
    const node = this.#nodeOpened(call, path, nodeid);
    if (node === undefined) {
      await this.operations.release(nodeid, fh);
      return -errno.ESTALE;
    }
    const handle = this.opens.add(node, fh);
    this.letGo(node);
    return handle;
  }

  letGo(node: OpenNode): void {
    if (!this.opens.letGo(node)) return;
    if (node.path === undefined || node.hidden) this.lookups.give(node.nodeid);
    else this.lookups.hold(node.path, node.nodeid);
  }

  async release(handle: number): Promise<number> {
    const file = this.opens.get(handle);
    if (file === undefined) return -errno.EBADF;
    try {
      return await this.operations.release(file.node.nodeid, file.fh);
    } finally {
      this.opens.close(handle);
      this.letGo(file.node);
    }
  }

  /** libfuse has come to its end: nothing is under way any more. */
  async end(): Promise<void> {
    this.#ended = true;
    for (const handle of this.opens.all()) {
      await this.#attempt('release', () => this.release(handle));
    }
    this.lookups.clear();
    for (const { nodeid, nlookup } of this.holdings.drainNodes()) {
      await this.#attempt('forget', () => this.operations.forget(nodeid, nlookup));
    }
    await this.#attempt('destroy', () => this.operations.destroy?.());
  }

  async #attempt(what: string, run: () => unknown): Promise<void> {
    try {
      await run();
    } catch (error) {
      this.log.error({ err: error }, `${what} failed, and nobody waits for it`);
    }
  }
}
