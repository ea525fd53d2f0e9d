/** Which S3 operation a request is, by method, path and query (S3 API reference). Rules, counts and denials use the name. */
import type { IncomingHttpHeaders } from 'node:http';

type Query = ReadonlyMap<string, string>;

/** Sub-resources this server has no answer for. */
const unknown = [
  'acl', 'cors', 'encryption', 'inventory', 'legal-hold', 'lifecycle', 'logging', 'metrics', 'notification',
  'object-lock', 'ownershipControls', 'policy', 'policyStatus', 'publicAccessBlock', 'renameObject', 'replication',
  'requestPayment', 'restore', 'retention', 'select', 'torrent', 'versions', 'website',
]; // biome-ignore format: one word each is no gain

export function nameOperation(
  method: string,
  bucket: string,
  key: string,
  query: Query,
  headers: IncomingHttpHeaders,
): string {
  if (query.size > 0 && unknown.some((name) => query.has(name))) return 'NotImplemented';
  if (bucket === '') return method === 'GET' ? 'ListBuckets' : 'MethodNotAllowed';
  if (key === '') return nameOfBucket(method, query);
  return nameOfObject(method, query, headers);
}

function nameOfBucket(method: string, query: Query): string {
  if (method === 'HEAD') return 'HeadBucket';
  if (query.has('tagging')) return 'NotImplemented';
  if (method === 'GET') {
    if (query.has('location')) return 'GetBucketLocation';
    if (query.has('versioning')) return 'GetBucketVersioning';
    if (query.has('uploads')) return 'ListMultipartUploads';
    return query.get('list-type') === '2' ? 'ListObjectsV2' : 'ListObjects';
  }
  if (method === 'PUT') return query.has('versioning') ? 'NotImplemented' : 'CreateBucket';
  if (method === 'DELETE') return 'DeleteBucket';
  return method === 'POST' && query.has('delete') ? 'DeleteObjects' : 'MethodNotAllowed';
}

function nameOfObject(method: string, query: Query, headers: IncomingHttpHeaders): string {
  const tagging = query.has('tagging');
  const upload = query.has('uploadId');
  switch (method) {
    case 'GET':
      if (tagging) return 'GetObjectTagging';
      if (query.has('attributes')) return 'GetObjectAttributes';
      return upload ? 'ListParts' : 'GetObject';
    case 'HEAD':
      return 'HeadObject';
    case 'PUT': {
      const copy = headers['x-amz-copy-source'] !== undefined;
      if (tagging) return 'PutObjectTagging';
      if (upload) return copy ? 'UploadPartCopy' : 'UploadPart';
      return copy ? 'CopyObject' : 'PutObject';
    }
    case 'POST':
      if (query.has('uploads')) return 'CreateMultipartUpload';
      return upload ? 'CompleteMultipartUpload' : 'MethodNotAllowed';
    case 'DELETE':
      if (tagging) return 'DeleteObjectTagging';
      return upload ? 'AbortMultipartUpload' : 'DeleteObject';
    default:
      return 'MethodNotAllowed';
  }
}
