/**
 * One file that is uploaded while it is written: its early upload with the attributes that went along when it began. Those
 * are not those of the file in the end, whose last write comes later: a copy of the object onto itself brings them over.
 */
import type { WriteReply } from '../s3/object-client.js';
import { isS3Error } from '../s3/s3-error.js';
import type { CopySource } from '../writeback/copy-source.js';
import type { EarlyUpload } from '../writeback/early-upload.js';
import type { StagedFile } from '../writeback/staged-file.js';
import { UploadSuperseded } from '../writeback/upload.js';
import { planBegun, type UploadPlan } from '../writeback/upload-plan.js';
import { encodeAttributes } from './attribute.js';
import type { Inode } from './inode.js';
import { type SentAttributes, send, type Target } from './inode-upload.js';
import type { Volume } from './volume.js';

/** Up to where a file is written from its beginning on, without a hole (bytes). */
export function writtenTo({ written }: StagedFile): number {
  const [first] = written.extents;
  return first?.start === 0 ? first.end : 0;
}

export class Stream {
  constructor(
    readonly inode: Inode,
    readonly staged: StagedFile,
    readonly upload: EarlyUpload,
    readonly attributes: SentAttributes,
  ) {}

  /** The store has other attributes than the file once this is completed. */
  get isLate(): boolean {
    const { metadata } = this.attributes;
    const wanted = encodeAttributes(this.inode.attributes, metadata);
    const names = new Set([...Object.keys(metadata), ...Object.keys(wanted)]);
    return [...names].some((name) => metadata[name] !== wanted[name]);
  }

  /** How the file is sent as it is now; undefined: the upload is of no use for it. */
  plan(volume: Volume): UploadPlan<CopySource> | undefined {
    if (this.upload.failure !== undefined || this.upload.isOver) return undefined;
    return planBegun(this.staged.layout, this.upload.extents, volume.options.partBytes);
  }

  /** Sends what is left of the file and completes it. Where the upload is of no use any more, the file is sent whole. */
  async finish(volume: Volume, target: Target): Promise<WriteReply> {
    const { inode, staged, upload, attributes } = this;
    const plan = this.plan(volume);
    if (plan === undefined) {
      await upload.abort();
      return send(volume, inode, staged, attributes, target);
    }
    try {
      const reply = await send(volume, inode, staged, attributes, { ...target, begun: { upload, plan } });
      upload.isOver = true;
      return reply;
    } catch (error) {
      // Where it was superseded, the writer goes on with it.
      if (!(error instanceof UploadSuperseded)) upload.isOver = true;
      if (!isUseless(error)) throw error;
    }
    return send(volume, inode, staged, attributes, target);
  }
}

/** Somebody aborted it (a rule of the bucket, for example, that ends uploads after some days), or changed its parts. */
function isUseless(error: unknown): boolean {
  return (isS3Error(error, 'NotFound') && error.details.code !== 'NoSuchKey') || isS3Error(error, 'InvalidRequest');
}
