/**
 * What lies elsewhere in the store than its name says: files by the key where their object still lies, directories by the
 * prefix of their keys. It decides what has to be brought over before what, so that nothing is written where something
 * else still lies.
 */
import type { Inode } from '../inode.js';
import { homeKeyOf, prefixOf, type Volume } from '../volume.js';

export class Places {
  readonly #volume: Volume;
  readonly #isBeingRemoved: (key: string) => boolean;
  readonly #isRemoving: () => boolean;
  /** By the key where their object lies while their name says another. */
  readonly #movedFrom = new Map<string, Inode>();
  /** Directories whose keys do not lie where their name says. */
  readonly #redirected = new Set<Inode>();
  /** Keys that are being written, and when that ends. */
  readonly #claims = new Map<string, Promise<void>>();
  /** Counts what left its place. */
  version = 0;
  #moving: Inode | undefined;
  #onMoved: Array<() => void> = [];

  constructor(volume: Volume, isBeingRemoved: (key: string) => boolean, isRemoving: () => boolean) {
    this.#volume = volume;
    this.#isBeingRemoved = isBeingRemoved;
    this.#isRemoving = isRemoving;
  }

  /** Remembers where an inode lies, if that is not where its name says. */
  note(inode: Inode): void {
    if (inode.storedKey !== undefined) this.#movedFrom.set(inode.storedKey, inode);
    if (inode.directory?.storedPrefix !== undefined) this.#redirected.add(inode);
  }

  /** Runs what writes a key, one at a time for each key. */
  async claiming<T>(key: string, work: () => Promise<T>): Promise<T> {
    for (let held = this.#claims.get(key); held !== undefined; held = this.#claims.get(key)) await held;
    let end = (): void => undefined;
    this.#claims.set(
      key,
      new Promise((resolve) => {
        end = resolve;
      }),
    );
    try {
      return await work();
    } finally {
      this.#claims.delete(key);
      end();
    }
  }

  isClaimed(key: string): boolean {
    return this.#claims.has(key);
  }

