import { createHash } from 'node:crypto';
import {
  type ChecksumAlgorithm,
  DeleteBucketCommand,
  GetObjectAttributesCommand,
  GetObjectCommand,
  GetObjectTaggingCommand,
  HeadObjectCommand,
  ListBucketsCommand,
  PutObjectCommand,
  PutObjectTaggingCommand,
} from '@aws-sdk/client-s3';
import t from 'tap';
import { Bucket, failureOf, raw, startServer } from './fixture.js';

t.test('what is put is read again, with its attributes', async (t) => {
  const { client } = await startServer(t);
  const Body = Buffer.from('twelve bytes');
  const put = await client.send(
    new PutObjectCommand({
      Bucket,
      Key: 'dir/a b+c%2F\u00e9\u{1f600}',
      Body,
      ContentType: 'text/x',
      ContentEncoding: 'gzip',
      CacheControl: 'no-cache',
      Metadata: { Mode: '33188', name: 'plain' },
      Tagging: 'a=1&b=x%20y',
      StorageClass: 'STANDARD_IA',
    }),
  );
  t.equal(put.ETag, `"${createHash('md5').update(Body).digest('hex')}"`);
  const got = await client.send(
    new GetObjectCommand({ Bucket, Key: 'dir/a b+c%2F\u00e9\u{1f600}', ChecksumMode: 'ENABLED' }),
  );
  t.equal(await got.Body!.transformToString(), 'twelve bytes');
  t.match(got, {
    ContentType: 'text/x',
    ContentEncoding: 'gzip',
    CacheControl: 'no-cache',
    Metadata: { mode: '33188', name: 'plain' },
    TagCount: 2,
    StorageClass: 'STANDARD_IA',
    ChecksumCRC32: put.ChecksumCRC32,
    ContentLength: 12,
  });
});

t.test('metadata that is not ASCII comes back as an RFC 2047 word, an ASCII word decoded', async (t) => {
  const { server, client } = await startServer(t);
  const headers = { 'x-amz-meta-word': '=?UTF-8?Q?a=62c?=', 'x-amz-meta-wide': '=?UTF-8?B?w6k=?=' };
  t.equal((await raw(server, { method: 'PUT', path: `/${Bucket}/k`, headers })).status, 200);
  const { Metadata } = await client.send(new HeadObjectCommand({ Bucket, Key: 'k' }));
  t.same(Metadata, { word: 'abc', wide: '=?UTF-8?B?w6k=?=' });
});

t.test('limits: key, metadata, and the bucket that must be there and be empty', async (t) => {
  const { client } = await startServer(t);
  const put = (Key: string, Metadata?: Record<string, string>) =>
    failureOf(client.send(new PutObjectCommand({ Bucket, Key, Metadata })));
  t.equal(await put('k'.repeat(1024)), 'no failure');
  t.equal(await put('k'.repeat(1025)), '400 KeyTooLongError');
  t.equal(await put('m', { a: 'x'.repeat(2047) }), 'no failure');
  t.equal(await put('m', { a: 'x'.repeat(2048) }), '400 MetadataTooLarge');
  t.equal(await failureOf(client.send(new PutObjectCommand({ Bucket: 'absent', Key: 'k' }))), '404 NoSuchBucket');
  t.equal(await failureOf(client.send(new DeleteBucketCommand({ Bucket }))), '409 BucketNotEmpty');
  t.match((await client.send(new ListBucketsCommand({}))).Buckets, [{ Name: Bucket }]);
});

