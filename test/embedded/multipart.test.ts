import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  type CompleteMultipartUploadCommandInput,
  CreateMultipartUploadCommand,
  type CreateMultipartUploadCommandInput,
  DeleteObjectCommand,
  GetObjectAttributesCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListPartsCommand,
  PutObjectCommand,
  type S3Client,
  UploadPartCommand,
  UploadPartCopyCommand,
} from '@aws-sdk/client-s3';
import t from 'tap';
import { Bucket, failureOf, sign, startServer } from './fixture.js';

const MIN = 5 * 1024 * 1024;
const Key = 'big';
const first = Buffer.alloc(MIN, 'one');
const last = Buffer.from('the end');
const md5 = (data: Buffer) => createHash('md5').update(data).digest();

async function begin(client: S3Client, given: Partial<CreateMultipartUploadCommandInput> = {}) {
  return (await client.send(new CreateMultipartUploadCommand({ Bucket, Key, ...given }))).UploadId!;
}

async function part(client: S3Client, UploadId: string, PartNumber: number, Body: Buffer) {
  const { ETag, ChecksumCRC32 } = await client.send(new UploadPartCommand({ Bucket, Key, UploadId, PartNumber, Body }));
  return { PartNumber, ETag, ChecksumCRC32 };
}

type Part = Awaited<ReturnType<typeof part>>;

function complete(
  client: S3Client,
  UploadId: string,
  Parts: Part[],
  given: Partial<CompleteMultipartUploadCommandInput> = {},
) {
  return client.send(
    new CompleteMultipartUploadCommand({ Bucket, Key, UploadId, MultipartUpload: { Parts }, ...given }),
  );
}

t.test('parts become one object, whose checksum is that of the whole', async (t) => {
  const { client } = await startServer(t);
  const checksum = { ChecksumAlgorithm: 'CRC32', ChecksumType: 'FULL_OBJECT' } as const;
  const id = await begin(client, { ...checksum, Metadata: { a: 'b' }, ContentType: 'x/y' });
  const parts = [await part(client, id, 2, first), await part(client, id, 7, last)];
  t.match((await client.send(new ListPartsCommand({ Bucket, Key, UploadId: id, MaxParts: 1 }))).Parts, [
    { PartNumber: 2, Size: MIN },
  ]);
  t.match((await client.send(new ListMultipartUploadsCommand({ Bucket }))).Uploads, [{ Key, UploadId: id }]);
  t.equal(
    await failureOf(complete(client, id, parts, { ChecksumCRC32: 'AAAAAA==', ChecksumType: 'FULL_OBJECT' })),
    '400 BadDigest',
  );
  const done = await complete(client, id, parts);
  t.equal(done.ETag, `"${md5(Buffer.concat([md5(first), md5(last)])).toString('hex')}-2"`);
  t.equal((await complete(client, id, parts)).ETag, done.ETag, 'a repeated Complete is answered as the first');
  await client.send(new PutObjectCommand({ Bucket, Key: 'whole', Body: Buffer.concat([first, last]) }));
  const whole = await client.send(new HeadObjectCommand({ Bucket, Key: 'whole', ChecksumMode: 'ENABLED' }));
  t.equal(done.ChecksumCRC32, whole.ChecksumCRC32);
  const got = await client.send(new GetObjectCommand({ Bucket, Key, ChecksumMode: 'ENABLED' }));
  t.same(Buffer.from(await got.Body!.transformToByteArray()), Buffer.concat([first, last]), 'the client checked it');
  t.match(got, { Metadata: { a: 'b' }, ContentType: 'x/y' });
  const second = await client.send(new GetObjectCommand({ Bucket, Key, PartNumber: 7 }));
  t.match(second, { PartsCount: 2, ContentRange: `bytes ${MIN}-${MIN + 6}/${MIN + 7}`, ETag: done.ETag });
  t.equal(await second.Body!.transformToString(), 'the end');
  const { ObjectParts } = await client.send(
    new GetObjectAttributesCommand({ Bucket, Key, ObjectAttributes: ['ObjectParts'] }),
  );
  t.match(ObjectParts, {
    TotalPartsCount: 2,
    Parts: [
      { PartNumber: 2, Size: MIN },
      { PartNumber: 7, Size: 7 },
    ],
  });
});

