/** The session over a fake channel: exactly one reply, interrupts, counting, and every kind of wrong answer. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import t from 'tap';
import { errno } from '../../src/errno.js';
import { opcode } from '../../src/fuse/abi.js';
import { Frame } from '../../src/fuse/frame.js';
import type { Answer, Operations, RequestContext } from '../../src/fuse/operations.js';
import { bytes, FakeKernel, requestBytes } from './fake-kernel.js';
import { MemoryFilesystem } from './memory-filesystem.js';

const getattr = { opcode: opcode.GETATTR, body: bytes(0, 0, 0n) };
const lookup = (name: string, nodeid = 1) => ({ opcode: opcode.LOOKUP, nodeid, body: bytes(name) });
const forget = (nodeid: number, count: number) => ({ opcode: opcode.FORGET, nodeid, body: bytes(BigInt(count)) });
const open = (nodeid: number) => ({ opcode: opcode.OPEN, nodeid, body: bytes(0, 0) });
const handleBody = (fh: number) => bytes(BigInt(fh), 0, 0, 0n);
const write = (nodeid: number, fh: number, data: Buffer) => ({
  ...{ opcode: opcode.WRITE, nodeid, body: bytes(BigInt(fh), 0n, data.length, 0, 0n, 0, 0, data) },
});

/** A memory filesystem of which some operations are replaced. */
function altered(change: Partial<Operations>): MemoryFilesystem {
  return Object.assign(new MemoryFilesystem(), change);
}

function ready(operations: Operations): FakeKernel {
  const kernel = new FakeKernel(operations);
  kernel.init();
  return kernel;
}

t.test('INIT comes first, once', async (t) => {
  const filesystem = new MemoryFilesystem();
  const kernel = new FakeKernel(filesystem);
  t.equal(kernel.call(getattr).error, -errno.EIO, 'nothing is served before it');
  t.equal(kernel.call({ opcode: opcode.INIT, body: bytes(8, 0, 0, 0) }).body.readUInt32LE(0), 7, 'a newer major');
  t.equal(kernel.init().error, 0);
  t.match(await kernel.session.ready, { protocolMinor: 45, maxWrite: 1 << 20, maxRead: 1 << 20, privileged: true });
  t.equal(filesystem.info?.maxWrite, 1 << 20);
  t.equal(kernel.init().error, -errno.EIO);
  t.equal(kernel.call(getattr).error, 0);
});

t.test('a kernel that is too old is refused', async (t) => {
  const kernel = new FakeKernel(new MemoryFilesystem());
  t.equal(kernel.init(0, 0, 20).error, -errno.EPROTO);
  await t.rejects(kernel.session.ready, /too old/);
});

t.test('an init that throws refuses the mount', async (t) => {
  const kernel = new FakeKernel(
    altered({
      init: () => {
        throw new Error('not today');
      },
    }),
  );
  t.equal(kernel.init().error, -errno.EIO);
  await t.rejects(kernel.session.ready, /not today/);
});

t.test('one reply, whatever the operation does', async (t) => {
  const answers: [string, () => unknown, number][] = [
    ['an errno', () => -errno.EACCES, -errno.EACCES],
    [
      'an exception',
      () => {
        throw new Error('bug');
      },
      -errno.EIO,
    ],
    ['a rejected promise', () => Promise.reject(new Error('bug')), -errno.EIO],
    ['a promise of an errno', () => Promise.resolve(-errno.ENOENT), -errno.ENOENT],
    ['nothing', () => undefined, -errno.EIO],
    ['a positive status', () => 5, -errno.EIO],
    ['an errno that is none', () => -4000, -errno.EIO],
    ['a fraction', () => -1.5, -errno.EIO],
    ['not a number', () => Number.NaN, -errno.EIO],
    ['success', () => 0, 0],
    ['success later', () => Promise.resolve(0), 0],
  ];
  for (const [what, answer, error] of answers) {
    const kernel = ready(altered({ unlink: answer as Operations['unlink'] }));
    const unique = kernel.ask({ opcode: opcode.UNLINK, body: bytes('a') });
    await nextTurn();
    t.same(
      kernel.replies.filter((reply) => reply.unique === unique).map((reply) => reply.error),
      [error],
      what,
    );
    t.equal(kernel.session.stats().pending, 0);
  }
});

t.test('counts and data that are more than was asked become EIO', async (t) => {
  const filesystem = altered({ write: () => 5, read: () => Buffer.alloc(9), lseek: () => Number.NaN });
  const kernel = ready(filesystem);
  const node = filesystem.addFile('a');
  kernel.call(lookup('a'));
  t.equal(kernel.call(write(node, 1, Buffer.alloc(4))).error, -errno.EIO);
  t.equal(kernel.call(write(node, 1, Buffer.alloc(5))).error, 0);
  const read = { opcode: opcode.READ, nodeid: node, body: bytes(1n, 0n, 8, 0, 0n, 0, 0) };
  t.equal(kernel.call(read).error, -errno.EIO);
  t.equal(kernel.call({ opcode: opcode.LSEEK, nodeid: node, body: bytes(1n, 0n, 3, 0) }).error, -errno.EIO);
});