t.test('every checksum algorithm is computed as the client does, and a wrong one refused', async (t) => {
  const { server, client } = await startServer(t);
  for (const ChecksumAlgorithm of ['CRC32', 'CRC32C', 'CRC64NVME', 'SHA1', 'SHA256'] as ChecksumAlgorithm[]) {
    const Key = ChecksumAlgorithm;
    const wrong = { [`x-amz-checksum-${Key.toLowerCase()}`]: 'AAAAAA==' };
    t.equal((await raw(server, { method: 'PUT', path: `/${Bucket}/${Key}`, headers: wrong, body: 'x' })).status, 400);
    t.equal(await failureOf(client.send(new HeadObjectCommand({ Bucket, Key }))), '404 NotFound');
    if (Key === 'CRC64NVME') continue;
    await client.send(new PutObjectCommand({ Bucket, Key, Body: `content of ${Key}`, ChecksumAlgorithm }));
    const got = await client.send(new GetObjectCommand({ Bucket, Key, ChecksumMode: 'ENABLED' }));
    t.equal(await got.Body!.transformToString(), `content of ${Key}`, 'the client checked it too');
  }
  const md5 = { 'content-md5': createHash('md5').update('y').digest('base64') };
  t.match(
    (await raw(server, { method: 'PUT', path: `/${Bucket}/m`, headers: md5, body: 'x' })).body.toString(),
    'BadDigest',
  );
  t.equal((await raw(server, { method: 'PUT', path: `/${Bucket}/m`, headers: md5, body: 'y' })).status, 200);
});

t.test('ranges', async (t) => {
  const { server, client } = await startServer(t);
  await client.send(new PutObjectCommand({ Bucket, Key: 'k', Body: '0123456789' }));
  await client.send(new PutObjectCommand({ Bucket, Key: 'empty' }));
  const get = async (range: string, key = 'k') => {
    const { status, head, body } = await raw(server, { path: `/${Bucket}/${key}`, headers: { range } });
    const told = /content-range: (.*)/.exec(head)?.[1]?.trim();
    return `${status} ${status < 300 ? body : /<Code>(.*)<\/Code>/.exec(body.toString())?.[1]} ${told ?? ''}`.trim();
  };
  t.equal(await get('bytes=2-4'), '206 234 bytes 2-4/10');
  t.equal(await get('bytes=7-'), '206 789 bytes 7-9/10');
  t.equal(await get('bytes=8-99'), '206 89 bytes 8-9/10');
  t.equal(await get('bytes=-3'), '206 789 bytes 7-9/10');
  t.equal(await get('bytes=-30'), '206 0123456789 bytes 0-9/10');
  t.equal(await get('bytes=10-'), '416 InvalidRange bytes */10');
  t.equal(await get('bytes=-0'), '416 InvalidRange bytes */10');
  t.equal(await get('bytes=0-0', 'empty'), '416 InvalidRange bytes */0');
  for (const odd of ['bytes=4-2', 'bytes=1-2,4-5', 'bytes=a-b', 'bytes=-', 'lines=1-2']) {
    t.equal(await get(odd), '200 0123456789', odd);
  }
  t.notMatch((await raw(server, { path: `/${Bucket}/empty`, headers: { range: 'bytes=0-0' } })).head, 'etag');
});

t.test('conditions of reads and writes', async (t) => {
  const { client } = await startServer(t);
  const put = (given: object) => client.send(new PutObjectCommand({ Bucket, Key: 'k', Body: 'one', ...given }));
  const { ETag } = await put({});
  const { LastModified } = await client.send(new HeadObjectCommand({ Bucket, Key: 'k' }));
  const get = (given: object) => failureOf(client.send(new HeadObjectCommand({ Bucket, Key: 'k', ...given })));
  const before = new Date(LastModified!.getTime() - 1000);
  t.equal(await get({ IfMatch: ETag }), 'no failure');
  t.match(await get({ IfMatch: '"other"' }), /^412/);
  t.match(await get({ IfNoneMatch: ETag }), /^304/);
  t.equal(await get({ IfNoneMatch: '"other"' }), 'no failure');
  t.match(await get({ IfModifiedSince: LastModified }), /^304/);
  t.equal(await get({ IfModifiedSince: before }), 'no failure');
  t.match(await get({ IfUnmodifiedSince: before }), /^412/);
  t.equal(await get({ IfUnmodifiedSince: before, IfMatch: ETag }), 'no failure', 'the ETag beats the date');
  t.equal(await failureOf(put({ IfNoneMatch: '*' })), '412 PreconditionFailed');
  t.equal(await failureOf(put({ IfMatch: '"other"' })), '412 PreconditionFailed');
  t.equal(await failureOf(put({ IfMatch: '"x"', Key: 'absent' })), '404 NoSuchKey');
  t.match(await failureOf(put({ IfMatch: '*' })), /^501/);
  t.match(await failureOf(put({ IfNoneMatch: '"x"' })), /^501/);
  t.match(await failureOf(put({ IfMatch: ETag, IfNoneMatch: '*' })), /^501/);
  t.equal(await failureOf(put({ IfMatch: ETag, Body: 'two' })), 'no failure');
  t.equal(await failureOf(put({ IfMatch: ETag, Body: 'three' })), '412 PreconditionFailed');
});

