/** ETags travel in quotes (radosgw leaves them off in places); inside pailfs they have none. */
import { createHash } from 'node:crypto';

export function stripQuotes(etag: string): string {
  if (etag.startsWith('W/')) etag = etag.slice(2);
  return etag.length >= 2 && etag.startsWith('"') && etag.endsWith('"') ? etag.slice(1, -1) : etag;
}

export function addQuotes(etag: string): string {
  return `"${etag}"`;
}

const md5Hex = /^[0-9a-f]{32}$/;

/** The ETag of a single-part object without KMS: the MD5 of its bytes. */
export function md5Etag(body: Uint8Array): string {
  return createHash('md5').update(body).digest('hex');
}

/** The ETag S3 gives a multipart object: MD5 of the parts' MD5s and their number; undefined where a part's is no MD5. */
export function multipartEtag(partEtags: readonly string[]): string | undefined {
  const hash = createHash('md5');
  for (const etag of partEtags) {
    if (!md5Hex.test(etag)) return undefined;
    hash.update(etag, 'hex');
  }
  return `${hash.digest('hex')}-${partEtags.length}`;
}
