/**
 * All inodes that the kernel, a handle or unsaved data refers to. Node ids count up and are never used twice while
 * mounted; st_ino is kept apart from them: it follows from the key an object had when it was first seen, so that it is the
 * same after a remount, and goes along with a rename.
 */
import { createHash } from 'node:crypto';
import { errno } from '../errno.js';
import { ROOT_NODEID } from '../fuse/operations.js';
import { Inode, type InodeAttributes } from './inode.js';
import { FsError } from './to-errno.js';

export class InodeTable {
  readonly root: Inode;
  readonly #byId = new Map<number, Inode>();
  /** st_ino values of inodes whose name is no longer the one they follow from. */
  readonly #moved = new Set<number>();
  #next = ROOT_NODEID + 1;

  constructor(root: InodeAttributes, now: number) {
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

  #inoOf(key: string): number {
    for (let round = 0; ; round++) {
      const digest = createHash('sha1')
        .update(round === 0 ? key : `${key}\0${round}`)
        .digest();
      const ino = digest.readUIntBE(0, 6) * 16 + (digest[6] & 15);
      if (ino > ROOT_NODEID && !this.#moved.has(ino)) return ino;
    }
  }

  /** Puts an inode that was dropped back into the table, under the name it had: its directory still knows it. */
  revive(inode: Inode): void {
    if (this.#byId.has(inode.nodeid)) return;
    this.#byId.set(inode.nodeid, inode);
    inode.parent?.directory?.children.set(inode.name, inode);
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

  /** Gives an inode another name. */
  move(inode: Inode, parent: Inode, name: string): void {
    const from = inode.parent;
    if (from?.directory?.children.get(inode.name) === inode) from.directory.children.delete(inode.name);
    inode.parent = parent;
    inode.name = name;
    parent.directory?.children.set(name, inode);
    this.#moved.add(inode.ino);
    if (from !== undefined && from !== parent) this.dropIfUnused(from);
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
      if (at.nlookup > 0 || at.handles > 0 || at.dirty || at.mutex.busy) return;
      const { directory } = at;
      if (directory !== undefined && (directory.children.size > 0 || hasUnconfirmed(directory.overlay.entries())))
        return;
      this.#byId.delete(at.nodeid);
      const parent: Inode | undefined = at.parent;
      if (parent?.directory?.children.get(at.name) === at) parent.directory.children.delete(at.name);
      at = parent;
    }
  }
}

function hasUnconfirmed(records: Iterable<[string, { readonly confirmedAt: number | undefined }]>): boolean {
  for (const [, record] of records) if (record.confirmedAt === undefined) return true;
  return false;
}