t.test('of many writers that want the key to be new, one wins', async (t) => {
  const { client } = await startServer(t);
  const put = (Body: string) =>
    failureOf(client.send(new PutObjectCommand({ Bucket, Key: 'k', Body, IfNoneMatch: '*' })));
  const ends = await Promise.all(Array.from({ length: 20 }, (_, i) => put(`writer ${i}`)));
  t.equal(ends.filter((end) => end === 'no failure').length, 1);
  t.equal(ends.filter((end) => end === '412 PreconditionFailed').length, 19);
});

t.test('tagging, attributes, archive, denial, and HEAD without a body', async (t) => {
  const { server, client } = await startServer(t);
  await client.send(new PutObjectCommand({ Bucket, Key: 'k', Body: 'abc', Tagging: 'a=1' }));
  const TagSet = [{ Key: 'n', Value: ' v +-=._:/@ \u00e9 ' }];
  await client.send(new PutObjectTaggingCommand({ Bucket, Key: 'k', Tagging: { TagSet } }));
  t.same((await client.send(new GetObjectTaggingCommand({ Bucket, Key: 'k' }))).TagSet, TagSet);
  // As MinIO and versitygw answer; radosgw takes any character.
  for (const Tagging of ['a=x%26y', 'a%2A=x', 'a=1&a=2']) {
    const put = client.send(new PutObjectCommand({ Bucket, Key: 'tagged', Body: 'x', Tagging }));
    t.equal(await failureOf(put), '400 InvalidTag', Tagging);
  }
  await client.send(new PutObjectCommand({ Bucket, Key: 'tagged', Body: 'x', Tagging: '&a=1&' }));
  const ObjectAttributes = ['ETag' as const, 'ObjectSize' as const, 'Checksum' as const];
  t.match(await client.send(new GetObjectAttributesCommand({ Bucket, Key: 'k', ObjectAttributes })), {
    ETag: createHash('md5').update('abc').digest('hex'),
    ObjectSize: 3,
    Checksum: { ChecksumType: 'FULL_OBJECT' },
  });
  server.archive(Bucket, 'k');
  t.equal(await failureOf(client.send(new GetObjectCommand({ Bucket, Key: 'k' }))), '403 InvalidObjectState');
  t.equal((await client.send(new HeadObjectCommand({ Bucket, Key: 'k' }))).StorageClass, 'GLACIER');
  server.denied.add('ListObjectsV2');
  t.equal(await failureOf(client.send(new GetObjectCommand({ Bucket, Key: 'absent' }))), '403 AccessDenied');
  server.denied.clear();
  t.equal(await failureOf(client.send(new GetObjectCommand({ Bucket, Key: 'absent' }))), '404 NoSuchKey');
  const owner = { Bucket, Key: 'k', ExpectedBucketOwner: '999999999999' };
  t.match(await failureOf(client.send(new HeadObjectCommand(owner))), /^403/);
  const { head, body, status } = await raw(server, { method: 'HEAD', path: `/${Bucket}/absent` });
  t.equal(status, 404);
  t.equal(body.length, 0);
  t.match(head, 'x-amz-request-id');
});
