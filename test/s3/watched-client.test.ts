/** Every change of a key is heard of before it is sent and after it has ended; what only asks is not. */
import t from 'tap';
import { FaultyClient } from '../../src/s3/faulty-client.js';
import { MemoryClient } from '../../src/s3/memory-client.js';
import { WatchedClient } from '../../src/s3/watched-client.js';
import { objectClientConformance } from '../conformance/object-client.js';

const body = Buffer.from('0123456789');

t.test('which keys, and when', async (t) => {
  const memory = new MemoryClient();
  const faulty = new FaultyClient(memory);
  const heard: string[] = [];
  const client = new WatchedClient(faulty, (key) => heard.push(key));
  const changing = async (
    method: 'put' | 'copy' | 'delete' | 'deleteMany' | 'completeUpload',
    work: () => Promise<unknown>,
  ) => {
    const before: string[] = [];
    faulty.add({ method, times: 1, action: { kind: 'call', before: () => void before.push(...heard.splice(0)) } });
    await work();
    const after = heard.splice(0);
    return { before, after };
  };
  const both = (...keys: string[]) => ({ before: keys, after: keys });
  t.same(await changing('put', () => client.put('a', body)), both('a'));
  t.same(await changing('copy', () => client.copy('a', 'b')), both('b'));
  t.same(await changing('delete', () => client.delete('b')), both('b'));
  t.same(await changing('deleteMany', () => client.deleteMany(['c', { key: 'd', ifMatch: 'e' }])), both('c', 'd'));
  const id = await client.createUpload('m');
  const part = await client.uploadPart('m', id, 1, body);
  t.same(heard, [], 'nothing has changed yet');
  const complete = () => client.completeUpload('m', id, [part], { size: body.length });
  t.same(await changing('completeUpload', complete), both('m'));
  faulty.add({ method: 'put', times: 1, action: { kind: 'lose-answer', error: 'Timeout' } });
  await t.rejects(client.put('lost', body));
  t.same(heard.splice(0), ['lost', 'lost'], 'an answer that was lost');
  await client.head('a');
  await client.list({ prefix: '' });
  await client.get('a', { onData: () => {} });
  await client.getTags('a');
  await client.listUploads('');
  t.same(heard, []);
  t.same(client.counters, memory.counters);
});

await objectClientConformance(t, 'WatchedClient', () => new WatchedClient(new MemoryClient(), () => {}));
