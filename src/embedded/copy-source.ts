/** The source of CopyObject and UploadPartCopy, and digests of content that is already here. */
import { createHash } from 'node:crypto';
import { MAX_COPY_BYTES, MIN_RANGE_COPY_SOURCE_BYTES } from '../constants.js';
import { OWNER, type Service } from './answer.js';
import type { BlobStore } from './blobs.js';
import { type Algorithm, createSum } from './checksum.js';
import { checkRead } from './conditions.js';
import { checkDecryption, SOURCE_CUSTOMER } from './encryption.js';
import { Failure } from './failure.js';
import { checkReadable } from './read-routes.js';
import { type ObjectRecord, type Segment, sliceSegments } from './record.js';
import { decode, header, type S3Request } from './request.js';

export interface CopySource {
  readonly bucket: string;
  readonly record: ObjectRecord;
}

export function findSource(service: Service, request: S3Request): CopySource {
  const text = header(request, 'x-amz-copy-source')!.replace(/^\//, '').split('?versionId=', 1)[0]!;
  const slash = text.search(/\/|%2f/i);
  const skip = text[slash] === '/' ? 1 : 3;
  const bucket = decode(text.slice(0, slash));
  const key = decode(text.slice(slash + skip));
  if (slash <= 0 || key === '') {
    throw new Failure('InvalidArgument', {
      message: 'Copy Source must mention the source bucket and key: sourcebucket/sourcekey',
      fields: { ArgumentName: 'x-amz-copy-source', ArgumentValue: text },
    });
  }
  if ((header(request, 'x-amz-source-expected-bucket-owner') ?? OWNER) !== OWNER || service.denied.has('GetObject')) {
    throw new Failure('AccessDenied');
  }
  const record = service.store.bucket(bucket).objects.get(key);
  if (!record) throw new Failure('NoSuchKey', { fields: { Key: key } });
  checkReadable(record);
  checkDecryption(request, record, SOURCE_CUSTOMER);
  checkRead(request, record, 'x-amz-copy-source-');
  return { bucket, record };
}

/** The segments of x-amz-copy-source-range, or of everything; at most 5 GiB. */
export function sourceRange(request: S3Request, record: ObjectRecord): { segments: readonly Segment[]; size: number } {
  const range = header(request, 'x-amz-copy-source-range');
  let part = { segments: record.segments, size: record.size };
  if (range !== undefined) {
    const match = /^bytes=(\d+)-(\d+)$/.exec(range);
    const start = Number(match?.[1]);
    const end = Number(match?.[2]);
    if (!match || start > end || end >= record.size) {
      throw new Failure('InvalidArgument', {
        message: `Range specified is not valid for source object of size: ${record.size}`,
        fields: { ArgumentName: 'x-amz-copy-source-range', ArgumentValue: range },
      });
    }
    if (record.size <= MIN_RANGE_COPY_SOURCE_BYTES) {
      throw new Failure('InvalidRequest', {
        message: 'The specified copy source is not supported as a byte-range copy source',
      });
    }
    const size = end - start + 1;
    part = { segments: sliceSegments(record.segments, start, size), size };
  }
  if (part.size > MAX_COPY_BYTES) {
    throw new Failure('InvalidRequest', {
      message: `The specified copy source is larger than the maximum allowable size for a copy source: ${MAX_COPY_BYTES}`,
    });
  }
  return part;
}

/** Reads what is not a hole; holes are reckoned, for the CRCs without touching a byte. */
export async function checksumOf(
  blobs: BlobStore,
  algorithm: Algorithm,
  segments: readonly Segment[],
): Promise<{ algorithm: Algorithm; value: string }> {
  const sum = createSum(algorithm);
  for (const segment of segments) {
    if (!segment.blob) sum.zeros(segment.length);
    else for await (const piece of blobs.pieces([segment])) sum.update(piece);
  }
  return { algorithm, value: sum.digest() };
}

export async function md5Of(blobs: BlobStore, segments: readonly Segment[]): Promise<string> {
  const hash = createHash('md5');
  for await (const piece of blobs.pieces(segments)) hash.update(piece);
  return hash.digest('hex');
}

/** 32 hexadecimal digits that follow the source and its range, where an MD5 would cost a read of everything. */
export function opaqueEtag(etag: string, range: string): string {
  return createHash('sha256').update(`${etag}\n${range}`).digest('hex').slice(0, 32);
}