  /** Resolves when nothing below a prefix is being written. */
  async unclaimedBelow(prefix: string): Promise<void> {
    for (;;) {
      const held = [...this.#claims].find(([key]) => key.startsWith(prefix));
      if (held === undefined) return;
      await held[1];
    }
  }

  /** A directory at or above an inode whose keys lie elsewhere than its name says. */
  redirectAbove(inode: Inode): Inode | undefined {
    for (let at: Inode | undefined = inode; at !== undefined; at = at.parent)
      if (at.directory?.storedPrefix !== undefined) return at;
    return undefined;
  }

  /** An inode does not lie there any more. */
  left(inode: Inode): void {
    const { storedKey } = inode;
    const wasElsewhere = storedKey !== undefined && this.#movedFrom.get(storedKey) === inode;
    if (wasElsewhere) this.#movedFrom.delete(storedKey);
    if (this.#redirected.delete(inode) || wasElsewhere) this.version++;
  }

  /** Inodes that have to be brought over before this one. */
  blockersOf(inode: Inode): Inode[] {
    const blockers: Inode[] = [];
    for (let at = inode.parent; at !== undefined; at = at.parent)
      if (at.directory?.storedPrefix !== undefined) blockers.push(at);
    if (blockers.length > 0 || inode.parent === undefined) return blockers;
    const home = homeKeyOf(this.#volume, inode);
    const isMove = inode.directory?.storedPrefix !== undefined;
    const before = this.#movedFrom.get(home);
    if (before !== undefined && before !== inode) blockers.push(before);
    for (const other of this.#redirected) {
      const prefix = other.directory?.storedPrefix ?? '';
      if (other !== inode && (home.startsWith(prefix) || (isMove && prefix.startsWith(home)))) blockers.push(other);
    }
    if (isMove) for (const [key, other] of this.#movedFrom) if (key.startsWith(home)) blockers.push(other);
    if (isMove ? this.#isRemoving() : this.#isBeingRemoved(home)) blockers.push(inode);
    return blockers;
  }

  /** Keys of a directory are being moved there, or from there. */
  isMoving(key: string): boolean {
    const { moving } = this;
    // What was begun to be copied must not lose its old key unseen.
    for (const { directory } of this.#redirected)
      if (directory?.movingTo !== undefined && key.startsWith(directory.storedPrefix ?? '\0')) return true;
    if (moving === undefined) return false;
    return key.startsWith(moving.directory?.storedPrefix ?? '\0') || key.startsWith(homeKeyOf(this.#volume, moving));
  }

  /** Whether a prefix is where keys of a renamed directory still lie. */
  redirectOver(prefix: string, but?: Inode): Inode | undefined {
    for (const inode of this.#redirected) {
      const stored = inode.directory?.storedPrefix ?? '';
      if (inode === but) continue;
      if (prefix.startsWith(stored) || stored.startsWith(prefix)) return inode;
    }
    return undefined;
  }

  /** An object that was renamed away from this key and still lies there. */
  movedFrom(key: string): Inode | undefined {
    return this.#movedFrom.get(key);
  }

  /** An inode lies where its name says. */
  arrived(inode: Inode): void {
    this.left(inode);
    inode.storedKey = undefined;
  }

  /** The directory whose keys are being moved. */
  get moving(): Inode | undefined {
    return this.#moving;
  }

  set moving(inode: Inode | undefined) {
    this.#moving = inode;
    if (inode === undefined) for (const resolve of this.#onMoved.splice(0)) resolve();
  }

  /** Files that were renamed away from below a prefix and still lie there, by their key. */
  *movedFromBelow(prefix: string): Generator<[string, Inode]> {
    for (const entry of this.#movedFrom) if (entry[0].startsWith(prefix)) yield entry;
  }

  /** Resolves when the move under way has ended. */
  moved(): Promise<void> {
    return new Promise((resolve) => this.#onMoved.push(resolve));
  }

  /**
   * Whether keys of another directory still lie where those of this one would: nothing of it is in the store, and what a
   * look there shows is not its own.
   */
  isShadowed(directory: Inode): boolean {
    if (this.#redirected.size === 0) return false;
    const prefix = prefixOf(this.#volume, directory);
    const above = new Set<Inode>();
    let owner: Inode | undefined;
    for (let at: Inode | undefined = directory; at !== undefined; at = at.parent) {
      above.add(at);
      if (owner === undefined && at.directory?.storedPrefix !== undefined) owner = at;
    }
    const own = owner?.directory?.storedPrefix ?? '';
    for (const other of this.#redirected) {
      const stored = other.directory?.storedPrefix ?? '\0';
      if (!above.has(other) && stored.length > own.length && prefix.startsWith(stored)) return true;
    }
    return false;
  }

  /** Whether a key below a prefix lies there only until it is moved to where its name says. */
  isMovedAway(prefix: string, key: string): boolean {
    if (this.#movedFrom.has(key)) return true;
    for (const stored of this.#elsewhere()) if (stored.startsWith(prefix) && key.startsWith(stored)) return true;
    return false;
  }

  /** Prefixes at which keys lie, or are being copied to, that no name stands for. */
  *#elsewhere(): Generator<string> {
    for (const inode of this.#redirected) {
      const { storedPrefix, movingTo } = inode.directory ?? {};
      if (storedPrefix !== undefined) yield storedPrefix;
      if (movingTo !== undefined && movingTo !== homeKeyOf(this.#volume, inode)) yield movingTo;
    }
  }

  /** How many files and directories lie below a prefix like that. */
  movedAwayBelow(prefix: string): number {
    let count = 0;
    for (const key of this.#movedFrom.keys()) if (key.startsWith(prefix)) count++;
    for (const stored of this.#elsewhere()) if (stored.startsWith(prefix)) count++;
    return count;
  }

  /** A directory that was moved out of another, and whose key this is among those of the other. */
  movedOut(of: Inode, key: string): Inode | undefined {
    const own = of.directory?.storedPrefix ?? '';
    for (const other of this.#redirected) {
      const stored = other.directory?.storedPrefix ?? '\0';
      if (other !== of && stored.length > own.length && key.startsWith(stored)) return other;
    }
    return undefined;
  }
}