t.test('a Complete whose body arrives behind another Complete is answered as that one', async (t) => {
  const { client, server } = await startServer(t);
  const UploadId = await begin(client);
  const only = await part(client, UploadId, 1, last);
  const document = `<Part><PartNumber>1</PartNumber><ETag>${only.ETag}</ETag></Part>`;
  const body = `<CompleteMultipartUpload>${document}</CompleteMultipartUpload>`;
  const { text } = sign(server, { method: 'POST', path: `/${Bucket}/${Key}`, query: `uploadId=${UploadId}`, body });
  const socket = connect(server.port, '127.0.0.1').setEncoding('utf8');
  t.teardown(() => socket.destroy());
  const begun = server.requests.total;
  socket.write(text + body.slice(0, 20));
  while (server.requests.total === begun) await new Promise((resolve) => setTimeout(resolve, 5));
  const { ETag } = await complete(client, UploadId, [only]);
  socket.write(body.slice(20));
  const [answer] = await once(socket, 'data');
  t.match(answer, /^HTTP.1.1 200 /);
  t.match(answer, ETag?.replaceAll('"', '') ?? 'no ETag');
});

t.test('what Complete refuses', async (t) => {
  const { client } = await startServer(t);
  const id = await begin(client);
  const [one, two] = [await part(client, id, 1, last), await part(client, id, 2, last)];
  t.equal(await failureOf(complete(client, id, [one, two])), '400 EntityTooSmall');
  t.equal(await failureOf(complete(client, id, [two, one])), '400 InvalidPartOrder');
  t.equal(await failureOf(complete(client, id, [{ ...one, ETag: '"nope"' }])), '400 InvalidPart');
  t.equal(await failureOf(complete(client, id, [{ ...one, PartNumber: 9 }])), '400 InvalidPart');
  t.equal(await failureOf(complete(client, id, [])), '400 MalformedXML');
  t.equal(await failureOf(complete(client, id, [one], { MpuObjectSize: 8 })), '400 InvalidRequest');
  t.equal(await failureOf(complete(client, 'other', [one])), '404 NoSuchUpload');
  t.equal(await failureOf(complete(client, id, [one], { MpuObjectSize: 7 })), 'no failure');
});

// AWS, as localstack's snapshots recorded it; no other server does this.
t.test('a conditional Complete is refused when the key was touched after Create', async (t) => {
  const { server, client } = await startServer(t);
  const put = (Body: string) => client.send(new PutObjectCommand({ Bucket, Key, Body }));
  const { ETag } = await put('same');
  const upload = async () => {
    const id = await begin(client);
    return { id, parts: [await part(client, id, 1, last)] };
  };
  const written = await upload();
  await put('same');
  t.equal(
    await failureOf(complete(client, written.id, written.parts, { IfMatch: ETag })),
    '409 ConditionalRequestConflict',
    'even with identical bytes',
  );
  t.equal(await failureOf(complete(client, written.id, written.parts, { IfMatch: '"x"' })), '412 PreconditionFailed');
  t.equal(await failureOf(complete(client, written.id, written.parts, { IfNoneMatch: '*' })), '412 PreconditionFailed');
  const deleted = await upload();
  await client.send(new DeleteObjectCommand({ Bucket, Key }));
  t.equal(await failureOf(complete(client, deleted.id, deleted.parts, { IfMatch: ETag })), '404 NoSuchKey');
  t.equal(
    await failureOf(complete(client, deleted.id, deleted.parts, { IfNoneMatch: '*' })),
    '409 ConditionalRequestConflict',
  );
  server.strictMultipart = false;
  t.equal(await failureOf(complete(client, deleted.id, deleted.parts, { IfNoneMatch: '*' })), 'no failure');
  server.strictMultipart = true;
  const untouched = await upload();
  const now = (await client.send(new HeadObjectCommand({ Bucket, Key }))).ETag;
  t.equal(await failureOf(complete(client, untouched.id, untouched.parts, { IfMatch: now })), 'no failure');
});

