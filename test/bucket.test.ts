/** What is found out about a server by writing to it: who is told, and what the next mount on this machine knows. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import t from 'tap';
import { type Bucket, checkWrites } from '../src/bucket.js';
import { MemoryClient } from '../src/s3/memory-client.js';
import type { CopyOptions, PutOptions } from '../src/s3/object-client.js';

/** Stores whatever comes. */
class Careless extends MemoryClient {
  override put(key: string, body: Uint8Array, options: PutOptions = {}) {
    return super.put(key, body, { ...options, ifMatch: undefined, ifAbsent: undefined });
  }

  override copy(from: string, key: string, options: CopyOptions = {}) {
    return super.copy(from, key, { ...options, ifMatch: undefined, ifAbsent: undefined });
  }
}

const directory = mkdtempSync(join(tmpdir(), 'pailfs-server-'));
t.teardown(() => rmSync(directory, { recursive: true, force: true }));

/** One mount: writes an object and renames over another. Answers what it knew and learnt, its requests, and its log. */
async function mounted(client: MemoryClient) {
  const lines: string[] = [];
  const logger = pino({ level: 'warn' }, { write: (line: string) => void lines.push(JSON.parse(line).msg) });
  Object.assign(client, { presign: async () => '' });
  const bucket = { client, probe: { endpoint: 'http://127.0.0.1:9' }, notices: [] } as unknown as Bucket;
  const checked = checkWrites(bucket, directory, logger);
  const before = { ...checked.writes.support };
  const countPuts = (): number => client.counters.requests.PutObject ?? 0;
  const puts = countPuts();
  await checked.client.put(`k${puts}`, Buffer.from('data'), { ifAbsent: true });
  const cost = countPuts() - puts;
  const { etag } = await client.put('target', Buffer.from('old'));
  await checked.client.copy(`k${puts}`, 'target', { ifMatch: etag });
  return { before, after: { ...checked.writes.support }, cost, lines };
}

t.test('a server that honours conditions is found out with the first write, once for a machine', async (t) => {
  const client = new MemoryClient();
  const first = await mounted(client);
  t.same(first.before, { writes: 'unknown', copies: 'unknown' });
  t.same(first.after, { writes: 'honoured', copies: 'honoured' });
  t.equal(first.cost, 2, 'a condition that is false, and the write');
  const second = await mounted(client);
  t.same(second.before, { writes: 'honoured', copies: 'honoured' }, 'another mount knows');
  t.equal(second.cost, 1);
  t.same([...first.lines, ...second.lines], []);
});

t.test('one that ignores them is found out by each mount, which says so in its log', async (t) => {
  rmSync(join(directory, 'server.json'), { force: true });
  for (const _ of [1, 2]) {
    const { before, after, lines } = await mounted(new Careless());
    t.same(before, { writes: 'unknown', copies: 'unknown' }, 'its next version may honour them');
    t.same(after, { writes: 'ignored', copies: 'ignored' });
    t.equal(lines.length, 2);
    t.match(lines[0], /ignores conditions on writes: each is preceded by a look/);
    t.match(lines[1], /ignores conditions on what a copy replaces: each rename is preceded by a look/);
  }
});
