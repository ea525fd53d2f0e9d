/** Each kind of fault does what it says, where and as often as its rule says. */
import t from 'tap';
import { type ClientFault, FaultyClient } from '../../src/s3/faulty-client.js';
import { MemoryClient } from '../../src/s3/memory-client.js';
import { fails, read } from '../conformance/object-client.js';

const body = Buffer.from('0123456789');

async function faulty(fault: ClientFault) {
  const memory = new MemoryClient();
  await memory.put('k', body);
  const client = new FaultyClient(memory);
  client.add(fault);
  return { memory, client };
}

t.test('fail: before the work, with skip and times', async (t) => {
  const { memory, client } = await faulty({
    method: 'put',
    times: 2,
    skip: 1,
    action: { kind: 'fail', error: 'Server' },
  });
  await client.put('a', body);
  await fails(t, client.put('b', body), 'Server', 'first strike');
  await client.head('k');
  await fails(t, client.put('b', body), 'Server', 'second strike');
  t.notOk(memory.objects.has('b'), 'nothing was done');
  await client.put('b', body);
  t.equal(client.struck, 2);
});

t.test('rules look at method and key, and can be cleared', async (t) => {
  const { client } = await faulty({
    method: ['head', 'get'],
    key: /^x/,
    action: { kind: 'fail', error: 'AccessDenied' },
  });
  await client.head('k');
  await fails(t, client.head('x1'), 'AccessDenied', 'head');
  await fails(t, read(client, 'x2'), 'AccessDenied', 'get');
  await client.put('x1', body);
  client.clear();
  await client.head('x1');
});

t.test('lose-answer: the work is done', async (t) => {
  const { memory, client } = await faulty({ key: 'n', action: { kind: 'lose-answer', error: 'Timeout' } });
  await fails(t, client.put('n', body), 'Timeout', 'lost');
  t.ok(memory.objects.has('n'));
});

t.test('truncate: so many bytes, then the failure', async (t) => {
  const { client } = await faulty({ action: { kind: 'truncate', bytes: 4, error: 'Unreachable' } });
  const pieces: Buffer[] = [];
  const get = client.get('k', { onData: (piece) => pieces.push(Buffer.from(piece)) });
  await fails(t, get, 'Unreachable', 'broken off');
  t.equal(Buffer.concat(pieces).toString(), '0123');
});

t.test('call and delay come before the work', async (t) => {
  const { memory, client } = await faulty({
    method: 'get',
    times: 1,
    action: { kind: 'call', before: async () => void (await memory.put('k', Buffer.from('second'))) },
  });
  t.equal((await read(client, 'k')).body.toString(), 'second');
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  client.add({
    method: 'head',
    times: 1,
    action: { kind: 'delay', until: opened },
  });
  let done = false;
  const head = client.head('k').then(() => {
    done = true;
  });
  await new Promise((resolve) => setTimeout(resolve, 20));
  t.notOk(done);
  open();
  await head;
  t.ok(done);
});
