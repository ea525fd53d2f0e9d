/**
 * What the kernel holds on to: lookup counts of nodes, open handles, and backing files. Kept exactly, because at the end
 * of a mount the kernel says nothing more, and every node and handle it still had must be given back to the filesystem.
 */
import { errno } from '../errno.js';
import { type BackingFiles, ROOT_NODEID } from './operations.js';

/** Open handles of one kind. The same number may be open several times (a filesystem may use one for all). */
class OpenHandles {
  readonly #nodes = new Map<number, number | number[]>();
  size = 0;

  add(fh: number, nodeid: number): void {
    const before = this.#nodes.get(fh);
    if (before === undefined) this.#nodes.set(fh, nodeid);
    else if (typeof before === 'number') this.#nodes.set(fh, [before, nodeid]);
    else before.push(nodeid);
    this.size += 1;
  }

  /** False when the handle was not open for that node. */
  remove(fh: number, nodeid: number): boolean {
    const nodes = this.#nodes.get(fh);
    if (nodes === nodeid) {
      this.#nodes.delete(fh);
    } else {
      const at = Array.isArray(nodes) ? nodes.indexOf(nodeid) : -1;
      if (at < 0) return false;
      (nodes as number[]).splice(at, 1);
      if ((nodes as number[]).length === 0) this.#nodes.delete(fh);
    }
    this.size -= 1;
    return true;
  }

  /** All of them, and none are left. */
  drain(): { fh: number; nodeid: number }[] {
    const all = [...this.#nodes].flatMap(([fh, nodes]) => [nodes].flat().map((nodeid) => ({ fh, nodeid })));
    this.#nodes.clear();
    this.size = 0;
    return all;
  }
}

/** What registers backing files with the kernel; all answer a negative errno where it refuses. */
export interface BackingCalls {
  open(fd: number): number;
  close(id: number): number;
  /** 1: nobody else has the file of this descriptor open. */
  onlyOpener(fd: number): number;
}

/** Backing ids belong to the connection: after its end there is nothing to close, and nobody to ask. */
class OpenBackings implements BackingFiles {
  readonly #open = new Set<number>();
  readonly #calls: BackingCalls | undefined;
  #ended = false;

  constructor(calls: BackingCalls | undefined) {
    this.#calls = calls;
  }

  get size(): number {
    return this.#open.size;
  }

  open(fd: number): number {
    const id = this.#calls === undefined || this.#ended ? -errno.ENODEV : this.#calls.open(fd);
    if (id >= 0) this.#open.add(id);
    return id;
  }

  close(id: number): void {
    if (this.#open.delete(id) && !this.#ended) this.#calls?.close(id);
  }

  isInUse(fd: number): boolean {
    return this.#calls?.onlyOpener(fd) !== 1;
  }

  /** The connection ends: what is still open goes with it. */
  end(): void {
    this.#ended = true;
  }
}

export class KernelHoldings {
  readonly files = new OpenHandles();
  readonly directories = new OpenHandles();
  readonly backings: OpenBackings;
  readonly #lookups = new Map<number, number>();
  /** The sum of all lookup counts. */
  nlookup = 0;

  constructor(backingCalls?: BackingCalls) {
    this.backings = new OpenBackings(backingCalls);
  }

  get nodes(): number {
    return this.#lookups.size;
  }

  /** An entry reached the kernel. The root has no count: the kernel has it from the start and never forgets it. */
  lookedUp(nodeid: number): void {
    if (nodeid === ROOT_NODEID || nodeid === 0) return;
    this.#lookups.set(nodeid, (this.#lookups.get(nodeid) ?? 0) + 1);
    this.nlookup += 1;
  }

  /** The kernel forgets; answers by how much the count really went down (less than asked only for a confused kernel). */
  forget(nodeid: number, nlookup: number): number {
    const count = this.#lookups.get(nodeid);
    if (count === undefined) return 0;
    const taken = Math.min(count, nlookup);
    if (taken === count) this.#lookups.delete(nodeid);
    else this.#lookups.set(nodeid, count - taken);
    this.nlookup -= taken;
    return taken;
  }

  /** All nodes with their counts, and none are left. */
  drainNodes(): { nodeid: number; nlookup: number }[] {
    const all = [...this.#lookups].map(([nodeid, nlookup]) => ({ nodeid, nlookup }));
    this.#lookups.clear();
    this.nlookup = 0;
    return all;
  }
}
