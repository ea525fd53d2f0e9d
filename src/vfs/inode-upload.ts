/**
 * What one upload of an inode consists of: the attributes that go along, the plan, the sending, and what the inode is once
 * the store has it. When and under which conditions is decided in commit.ts.
 */
import { isComplete, type KnownObject } from '../cache/attribute-store.js';
import type { CachedFile, Source } from '../cache/block-cache.js';
import { PARALLEL_PARTS } from '../constants.js';
import { crashPoint } from '../crash-point.js';
import { errno } from '../errno.js';
import type { ObjectHeaders, WriteAttributes, WriteCondition, WriteReply } from '../s3/object-client.js';
import type { CopySource } from '../writeback/copy-source.js';
import type { EarlyUpload } from '../writeback/early-upload.js';
import type { StagedFile } from '../writeback/staged-file.js';
import { upload } from '../writeback/upload.js';
import { planUpload, type UploadPlan } from '../writeback/upload-plan.js';
import { encodeAttributes } from './attribute.js';
import type { CarryOver } from './carry-over.js';
import { readBytes } from './content-reader.js';
import { contentTypeOf } from './content-type.js';
import { withSources } from './copied-content.js';
import { keptEncryption } from './encryption.js';
import { headIfPresent } from './find-key.js';
import type { Inode } from './inode.js';
import { isMarkerContent } from './marker.js';
import { takeSent } from './sent.js';
import { FsError } from './to-errno.js';
import { dropCached, holdCached, keyOf, learnWritten, type Volume } from './volume.js';

/** All that a write tells of an object besides its bytes. */
export interface SentAttributes extends WriteAttributes {
  readonly headers: ObjectHeaders;
  readonly metadata: Record<string, string>;
}

/**
 * Everything HEAD says of the present version: what a PUT or copy would lose has to be sent again. Undefined where the
 * store has another version by now.
 */
export async function ensureInfo(volume: Volume, inode: Inode): Promise<KnownObject | undefined> {
  if (isComplete(inode.info) || inode.version === undefined) return inode.info;
  const info = await headIfPresent(volume, keyOf(volume, inode));
  inode.info = info?.etag === inode.version.etag ? info : undefined;
  return inode.info;
}

/** What a write of the inode as it is now has to tell, with everything that it would lose otherwise. */
export async function writeAttributes(volume: Volume, inode: Inode): Promise<SentAttributes> {
  const info = await ensureInfo(volume, inode);
  const tags = info !== undefined && info.tagCount > 0 ? await volume.client.getTags(keyOf(volume, inode)) : undefined;
  const { storageClass } = volume.options;
  const told = inode.isRegular && storageClass !== undefined ? { storageClass } : {};
  return {
    headers: { contentType: contentTypeOf(inode.name), ...info?.headers, ...told },
    encryption: keptEncryption(info),
    // The metadata of a marker is that of the directory.
    metadata: isMarkerContent(inode) ? (info?.metadata ?? {}) : encodeAttributes(inode.attributes, info?.metadata),
    tags,
  };
}

function planOf(volume: Volume, inode: Inode, staged: StagedFile, withBase: boolean): UploadPlan<CopySource> {
  const plan = planUpload({
    layout: staged.layout,
    baseObjectBytes: withBase ? (inode.version?.size ?? 0) : 0,
    partBytes: volume.options.partBytes,
  });
  if (plan === undefined) throw new FsError(errno.EFBIG, `${staged.size} bytes are more than an object can have`);
  return plan;
}

export interface Target {
  readonly key: string;
  readonly condition: WriteCondition;
  /** Whether the base version still stands under the inode's key. */
  readonly withBase: boolean;
  /** False: what is sent is not to be completed, because the file is another by now. */
  readonly stillWanted: () => boolean;
  /** An upload that was begun while the file was written, and the plan that goes with it. */
  readonly begun?: { readonly upload: EarlyUpload; readonly plan: UploadPlan<CopySource> };
}

