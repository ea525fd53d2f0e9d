/** The directories whose names something that waits has left: found again by their inode, which has to stay as long. */
import type { Inode, LeftName } from '../inode.js';
import type { WriteBack } from './write-back.js';

export class LeftDirectories {
  readonly #writeBack: WriteBack;
  readonly #directories = new Set<Inode>();
  /** Of the journal, when they were looked for: what changes names changes the journal. */
  #sequence = -1;

  constructor(writeBack: WriteBack) {
    this.#writeBack = writeBack;
  }

  has(directory: Inode): boolean {
    const { journal, queue, removals } = this.#writeBack;
    if (this.#sequence !== journal.sequence) {
      this.#sequence = journal.sequence;
      this.#directories.clear();
      for (const { leftNames } of queue.items()) this.#add(leftNames);
      for (const { names } of removals.values()) this.#add(names);
    }
    if (!this.#directories.has(directory)) return false;
    // That was at the last change of the journal: the last of them may have gone with the one that is being made.
    const isIn = (left: LeftName): boolean => left.directory === directory;
    for (const { leftNames } of queue.items()) if (leftNames.some(isIn)) return true;
    for (const { names } of removals.values()) if (names.some(isIn)) return true;
    return false;
  }

  #add(names: readonly LeftName[]): void {
    for (const { directory } of names) this.#directories.add(directory);
  }
}
