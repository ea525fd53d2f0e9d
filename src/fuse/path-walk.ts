/**
 * From paths to nodes. A path is looked up name by name for every call, so that it always means what the filesystem says
 * it means now; every lookup that this takes is counted, and given back when the call is over. The last nodes of many
 * paths are held a little longer, as the kernel would, because a node that nobody holds loses what is kept with it.
 */
import { errno, type Failure } from '../errno.js';
import type { KernelHoldings } from './holdings.js';
import { type Operations, type RequestContext, ROOT_NODEID } from './operations.js';

/** Nodes that are held though no call uses them. */
const MOST_HELD = 10_000;

/** Lookups, counted: what comes in through take goes out through give, or stays with the paths that are held. */
export class Lookups {
  readonly #operations: Operations;
  readonly #holdings: KernelHoldings;
  readonly #most: number;
  /** One lookup each; the path used last comes last. */
  readonly #held = new Map<string, number>();

  constructor(operations: Operations, holdings: KernelHoldings, most = MOST_HELD) {
    this.#operations = operations;
    this.#holdings = holdings;
    this.#most = most;
  }

  /** The filesystem counted one more. */
  take(nodeid: number): void {
    this.#holdings.lookedUp(nodeid);
  }

  give(nodeid: number): void {
    const count = this.#holdings.forget(nodeid, 1);
    if (count > 0) this.#operations.forget(nodeid, count);
  }

  /** Takes over the caller's lookup of the node. */
  hold(path: string, nodeid: number): void {
    this.drop(path);
    this.#held.set(path, nodeid);
    if (this.#held.size <= this.#most) return;
    const [oldest] = this.#held.keys();
    this.drop(oldest);
  }

  /** The path's name is gone, or means another node. */
  drop(path: string): void {
    const nodeid = this.#held.get(path);
    if (nodeid === undefined) return;
    this.#held.delete(path);
    this.give(nodeid);
  }

  clear(): void {
    for (const path of [...this.#held.keys()]) this.drop(path);
  }
}

/** Where a name is, or is to be. */
export interface Place {
  readonly parent: number;
  readonly name: string;
}

/** A place, and the node there, or why there is none. */
export interface NamedPlace extends Place {
  readonly nodeid: number | Failure;
}

export function parentPath(path: string): string {
  return path.slice(0, path.lastIndexOf('/')) || '/';
}

export function baseName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

/** The lookups of one call. */
export class Walk {
  readonly #operations: Operations;
  readonly #lookups: Lookups;
  readonly #pinned: (path: string) => number | undefined;
  readonly #taken: Array<readonly [path: string, nodeid: number]> = [];

  /** @param pinned what a path means as long as it is open */
  constructor(operations: Operations, lookups: Lookups, pinned: (path: string) => number | undefined) {
    this.#operations = operations;
    this.#lookups = lookups;
    this.#pinned = pinned;
  }

  /** The path's node, or why there is none. */
  async node(ctx: RequestContext, path: string): Promise<number | Failure> {
    let nodeid: number = ROOT_NODEID;
    let end = 0;
    while (end < path.length - 1) {
      const next = path.indexOf('/', end + 1);
      const name = path.slice(end + 1, next < 0 ? path.length : next);
      end = next < 0 ? path.length : next;
      nodeid = await this.#step(ctx, nodeid, name, path.slice(0, end));
      if (nodeid < 0) return nodeid;
    }
    return nodeid;
  }

  async #step(ctx: RequestContext, parent: number, name: string, path: string): Promise<number | Failure> {
    return this.#pinned(path) ?? this.#look(ctx, parent, name, path);
  }

  async #look(ctx: RequestContext, parent: number, name: string, path: string): Promise<number | Failure> {
    const answer = this.#operations.lookup(ctx, parent, name);
    const entry = answer instanceof Promise ? await answer : answer;
    if (typeof entry === 'number') return entry;
    if (entry.nodeid === 0) return -errno.ENOENT;
    this.adopt(path, entry.nodeid);
    return entry.nodeid;
  }

  /** The directory in which the path's last name is. */
  async place(ctx: RequestContext, path: string): Promise<Place | Failure> {
    const parent = await this.node(ctx, parentPath(path));
    return parent < 0 ? parent : { parent, name: baseName(path) };
  }

  /**
   * The node that the name means in the filesystem now, though the path may be open as another. What is done with a name
   * (removing, renaming, making it) is done with that one, and needs its lookup, as the kernel has it.
   */
  async named(ctx: RequestContext, path: string): Promise<NamedPlace | Failure> {
    const place = await this.place(ctx, path);
    if (typeof place === 'number') return place;
    const nodeid = await this.#look(ctx, place.parent, place.name, path);
    return { ...place, nodeid };
  }

  /** An answer brought a lookup of the path's node. */
  adopt(path: string, nodeid: number): void {
    this.#lookups.take(nodeid);
    this.#taken.push([path, nodeid]);
  }

  keep(nodeid: number): void {
    const at = this.#taken.findIndex(([, taken]) => taken === nodeid);
    if (at < 0) throw new Error(`no lookup of node ${nodeid} to keep`);
    this.#taken.splice(at, 1);
  }

  /** The call is over. */
  end(): void {
    for (const [path, nodeid] of this.#taken.splice(0)) this.#lookups.hold(path, nodeid);
  }
}
