/**
 * The object of a file that was removed while something still needed its bytes stays until the last of them lets go. When
 * a new file takes the name before that, its upload finds the object in its way: the bytes are kept in the cache as far
 * as it has room, and the object goes.
 */
import { isS3Error } from '../s3/s3-error.js';
import { keepCopies } from './copied-content.js';
import { cachedOf, type Volume } from './volume.js';

/** True: an object of ours stood under the key and is deleted, so that the upload may be tried again. */
export async function removeLeftover(volume: Volume, key: string): Promise<boolean> {
  for (const orphan of volume.inodes.values()) {
    if (orphan.orphanKey !== key || orphan.version === undefined) continue;
    if (orphan.deletion !== undefined) {
      // It is on its way: its failure is told to the one that sent it, and to the upload by the object that still stands.
      await orphan.deletion.catch(() => undefined);
      orphan.deletion = undefined;
      return true;
    }
    if (!orphan.deleteAtClose) continue;
    const { etag } = orphan.version;
    await keepCopies(orphan);
    const file = orphan.handles === 0 ? undefined : cachedOf(volume, orphan);
    if (file !== undefined && !file.content.isComplete) await volume.cache.complete(file);
    orphan.deleteAtClose = false;
    try {
      await volume.client.delete(key, { ifMatch: etag });
    } catch (error) {
      // Gone already with its last close; or somebody else's, which the upload will find.
      if (!isS3Error(error, 'NotFound') && !isS3Error(error, 'PreconditionFailed')) throw error;
    }
    return true;
  }
  return false;
}
