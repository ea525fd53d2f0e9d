/** A server that compares If-Match of a PUT with its ETag as it is, without the quotes: radosgw 16, imitated. */
import { createServer } from 'node:http';
import t, { type Test } from 'tap';
import { fails } from '../conformance/object-client.js';
import { connect, listen } from './loopback.js';

const PARALLEL = 8;

/** Objects by path, each known by a number that is its ETag; `seen`: conditions that came. */
async function serving(t: Test, etags: Map<string, string>) {
  const seen: string[] = [];
  const server = createServer((request, response) => {
    request.resume();
    const { method, url = '', headers } = request;
    const etag = etags.get(url);
    const answer = (status: number) =>
      response.writeHead(status, etag === undefined ? {} : { etag: `"${etag}"` }).end();
    if (method !== 'PUT') return answer(etag === undefined ? 404 : 200);
    const condition = headers['if-match'] ?? '';
    seen.push(condition);
    if (condition !== etag) return answer(412);
    etags.set(url, `${etag}+`);
    return response.writeHead(200, { etag: `"${etag}+"` }).end();
  });
  const client = await connect(t, `http://127.0.0.1:${await listen(t, server)}`);
  return { client, seen };
}

const body = Buffer.from('x');

t.test('writes that are under way when it is found out succeed too', async (t) => {
  const keys = Array.from({ length: PARALLEL }, (_, i) => `k${i}`);
  const { client, seen } = await serving(t, new Map(keys.map((key) => [`/bucket/${key}`, key])));
  const replies = await Promise.all(keys.map((key) => client.put(key, body, { ifMatch: key })));
  t.same(
    replies.map(({ etag }) => etag),
    keys.map((key) => `${key}+`),
  );
  t.equal(seen.filter((condition) => condition.startsWith('"')).length, PARALLEL, 'all had been sent with quotes');
  t.match(await client.put('k0', body, { ifMatch: 'k0+' }), { etag: 'k0++' });
  t.equal(seen.at(-1), 'k0+', 'from then on without');
});

t.test('what stands there is another version, or nothing', async (t) => {
  const { client } = await serving(t, new Map([['/bucket/k', 'theirs']]));
  for (const when of ['before it is known', 'and after']) {
    await fails(t, client.put('k', body, { ifMatch: 'ours' }), 'PreconditionFailed', when);
    await fails(t, client.put('none', body, { ifMatch: 'ours' }), 'NotFound', when);
    await client.put('k', body, { ifMatch: when === 'and after' ? 'theirs+' : 'theirs' });
  }
});
