/** Encryption as a client sees it: headers told again, keys asked for; and requests that the requester pays for. */
import { createHash, randomBytes } from 'node:crypto';
import {
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  type PutObjectCommandInput,
  UploadPartCommand,
  UploadPartCopyCommand,
} from '@aws-sdk/client-s3';
import t from 'tap';
import { Bucket, failureOf, raw, startServer } from './fixture.js';

/** As the SDK's inputs want them. */
function keyOf(bytes = randomBytes(32)) {
  const md5 = createHash('md5').update(bytes).digest('base64');
  const key = bytes.toString('base64');
  return {
    own: { SSECustomerAlgorithm: 'AES256', SSECustomerKey: key, SSECustomerKeyMD5: md5 },
    source: {
      CopySourceSSECustomerAlgorithm: 'AES256',
      CopySourceSSECustomerKey: key,
      CopySourceSSECustomerKeyMD5: md5,
    },
    md5,
  };
}

t.test('SSE-C: every read and part needs the key of its object', async (t) => {
  const { server, client } = await startServer(t);
  const [mine, other] = [keyOf(), keyOf()];
  const Key = 'k';
  const CopySource = `${Bucket}/k`;
  const put = await client.send(new PutObjectCommand({ Bucket, Key, Body: 'content', ...mine.own }));
  t.match(put, { SSECustomerAlgorithm: 'AES256', SSECustomerKeyMD5: mine.md5 });
  t.notOk(put.ServerSideEncryption);
  t.not(put.ETag, `"${createHash('md5').update('content').digest('hex')}"`, 'the ETag tells nothing');
  const get = (more: object) => failureOf(client.send(new GetObjectCommand({ Bucket, Key, ...more })));
  t.equal(await get({}), '400 InvalidRequest');
  t.equal(await get(other.own), '403 AccessDenied');
  // The SDK reckons the MD5 itself.
  const headers = {
    'x-amz-server-side-encryption-customer-algorithm': 'AES256',
    'x-amz-server-side-encryption-customer-key': mine.own.SSECustomerKey,
    'x-amz-server-side-encryption-customer-key-md5': other.md5,
  };
  t.match((await raw(server, { path: `/${Bucket}/k`, headers })).body.toString(), /<Code>InvalidArgument<.*MD5 hash/);
  const got = await client.send(new GetObjectCommand({ Bucket, Key, ...mine.own }));
  t.equal(await got.Body!.transformToString(), 'content');
  t.equal(got.SSECustomerKeyMD5, mine.md5);
  t.match(await failureOf(client.send(new HeadObjectCommand({ Bucket, Key }))), /^400/);
  await client.send(new HeadObjectCommand({ Bucket, Key, ...mine.own }));
  await client.send(new PutObjectCommand({ Bucket, Key: 'plain', Body: 'x' }));
  t.equal(await get({ Key: 'plain', ...mine.own }), '400 InvalidRequest', 'a key for what has none');

  const copy = (more: object) =>
    failureOf(client.send(new CopyObjectCommand({ Bucket, Key: 'to', CopySource, ...more })));
  t.equal(await copy({}), '400 InvalidRequest');
  t.equal(await copy(other.source), '403 AccessDenied');
  t.equal(await copy({ ...mine.source, ...other.own }), 'no failure');
  t.equal(await get({ Key: 'to', ...other.own }), 'no failure');
  t.equal(await copy(mine.source), 'no failure', 'a copy does not inherit the encryption');
  t.equal(await get({ Key: 'to' }), 'no failure');

  const { UploadId } = await client.send(new CreateMultipartUploadCommand({ Bucket, Key: 'm', ...mine.own }));
  const part = { Bucket, Key: 'm', UploadId, PartNumber: 1 };
  t.equal(await failureOf(client.send(new UploadPartCommand({ ...part, Body: 'x' }))), '400 InvalidRequest');
  const wrong = new UploadPartCommand({ ...part, Body: 'x', ...other.own });
  t.equal(await failureOf(client.send(wrong)), '400 InvalidRequest');
  const { CopyPartResult } = await client.send(
    new UploadPartCopyCommand({ ...part, CopySource, ...mine.own, ...mine.source }),
  );
  const MultipartUpload = { Parts: [{ PartNumber: 1, ETag: CopyPartResult!.ETag }] };
  await client.send(new CompleteMultipartUploadCommand({ Bucket, Key: 'm', UploadId, MultipartUpload }));
  t.equal(await get({ Key: 'm' }), '400 InvalidRequest');
  t.equal(await get({ Key: 'm', ...mine.own }), 'no failure');
});

