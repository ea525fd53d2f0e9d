/**
 * Copies of an object inside the store: onto itself, with other attributes, or to another key, with what a plain copy
 * would lose sent again.
 */
import { MAX_COPY_BYTES, PARALLEL_PARTS } from '../constants.js';
import { errno } from '../errno.js';
import type { WriteAttributes, WriteCondition, WriteReply } from '../s3/object-client.js';
import type { CopySource } from '../writeback/copy-source.js';
import { Layout } from '../writeback/layout.js';
import { upload } from '../writeback/upload.js';
import { planUpload } from '../writeback/upload-plan.js';
import { keptEncryption } from './encryption.js';
import type { Inode } from './inode.js';
import { ensureInfo } from './inode-upload.js';
import { FsError } from './to-errno.js';
import type { Volume } from './volume.js';

export async function copyOntoItself(
  volume: Volume,
  inode: Inode,
  key: string,
  attributes: WriteAttributes,
  since: number | undefined,
): Promise<WriteReply> {
  const { version } = inode;
  if (version === undefined) throw new FsError(errno.ESTALE, inode.path);
  if (version.size <= MAX_COPY_BYTES) {
    return volume.client.copy(key, key, {
      ifMatch: version.etag,
      sourceIfUnmodifiedSince: since,
      replace: attributes,
    });
  }
  return copyLarge(volume, { key, etag: version.etag, size: version.size }, key, { ifMatch: version.etag }, attributes);
}

/** A copy of more than CopyObject takes: an upload whose parts are all copied. */
export function copyLarge(
  volume: Volume,
  source: { readonly key: string; readonly etag: string; readonly size: number },
  key: string,
  condition: WriteCondition,
  attributes: WriteAttributes,
): Promise<WriteReply> {
  const { size } = source;
  const plan = planUpload({
    layout: new Layout<CopySource>(size),
    baseObjectBytes: size,
    partBytes: volume.options.partBytes,
  });
  if (plan === undefined) throw new FsError(errno.EFBIG, key);
  const read = (): Promise<never> => Promise.reject(new Error('a copy sends no bytes'));
  return upload(
    {
      key,
      plan,
      condition,
      attributes,
      source,
      read,
      stillWanted: () => true,
      account: volume.writeBack?.uploads.of(key),
    },
    { client: volume.client, budget: volume.cache.transfers, parallel: PARALLEL_PARTS },
  );
}

export interface CopyTarget {
  readonly from: string;
  readonly to: string;
  readonly condition: WriteCondition;
  /** Absent: those of the object are kept. */
  readonly attributes?: WriteAttributes;
}

/** The object of an inode under another key. */
export async function copyTo(
  volume: Volume,
  inode: Inode,
  { from, to, condition, attributes }: CopyTarget,
): Promise<WriteReply> {
  const { version } = inode;
  if (version === undefined) throw new FsError(errno.ESTALE, from);
  const { etag, size } = version;
  // A LIST tells it with the version, a HEAD among the headers.
  const storageClass = inode.info?.headers.storageClass ?? version.storageClass;
  const plain = (storageClass ?? 'STANDARD') === 'STANDARD' && inode.info?.headers.websiteRedirect === undefined;
  if (plain && size <= MAX_COPY_BYTES && attributes === undefined) {
    const encryption = keptEncryption(inode.info);
    return volume.client.copy(from, to, { ...condition, sourceIfMatch: etag, encryption });
  }
  const replace = attributes ?? (await sameAttributes(volume, inode, from, storageClass));
  if (size > MAX_COPY_BYTES) return copyLarge(volume, { key: from, etag, size }, to, condition, replace);
  return volume.client.copy(from, to, { ...condition, sourceIfMatch: etag, replace });
}

/** What a copy has to be told to be the same as its source. */
async function sameAttributes(
  volume: Volume,
  inode: Inode,
  key: string,
  storageClass: string | undefined,
): Promise<WriteAttributes> {
  const info = await ensureInfo(volume, inode);
  return {
    headers: { ...info?.headers, storageClass },
    metadata: info?.metadata ?? {},
    tags: info && info.tagCount > 0 ? await volume.client.getTags(key) : undefined,
    encryption: keptEncryption(info),
  };
}
