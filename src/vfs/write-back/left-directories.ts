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
    return this.#directories.has(directory);
  }

  #add(names: readonly LeftName[]): void {
    for (const { directory } of names) this.#directories.add(directory);
  }
}
