/** Passthrough as the session has it: agreed at INIT, ids in the replies to OPEN and CREATE, none used after the end. */
import t from 'tap';
import { errno } from '../../src/errno.js';
import { fopen, init, init2, opcode } from '../../src/fuse/abi.js';
import type { BackingFiles, Operations } from '../../src/fuse/operations.js';
import { silentLogger } from '../../src/log.js';
import { bytes, FakeKernel } from './fake-kernel.js';
import { MemoryFilesystem } from './memory-filesystem.js';

/** What the kernel has registered, by id. */
class Registered {
  readonly open = new Map<number, number>();
  readonly calls = {
    open: (fd: number): number => {
      if (fd < 0) return -errno.EBADF;
      this.open.set(++this.last, fd);
      return this.last;
    },
    close: (id: number): number => (this.open.delete(id) ? 0 : -errno.ENOENT),
    onlyOpener: (fd: number): number => (fd === 99 ? 0 : 1),
  };
  last = 0;
}

function connected(
  change: Partial<Operations>,
  registered?: Registered,
): { kernel: FakeKernel; given: BackingFiles[] } {
  const given: BackingFiles[] = [];
  const operations = Object.assign(new MemoryFilesystem(), {
    passthrough: (backings: BackingFiles) => void given.push(backings),
    ...change,
  });
  return { kernel: new FakeKernel(operations, silentLogger, registered?.calls), given };
}

t.test('it is offered where it is wanted and the kernel agrees', async (t) => {
  const { kernel, given } = connected({}, new Registered());
  t.equal(kernel.init().error, 0);
  t.equal(given.length, 1);
  for (const [flags, flags2] of [
    [init.INIT_EXT, 0],
    [0, init2.PASSTHROUGH],
  ]) {
    const other = connected({}, new Registered());
    t.equal(other.kernel.init(flags, flags2).error, 0);
    t.equal(other.given.length, 0);
  }
  const unwanted = connected({});
  unwanted.kernel.init();
  t.equal(unwanted.given.length, 0);
});

t.test('OPEN and CREATE carry the id', async (t) => {
  const registered = new Registered();
  let backings: BackingFiles | undefined;
  const filesystem = new MemoryFilesystem();
  const create = filesystem.create.bind(filesystem);
  const kernel = new FakeKernel(
    Object.assign(filesystem, {
      passthrough: (given: BackingFiles) => {
        backings = given;
      },
      open: () => ({ fh: 7, backingId: backings!.open(5), directIo: true }),
      create: (...args: Parameters<typeof create>) => ({
        ...Object(create(...args)),
        open: { fh: 8, backingId: 3 },
      }),
    }),
    silentLogger,
    registered.calls,
  );
  kernel.init();
  const node = filesystem.addFile('a');
  const { body } = kernel.call({ opcode: opcode.OPEN, nodeid: node, body: bytes(0, 0) });
  // struct fuse_open_out: fh, open_flags, backing_id.
  t.same(
    [body.readUInt32LE(0), body.readUInt32LE(8), body.readInt32LE(12)],
    [7, fopen.PASSTHROUGH | fopen.DIRECT_IO, 1],
  );
  const created = kernel.call({ opcode: opcode.CREATE, body: bytes(0, 0o644, 0, 0, 'b') }).body.subarray(-16);
  t.same([created.readUInt32LE(8), created.readInt32LE(12)], [fopen.PASSTHROUGH, 3]);
  t.equal(kernel.session.stats().backings, 1);
  backings!.close(1);
  backings!.close(1);
  t.equal(kernel.session.stats().backings, 0);
  t.equal(registered.open.size, 0);
  t.equal(backings!.open(-1), -errno.EBADF);
  t.equal(kernel.session.stats().backings, 0, 'what was refused is not open');
  t.same([backings!.isInUse(5), backings!.isInUse(99)], [false, true]);
});

t.test('after the end of the connection nobody is asked, and what was left is told', async (t) => {
  const registered = new Registered();
  const { kernel, given } = connected({}, registered);
  kernel.init();
  const [backings] = given;
  const id = backings.open(5);
  await kernel.session.end();
  t.equal(kernel.session.stats().backings, 1);
  backings.close(id);
  t.ok(registered.open.has(id), 'it went with the connection');
  t.equal(kernel.session.stats().backings, 0);
  t.equal(backings.open(6), -errno.ENODEV);
  t.notOk(backings.isInUse(5), 'that is asked of the descriptor');
});
