/** What is written keeps its tags, also on a server that loses those of copies and uploads: radosgw 16, imitated. */
import { createServer } from 'node:http';
import t, { type Test } from 'tap';
import { connect, listen } from './loopback.js';

const tags = [['k', 'v & w'] as const];
const replace = { metadata: { mode: '1' }, tags };
const result = '<CopyObjectResult><ETag>"e"</ETag></CopyObjectResult>';
const completed = '<CompleteMultipartUploadResult><ETag>"e-1"</ETag></CompleteMultipartUploadResult>';
const kept = '<Tagging><TagSet><Tag><Key>k</Key><Value>v</Value></Tag></TagSet></Tagging>';

interface Answers {
  /** The document that GET ?tagging is answered with. */
  readonly told: string;
  /** The status of PUT ?tagging. */
  readonly taken?: number;
}

/** A server of copies and tags; answers its client, and the requests that came. */
async function serving(t: Test, { told, taken = 200 }: Answers) {
  const seen: string[] = [];
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (piece) => {
      body += piece;
    });
    request.on('end', () => {
      const tagging = request.url?.includes('?tagging') ?? false;
      seen.push(`${request.method}${tagging ? ' tagging' : ''}`);
      if (!tagging) return response.end(request.method === 'POST' ? completed : result);
      if (request.method === 'GET') return response.end(told);
      seen.push(body.replace(/^.*<TagSet>|<\/TagSet>.*$/g, ''));
      return response.writeHead(taken).end();
    });
  });
  const client = await connect(t, `http://127.0.0.1:${await listen(t, server)}`);
  return { client, seen };
}

t.test('a server that keeps them is looked at once', async (t) => {
  const { client, seen } = await serving(t, { told: kept });
  for (let i = 0; i < 3; i++) await client.copy('a', 'a', { replace });
  t.same(seen, ['PUT', 'GET tagging', 'PUT', 'PUT']);
});

t.test('what has no tags, or keeps those of its source, is not looked at', async (t) => {
  const { client, seen } = await serving(t, { told: '' });
  await client.copy('a', 'a', { replace: { metadata: {} } });
  await client.copy('a', 'a', { replace: { metadata: {}, tags: [] } });
  await client.copy('a', 'b');
  t.same(seen, ['PUT', 'PUT', 'PUT']);
});

for (const [how, told] of Object.entries({
  'with nothing at all': '',
  'with no tags': '<Tagging><TagSet></TagSet></Tagging>',
}))
  t.test(`a server that loses them, and answers ${how}, gets them again after each copy`, async (t) => {
    const { client, seen } = await serving(t, { told });
    for (let i = 0; i < 2; i++) t.match(await client.copy('a', 'a', { replace }), { etag: 'e' });
    const again = ['PUT tagging', '<Tag><Key>k</Key><Value>v &amp; w</Value></Tag>'];
    t.same(seen, ['PUT', 'GET tagging', ...again, 'PUT', ...again]);
  });

t.test('uploads are another matter than copies', async (t) => {
  const { client, seen } = await serving(t, { told: '' });
  const parts = [{ number: 1, etag: 'e', size: 1 }];
  await client.copy('a', 'a', { replace });
  for (let i = 0; i < 2; i++) await client.completeUpload('a', 'id', parts, { size: 1, tags });
  await client.completeUpload('a', 'id', parts, { size: 1 });
  const again = ['PUT tagging', '<Tag><Key>k</Key><Value>v &amp; w</Value></Tag>'];
  t.same(seen, ['PUT', 'GET tagging', ...again, 'POST', 'GET tagging', ...again, 'POST', ...again, 'POST']);
});

t.test('the copy stands where the server refuses them', async (t) => {
  const { client, seen } = await serving(t, { told: '', taken: 403 });
  t.match(await client.copy('a', 'a', { replace }), { etag: 'e' });
  t.equal(seen[2], 'PUT tagging');
});
