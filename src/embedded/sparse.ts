/** Objects that are mostly holes: huge for the client, nothing for the disk. */
import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import type { BlobStore } from './blobs.js';
import type { ObjectRecord, Segment } from './record.js';

interface Sparse {
  readonly key: string;
  readonly size: number;
  /** Later ones must not begin before earlier ones end. */
  readonly patches: ReadonlyArray<{ offset: number; data: Uint8Array }>;
  readonly modified: number;
}

export function sparseRecord(blobs: BlobStore, { key, size, patches, modified }: Sparse): ObjectRecord {
  const segments: Segment[] = [];
  // No MD5, which would take seconds: a hash of what makes the content.
  const digest = createHash('md5').update(`sparse ${size}`);
  let end = 0;
  for (const { offset, data } of [...patches].sort((a, b) => a.offset - b.offset)) {
    if (offset < end || offset + data.length > size) throw new RangeError('patches overlap or lie outside the object');
    if (offset > end) segments.push({ blob: null, offset: 0, length: offset - end });
    if (data.length > 0) {
      const { id, path } = blobs.create();
      writeFileSync(path, data);
      segments.push({ blob: id, offset: 0, length: data.length });
    }
    digest.update(`\n${offset} ${data.length} `).update(data);
    end = offset + data.length;
  }
  if (size > end) segments.push({ blob: null, offset: 0, length: size - end });
  blobs.retain(segments);
  const headers = { 'content-type': 'binary/octet-stream' };
  return { key, size, etag: digest.digest('hex'), modified, segments, headers, metadata: {} };
}
