/** Any frames in any order: the session never throws, and answers each request exactly once or not at all, as it should. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import fc from 'fast-check';
import t from 'tap';
import { opcode } from '../../src/fuse/abi.js';
import { Frame } from '../../src/fuse/frame.js';
import type { Operations } from '../../src/fuse/operations.js';
import { bytes, FakeKernel, requestBytes } from './fake-kernel.js';
import { MemoryFilesystem } from './memory-filesystem.js';

/** Every operation answers through a promise for odd requests, so that both ways are mixed. */
function sometimesLater(filesystem: MemoryFilesystem): Operations {
  const target = filesystem as unknown as Record<string, (...args: unknown[]) => unknown>;
  let turn = 0;
  return new Proxy(filesystem, {
    get(_, name: string) {
      const value = target[name];
      if (typeof value !== 'function') return value;
      if (['forget', 'init', 'destroy'].includes(name)) return value.bind(filesystem);
      return (...args: unknown[]) => {
        turn += 1;
        return turn % 2 ? value.apply(filesystem, args) : Promise.resolve().then(() => value.apply(filesystem, args));
      };
    },
  }) as unknown as Operations;
}

const small = fc.integer({ min: 0, max: 4 });
const field = fc.oneof(
  small,
  small.map((value) => BigInt(value)),
  fc.constantFrom('a', 'b', 'c'),
  fc.uint8Array({ maxLength: 20 }),
);
const request = fc.record({
  opcode: fc.oneof(
    fc.constantFrom(...Object.values(opcode).filter((code) => code !== opcode.INIT && code !== opcode.DESTROY)),
    fc.nat(60).filter((code) => code !== opcode.DESTROY),
  ),
  nodeid: small,
  body: fc.array(field, { maxLength: 12 }).map((fields) => bytes(...fields)),
});

const noReply = new Set<number>([opcode.FORGET, opcode.BATCH_FORGET, opcode.NOTIFY_REPLY]);

t.test('well-framed requests of any content', async () => {
  const property = fc.asyncProperty(fc.array(request, { maxLength: 40 }), async (requests) => {
    const filesystem = new MemoryFilesystem();
    filesystem.addFile('a', 'content');
    const kernel = new FakeKernel(sometimesLater(filesystem));
    kernel.init();
    const uniques = requests.map((one) => ({ ...one, unique: kernel.ask(one) }));
    await nextTurn();
    for (const { opcode: code, unique } of uniques) {
      const replies = kernel.replies.filter((reply) => reply.unique === unique).length;
      // An interrupt that found its request is not answered.
      const fits = code === opcode.INTERRUPT ? replies <= 1 : replies === (noReply.has(code) ? 0 : 1);
      if (!fits) throw new Error(`${replies} replies to opcode ${code}`);
    }
    await kernel.session.end();
    if (filesystem.handles.size > 0) throw new Error('handles are left');
    const left = [...filesystem.nodes.values()].reduce((sum, node) => sum + node.nlookup, 0);
    if (left !== 0) throw new Error(`${left} lookups are left`);
  });
  await fc.assert(property, { numRuns: 1000 });
});

t.test('any bytes at all', async () => {
  const kernel = new FakeKernel(new MemoryFilesystem());
  kernel.init();
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.boolean(), (array, framed) => {
      const frame = new Frame(Buffer.from(array));
      if (framed && frame.length >= 40) frame.putU32(0, frame.length);
      kernel.session.receive(frame);
    }),
    { numRuns: 3000 },
  );
});

t.test('a request that comes twice is served once', async (t) => {
  const filesystem = new MemoryFilesystem();
  let asked = 0;
  filesystem.statfs = () => {
    asked += 1;
    return new Promise(() => {}) as never;
  };
  const kernel = new FakeKernel(filesystem);
  kernel.init();
  for (let i = 0; i < 2; i++) kernel.session.receive(new Frame(requestBytes({ opcode: opcode.STATFS, unique: 900 })));
  t.equal(asked, 1);
  t.match(kernel.session.stats(), { pending: 1, badFrames: 1 });
});