t.test('what is absent or unknown is ENOSYS', async (t) => {
  const kernel = ready(new MemoryFilesystem());
  t.equal(kernel.call({ opcode: opcode.FALLOCATE, body: bytes(0n, 0n, 1n, 0, 0) }).error, -errno.ENOSYS);
  t.equal(kernel.call({ opcode: opcode.LSEEK, body: bytes(0n, 0n, 3, 0) }).error, -errno.ENOSYS);
  t.equal(
    kernel.call({ opcode: opcode.COPY_FILE_RANGE, body: bytes(0n, 0n, 1n, 0n, 0n, 1n, 0n) }).error,
    -errno.ENOSYS,
  );
  t.equal(kernel.call({ opcode: 4000 }).error, -errno.ENOSYS);
});

t.test('FLUSH, FSYNC, FSYNCDIR and ACCESS are served', async (t) => {
  const filesystem = new MemoryFilesystem();
  const kernel = ready(filesystem);
  const node = filesystem.addFile('a');
  kernel.call(lookup('a'));
  const fh = Number(kernel.call(open(node)).body.readBigUInt64LE(0));
  t.equal(kernel.call({ opcode: opcode.FLUSH, nodeid: node, body: handleBody(fh) }).error, 0);
  t.equal(kernel.call({ opcode: opcode.FSYNC, nodeid: node, body: bytes(BigInt(fh), 1, 0) }).error, 0);
  t.equal(kernel.call({ opcode: opcode.FSYNCDIR, body: bytes(1n, 0, 0) }).error, 0);
  t.equal(kernel.call({ opcode: opcode.ACCESS, body: bytes(4, 0) }).error, 0);
});

t.test('an interrupt fires the signal of its request, and gets no reply', async (t) => {
  const contexts: RequestContext[] = [];
  const waits = (ctx: RequestContext): Answer<never> => {
    contexts.push(ctx);
    return new Promise((resolve) => {
      ctx.signal.addEventListener('abort', () => resolve(-errno.EINTR));
    });
  };
  const kernel = ready(altered({ statfs: waits }));
  const unique = kernel.ask({ opcode: opcode.STATFS });
  const other = kernel.ask({ opcode: opcode.STATFS });
  t.equal(kernel.session.stats().pending, 2);
  const before = kernel.replies.length;
  kernel.ask({ opcode: opcode.INTERRUPT, body: bytes(BigInt(unique)), unique: unique + 1 });
  t.equal(kernel.replies.length, before);
  await nextTurn();
  t.same(
    kernel.replies.slice(before).map(({ unique, error }) => ({ unique, error })),
    [{ unique, error: -errno.EINTR }],
  );
  t.equal(contexts[1].signal.aborted, false, `request ${other} goes on`);
});

t.test(
  'an operation that goes on after its interrupt is answered for, once, and what it made is taken back',
  async (t) => {
    const forgotten: number[] = [];
    let answer: (() => void) | undefined;
    const filesystem = new MemoryFilesystem();
    const made = filesystem.addFile('late', 'x');
    const kernel = ready(
      altered({
        lookup: (ctx, parent, name) =>
          new Promise((resolve) => {
            answer = () => resolve(filesystem.lookup(ctx, parent, name) as never);
          }),
        forget: (nodeid) => forgotten.push(nodeid),
      }),
    );
    kernel.ending = false;
    const unique = kernel.ask({ opcode: opcode.LOOKUP, body: bytes('late') });
    const before = kernel.replies.length;
    kernel.ask({ opcode: opcode.INTERRUPT, body: bytes(BigInt(unique)), unique: unique + 1 });
    await new Promise((resolve) => setTimeout(resolve, 500));
    t.equal(kernel.replies.length, before, 'a signal that ends nothing interrupts nothing');
    kernel.ending = true;
    for (let i = 0; i < 100 && kernel.replies.length === before; i++)
      await new Promise((resolve) => setTimeout(resolve, 20));
    t.match(kernel.replies.slice(before), [{ unique, error: -errno.EINTR }]);
    answer?.();
    await nextTurn();
    await nextTurn();
    t.equal(kernel.replies.length, before + 1);
    t.equal(forgotten.length, 1);
    t.equal(kernel.session.stats().nlookup, 0);
    t.ok(made);
  },
);

