/**
 * What lies elsewhere in the store than its name says: files by the key where their object still lies, directories by the
 * prefix of their keys. It decides what has to be brought over before what, so that nothing is written where something
 * else still lies.
 */
import type { Inode } from '../inode.js';
import { homeKeyOf, type Volume } from '../volume.js';

export class Places {
  readonly #volume: Volume;
  readonly #isBeingRemoved: (key: string) => boolean;
  readonly #isRemoving: () => boolean;
  /** By the key where their object lies while their name says another. */
  readonly #movedFrom = new Map<string, Inode>();
  /** Directories whose keys do not lie where their name says. */
  readonly #redirected = new Set<Inode>();
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

  /** An inode does not lie there any more. */
  left(inode: Inode): void {
    const { storedKey } = inode;
    if (storedKey !== undefined && this.#movedFrom.get(storedKey) === inode) this.#movedFrom.delete(storedKey);
    this.#redirected.delete(inode);
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
    if (moving === undefined) return false;
    return key.startsWith(moving.directory?.storedPrefix ?? '\0') || key.startsWith(homeKeyOf(this.#volume, moving));
  }

  /** Whether a prefix is where keys of a renamed directory still lie. */
  redirectOver(prefix: string, but: Inode): Inode | undefined {
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

  /** Resolves when the move under way has ended. */
  moved(): Promise<void> {
    return new Promise((resolve) => this.#onMoved.push(resolve));
  }

  /** Another directory whose keys lie there. */
  otherRedirect(inode: Inode, key: string): Inode | undefined {
    for (const other of this.#redirected)
      if (other !== inode && key.startsWith(other.directory?.storedPrefix ?? '\0')) return other;
    return undefined;
  }
}
