/** Open files and directories. Numbers count up and are not used twice, so that a late request never hits another file. */
import { Readahead } from '../cache/readahead.js';
import { errno } from '../errno.js';
import type { DirectoryReader } from './directory-reader.js';
import type { Inode } from './inode.js';
import { FsError } from './to-errno.js';

export interface FileHandle {
  readonly inode: Inode;
  readonly readable: boolean;
  readonly writable: boolean;
  readonly append: boolean;
  /** O_DSYNC or O_SYNC: a write answers when it is as safe as after fsync. */
  readonly sync: boolean;
  /** READ and WRITE go past the kernel's pages. */
  readonly direct: boolean;
  readonly readahead: Readahead;
}

export interface DirectoryHandle {
  readonly inode: Inode;
  reader: DirectoryReader | undefined;
}

export class HandleTable {
  readonly #files = new Map<number, FileHandle>();
  readonly #directories = new Map<number, DirectoryHandle>();
  readonly #maxReadahead: number;
  #next = 1;

  constructor(maxReadaheadBytes: number) {
    this.#maxReadahead = maxReadaheadBytes;
  }

  get openFiles(): number {
    return this.#files.size;
  }

  get openDirectories(): number {
    return this.#directories.size;
  }

  *directoriesOf(inode: Inode): Generator<DirectoryHandle> {
    if (inode.handles > 0) for (const handle of this.#directories.values()) if (handle.inode === inode) yield handle;
  }

  *openDirectoryNodes(): Generator<number> {
    for (const { inode } of this.#directories.values()) yield inode.nodeid;
  }

  /** @param flags those of open(2) */
  openFile(inode: Inode, flags: number, direct = false): number {
    const access = flags & 3;
    const handle: FileHandle = {
      inode,
      readable: access !== 1,
      writable: access !== 0,
      append: (flags & 0o2000) !== 0,
      sync: (flags & 0o10000) !== 0,
      direct,
      readahead: new Readahead(this.#maxReadahead),
    };
    inode.handles++;
    if (handle.writable) inode.writers++;
    if (handle.writable && direct) inode.directWriters++;
    this.#files.set(this.#next, handle);
    return this.#next++;
  }

  openDirectory(inode: Inode, reader?: DirectoryReader): number {
    inode.handles++;
    this.#directories.set(this.#next, { inode, reader });
    return this.#next++;
  }

  file(fh: number): FileHandle {
    const handle = this.#files.get(fh);
    if (handle === undefined) throw new FsError(errno.EBADF, `no file handle ${fh}`);
    return handle;
  }

  directory(fh: number): DirectoryHandle {
    const handle = this.#directories.get(fh);
    if (handle === undefined) throw new FsError(errno.EBADF, `no directory handle ${fh}`);
    return handle;
  }

  /** Ends a handle; undefined when there is none. */
  closeFile(fh: number): FileHandle | undefined {
    const handle = this.#files.get(fh);
    if (handle === undefined) return undefined;
    this.#files.delete(fh);
    handle.inode.handles--;
    if (handle.writable) handle.inode.writers--;
    if (handle.writable && handle.direct) handle.inode.directWriters--;
    return handle;
  }

  closeDirectory(fh: number): DirectoryHandle | undefined {
    const handle = this.#directories.get(fh);
    if (handle === undefined) return undefined;
    this.#directories.delete(fh);
    handle.inode.handles--;
    return handle;
  }
}
