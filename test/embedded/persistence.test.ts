import { appendFileSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import t from 'tap';
import { startEmbeddedServer } from '../../src/embedded/server.js';
import { Bucket, clientOf, startServer } from './fixture.js';

t.test('a restart on the same directory serves the same', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'pailfs-embedded-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  const first = await startEmbeddedServer({ directory, buckets: [Bucket] });
  const client = clientOf(first);
  const keys = ['..', 'a//b', 'x'.repeat(1024), 'new\nline', '\u{1f600}'];
  for (const Key of keys) {
    await client.send(new PutObjectCommand({ Bucket, Key, Body: `old ${Key}` }));
    await client.send(new PutObjectCommand({ Bucket, Key, Body: Key, Metadata: { a: 'b' } }));
  }
  await client.send(new PutObjectCommand({ Bucket, Key: 'gone', Body: 'x' }));
  await client.send(new DeleteObjectCommand({ Bucket, Key: 'gone' }));
  const { UploadId } = await client.send(new CreateMultipartUploadCommand({ Bucket, Key: 'mp' }));
  const part = { Bucket, Key: 'mp', UploadId, PartNumber: 1 };
  const { ETag } = await client.send(new UploadPartCommand({ ...part, Body: 'part' }));
  first.putSparse(Bucket, 'sparse', 2 ** 33);
  client.destroy();
  await first.close();
  writeFileSync(join(directory, 'blobs', 'of-a-killed-upload'), 'x');
  appendFileSync(join(directory, 'records.jsonl'), '{"do":"delete","bucket":"test-bu');

  const { client: again } = await startServer(t, { directory, buckets: [Bucket, 'another'] });
  const { Contents } = await again.send(new ListObjectsV2Command({ Bucket }));
  t.same(Contents?.map(({ Key }) => Key).sort(), [...keys, 'sparse'].sort());
  for (const Key of keys) {
    const got = await again.send(new GetObjectCommand({ Bucket, Key }));
    t.same([await got.Body!.transformToString(), got.Metadata], [Key, { a: 'b' }]);
  }
  const Parts = [{ PartNumber: 1, ETag }];
  await again.send(new CompleteMultipartUploadCommand({ Bucket, Key: 'mp', UploadId, MultipartUpload: { Parts } }));
  t.equal(await (await again.send(new GetObjectCommand({ Bucket, Key: 'mp' }))).Body!.transformToString(), 'part');
  t.equal(readdirSync(join(directory, 'blobs')).length, keys.length + 1, 'no blob is left over');
});

t.test('the log is written anew when it is mostly history', { timeout: 60_000 }, async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'pailfs-embedded-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  const server = await startEmbeddedServer({ directory, buckets: [Bucket] });
  for (let i = 0; i < 25_000; i++) server.putSparse(Bucket, `k${i % 7}`, i);
  await server.close();
  t.ok(statSync(join(directory, 'records.jsonl')).size < 2_000_000);
  const { client } = await startServer(t, { directory });
  const { Contents } = await client.send(new ListObjectsV2Command({ Bucket }));
  t.equal(Contents?.length, 7);
  t.equal(Contents?.find(({ Key }) => Key === `k${24_999 % 7}`)?.Size, 24_999);
});
