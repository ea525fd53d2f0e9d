/** What libfuse is given: its options, and attributes as numbers. */
import t from 'tap';
import { libfuseOptions } from '../../src/fuse/libfuse-options.js';
import { foldedIno, statfsNumbers, statNumbers } from '../../src/fuse/libfuse-stat.js';
import { timesOf } from '../../src/fuse/path-attribute-calls.js';

t.test('options', async (t) => {
  const words = libfuseOptions({ fsname: 's3://a,b\\c', readOnly: true, allowOther: true }, true);
  t.match(words, /^-osubtype=pailfs,big_writes,/);
  t.match(words, /,max_read=131072,.*,nonempty,ro,allow_other,fsname=s3:\/\/a\\,b\\\\c$/);
  t.notMatch(words, /kernel_cache|auto_cache|hard_remove|default_permissions/);
  t.notMatch(libfuseOptions({ fsname: 's3://a' }, false), /nonempty/, 'fusermount3 does not know it');
  t.match(libfuseOptions({ fsname: 's3://a', maxRead: 4096 }, false), /,max_read=4096,/);
});

t.test('a long source is cut, and nothing else', async (t) => {
  const short = libfuseOptions({ fsname: 's3://a' }, true);
  for (const fsname of [`s3://b/${'x'.repeat(2000)}`, `s3://b/${'ü,'.repeat(900)}`]) {
    const words = libfuseOptions({ fsname }, true);
    t.ok(Buffer.byteLength(words) <= 1023, `${Buffer.byteLength(words)}`);
    t.ok(Buffer.byteLength(words) > 1000);
    t.ok(words.startsWith(short.slice(0, short.indexOf('fsname'))));
    t.match(words, /[^\\]\.\.\.$/);
  }
});

t.test('attributes', async (t) => {
  const attributes = {
    ...{ ino: 2 ** 40 + 3, size: 2 ** 33 + 5, blocks: 2 ** 32 + 1, mode: 0o100644, nlink: 0, uid: 7, gid: 8, rdev: 0 },
    ...{ blksize: 1 << 20, atime: { sec: -5, nsec: 0 }, mtime: { sec: 1234567890, nsec: 123_456_789 } },
    ctime: { sec: 0, nsec: 999_999 },
  };
  const wide = (numbers: Uint32Array, at: number) => numbers[at] + numbers[at + 1] * 2 ** 32;
  const numbers = statNumbers(attributes);
  t.same([...numbers.subarray(0, 3)], [0o100644, 7, 8]);
  t.equal(wide(numbers, 3), 2 ** 33 + 5);
  t.same([...numbers.subarray(6, 10)], [0, 3 ^ 256, 0, 1 << 20]);
  t.equal(wide(numbers, 10), 2 ** 32 + 1);
  t.same([wide(numbers, 12), wide(numbers, 14), wide(numbers, 16)], [0, 1234567890123, 0]);
  t.equal(foldedIno(2 ** 32), 1);
  t.equal(foldedIno(2 ** 32 + 1), 1, 'never 0');
});

t.test('a large filesystem has large blocks', async (t) => {
  const blocks = 2 ** 38;
  const same = { blocks, blocksFree: blocks, blocksAvailable: blocks };
  const told = statfsNumbers({ ...same, blockSize: 4096, files: 2 ** 40, filesFree: 2 ** 40, nameMax: 255 });
  t.equal(told.blocks * told.frsize, blocks * 4096);
  for (const [name, value] of Object.entries(told)) t.ok(value < 2 ** 32, name);
});

t.test('which times are set, where only the first comes through', async (t) => {
  const now = 1_700_000_000_000;
  t.same(timesOf(now - 500, now), { atime: 'now', mtime: 'now' }, 'touch');
  t.same(timesOf(5_001, now), { atime: { sec: 5, nsec: 1_000_000 } });
  t.same(timesOf(2 ** 64 - 1500, now), {}, 'before 1970');
});
