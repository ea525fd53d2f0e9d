/** A listing that asks for metadata, on servers that answer it badly or not at all. */
import { createServer } from 'node:http';
import t, { type Test } from 'tap';
import type { LeanClient } from '../../src/s3/lean-client.js';
import { fails } from '../conformance/object-client.js';
import { connect, listen } from './loopback.js';

const entry = (more: string) =>
  `<Contents><Key>a</Key><LastModified>2026-01-02T03:04:05.678Z</LastModified><ETag>"e"</ETag><Size>7</Size>${more}</Contents>`;
const page = (inner: string) => `<ListBucketResult>${inner}</ListBucketResult>`;
const mode = '<UserMetadata><X-Amz-Meta-Mode>33188</X-Amz-Meta-Mode></UserMetadata>';

/** A server that calls itself `name`, answers metadata=true with `answer`, and everything else in order. */
async function serving(
  t: Test,
  name: string,
  answer: string,
  status = 200,
): Promise<{ client: LeanClient; asked: string[] }> {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    const url = request.url ?? '';
    asked.push(/metadata=true/.test(url) ? 'metadata' : 'plain');
    response.setHeader('server', name);
    response.setHeader('x-amz-request-id', '1');
    if (asked.at(-1) === 'metadata') response.statusCode = status;
    response.end(asked.at(-1) === 'metadata' ? answer : page(entry('')));
  });
  const port = await listen(t, server);
  const client = await connect(t, `http://127.0.0.1:${port}`);
  await client.list({ prefix: '' });
  return { client, asked };
}

const list = async (client: LeanClient) => (await client.list({ prefix: '', metadata: true })).objects;

t.test('only MinIO is asked for metadata', async (t) => {
  const minio = await serving(t, 'MinIO', page(entry(mode)));
  t.match(await list(minio.client), [{ key: 'a', metadata: { mode: '33188' } }]);
  t.same(minio.asked, ['plain', 'metadata']);
  const other = await serving(t, 'AmazonS3', page(entry(mode)));
  t.same((await list(other.client))[0].metadata, undefined);
  t.same(other.asked, ['plain', 'plain']);
});

t.test('an answer that cannot be read is asked again without', async (t) => {
  for (const broken of [
    page(entry('<UserMetadata><X-Amz-Meta-A b>x</UserMetadata>')),
    page(entry('<UserMetadata><X-Amz-Meta-A>&none;</X-Amz-Meta-A></UserMetadata>')),
    page('<Contents><Key>a</Key></Contents>'),
    '<html>',
  ]) {
    const { client, asked } = await serving(t, 'MinIO', broken);
    const objects = await list(client);
    t.equal(objects[0].key, 'a');
    t.equal(objects[0].metadata, undefined, 'nothing is known of it');
    t.same(asked, ['plain', 'metadata', 'plain']);
  }
});

t.test('an error is no reason to ask again', async (t) => {
  const denied = '<Error><Code>AccessDenied</Code><Message>no</Message></Error>';
  const { client, asked } = await serving(t, 'MinIO', denied, 403);
  await fails(t, list(client), 'AccessDenied', 'denied');
  t.same(asked, ['plain', 'metadata']);
});
