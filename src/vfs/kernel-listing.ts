/**
 * What the kernel keeps of the listings that it was shown (FOPEN_CACHE_DIR): the second `ls` of a directory is then one
 * OPENDIR. It asks at each opendir whether that still stands, so what changes a listing only has to be noticed here. A
 * handle that was served from there may be sent back here in the middle, when the pages went: it then goes on in the
 * very same pass, so that each name comes exactly once.
 */
import type { Listing } from '../cache/listing.js';
import { DirectoryReader } from './directory-reader.js';
import type { DirectoryHandle } from './handle-table.js';
import type { Inode } from './inode.js';
import { listingInUse } from './resolve.js';
import { ageOf, type Volume } from './volume.js';

/**
 * Of the time that a listing counts, the part in which the kernel may show its own copy: the attributes that came with it end
 * with the listing, and a program that looks at all of them needs some time.
 */
const KEEP_SHARE = 0.9;

interface Pass {
  readonly reader: DirectoryReader;
  /** Of the overlay of the directory when it began. */
  readonly version: number;
}

/** The last pass through each listing that is kept. */
const passes = new WeakMap<Listing, Pass>();

/** The pass that the kernel may have copied, if all that it showed still stands. */
export function keptPass(volume: Volume, directory: Inode): DirectoryReader | undefined {
  const listing = listingInUse(volume, directory);
  if (listing === undefined || ageOf(volume, listing.startedAt) > volume.options.metadataTtlMs * KEEP_SHARE)
    return undefined;
  const pass = passes.get(listing);
  return pass !== undefined && stands(directory, pass) ? pass.reader : undefined;
}

function stands(directory: Inode, { reader, version }: Pass): boolean {
  return reader.isWhole && directory.directory?.overlay.version === version;
}

/** A handle begins to read a directory, from its first entry. */
export function beginPass(volume: Volume, handle: DirectoryHandle, listing: Listing): DirectoryReader {
  const { inode } = handle;
  const before = passes.get(listing);
  if (before !== undefined && stands(inode, before)) return before.reader;
  const pass = { reader: new DirectoryReader(inode, listing), version: inode.directory?.overlay.version ?? 0 };
  passes.set(listing, pass);
  // Those that are open and were not shown anything yet may be shown this one by the kernel.
  for (const other of volume.handles.directoriesOf(inode)) other.reader ??= pass.reader;
  return pass.reader;
}

/**
 * Directories that stay open for longer than a listing counts: rewinddir(3) must not show the kernel's copy for ever.
 * Looked after by a timer that runs only while there are any.
 */
export class OpenForLong {
  readonly #volume: Volume;
  #timer: NodeJS.Timeout | undefined;

  constructor(volume: Volume) {
    this.#volume = volume;
  }

  opened(): void {
    if (this.#timer !== undefined) return;
    this.#timer = setTimeout(() => this.#look(), this.#volume.options.metadataTtlMs);
    this.#timer.unref();
  }

  #look(): void {
    this.#timer = undefined;
    const { handles, notifier } = this.#volume;
    for (const nodeid of new Set(handles.openDirectoryNodes())) notifier?.invalInode(nodeid, 0, 0);
    if (handles.openDirectories > 0) this.opened();
  }

  close(): void {
    clearTimeout(this.#timer);
  }
}