t.test('a signal that is asked for after the interrupt has fired already', async (t) => {
  let late: (() => void) | undefined;
  let aborted: boolean | undefined;
  const kernel = ready(
    altered({
      statfs: (ctx) =>
        new Promise((resolve) => {
          late = () => {
            aborted = ctx.signal.aborted;
            resolve(-errno.EINTR);
          };
        }),
    }),
  );
  const unique = kernel.ask({ opcode: opcode.STATFS });
  kernel.ask({ opcode: opcode.INTERRUPT, body: bytes(BigInt(unique)), unique: unique + 1 });
  late!();
  await nextTurn();
  t.equal(aborted, true);
});

t.test('an interrupt of a request that is not there answers EAGAIN', async (t) => {
  const kernel = ready(new MemoryFilesystem());
  t.equal(kernel.call({ opcode: opcode.INTERRUPT, body: bytes(100n), unique: 101 }).error, -errno.EAGAIN);
});

t.test('lookup counts are exact', async (t) => {
  const filesystem = new MemoryFilesystem();
  const node = filesystem.addFile('a');
  const kernel = ready(filesystem);
  for (let i = 0; i < 3; i++) kernel.call(lookup('a'));
  t.equal(kernel.call(lookup('none')).error, -errno.ENOENT);
  t.match(kernel.session.stats(), { nlookup: 3, nodes: 1 });
  const before = kernel.replies.length;
  kernel.ask(forget(node, 2));
  t.match(kernel.session.stats(), { nlookup: 1, nodes: 1 });
  kernel.ask({ opcode: opcode.BATCH_FORGET, body: bytes(1, 0, BigInt(node), 1n) });
  kernel.ask(forget(node, 1));
  t.match(kernel.session.stats(), { nlookup: 0, nodes: 0 });
  t.equal(kernel.replies.length, before, 'no reply to any of them');
  t.equal(filesystem.nodes.get(node)?.nlookup, 0);
});

t.test('a reply that does not reach the kernel takes its lookup and handle back', async (t) => {
  const filesystem = new MemoryFilesystem();
  const node = filesystem.addFile('a');
  const kernel = ready(filesystem);
  kernel.sendResult = -errno.ENOENT;
  kernel.call(lookup('a'));
  t.equal(filesystem.nodes.get(node)?.nlookup, 0);
  kernel.call({ opcode: opcode.CREATE, body: bytes(0, 0o644, 0, 0, 'new') });
  t.equal(filesystem.handles.size, 0);
  kernel.call({ opcode: opcode.OPENDIR, body: bytes(0, 0) });
  t.equal(filesystem.handles.size, 0);
  kernel.sendResult = 0;
  const fh = kernel.call({ opcode: opcode.OPENDIR, body: bytes(0, 0) }).body.readBigUInt64LE(0);
  kernel.sendResult = -errno.ENOENT;
  kernel.call({ opcode: opcode.READDIRPLUS, body: bytes(fh, 0n, 4096, 0, 0n, 0, 0) });
  t.equal(filesystem.nodes.get(node)?.nlookup, 0);
  t.match(kernel.session.stats(), { nlookup: 0, nodes: 0, openFiles: 0, openDirectories: 1 });
});

t.test('a reply that the kernel refuses is answered EIO instead', async (t) => {
  const kernel = ready(new MemoryFilesystem());
  kernel.sendResult = -errno.EINVAL;
  const unique = kernel.ask(getattr);
  t.same(
    kernel.replies.filter((reply) => reply.unique === unique).map((reply) => reply.error),
    [0, -errno.EIO],
  );
});

t.test('readdirplus counts what it lists; an error after entries takes them back', async (t) => {
  const filesystem = new MemoryFilesystem();
  const node = filesystem.addFile('a');
  const kernel = ready(filesystem);
  const fh = kernel.call({ opcode: opcode.OPENDIR, body: bytes(0, 0) }).body.readBigUInt64LE(0);
  const list = { opcode: opcode.READDIRPLUS, body: bytes(fh, 0n, 4096, 0, 0n, 0, 0) };
  kernel.call(list);
  t.match(kernel.session.stats(), { nlookup: 1, nodes: 1 });
  const readdir = filesystem.readdir.bind(filesystem);
  filesystem.readdir = (...args) => {
    readdir(...args);
    return -errno.EIO;
  };
  t.equal(kernel.call(list).error, -errno.EIO);
  t.match(kernel.session.stats(), { nlookup: 1, nodes: 1 });
  t.equal(filesystem.nodes.get(node)?.nlookup, 1);
});

