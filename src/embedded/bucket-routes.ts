/** Buckets: list, make, remove, and the few questions clients ask about them. */
import { emptyAnswer, type Handler, isoTime, OWNER, xmlAnswer } from './answer.js';
import { receiveText } from './body.js';
import { Failure } from './failure.js';
import { element } from './xml.js';

const listBuckets: Handler = ({ store }) => {
  const buckets = [...store.buckets.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  const entries = buckets.map(({ name, created }) => {
    return `<Bucket>${element('Name', name)}${element('CreationDate', isoTime(created))}</Bucket>`;
  });
  const owner = `<Owner>${element('ID', OWNER)}</Owner>`;
  return xmlAnswer('ListAllMyBucketsResult', `${owner}<Buckets>${entries.join('')}</Buckets>`);
};

export function checkBucketName(name: string): void {
  const valid = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(name) && !name.includes('..') && !/^[\d.]+$/.test(name);
  if (!valid) throw new Failure('InvalidBucketName', { fields: { BucketName: name } });
}

const createBucket: Handler = async ({ store, region, now }, request) => {
  checkBucketName(request.bucket);
  if (Number(request.headers['content-length'] ?? 0) > 0) await receiveText(request, 64 << 10);
  if (!store.buckets.has(request.bucket)) store.createBucket(request.bucket, now());
  else if (region !== 'us-east-1') {
    throw new Failure('BucketAlreadyOwnedByYou', { fields: { BucketName: request.bucket } });
  }
  return emptyAnswer(200, { location: `/${request.bucket}` });
};

const deleteBucket: Handler = ({ store }, request) => {
  const { name, objects } = store.bucket(request.bucket);
  if (objects.size > 0) throw new Failure('BucketNotEmpty', { fields: { BucketName: name } });
  store.dropBucket(name);
  return emptyAnswer(204);
};

const headBucket: Handler = ({ store, region }, request) => {
  store.bucket(request.bucket);
  return emptyAnswer(200, { 'x-amz-bucket-region': region, 'content-type': 'application/xml' });
};

const getBucketLocation: Handler = ({ store, region }, request) => {
  store.bucket(request.bucket);
  // us-east-1 is the absence of a location.
  return xmlAnswer('LocationConstraint', region === 'us-east-1' ? '' : region);
};

const getBucketVersioning: Handler = ({ store }, request) => {
  store.bucket(request.bucket);
  return xmlAnswer('VersioningConfiguration', '');
};

export const bucketRoutes: Record<string, Handler> = {
  ListBuckets: listBuckets,
  CreateBucket: createBucket,
  DeleteBucket: deleteBucket,
  HeadBucket: headBucket,
  GetBucketLocation: getBucketLocation,
  GetBucketVersioning: getBucketVersioning,
};
