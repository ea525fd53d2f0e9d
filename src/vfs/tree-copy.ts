/**
 * Copying every key below a prefix to another, for the rename of a directory, and what that changes for the inodes below.
 */
import { LIST_PAGE_KEYS, MAX_COPY_BYTES, PARALLEL_COPIES } from '../constants.js';
import { crashPoint } from '../crash-point.js';
import { errno } from '../errno.js';
import type { ListedObject, WriteReply } from '../s3/object-client.js';
import { followCopies } from './copied-content.js';
import { keptEncryption } from './encryption.js';
import { forEach } from './hydrate.js';
import type { Inode } from './inode.js';
import { copyLarge } from './inode-copy.js';
import { restamp } from './inode-upload.js';
import { keyFits } from './name.js';
import { moveSent, takeSent } from './sent.js';
import { FsError } from './to-errno.js';
import type { Volume } from './volume.js';

/** A key that was copied. */
export interface Copy {
  readonly oldKey: string;
  readonly size: number;
  readonly oldEtag: string;
  readonly reply: WriteReply;
}

/** Copies every key below a prefix but those that `skips` names; answers them by new key. */
export async function copyBelow(
  volume: Volume,
  oldPrefix: string,
  newPrefix: string,
  skips: (key: string) => boolean = () => false,
): Promise<Map<string, Copy>> {
  const copied = new Map<string, Copy>();
  let token: string | undefined;
  do {
    const page = await volume.client.list({ prefix: oldPrefix, token, maxKeys: LIST_PAGE_KEYS });
    const objects = page.objects.filter(({ key }) => !skips(key));
    const tooLong = objects.find((object) => !keyFits(newPrefix + object.key.slice(oldPrefix.length)));
    if (tooLong !== undefined) throw new FsError(errno.ENAMETOOLONG, tooLong.key);
    await forEach(objects, PARALLEL_COPIES, async (object) => {
      const key = newPrefix + object.key.slice(oldPrefix.length);
      copied.set(key, {
        oldKey: object.key,
        size: object.size,
        oldEtag: object.etag,
        reply: await copyObject(volume, object, key),
      });
    });
    token = page.nextToken;
  } while (token !== undefined);
  return copied;
}

async function copyObject(volume: Volume, object: ListedObject, key: string): Promise<WriteReply> {
  const source = { key: object.key, etag: object.etag, size: object.size };
  const standard = (object.storageClass ?? 'STANDARD') === 'STANDARD';
  const known = volume.attributes.get(object.key, object);
  let reply: WriteReply;
  if (standard && object.size <= MAX_COPY_BYTES) {
    const encryption = keptEncryption(known);
    reply = await volume.client.copy(object.key, key, { sourceIfMatch: object.etag, encryption });
  } else {
    const info = await volume.client.head(object.key);
    const tags = info.tagCount > 0 ? await volume.client.getTags(object.key) : undefined;
    const attributes = {
      headers: { ...info.headers, storageClass: object.storageClass },
      metadata: info.metadata,
      tags,
      encryption: keptEncryption(info),
    };
    if (object.size > MAX_COPY_BYTES) reply = await copyLarge(volume, source, key, {}, attributes);
    else reply = await volume.client.copy(object.key, key, { sourceIfMatch: object.etag, replace: attributes });
  }
  if (known !== undefined) {
    const { etag, date, versionId } = reply;
    volume.attributes.putWritten(key, { ...known, etag, lastModified: date, date, versionId });
  }
  volume.cache.store.aliasVersion(source, { key, etag: reply.etag }, object.size);
  crashPoint('child-copied');
  return reply;
}

/** Keys that were copied from below one prefix to below another. */
export interface Move {
  readonly from: string;
  readonly to: string;
  /** By new key. */
  readonly copied: ReadonlyMap<string, Copy>;
}

/** Inodes below a directory that moved stand for the copies now. */
export function restampBelow(volume: Volume, directory: Inode, { from, to, copied }: Move): void {
  for (const child of directory.directory?.children.values() ?? []) {
    const below = { from: from + child.keyPart, to: to + child.keyPart, copied };
    const { directory: state } = child;
    // Its keys lie elsewhere still, and were perhaps begun to be copied to here.
    if (state?.storedPrefix !== undefined) {
      if (state.movingTo?.startsWith(from)) state.movingTo = to + state.movingTo.slice(from.length);
      continue;
    }
    if (state !== undefined) restampBelow(volume, child, below);
    const copy = copied.get(below.to);
    if (copy !== undefined) moveSent(child, below.from, below.to);
    // It was not copied, because it is to go: with what else may stand there.
    else volume.writeBack?.sentGone(below.from, [], takeSent(child, below.from));
    if (copy === undefined || child.storedKey !== undefined) continue;
    if (child.version?.etag !== copy.oldEtag && state === undefined) continue;
    restamp(volume, child, below.to, copy.reply, false);
    followCopies(child, copy.reply.etag);
  }
}

export async function deleteAll(volume: Volume, keys: readonly string[]): Promise<void> {
  const failures = await volume.client.deleteMany(keys);
  for (const { key, error } of failures)
    volume.logger.error({ err: error, key }, 'the old key of a renamed file could not be deleted');
  if (failures.length > 0) throw failures[0].error;
}