/** Sends the staged bytes to a key. */
export async function send(
  volume: Volume,
  inode: Inode,
  staged: StagedFile,
  attributes: WriteAttributes,
  target: Target,
): Promise<WriteReply> {
  const source =
    target.withBase && inode.version !== undefined
      ? { key: keyOf(volume, inode), etag: inode.version.etag }
      : undefined;
  const { begun } = target;
  return withSources(volume, staged, () =>
    upload(
      {
        key: target.key,
        plan: begun?.plan ?? planOf(volume, inode, staged, source !== undefined),
        begun: begun?.upload,
        condition: target.condition,
        attributes,
        source,
        read: (start, end) => readBytes(volume, inode, staged, start, end),
        stillWanted: target.stillWanted,
        account: begun === undefined ? volume.writeBack?.uploads.of(target.key) : begun.upload.account,
      },
      { client: volume.client, budget: volume.cache.transfers, parallel: PARALLEL_PARTS },
    ),
  );
}

/** The inode stands for what was just written. */
export function noteWritten(
  volume: Volume,
  inode: Inode,
  key: string,
  attributes: SentAttributes,
  reply: WriteReply,
  size: number,
): KnownObject {
  const info: KnownObject = {
    etag: reply.etag,
    size,
    lastModified: reply.date,
    versionId: reply.versionId,
    headers: attributes.headers,
    metadata: attributes.metadata,
    tagCount: attributes.tags?.length ?? 0,
    encryption: inode.info?.encryption,
    archived: false,
    date: reply.date,
  };
  const before = inode.version;
  if (inode.kernelPages === undefined || inode.kernelPages === inode.version?.etag) inode.kernelPages = reply.etag;
  inode.version = { etag: reply.etag, size, lastModified: reply.date, storageClass: attributes.headers.storageClass };
  inode.size = size;
  inode.info = info;
  inode.checkedAt = volume.clock.monotonic();
  inode.attributesChanged = false;
  takeSent(inode, key);
  learnWritten(volume, key, info);
  volume.writeBack?.landed(inode, key, before);
  return info;
}

/**
 * The same file under another key: what was known of it is known of the copy. `isNews`: false where the index of the cache
 * has it already.
 */
export function restamp(volume: Volume, inode: Inode, key: string, reply: WriteReply, isNews = true): void {
  const { version, info } = inode;
  if (version === undefined) return;
  const before = version;
  if (inode.kernelPages === version.etag) inode.kernelPages = reply.etag;
  inode.version = { ...version, etag: reply.etag, lastModified: reply.date };
  inode.checkedAt = volume.clock.monotonic();
  takeSent(inode, key);
  if (info !== undefined) {
    inode.info = { ...info, etag: reply.etag, lastModified: reply.date, date: reply.date, versionId: reply.versionId };
    if (isNews) learnWritten(volume, key, inode.info);
    else void volume.attributes.putWritten(key, inode.info);
  }
  volume.writeBack?.landed(inode, key, before);
}

/** A small file that holds only a part of the object is not worth a file of the cache. */
async function adopt(volume: Volume, staged: StagedFile, source: Source, size: number): Promise<CachedFile> {
  if (staged.inline !== undefined) return volume.cache.acquire(source, size);
  return volume.cache.adopt(staged.path, source, size, staged.layout.inStagedFile().extents);
}

/** Nothing was written since the upload began: the staged file becomes cached content. */
export async function settleStaged(
  volume: Volume,
  inode: Inode,
  staged: StagedFile,
  info: KnownObject,
  carried: CarryOver | undefined,
): Promise<void> {
  // Its last name and handle may have gone while it was sent, and the staged file with them.
  const isGone = inode.staged !== staged;
  inode.staged = undefined;
  inode.dirty = inode.storedKey !== undefined || inode.attributesChanged;
  // Before the staged file goes: nothing may name it any more.
  volume.writeBack?.settle(inode);
  dropCached(volume, inode);
  if (isGone) return staged.close();
  const key = keyOf(volume, inode);
  try {
    const source = { key, etag: info.etag };
    const inline = staged.isWhole ? staged.inline : undefined;
    const file =
      inline === undefined
        ? await adopt(volume, staged, source, info.size)
        : volume.cache.keep(source, Buffer.concat([inline], info.size));
    await carried?.into(file);
    if (inode.handles > 0 && inode.cached === undefined && inode.version?.etag === info.etag)
      holdCached(volume, inode, file);
    else volume.cache.release(file);
  } catch (error) {
    volume.logger.warn({ err: error, key }, 'what was written could not be kept in the cache');
    await staged.remove();
  }
  staged.close();
  crashPoint('upload-settled');
}
