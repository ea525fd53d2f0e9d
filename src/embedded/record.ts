/**
 * What the embedded server remembers of an object or an upload. Records are plain JSON and never changed in place: a
 * new version is a new record, so that a reader goes on with the one it began with. Content is a list of segments of
 * immutable blobs, which makes every copy a matter of records alone.
 */
import type { Algorithm } from './checksum.js';

/** A run of bytes of a blob. A null blob is a hole: zero bytes that are nowhere on the disk. */
export interface Segment {
  readonly blob: string | null;
  readonly offset: number;
  readonly length: number;
}

export interface Checksum {
  readonly algorithm: Algorithm;
  /** Base64; a composite one ends in `-N`. */
  readonly value: string;
  readonly type: 'FULL_OBJECT' | 'COMPOSITE';
}

/** What a client may set beside the content. */
export interface Attributes {
  /** Content-Type, Cache-Control and the like, names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  /** User metadata, names in lower case and without `x-amz-meta-`. */
  readonly metadata: Readonly<Record<string, string>>;
  readonly tags?: ReadonlyArray<readonly [key: string, value: string]>;
  /** Absent: STANDARD. */
  readonly storageClass?: string;
  readonly redirect?: string;
  /** KMS key id, when the object is not under SSE-S3; `dsse`: twice encrypted. */
  readonly kms?: string;
  readonly dsse?: boolean;
  /** MD5 (base64) of the customer's key that the object is under. */
  readonly customerKeyMd5?: string;
  /** Canned ACL. */
  readonly acl?: string;
}

export interface ObjectPart {
  readonly number: number;
  readonly size: number;
  readonly checksum?: string;
}

export interface ObjectRecord extends Attributes {
  readonly key: string;
  readonly size: number;
  /** Without quotes. */
  readonly etag: string;
  /** Milliseconds since 1970; told in whole seconds, as AWS does. */
  readonly modified: number;
  readonly segments: readonly Segment[];
  readonly checksum?: Checksum;
  /** Only of objects that came by multipart upload. */
  readonly parts?: readonly ObjectPart[];
}

export interface PartRecord {
  readonly number: number;
  readonly size: number;
  readonly etag: string;
  readonly modified: number;
  readonly segments: readonly Segment[];
  readonly checksum?: { readonly algorithm: Algorithm; readonly value: string };
}

export interface UploadRecord {
  readonly id: string;
  readonly bucket: string;
  readonly key: string;
  readonly created: number;
  readonly attributes: Attributes;
  readonly checksum?: { readonly algorithm: Algorithm; readonly type: Checksum['type'] };
  /** Something wrote or deleted the key after Create: AWS then refuses a conditional Complete. */
  disturbed?: boolean;
}

export function quoted(etag: string): string {
  return `"${etag}"`;
}

export function unquoted(etag: string): string {
  return etag.trim().replace(/^"|"$/g, '');
}

/** The segments of `length` bytes from `offset`. The range lies within the content. */
export function sliceSegments(segments: readonly Segment[], offset: number, length: number): Segment[] {
  const slice: Segment[] = [];
  let start = 0;
  for (const segment of segments) {
    if (length <= 0) break;
    const skip = Math.max(0, offset - start);
    if (skip < segment.length) {
      const take = Math.min(segment.length - skip, length);
      slice.push({ blob: segment.blob, offset: segment.offset + skip, length: take });
      length -= take;
    }
    start += segment.length;
  }
  return slice;
}
