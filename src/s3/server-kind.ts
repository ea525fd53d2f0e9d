/**
 * Which server answers, as far as that changes what may be asked of it. Servers are known by what they say of
 * themselves in their answers, never by their address.
 */
import { type HttpHead, headerOf } from './http-transport.js';

export type ServerKind = 'minio' | 'seaweedfs' | 'other';

/** MinIO's x-amz-id-2 is a SHA-256 in hex; AWS's is base64. */
const minioHostId = /^[0-9a-f]{64}$/;

/** Undefined: not an answer of S3 (a proxy's own, for example). A proxy may put its name in place of MinIO's. */
export function serverKindOf(head: HttpHead): ServerKind | undefined {
  if (headerOf(head.rawHeaders, 'x-amz-request-id') === undefined) return undefined;
  const name = headerOf(head.rawHeaders, 'server');
  if (name === 'MinIO') return 'minio';
  if (name?.startsWith('SeaweedFS')) return 'seaweedfs';
  return minioHostId.test(headerOf(head.rawHeaders, 'x-amz-id-2') ?? '') ? 'minio' : 'other';
}