t.test('extended attributes: sizes and ERANGE', async (t) => {
  const kernel = ready(new MemoryFilesystem());
  const get = (size: number) => kernel.call({ opcode: opcode.GETXATTR, body: bytes(size, 0, 'user.a') });
  const list = (size: number) => kernel.call({ opcode: opcode.LISTXATTR, body: bytes(size, 0) });
  t.equal(get(0).error, -errno.ENODATA);
  t.equal(kernel.call({ opcode: opcode.SETXATTR, body: bytes(5, 0, 'user.a', Buffer.from('value')) }).error, 0);
  t.same(get(0).body, bytes(5, 0));
  t.same(get(5).body, Buffer.from('value'));
  t.equal(get(4).error, -errno.ERANGE);
  t.same(list(0).body, bytes(7, 0));
  t.same(list(100).body, Buffer.from('user.a\0'));
  t.equal(list(6).error, -errno.ERANGE);
  const both = { opcode: opcode.GETXATTR, body: bytes(0, 0, 'security.selinux') };
  t.equal(kernel.call(both).error, -errno.EOPNOTSUPP);
});

t.test('a large WRITE keeps its frame until the answer; a small one is copied', async (t) => {
  const seen: Uint8Array[] = [];
  const answers: ((count: number) => void)[] = [];
  const filesystem = altered({
    write: (_ctx, _node, _fh, _offset, data) => {
      seen.push(data);
      return new Promise((resolve) => answers.push(resolve));
    },
  });
  const kernel = ready(filesystem);
  const feed = (unique: number, length: number) => {
    const frame = new Frame(requestBytes({ ...write(5, 1, Buffer.alloc(length, unique)), unique }));
    return { frame, kept: kernel.session.receive(frame) };
  };
  const small = feed(100, 4000);
  t.equal(small.kept, false);
  small.frame.bytes.fill(0);
  t.equal(seen[0][3999], 100, 'the operation has bytes of its own');
  const large = feed(102, 100_000);
  t.equal(large.kept, true);
  t.equal(seen[1].buffer, large.frame.bytes.buffer, 'no copy');
  answers[1](100_000);
  await nextTurn();
  t.same(kernel.returned, [large.frame]);
  answers[0](4000);
  await nextTurn();
  t.equal(kernel.returned.length, 1);
});

t.test('a large WRITE that is answered early keeps its frame as long as the operation says', async (t) => {
  let taken = (): void => undefined;
  const until = new Promise<void>((resolve) => {
    taken = resolve;
  });
  const filesystem = altered({
    write: (ctx, _node, _fh, _offset, data) => {
      ctx.keepUntil?.(until);
      return data.length;
    },
  });
  const kernel = ready(filesystem);
  const frame = new Frame(requestBytes({ ...write(5, 1, Buffer.alloc(100_000, 1)), unique: 100 }));
  t.equal(kernel.session.receive(frame), true);
  t.equal(kernel.replies.length > 0, true, 'it is answered');
  await nextTurn();
  t.same(kernel.returned, [], 'its bytes are still looked at');
  taken();
  await nextTurn();
  t.same(kernel.returned, [frame]);
});

t.test('the end gives everything back, once, after what is pending', async (t) => {
  const order: string[] = [];
  const filesystem = altered({
    statfs: (ctx) =>
      new Promise((resolve) => {
        ctx.signal.addEventListener('abort', () => {
          order.push('interrupted');
          setTimeout(() => {
            order.push('answered');
            resolve(-errno.EINTR);
          }, 5);
        });
      }),
  });
  const release = filesystem.release.bind(filesystem);
  filesystem.release = (node, fh) => {
    order.push('release');
    return release(node, fh);
  };
  const node = filesystem.addFile('a');
  const kernel = ready(filesystem);
  kernel.call(lookup('a'));
  kernel.call(lookup('a'));
  kernel.call(open(node));
  kernel.call({ opcode: opcode.OPENDIR, body: bytes(0, 0) });
  kernel.ask({ opcode: opcode.STATFS });
  const replies = kernel.replies.length;
  await Promise.all([kernel.session.end(), kernel.session.end()]);
  // releasedir goes through release in the memory filesystem
  t.same(order, ['interrupted', 'answered', 'release', 'release']);
  t.equal(filesystem.handles.size, 0);
  t.equal(filesystem.nodes.get(node)?.nlookup, 0);
  t.equal(filesystem.destroyed, 1);
  t.equal(kernel.replies.length, replies, 'nobody is left to answer');
  t.match(kernel.session.stats(), { nlookup: 0, nodes: 0, openFiles: 0, openDirectories: 0, pending: 0 });
});

t.test('DESTROY is answered and ends the session', async (t) => {
  const filesystem = new MemoryFilesystem();
  const kernel = ready(filesystem);
  t.equal(kernel.call({ opcode: opcode.DESTROY }).error, 0);
  await kernel.session.end();
  t.equal(filesystem.destroyed, 1);
});
