/**
 * Conflict copies: somebody else's object stands where a file was to go. It stays, and ours is kept beside it; the
 * program learns of it by ESTALE.
 */
import { errno } from '../errno.js';
import type { WriteReply } from '../s3/object-client.js';
import { isS3Error } from '../s3/s3-error.js';
import { conflictName } from '../writeback/conflict.js';
import type { Inode } from './inode.js';
import { isWellFormed } from './name.js';
import { setNameConfirmed } from './resolve.js';
import { FsError } from './to-errno.js';
import { homeKeyOf, keyOfNew, properDirectory, type Volume } from './volume.js';

/** How ours gets to a key of its own. */
export interface OwnCopy {
  /** Writes it there, where nothing must stand. */
  send(key: string): Promise<WriteReply>;
  /** The inode has the name of the copy by now, and the store has its bytes. */
  note(key: string, reply: WriteReply): Promise<void>;
}

/** Rejects with ESTALE when the copy is there. */
export async function keepConflictCopy(volume: Volume, inode: Inode, own: OwnCopy): Promise<void> {
  const { name, path, parent: home } = inode;
  if (home === undefined) return;
  const parent = properDirectory(home);
  // The name of an escaped key says no key with something behind it.
  const stem = inode.part.text === name || !isWellFormed(name) ? name : name.slice(1);
  for (let attempt = 0; ; attempt++) {
    const copyName = conflictName(stem, volume.options.host, volume.clock.now(), attempt);
    const key = keyOfNew(volume, parent, copyName, false);
    let reply: WriteReply;
    try {
      reply = await own.send(key);
    } catch (error) {
      if (isS3Error(error, 'PreconditionFailed') && attempt < 9) continue;
      throw error;
    }
    // From here on this inode is the copy; its old name belongs to the other's object.
    const homeKey = homeKeyOf(volume, inode);
    home.directory?.overlay.drop(name);
    volume.listings.drop(home.nodeid);
    volume.inodes.move(inode, parent, copyName, { from: homeKey, to: key });
    volume.writeBack?.forgetRemoval(homeKey);
    setNameConfirmed(volume, parent, copyName, inode);
    await own.note(key, reply);
    volume.notifier?.invalEntry(home.nodeid, name);
    volume.conflicts.push({ path, copy: inode.path, at: volume.clock.now() });
    volume.logger.warn(
      { path, copy: inode.path },
      'somebody else wrote this file meanwhile: theirs stays, ours is kept beside it',
    );
    throw new FsError(errno.ESTALE, path);
  }
}
