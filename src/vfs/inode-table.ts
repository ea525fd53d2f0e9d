/**
 * All inodes that the kernel, a handle or unsaved data refers to. Node ids count up and are never used twice while
 * mounted; st_ino is kept apart from them: it follows from the key an object had when it was first seen (inode-log.ts), so
 * that it goes along with a rename, and is the same after a remount.
 */
import { hash, randomUUID } from 'node:crypto';
import { errno } from '../errno.js';
import { ROOT_NODEID } from '../fuse/operations.js';
import { Inode, type InodeAttributes } from './inode.js';
import type { InodeLog } from './inode-log.js';
import { FsError } from './to-errno.js';

export class InodeTable {
  readonly root: Inode;
  readonly #byId = new Map<number, Inode>();
  readonly #log: InodeLog;
  #next = ROOT_NODEID + 1;
  /** Whether something that waits for the store has left a name in a directory; write-back sets it. */
  isNamed: (directory: Inode) => boolean = () => false;

  constructor(root: InodeAttributes, now: number, log: InodeLog) {
    this.#log = log;
    this.root = new Inode(ROOT_NODEID, ROOT_NODEID, undefined, '', root, now);
    this.root.nlookup = 1;
    this.#byId.set(ROOT_NODEID, this.root);
  }

  get size(): number {
    return this.#byId.size;
  }

  /** Sum of the kernel's references, the root's own not counted. */
  get lookups(): number {
    let sum = 0;
    for (const inode of this.#byId.values()) sum += inode.nlookup;
    return sum - this.root.nlookup;
  }

  values(): IterableIterator<Inode> {
    return this.#byId.values();
  }

  get(nodeid: number): Inode {
    const inode = this.#byId.get(nodeid);
    if (inode === undefined) throw new FsError(errno.ESTALE, `no node ${nodeid}`);
    return inode;
  }

  /** The inode of a directory, or ENOTDIR. */
  directory(nodeid: number): Inode & { readonly directory: NonNullable<Inode['directory']> } {
    const inode = this.get(nodeid);
    if (inode.directory === undefined) throw new FsError(errno.ENOTDIR, inode.path);
    return inode as Inode & { readonly directory: NonNullable<Inode['directory']> };
  }

  /** Makes an inode and gives it its name. `key` is the one its st_ino follows from. */
  add(parent: Inode, name: string, key: string, attributes: InodeAttributes, now: number, ino?: number): Inode {
    const inode = new Inode(this.#next++, ino ?? this.#inoOf(key), parent, name, attributes, now);
    this.#byId.set(inode.nodeid, inode);
    parent.directory?.children.set(name, inode);
    return inode;
  }

  /** Makes an inode without a name; `name` gives it its first. */
  addUnnamed(attributes: InodeAttributes, now: number): Inode {
    const origin = `\0${randomUUID()}`;
    const inode = new Inode(this.#next++, this.#inoOf(origin), undefined, '', attributes, now);
    inode.unnamedOrigin = origin;
    inode.orphanKey = '';
    this.#byId.set(inode.nodeid, inode);
    return inode;
  }

  /** Gives an inode without a name its first, which stands for `key`. */
  name(inode: Inode, parent: Inode, name: string, key: string): void {
    if (inode.unnamedOrigin === undefined) throw new Error('it has had a name');
    this.#log.renamed(inode.unnamedOrigin, key);
    inode.parent = parent;
    inode.name = name;
    inode.unnamedOrigin = undefined;
    inode.orphanKey = undefined;
    parent.directory?.children.set(name, inode);
  }

  /** Takes the first name back: it could not be given. `origin` as it was before. */
  unname(inode: Inode, key: string, origin: string | undefined): void {
    this.#log.removed(key, true);
    this.detach(inode, '');
    inode.orphanOf = undefined;
    inode.unnamedOrigin = origin;
  }

  #inoOf(key: string): number {
    const digest = hash('sha1', this.#log.originOf(key));
    return Math.max(Number.parseInt(digest.slice(0, 12) + digest[13], 16), ROOT_NODEID + 1);
  }

  /**
   * Puts an inode that was dropped back into the table, under the name it had: its directory still knows it. Answers the
   * one that has the name: another, if the name was looked up anew since.
   */
  revive(inode: Inode): Inode {
    if (this.#byId.has(inode.nodeid)) return inode;
    const children = inode.parent?.directory?.children;
    const other = children?.get(inode.name);
    if (other !== undefined && this.#byId.has(other.nodeid)) return other;
    this.#byId.set(inode.nodeid, inode);
    children?.set(inode.name, inode);
    return inode;
  }

  /** Takes the name away; the inode lives on for those who hold it. */
  detach(inode: Inode, key: string): void {
    const { parent } = inode;
    if (parent === undefined) return;
    if (parent.directory?.children.get(inode.name) === inode) parent.directory.children.delete(inode.name);
    inode.parent = undefined;
    inode.orphanKey = key;
    inode.orphanOf = parent;
    this.dropIfUnused(parent);
    this.dropIfUnused(inode);
  }

  /** Gives an inode another name. `keys`: those that the two names stand for. */
  move(inode: Inode, parent: Inode, name: string, keys: { readonly from: string; readonly to: string }): void {
    const from = inode.parent;
    if (from?.directory?.children.get(inode.name) === inode) from.directory.children.delete(inode.name);
    inode.parent = parent;
    inode.name = name;
    parent.directory?.children.set(name, inode);
    this.#log.renamed(keys.from, keys.to);
    if (from !== undefined && from !== parent) this.dropIfUnused(from);
  }

  /** Two inodes change names. `keys`: those that the names of each stood for, and stand for then. */
  exchange(
    a: Inode,
    b: Inode,
    keys: Readonly<Record<'a' | 'b', { readonly from: string; readonly to: string }>>,
  ): void {
    const { parent, name } = a;
    if (parent === undefined || b.parent === undefined) throw new Error('one of them has no name');
    a.parent = b.parent;
    a.name = b.name;
    b.parent = parent;
    b.name = name;
    a.parent.directory?.children.set(a.name, a);
    b.parent.directory?.children.set(b.name, b);
    // By way of a key that no object has.
    const between = `\0${randomUUID()}${keys.a.from.endsWith('/') ? '/' : ''}`;
    this.#log.renamed(keys.a.from, between);
    this.#log.renamed(keys.b.from, keys.b.to);
    this.#log.renamed(between, keys.a.to);
  }

  /** The file of a key is no more; `inode` may live on for those who hold it. */
  removed(inode: Inode, key: string): void {
    this.#log.removed(key, inode.handles > 0);
  }

  forget(nodeid: number, nlookup: number): void {
    const inode = this.#byId.get(nodeid);
    if (inode === undefined) return;
    inode.nlookup = Math.max(0, inode.nlookup - nlookup);
    this.dropIfUnused(inode);
  }

  /** Removes an inode that nobody refers to: no kernel reference, handle, child or unsaved data. */
  dropIfUnused(inode: Inode): void {
    for (let at: Inode | undefined = inode; at !== undefined && at !== this.root; ) {
      if (at.nlookup > 0 || at.handles > 0 || at.dirty || at.journalId !== undefined || at.mutex.busy) return;
      const { directory } = at;
      if (directory !== undefined && (directory.children.size > 0 || directory.overlay.hasUnconfirmed)) return;
      if (directory !== undefined && this.isNamed(at)) return;
      this.#byId.delete(at.nodeid);
      const parent: Inode | undefined = at.parent;
      if (parent?.directory?.children.get(at.name) === at) parent.directory.children.delete(at.name);
      at = parent;
    }
  }
}