t.test('what a write may not ask for', async (t) => {
  const { client } = await startServer(t);
  const { own } = keyOf();
  const put = (more: Partial<PutObjectCommandInput>) =>
    failureOf(client.send(new PutObjectCommand({ Bucket, Key: 'k', Body: 'x', ...more })));
  const short = randomBytes(16);
  const shortMd5 = createHash('md5').update(short).digest('base64');
  t.equal(await put({ ...own, SSECustomerAlgorithm: 'AES128' }), '400 InvalidEncryptionAlgorithmError');
  t.equal(
    await put({ ...own, SSECustomerKey: short.toString('base64'), SSECustomerKeyMD5: shortMd5 }),
    '400 InvalidArgument',
  );
  t.equal(await put({ ...own, ServerSideEncryption: 'aws:kms' }), '400 InvalidArgument');
  t.equal(await put({ ServerSideEncryption: 'AES256', SSEKMSKeyId: 'k' }), '400 InvalidArgument');
  t.equal(await put({ ServerSideEncryption: 'rot13' as 'AES256' }), '400 InvalidEncryptionAlgorithmError');
  t.equal(await put({ ACL: 'nobody' as 'private' }), '400 InvalidArgument');
  t.equal(await put({ ACL: 'bucket-owner-full-control' }), 'no failure');
  t.equal(await put({ StorageClass: 'TAPE' as 'GLACIER' }), '400 InvalidStorageClass');
});

t.test('SSE-S3 and KMS are told again, and a copy has its own', async (t) => {
  const { client } = await startServer(t);
  const head = (Key: string) => client.send(new HeadObjectCommand({ Bucket, Key }));
  const put = (Key: string, more: Partial<PutObjectCommandInput>) =>
    client.send(new PutObjectCommand({ Bucket, Key, Body: 'x', ...more }));
  t.match(await put('plain', {}), { ServerSideEncryption: 'AES256' });
  t.match(await put('kms', { ServerSideEncryption: 'aws:kms', SSEKMSKeyId: 'mine' }), { SSEKMSKeyId: 'mine' });
  await put('dsse', { ServerSideEncryption: 'aws:kms:dsse' });
  t.match(await head('kms'), { ServerSideEncryption: 'aws:kms', SSEKMSKeyId: 'mine' });
  t.match(await head('dsse'), { ServerSideEncryption: 'aws:kms:dsse', SSEKMSKeyId: 'alias/aws/s3' });
  await client.send(new CopyObjectCommand({ Bucket, Key: 'copy', CopySource: `${Bucket}/kms` }));
  t.match(await head('copy'), { ServerSideEncryption: 'AES256' });
});

t.test('requester pays', async (t) => {
  const { server, client } = await startServer(t);
  await client.send(new PutObjectCommand({ Bucket, Key: 'k', Body: 'x' }));
  server.requesterPays.add(Bucket);
  t.equal(await failureOf(client.send(new GetObjectCommand({ Bucket, Key: 'k' }))), '403 AccessDenied');
  t.equal(await failureOf(client.send(new ListObjectsV2Command({ Bucket }))), '403 AccessDenied');
  const paid = await client.send(new GetObjectCommand({ Bucket, Key: 'k', RequestPayer: 'requester' }));
  t.equal(paid.RequestCharged, 'requester');
});
