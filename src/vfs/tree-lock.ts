/**
 * Renaming a directory moves every key below it, which takes many requests. What changes something below meanwhile would
 * be left behind under the old name: such operations announce themselves on all directories above, the rename waits for
 * them, and those that come later wait for the rename. (Within one directory the kernel keeps name changes apart.)
 */
import type { Inode } from './inode.js';

function* ancestors(inode: Inode): Generator<NonNullable<Inode['directory']>> {
  for (let at: Inode | undefined = inode; at !== undefined; at = at.parent)
    if (at.directory !== undefined) yield at.directory;
}

function frozenAbove(inodes: readonly Inode[]): Promise<void> | undefined {
  for (const inode of inodes)
    for (const directory of ancestors(inode)) if (directory.frozen !== undefined) return directory.frozen;
  return undefined;
}

/** Runs an operation that changes something at or below these inodes. */
export async function changing<T>(inodes: readonly Inode[], work: () => Promise<T>): Promise<T> {
  for (let frozen = frozenAbove(inodes); frozen !== undefined; frozen = frozenAbove(inodes)) await frozen;
  const held = inodes.flatMap((inode) => [...ancestors(inode)]);
  for (const directory of held) directory.changing++;
  try {
    return await work();
  } finally {
    for (const directory of held) {
      directory.changing--;
      if (directory.changing === 0) directory.onIdle?.();
    }
  }
}

/** Runs the rename of a directory, with nothing else under way at or below it. */
export async function frozen<T>(inode: Inode, work: () => Promise<T>): Promise<T> {
  const { directory } = inode;
  if (directory === undefined) return work();
  while (directory.frozen !== undefined) await directory.frozen;
  let thaw = (): void => undefined;
  directory.frozen = new Promise((resolve) => {
    thaw = resolve;
  });
  try {
    if (directory.changing > 0) {
      await new Promise<void>((resolve) => {
        directory.onIdle = resolve;
      });
    }
    return await work();
  } finally {
    directory.onIdle = undefined;
    directory.frozen = undefined;
    thaw();
  }
}
