/** Calls that were answered with EINTR while their operation goes on: what it still gives belongs to nobody. */
import t from 'tap';
import { errno } from '../../src/errno.js';
import { opcode } from '../../src/fuse/abi.js';
import { bytes, FakeKernel } from './fake-kernel.js';
import { MemoryFilesystem } from './memory-filesystem.js';

t.test('entries that a directory adds after its reader was killed are taken back', async (t) => {
  const filesystem = new MemoryFilesystem();
  const node = filesystem.addFile('late');
  const kernel = new FakeKernel(filesystem);
  kernel.init();
  const fh = kernel.call({ opcode: opcode.OPENDIR, body: bytes(0, 0) }).body.readBigUInt64LE(0);
  const readdir = filesystem.readdir.bind(filesystem);
  let go: (() => void) | undefined;
  filesystem.readdir = ((...args: Parameters<typeof readdir>) =>
    new Promise((resolve) => {
      go = () => resolve(readdir(...args));
    })) as never;
  const unique = kernel.ask({ opcode: opcode.READDIRPLUS, body: bytes(fh, 0n, 4096, 0, 0n, 0, 0) });
  kernel.ask({ opcode: opcode.INTERRUPT, body: bytes(BigInt(unique)), unique: unique + 1 });
  for (let i = 0; i < 200 && kernel.replies.at(-1)?.unique !== unique; i++)
    await new Promise((resolve) => setTimeout(resolve, 10));
  t.match(kernel.replies.at(-1), { unique, error: -errno.EINTR });
  go?.();
  await new Promise((resolve) => setImmediate(resolve));
  t.equal(filesystem.nodes.get(node)?.nlookup, 0);
  t.match(kernel.session.stats(), { nlookup: 0, pending: 0 });
});
