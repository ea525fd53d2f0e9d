/**
 * Passthrough: which opens the kernel serves by itself, from a file of the cache. The kernel's rule is that all opens of an
 * inode, from the first to the last release, go the same way; so the first decides, and those that come meanwhile follow.
 * What is begun here is only ever the reading of content that is whole, checked and unchanged; who then opens the file for
 * writing is served by this daemon (direct I/O), and the readers see what it writes in the file they have.
 */
import { closeSync, constants, openSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { PASSTHROUGH_MIN_BYTES } from '../constants.js';
import { errno, errnoName } from '../errno.js';
import type { BackingFiles, OpenReply } from '../fuse/operations.js';
import { BackingFile } from './backing-file.js';
import type { Inode } from './inode.js';
import { FsError } from './to-errno.js';
import { cachedOf, type Volume } from './volume.js';

const { O_ACCMODE, O_RDONLY, O_RDWR, O_TRUNC, O_DIRECT } = { O_ACCMODE: 3, ...constants };
/** Times between two looks whether a closed file is still mapped (ms). */
const FIRST_LOOK_MS = 10;
const LOOK_MS = 1_000;

const refusals: Readonly<Record<number, string>> = {
  [-errno.EPERM]: 'CAP_SYS_ADMIN is missing',
  [-errno.ELOOP]: 'the cache directory lies on a stacked file system (overlayfs)',
  [-errno.ENOLCK]: 'the file system of the cache directory has no leases',
  [-errno.EINVAL]: 'the file system of the cache directory has no direct I/O',
};

interface Lingering {
  readonly inode: Inode;
  readonly stop: AbortController;
  ended: Promise<void>;
}

export class Passthrough {
  readonly #volume: Volume;
  readonly #cacheDirectory: string;
  #backings: BackingFiles | undefined;
  /** Why it is not used; undefined: it is. */
  refusal: string | undefined = 'not offered: it needs Linux 6.9, root and the kernel driver';
  readonly #lingering = new Set<Lingering>();
  #closed = false;

  constructor(volume: Volume, cacheDirectory: string) {
    this.#volume = volume;
    this.#cacheDirectory = cacheDirectory;
  }

  /** The kernel has agreed. Whether it takes files of the cache is found out with one. */
  offer(backings: BackingFiles): void {
    const result = tried(backings, join(this.#cacheDirectory, 'passthrough-probe'));
    this.refusal = result < 0 ? (refusals[result] ?? errnoName(result)) : undefined;
    if (result >= 0) this.#backings = backings;
  }

  /** What an open of the inode has to be answered with; undefined: it goes the usual way. To be counted at once. */
  open(inode: Inode, flags: number): Pick<OpenReply, 'backingId' | 'directIo'> | undefined {
    if (inode.backing === undefined && !this.#begin(inode, flags)) return undefined;
    const backing = inode.backing!;
    const access = flags & O_ACCMODE;
    if (access === O_RDWR) backing.letMap();
    const backingId = backing.register();
    if (backingId < 0) throw new FsError(errno.EIO, `${inode.path}: the kernel takes no more backing files`);
    return { backingId, directIo: access !== O_RDONLY || (flags & O_DIRECT) !== 0 };
  }

  #begin(inode: Inode, flags: number): boolean {
    const backings = this.#backings;
    if (backings === undefined || this.#closed || (flags & (O_ACCMODE | O_TRUNC | O_DIRECT)) !== O_RDONLY) return false;
    if (inode.handles > 0 || !inode.isRegular || inode.staged !== undefined || inode.version === undefined)
      return false;
    if (inode.size < PASSTHROUGH_MIN_BYTES || (inode.attributes.mode & 0o6000) !== 0) return false;
    const { cache } = this.#volume;
    const file = cachedOf(this.#volume, inode);
    // What still arrives for it is written there.
    if (file === undefined || file.fetches.size > 0) return false;
    const fd = cache.store.lending.lend(file.content);
    if (fd === undefined) return false;
    cache.hold(file);
    inode.backing = new BackingFile(this.#volume, inode, file, fd, backings);
    if (inode.backing.register() >= 0) return true;
    inode.backing.end();
    return false;
  }

  /** Before an open that can map it writable is answered. */
  async prepare(inode: Inode, flags: number): Promise<void> {
    if ((flags & O_ACCMODE) !== O_RDWR) return;
    while (inode.backing !== undefined && !inode.backing.isSealed) await inode.backing.seal();
  }

  /**
   * The last handle was closed: goes on with `letGo` now, and where the backing file is still held, once more when it is
   * not. Until then who opens the inode gets the same backing file, so that mappings see what is written.
   */
  async lastClosed(inode: Inode, letGo: () => Promise<void>): Promise<void> {
    const { backing } = inode;
    backing?.unregister();
    if (backing === undefined || inode.orphanKey !== undefined || !(backing.mayBeMapped || isHeld(inode))) {
      backing?.end();
      return letGo();
    }
    inode.handles++;
    const lingering: Lingering = { inode, stop: new AbortController(), ended: Promise.resolve() };
    this.#lingering.add(lingering);
    lingering.ended = this.#linger(lingering, backing, letGo);
  }

  async #linger(
    { inode, stop: { signal } }: Lingering,
    backing: BackingFile,
    letGo: () => Promise<void>,
  ): Promise<void> {
    const { logger } = this.#volume;
    try {
      do {
        // What is there goes to the journal, or to the store, as at every last close.
        await letGo();
        for (let ms = FIRST_LOOK_MS; isHeld(inode) && !signal.aborted; ms = Math.min(2 * ms, LOOK_MS))
          await sleep(ms, undefined, { ref: false, signal }).catch(() => undefined);
        if (inode.orphanKey === undefined) await backing.absorb();
        // What was found now is uploaded with the help of the backing file, too.
      } while (isHeld(inode) && !signal.aborted);
      if (backing.mayBeMapped && backing.isInUse)
        logger.warn({ path: inode.path }, 'still mapped: what is stored from now on is lost');
    } catch (error) {
      logger.error({ err: error, path: inode.path }, 'what was stored in a mapping may be lost');
    }
    for (const one of this.#lingering) if (one.inode === inode) this.#lingering.delete(one);
    // Opened again meanwhile: its last close comes back here.
    if (--inode.handles > 0) return;
    backing.end();
    await letGo().catch((error) => logger.error({ err: error, path: inode.path }, 'a file could not be let go of'));
  }

  /** What is stored in mappings now is taken over, and what nobody holds any more is let go of. */
  async settle(): Promise<void> {
    const { inodes, logger } = this.#volume;
    for (const { backing, path } of [...inodes.values()].filter((inode) => inode.backing !== undefined))
      await backing?.absorb().catch((error) => logger.error({ err: error, path }, 'a mapping could not be looked at'));
    for (const { inode, stop, ended } of [...this.#lingering]) {
      if (isHeld(inode)) continue;
      stop.abort();
      await ended;
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const { stop } of this.#lingering) stop.abort();
    await Promise.all([...this.#lingering].map(({ ended }) => ended));
  }
}

/** Somebody maps the backing file of a closed inode, or an upload needs it. A removed file is nobody's. */
function isHeld({ backing, orphanKey }: Inode): boolean {
  return backing !== undefined && orphanKey === undefined && (backing.isInUse || backing.isNeeded);
}

/** What the kernel answers to a file there, opened as programs may open it. */
function tried(backings: BackingFiles, path: string): number {
  let fd: number | undefined;
  try {
    fd = openSync(path, constants.O_RDWR | constants.O_CREAT | O_DIRECT, 0o600);
    const id = backings.open(fd);
    if (id >= 0) backings.close(id);
    // Where this cannot be told, no file could ever be let go of.
    return id >= 0 && backings.isInUse(fd) ? -errno.ENOLCK : id;
  } catch (error) {
    return (error as NodeJS.ErrnoException).errno ?? -errno.EIO;
  } finally {
    if (fd !== undefined) closeSync(fd);
    rmSync(path, { force: true });
  }
}
