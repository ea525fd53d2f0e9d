import { connect } from 'node:net';
import { Readable } from 'node:stream';
import { crc32 } from 'node:zlib';
import { GetObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import t from 'tap';
import { Bucket, exchange, hmac, type RawAnswer, sha256, sign, startServer } from './fixture.js';

const codeOf = ({ status, body }: RawAnswer) =>
  `${status} ${/<Code>(.*?)<\/Code>/.exec(body.toString())?.[1] ?? ''}`.trim();
const crcOf = (text: string) => Buffer.from(crc32(text).toString(16).padStart(8, '0'), 'hex').toString('base64');

t.test('a stream of the SDK, with a trailer', async (t) => {
  const { client } = await startServer(t);
  const pieces = Array.from({ length: 50 }, (_, i) => Buffer.alloc(10_000, i));
  await client.send(
    new PutObjectCommand({
      Bucket,
      Key: 'k',
      Body: Readable.from(pieces),
      ContentLength: 500_000,
      ChecksumAlgorithm: 'CRC32C',
    }),
  );
  const got = await client.send(new GetObjectCommand({ Bucket, Key: 'k', ChecksumMode: 'ENABLED' }));
  t.same(Buffer.from(await got.Body!.transformToByteArray()), Buffer.concat(pieces));
  t.ok(got.ChecksumCRC32C);
  t.notOk(got.ContentEncoding);
});

t.test('unsigned chunks, cut at every byte on the wire', async (t) => {
  const { server, client } = await startServer(t);
  const body = `5\r\nhello\r\n6\r\n world\r\n0\r\nx-amz-checksum-crc32:${crcOf('hello world')}\r\n\r\n`;
  const head = sign(server, {
    method: 'PUT',
    path: `/${Bucket}/k`,
    payload: 'STREAMING-UNSIGNED-PAYLOAD-TRAILER',
    headers: {
      'x-amz-decoded-content-length': '11',
      'x-amz-trailer': 'x-amz-checksum-crc32',
      'content-encoding': 'aws-chunked,gzip',
    },
    body,
  });
  for (let cut = 1; cut < body.length; cut += 3) {
    const socket = connect(server.port, '127.0.0.1').setNoDelay(true);
    const answer = new Promise<string>((resolve) => socket.once('data', (data) => resolve(data.toString('latin1'))));
    socket.write(head.text + body.slice(0, cut));
    await new Promise((resolve) => setTimeout(resolve, 2));
    socket.write(body.slice(cut));
    t.match(await answer, /^HTTP\/1.1 200/, `cut at ${cut}`);
    socket.destroy();
  }
  const got = await client.send(new GetObjectCommand({ Bucket, Key: 'k' }));
  t.equal(await got.Body!.transformToString(), 'hello world');
  t.equal(got.ContentEncoding, 'gzip', 'the coding of the transfer is not kept');
});

t.test('chunks that are not what they say', async (t) => {
  const { server } = await startServer(t);
  const put = (body: string, length = 5, trailer = 'x-amz-checksum-crc32') => {
    const { text } = sign(server, {
      method: 'PUT',
      path: `/${Bucket}/k`,
      payload: 'STREAMING-UNSIGNED-PAYLOAD-TRAILER',
      headers: { 'x-amz-decoded-content-length': String(length), 'x-amz-trailer': trailer },
      body,
    });
    return exchange(server, text + body).then(codeOf);
  };
  const sum = `x-amz-checksum-crc32:${crcOf('hello')}\r\n`;
  t.equal(await put(`5\r\nhello\r\n0\r\n${sum}\r\n`), '200');
  t.equal(await put('5\r\nhello\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n'), '400 BadDigest');
  t.equal(await put('5\r\nhello\r\n0\r\n\r\n'), '400 InvalidRequest', 'the trailer is missing');
  t.equal(await put(`5\r\nhello\r\n0\r\n${sum}\r\n`, 6), '400 IncompleteBody');
  t.equal(await put(`5\r\nhello\r\n`), '400 IncompleteBody', 'no last chunk');
  t.equal(await put(`4\r\nhello\r\n0\r\n${sum}\r\n`), '400 IncompleteBody');
  t.equal(await put(`zz\r\nhello\r\n0\r\n${sum}\r\n`), '400 InvalidRequest');
});

t.test('signed chunks with a signed trailer', async (t) => {
  const { server, client } = await startServer(t);
  const chunks = ['a'.repeat(8192), 'tail'];
  const whole = chunks.join('');
  const put = (spoil: 'nothing' | 'chunk' | 'trailer') => {
    const build = (seed: string, key: Buffer, date: string, scope: string) => {
      let previous = seed;
      let body = '';
      const signed = (kind: string, content: string) => {
        previous = hmac(key, `AWS4-HMAC-SHA256-${kind}\n${date}\n${scope}\n${previous}\n${content}`).toString('hex');
        return previous;
      };
      for (const data of [...chunks, '']) {
        const signature = signed('PAYLOAD', `${sha256('')}\n${sha256(data)}`);
        const sent = spoil === 'chunk' ? data.replace('t', 'T') : data;
        body += `${data.length.toString(16)};chunk-signature=${signature}\r\n${sent}${data && '\r\n'}`;
      }
      const trailer = `x-amz-checksum-crc32:${crcOf(whole)}`;
      const signature = signed('TRAILER', sha256(`${trailer}\n`));
      const told = spoil === 'trailer' ? '0'.repeat(64) : signature;
      return `${body}${trailer}\r\nx-amz-trailer-signature:${told}\r\n\r\n`;
    };
    const length = build('0'.repeat(64), Buffer.alloc(32), '', '').length;
    const { text, signature, key, date, scope } = sign(server, {
      method: 'PUT',
      path: `/${Bucket}/k`,
      payload: 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER',
      headers: {
        'x-amz-decoded-content-length': String(whole.length),
        'x-amz-trailer': 'x-amz-checksum-crc32',
        'content-length': String(length),
      },
    });
    return exchange(server, text + build(signature, key, date, scope)).then(codeOf);
  };
  t.equal(await put('nothing'), '200');
  const got = await client.send(new GetObjectCommand({ Bucket, Key: 'k', ChecksumMode: 'ENABLED' }));
  t.equal(await got.Body!.transformToString(), whole);
  t.equal(await put('chunk'), '403 SignatureDoesNotMatch');
  t.equal(await put('trailer'), '403 SignatureDoesNotMatch');
});
