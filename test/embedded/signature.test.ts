import { GetObjectCommand, ListObjectsV2Command, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import t from 'tap';
import {
  amzDate,
  Bucket,
  exchange,
  failureOf,
  hmac,
  type RawAnswer,
  type RawRequest,
  raw,
  sha256,
  sign,
  startServer,
} from './fixture.js';

const codeOf = ({ status, body }: RawAnswer) =>
  `${status} ${/<Code>(.*?)<\/Code>/.exec(body.toString())?.[1] ?? ''}`.trim();

t.test('paths are bytes: dots, double slashes and %2F mean nothing', async (t) => {
  const { server, client } = await startServer(t);
  const paths = ['a/../b', './c', '/d', 'e//f/', 'g%2Fh', 'i%252Fj', '..', 'k/.', '%2E', 'l%20m%2Bn', '%C3%A9'];
  for (const path of paths) {
    const put = await raw(server, {
      method: 'PUT',
      path: `/${Bucket}/${path.replace('%2F', '/').replace('%2E', '.')}`,
      wirePath: `/${Bucket}/${path}`,
      body: path,
    });
    t.equal(codeOf(put), '200', path);
    const Key = decodeURIComponent(path);
    const got = await client.send(new GetObjectCommand({ Bucket, Key }));
    t.equal(await got.Body!.transformToString(), path);
  }
  const { Contents } = await client.send(new ListObjectsV2Command({ Bucket }));
  t.same(Contents?.map(({ Key }) => Key).sort(), paths.map(decodeURIComponent).sort());
  t.equal(codeOf(await raw(server, { path: `/${Bucket}/%FF` })), '400 InvalidURI');
});

t.test('every way not to be who one says', async (t) => {
  let time = Date.now();
  const { server } = await startServer(t, { now: () => time, publicBuckets: [Bucket], buckets: [Bucket, 'private'] });
  const put = (given: Partial<RawRequest>) =>
    raw(server, { method: 'PUT', path: '/private/k', body: 'x', date: amzDate(time), ...given }).then(codeOf);
  t.equal(await put({}), '200');
  t.equal(await put({ secret: 'guess' }), '403 SignatureDoesNotMatch');
  t.equal(await put({ accessKeyId: 'nobody' }), '403 InvalidAccessKeyId');
  t.equal(await put({ wirePath: '/private/other' }), '403 SignatureDoesNotMatch');
  t.equal(await put({ region: 'eu-west-1' }), '400 AuthorizationHeaderMalformed');
  t.equal(await put({ payload: sha256('y') }), '400 XAmzContentSHA256Mismatch');
  t.equal(await put({ payload: 'UNSIGNED-PAYLOAD' }), '200');
  t.equal(await put({ unsignedHeaders: { 'x-amz-meta-a': 'b' } }), '403 AccessDenied');
  t.equal(await put({ headers: { 'x-amz-security-token': 'any' } }), '400 InvalidToken');
  const late = amzDate(time - 16 * 60_000);
  t.equal(await put({ date: late }), '403 RequestTimeTooSkewed');
  time -= 16 * 60_000;
  t.equal(await put({ date: late }), '200', 'by the clock that was given');
  const { head } = await exchange(server, `GET /${Bucket}/absent HTTP/1.1\r\nhost: x\r\n\r\n`);
  t.match(head, `date: ${new Date(time).toUTCString().toLowerCase()}`, 'which the answer tells');
});

t.test('without signature only public buckets are read', async (t) => {
  const { server } = await startServer(t, { publicBuckets: [Bucket], buckets: [Bucket, 'private'] });
  await raw(server, { method: 'PUT', path: `/${Bucket}/k`, body: 'x' });
  const bare = (line: string) =>
    exchange(server, `${line} HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n`).then(codeOf);
  t.equal(await bare(`GET /${Bucket}/k`), '200');
  t.equal(await bare(`GET /${Bucket}?list-type=2`), '200');
  t.equal(await bare(`PUT /${Bucket}/k`), '403 AccessDenied');
  t.equal(await bare('GET /private/k'), '403 AccessDenied');
  t.equal(await bare('GET /'), '403 AccessDenied');
});

t.test('temporary credentials: the token, its end, and its renewal', async (t) => {
  let time = Date.now();
  const pair = { accessKeyId: 'temporary', secretAccessKey: 's', sessionToken: 'one', expires: time + 1000 };
  const { server, client } = await startServer(t, { credentials: [pair], now: () => time });
  const put = () => failureOf(client.send(new PutObjectCommand({ Bucket, Key: 'k' })));
  t.equal(await put(), 'no failure');
  time += 2000;
  t.equal(await put(), '400 ExpiredToken');
  server.addCredentials({ ...pair, sessionToken: 'two', expires: time + 60_000 });
  t.equal(await put(), '400 ExpiredToken');
  const renewed = new S3Client({
    endpoint: server.endpoint,
    region: server.region,
    credentials: { ...pair, sessionToken: 'two' },
    forcePathStyle: true,
  });
  t.teardown(() => renewed.destroy());
  t.equal(await failureOf(renewed.send(new PutObjectCommand({ Bucket, Key: 'k' }))), 'no failure');
});

t.test('presigned URLs', async (t) => {
  let time = Date.now();
  const { server } = await startServer(t, { now: () => time });
  await raw(server, { method: 'PUT', path: `/${Bucket}/k`, body: 'content' });
  const date = amzDate(time);
  const scope = `${date.slice(0, 8)}/${server.region}/s3/aws4_request`;
  const pairs = {
    'X-Amz-Algorithm': 'AWS4-HMAC-SHA256',
    'X-Amz-Credential': `${server.credentials.accessKeyId}/${scope}`,
    'X-Amz-Date': date,
    'X-Amz-Expires': '60',
    'X-Amz-SignedHeaders': 'host',
    'response-content-type': 'text/plain',
  };
  const query = Object.entries(pairs)
    .map(([name, value]) => `${name}=${encodeURIComponent(value)}`)
    .join('&');
  const canonical = `GET\n/${Bucket}/k\n${query}\nhost:example\n\nhost\nUNSIGNED-PAYLOAD`;
  const { key } = sign(server, { path: '/', date });
  const signature = hmac(key, `AWS4-HMAC-SHA256\n${date}\n${scope}\n${sha256(canonical)}`).toString('hex');
  const get = (more = '') =>
    exchange(server, `GET /${Bucket}/k?${query}&X-Amz-Signature=${signature}${more} HTTP/1.1\r\nhost: example\r\n\r\n`);
  const got = await get();
  t.equal(got.body.toString(), 'content');
  t.match(got.head, 'content-type: text/plain');
  t.equal(codeOf(await get('&x=y')), '403 SignatureDoesNotMatch');
  time += 61_000;
  t.equal(codeOf(await get()), '403 AccessDenied');
});
