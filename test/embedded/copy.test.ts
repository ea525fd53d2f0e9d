import {
  CopyObjectCommand,
  type CopyObjectCommandInput,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  GetObjectTaggingCommand,
  HeadObjectCommand,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import t from 'tap';
import { Bucket, failureOf, raw, startServer } from './fixture.js';

t.test('a copy keeps what AWS keeps, and loses what AWS loses', async (t) => {
  const { client } = await startServer(t);
  const Key = 'from/\u00e9 +%';
  const { ETag } = await client.send(
    new PutObjectCommand({
      Bucket,
      Key,
      Body: 'content',
      ContentType: 'x/y',
      CacheControl: 'no-store',
      Metadata: { a: '1' },
      Tagging: 't=1',
      StorageClass: 'STANDARD_IA',
      WebsiteRedirectLocation: '/elsewhere',
    }),
  );
  const copy = (given: Partial<CopyObjectCommandInput>) =>
    client.send(
      new CopyObjectCommand({ Bucket, Key: 'to', CopySource: `${Bucket}/${encodeURIComponent(Key)}`, ...given }),
    );
  const head = (Key = 'to') => client.send(new HeadObjectCommand({ Bucket, Key }));
  t.equal((await copy({ Metadata: { ignored: '1' } })).CopyObjectResult?.ETag, ETag);
  const kept = await head();
  t.match(kept, { ContentType: 'x/y', CacheControl: 'no-store', Metadata: { a: '1' }, TagCount: 1 });
  t.notOk(kept.StorageClass ?? kept.WebsiteRedirectLocation);
  await copy({ MetadataDirective: 'REPLACE', Metadata: { b: '2' }, TaggingDirective: 'REPLACE', Tagging: 'u=2&v=3' });
  const replaced = await head();
  t.match(replaced, { Metadata: { b: '2' }, ContentType: 'binary/octet-stream', TagCount: 2 });
  t.notOk(replaced.CacheControl);
  t.equal(await failureOf(copy({ Key })), '400 InvalidRequest', 'in place without change');
  await copy({ Key, MetadataDirective: 'REPLACE', Metadata: { c: '3' } });
  t.match(await head(Key), { Metadata: { c: '3' }, ETag });
  t.same((await client.send(new GetObjectTaggingCommand({ Bucket, Key }))).TagSet, [{ Key: 't', Value: '1' }]);
  await client.send(new DeleteObjectCommand({ Bucket, Key }));
  t.equal(await (await client.send(new GetObjectCommand({ Bucket, Key: 'to' }))).Body!.transformToString(), 'content');
});

t.test('conditions of source and destination', async (t) => {
  const { server, client } = await startServer(t);
  const { ETag } = await client.send(new PutObjectCommand({ Bucket, Key: 'k', Body: 'x' }));
  const copy = (given: Partial<CopyObjectCommandInput>) =>
    failureOf(client.send(new CopyObjectCommand({ Bucket, Key: 'to', CopySource: `${Bucket}/k`, ...given })));
  const { LastModified } = await client.send(new HeadObjectCommand({ Bucket, Key: 'k' }));
  const before = new Date(LastModified!.getTime() - 1000);
  t.equal(await copy({ CopySourceIfMatch: '"x"' }), '412 PreconditionFailed');
  t.equal(await copy({ CopySourceIfNoneMatch: ETag }), '412 PreconditionFailed');
  t.equal(await copy({ CopySourceIfUnmodifiedSince: before }), '412 PreconditionFailed');
  t.equal(await copy({ CopySourceIfModifiedSince: LastModified }), '412 PreconditionFailed');
  t.equal(await copy({ CopySourceIfMatch: ETag, CopySourceIfUnmodifiedSince: before }), 'no failure');
  t.equal(await copy({ IfNoneMatch: '*' }), '412 PreconditionFailed');
  t.equal(await copy({ IfMatch: '"x"' }), '412 PreconditionFailed');
  t.equal(await copy({ IfMatch: ETag }), 'no failure');
  t.equal(await copy({ Key: 'absent', IfMatch: ETag }), '404 NoSuchKey');
  t.equal(await copy({ ExpectedSourceBucketOwner: '999999999999' }), '403 AccessDenied');
  server.putSparse(Bucket, 'huge', 6 * 2 ** 30);
  t.equal(await copy({ CopySource: `${Bucket}/huge` }), '400 InvalidRequest', 'more than 5 GB');
  server.archive(Bucket, 'k');
  t.equal(await copy({}), '403 InvalidObjectState');
});

t.test('deletes: one, with a condition, and many with an end each', async (t) => {
  const { server, client } = await startServer(t);
  const put = async (Key: string) => (await client.send(new PutObjectCommand({ Bucket, Key, Body: Key }))).ETag!;
  const remove = (Key: string, IfMatch?: string) =>
    failureOf(client.send(new DeleteObjectCommand({ Bucket, Key, IfMatch })));
  const ETag = await put('a');
  t.equal(await remove('absent'), 'no failure');
  t.equal(await remove('absent', '*'), '404 NoSuchKey');
  t.equal(await remove('a', '"x"'), '412 PreconditionFailed');
  t.equal(await remove('a', ETag), 'no failure');
  const many = (Objects: Array<{ Key: string; ETag?: string }>, Quiet = false) =>
    client.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects, Quiet } }));
  await put('a');
  await put('b');
  await put('c\r\n&');
  const { Deleted, Errors } = await many([
    { Key: 'a' },
    { Key: 'b', ETag: '"x"' },
    { Key: 'absent' },
    { Key: 'c\r\n&' },
  ]);
  t.same(
    Deleted?.map(({ Key }) => Key),
    ['a', 'absent', 'c\r\n&'],
  );
  t.match(Errors, [{ Key: 'b', Code: 'PreconditionFailed' }]);
  t.notOk((await many([{ Key: 'b' }], true)).Deleted);
  t.equal(await failureOf(client.send(new HeadObjectCommand({ Bucket, Key: 'c\r\n&' }))), '404 NotFound');
  const keys = Array.from({ length: 1001 }, (_, i) => ({ Key: `k${i}` }));
  t.equal(await failureOf(many(keys)), '400 MalformedXML');
  t.equal((await many(keys.slice(1))).Deleted?.length, 1000);
  server.denied.add('DeleteObject');
  t.match((await many([{ Key: 'b' }])).Errors, [{ Code: 'AccessDenied' }]);
  const body = '<Delete><Object><Key>b</Key></Object></Delete>';
  const bare = await raw(server, { method: 'POST', path: `/${Bucket}`, query: 'delete=', body });
  t.match(bare.body.toString(), 'Content-MD5', 'a digest is asked for');
});