t.test('abort and replacement leave no blob behind', async (t) => {
  const { client, directory } = await startServer(t);
  const blobs = () => readdirSync(join(directory, 'blobs')).length;
  const id = await begin(client);
  await part(client, id, 1, first);
  await part(client, id, 1, last);
  t.equal(blobs(), 1);
  await client.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId: id }));
  t.equal(blobs(), 0);
  t.equal(
    await failureOf(client.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId: id }))),
    '404 NoSuchUpload',
  );
  const other = await begin(client);
  const [one, two] = [await part(client, other, 1, first), await part(client, other, 2, last)];
  await complete(client, other, [one]);
  t.equal(two.PartNumber, 2);
  t.equal(blobs(), 1, 'the part that was left out is gone');
  await client.send(new DeleteObjectCommand({ Bucket, Key }));
  t.equal(blobs(), 0);
});

t.test('a 10 GiB object of holes: ranged reads and part copies at once', async (t) => {
  const { server, client, directory } = await startServer(t);
  const GiB = 2 ** 30;
  const at = 7 * GiB + 12_345;
  server.putSparse(Bucket, 'sparse', 10 * GiB, [{ offset: at, data: Buffer.from('patch') }]);
  const read = async (Key: string, from: number, to: number) => {
    const { Body, ContentRange } = await client.send(
      new GetObjectCommand({ Bucket, Key, Range: `bytes=${from}-${to}` }),
    );
    t.equal(ContentRange, `bytes ${from}-${to}/${10 * GiB}`);
    return Buffer.from(await Body!.transformToByteArray());
  };
  t.equal((await read('sparse', at - 2, at + 6)).toString(), '\0\0patch\0\0');
  t.same(await read('sparse', 9 * GiB, 9 * GiB + 3_000_000), Buffer.alloc(3_000_001));
  const began = performance.now();
  const id = await begin(client, { ChecksumAlgorithm: 'CRC32', ChecksumType: 'FULL_OBJECT' });
  const parts: Part[] = [];
  for (const PartNumber of [1, 2]) {
    const CopySourceRange = `bytes=${(PartNumber - 1) * 5 * GiB}-${PartNumber * 5 * GiB - 1}`;
    const { CopyPartResult } = await client.send(
      new UploadPartCopyCommand({
        Bucket,
        Key,
        UploadId: id,
        PartNumber,
        CopySource: `${Bucket}/sparse`,
        CopySourceRange,
      }),
    );
    parts.push({ PartNumber, ETag: CopyPartResult!.ETag, ChecksumCRC32: CopyPartResult!.ChecksumCRC32 });
  }
  await complete(client, id, parts);
  t.ok(performance.now() - began < 5000, 'nothing was read');
  t.equal((await read(Key, at - 2, at + 6)).toString(), '\0\0patch\0\0');
  await client.send(new DeleteObjectCommand({ Bucket, Key: 'sparse' }));
  t.equal((await read(Key, at, at + 4)).toString(), 'patch', 'the copy lives on without its source');
  t.equal(readdirSync(join(directory, 'blobs')).length, 1);
});

t.test('what a part copy refuses', async (t) => {
  const { server, client } = await startServer(t);
  server.putSparse(Bucket, 'six', 6 * 2 ** 30);
  server.putSparse(Bucket, 'small', MIN);
  const id = await begin(client);
  const copy = (key: string, CopySourceRange?: string, given: object = {}) => {
    const CopySource = `${Bucket}/${key}`;
    const input = { Bucket, Key, UploadId: id, PartNumber: 1, CopySource, CopySourceRange, ...given };
    return failureOf(client.send(new UploadPartCopyCommand(input)));
  };
  t.equal(await copy('six'), '400 InvalidRequest', 'more than 5 GiB');
  t.equal(await copy('small', 'bytes=0-9'), '400 InvalidRequest', 'a range of a source that is too small');
  t.equal(await copy('small'), 'no failure');
  t.equal(await copy('six', `bytes=0-${6 * 2 ** 30}`), '400 InvalidArgument');
  t.equal(await copy('six', 'bytes=-9'), '400 InvalidArgument');
  t.equal(await copy('absent'), '404 NoSuchKey');
  t.equal(await copy('six', 'bytes=0-9', { CopySourceIfMatch: '"x"' }), '412 PreconditionFailed');
});
