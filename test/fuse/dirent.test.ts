/** Directory entries: sizes, alignment, the limit, and which entries raise a lookup count. */
import fc from 'fast-check';
import t from 'tap';
import { ENTRY_OUT_BYTES, OUT_HEADER_BYTES } from '../../src/fuse/abi.js';
import { DirentBuffer } from '../../src/fuse/dirent.js';
import { decodeName, encodeName } from '../../src/fuse/name.js';
import type { EntryReply } from '../../src/fuse/operations.js';
import { fixture } from './fake-kernel.js';

const times = { atime: { sec: 0, nsec: 0 }, mtime: { sec: 0, nsec: 0 }, ctime: { sec: 0, nsec: 0 } };
const attributes = {
  ino: 1,
  size: 0,
  blocks: 0,
  mode: 0o100644,
  nlink: 1,
  uid: 0,
  gid: 0,
  rdev: 0,
  blksize: 1,
  ...times,
};
const entry = (nodeid: number): EntryReply => ({ nodeid, generation: 0, entryTtlMs: 0, attrTtlMs: 0, attributes });

interface Parsed {
  name: string;
  nodeid: number;
  offset: number;
  type: number;
}

/** Reads the records as the kernel does. */
function parse(sink: DirentBuffer): Parsed[] {
  const { frame } = sink;
  const found: Parsed[] = [];
  let at = OUT_HEADER_BYTES;
  while (at < frame.length) {
    const dirent = sink.plus ? at + ENTRY_OUT_BYTES : at;
    const length = frame.u32(dirent + 16);
    const name = decodeName(frame.bytes, dirent + 24, dirent + 24 + length);
    found.push({
      ...{ name, nodeid: sink.plus ? frame.u64(at) : 0 },
      ...{ offset: frame.u64(dirent + 8), type: frame.u32(dirent + 20) },
    });
    at = dirent + 24 + Math.ceil(length / 8) * 8;
  }
  if (at !== frame.length) throw new Error('records do not end where the reply ends');
  return found;
}

t.test('a record as the kernel has it', async (t) => {
  const sink = new DirentBuffer(4096, true);
  t.equal(sink.add('.', 1, 1, 0o040000, entry(9)), true);
  t.same(sink.frame.bytes.subarray(OUT_HEADER_BYTES, sink.frame.length), fixture('direntplus.reply'));
  t.same(sink.lookups, [], 'dots carry no entry');
});

t.test('which entries raise a lookup count', async (t) => {
  const sink = new DirentBuffer(4096, true);
  sink.add('..', 1, 1, 0o040000, entry(9));
  sink.add('a', 2, 2, 0o100000, entry(5));
  sink.add('b', 3, 3, 0o100000);
  sink.add('c', 4, 4, 0o100000, entry(0));
  sink.add('d', 5, 5, 0o100000, entry(5));
  t.same(sink.lookups, [5, 5]);
  const plain = new DirentBuffer(4096, false);
  plain.add('a', 2, 2, 0o100000, entry(5));
  t.same(plain.lookups, []);
});

t.test('a name that cannot be listed throws', async (t) => {
  const sink = new DirentBuffer(4096, false);
  t.throws(() => sink.add('x'.repeat(256), 1, 1, 0));
  t.throws(() => sink.add('', 1, 1, 0));
});

t.test('what was taken comes out again, in order, within the size; full stays full', async () => {
  const name = fc
    .uint8Array({ min: 1, minLength: 1, maxLength: 255 })
    .map((bytes) => decodeName(Buffer.from(bytes.map((byte) => (byte === 47 ? 48 : byte)))));
  const property = fc.property(fc.array(name), fc.integer({ min: 0, max: 4096 }), fc.boolean(), (names, size, plus) => {
    const sink = new DirentBuffer(size, plus);
    const taken = names.filter((name, i) => sink.add(name, i + 1, i + 1, 0o100000, entry(i + 2)));
    const found = parse(sink);
    const expected = names.slice(0, taken.length);
    const next = names[taken.length];
    const record = next === undefined ? Infinity : (plus ? 152 : 24) + Math.ceil(encodeName(next).length / 8) * 8;
    return (
      JSON.stringify(found.map((one) => one.name)) === JSON.stringify(expected) &&
      found.every((one, i) => one.offset === i + 1 && one.type === 8) &&
      sink.used <= size &&
      sink.used + record > size &&
      sink.lookups.length === (plus ? expected.filter((one) => one !== '.' && one !== '..').length : 0)
    );
  });
  fc.assert(property, { numRuns: 500 });
});
