/** Decoding of requests: fixtures of whole frames, and strictness for every opcode. */
import fc from 'fast-check';
import t from 'tap';
import { errno } from '../../src/errno.js';
import { opcode } from '../../src/fuse/abi.js';
import { decodeRequest } from '../../src/fuse/decode.js';
import { decodeHeader, Frame } from '../../src/fuse/frame.js';
import { bytes, fixture, requestBytes } from './fake-kernel.js';

function decode(buffer: Buffer) {
  const frame = new Frame(buffer);
  const header = decodeHeader(frame);
  return header && decodeRequest(header, frame);
}

t.test('the header', async (t) => {
  const header = decodeHeader(new Frame(fixture('lookup.request')));
  t.same(header, {
    ...{ opcode: opcode.LOOKUP, uniqueLow: 4, uniqueHigh: 0x80000000, nodeid: 1, uid: 1000, gid: 1001, pid: 4242 },
  });
  t.equal(decodeHeader(new Frame(Buffer.alloc(39))), undefined);
  t.equal(decodeHeader(new Frame(fixture('lookup.request').subarray(0, 45))), undefined, 'length not its own');
});

t.test('fixtures', async (t) => {
  t.same(decode(fixture('lookup.request')), { op: 'lookup', name: 'hello' });
  t.match(decode(fixture('init.request')), { op: 'init', major: 7, minor: 45, maxReadahead: 131072, flags2: 255 });
  t.same(decode(fixture('write.request')), {
    ...{ op: 'write', fh: 9, offset: 2 ** 32, data: Buffer.from('data') },
    flags: { killSuidgid: true, fromPageCache: true },
  });
  t.same(decode(fixture('setattr.request')), {
    op: 'setattr',
    change: {
      ...{ killSuidgid: true, fh: 9, size: 10, mode: 0o100600, atime: 'now' },
      mtime: { sec: -1, nsec: 500_000_000 },
    },
  });
  const O_TMPFILE = 0o20000000;
  t.same(decode(fixture('tmpfile.request')), {
    op: 'tmpfile',
    flags: 2 | 0o100000 | O_TMPFILE,
    mode: 0o100600,
    umask: 0o22,
  });
  t.same(decode(fixture('fallocate.request')), { op: 'fallocate', fh: 9, offset: 2 ** 32, length: 4096, mode: 3 });
  t.same(decode(fixture('lseek.request')), { op: 'lseek', fh: 9, offset: 4096, whence: 4 });
  t.same(decode(fixture('copy-file-range-64.request')), {
    ...{ op: 'copyFileRange64', fh: 9, offset: 2 ** 20, to: { nodeid: 6, fh: 10, offset: 0 }, length: 2 ** 33 },
  });
  t.same(decode(fixture('rename2.request')), { op: 'rename', name: 'a', newName: 'b', newParent: 3, flags: 1 });
});

t.test('names', async (t) => {
  const lookup = (name: Uint8Array | string) => decode(requestBytes({ opcode: opcode.LOOKUP, body: bytes(name) }));
  t.match(lookup('x'.repeat(255)), { op: 'lookup' });
  t.equal(lookup('x'.repeat(256)), -errno.ENAMETOOLONG);
  t.equal(lookup('ä'.repeat(128)), -errno.ENAMETOOLONG, 'bytes count, not characters');
  t.equal(lookup(''), -errno.EINVAL);
  t.equal(lookup('a/b'), -errno.EINVAL);
  t.equal(lookup(Buffer.from('no end')), -errno.EINVAL);
  const long = 'x'.repeat(256);
  for (const [code, body] of [
    [opcode.MKDIR, bytes(0, 0, long)],
    [opcode.MKNOD, bytes(0, 0, 0, 0, long)],
    [opcode.CREATE, bytes(0, 0, 0, 0, long)],
    [opcode.SYMLINK, bytes(long, 'target')],
    [opcode.RENAME, bytes(1n, 'a', long)],
    [opcode.LINK, bytes(1n, long)],
  ] as const) {
    t.equal(decode(requestBytes({ opcode: code, body })), -errno.ENAMETOOLONG, `opcode ${code}`);
  }
});

t.test('SETXATTR comes in two forms, and its length tells which', async (t) => {
  const setxattr = (...body: Parameters<typeof bytes>) =>
    decode(requestBytes({ opcode: opcode.SETXATTR, body: bytes(...body) }));
  const names = fc.string({ minLength: 1, maxLength: 20 }).filter((name) => !name.includes('\0'));
  const value = Buffer.from('value');
  t.match(setxattr(5, 2, 'user.a', value), { name: 'user.a', value, flags: 2, killSgid: undefined });
  t.match(setxattr(5, 2, 0, 0, 'user.a', value), { name: 'user.a', value, flags: 2, killSgid: false });
  t.match(setxattr(5, 0, 1, 0, 'user.a', value), { name: 'user.a', value, killSgid: true }, 'FUSE_SETXATTR_EXT');
  t.match(setxattr(0, 0, '\u0001', Buffer.alloc(0)), { name: '\u0001', killSgid: undefined });
  t.equal(setxattr(5, 0, 1, 0, 'user.a', Buffer.from('valu')), -errno.EINVAL);
  t.equal(setxattr(0, 0, 1, 0), -errno.EINVAL);
  t.equal(setxattr(0, 0, 1), -errno.EINVAL);
  fc.assert(
    fc.property(names, fc.uint8Array({ maxLength: 24 }), fc.boolean(), fc.boolean(), (name, value, long, kill) => {
      const more = long ? [kill ? 1 : 0, 0] : [];
      const killSgid = long ? kill : undefined;
      t.match(setxattr(value.length, 0, ...more, name, value), { name, value: Buffer.from(value), killSgid });
    }),
  );
});

t.test('lengths that the body does not have', async (t) => {
  t.equal(decode(requestBytes({ opcode: opcode.WRITE, body: bytes(0n, 0n, 9, 0, 0n, 0, 0, Buffer.alloc(8)) })), -22);
  t.equal(decode(requestBytes({ opcode: opcode.SETXATTR, body: bytes(5, 0, 'user.a', Buffer.alloc(4)) })), -22);
  t.equal(decode(requestBytes({ opcode: opcode.BATCH_FORGET, body: bytes(2, 0, 1n, 1n) })), -22);
  t.equal(decode(requestBytes({ opcode: opcode.BATCH_FORGET, body: bytes(0xffffffff, 0) })), -22);
  t.equal(decode(requestBytes({ opcode: opcode.READ, body: bytes(0n, 0n, 1 << 21, 0, 0n, 0, 0) })), -22);
  t.equal(decode(requestBytes({ opcode: opcode.WRITE, body: bytes(0n, 1n << 62n, 0, 0, 0n, 0, 0) })), -errno.EFBIG);
  t.equal(decode(requestBytes({ opcode: 4095 })), -errno.ENOSYS);
});

t.test('any bytes decode to a request or an errno, and never throw', async () => {
  const codes = fc.oneof(fc.constantFrom(...Object.values(opcode)), fc.nat(70));
  const property = fc.property(codes, fc.uint8Array({ maxLength: 200 }), (code, body) => {
    const result = decode(requestBytes({ opcode: code, body }));
    return typeof result === 'number' ? result < 0 : typeof result?.op === 'string';
  });
  fc.assert(property, { numRuns: 5000 });
});

t.test('every truncation of a good frame is refused or shorter in its string, never read beyond its end', async (t) => {
  for (const name of ['lookup', 'write', 'setattr', 'rename2', 'fallocate', 'lseek', 'copy-file-range-64']) {
    const whole = fixture(`${name}.request`);
    for (let length = 40; length < whole.length; length++) {
      // The bytes behind the frame's end are still in the buffer, as in a pool.
      const frame = new Frame(Buffer.from(whole), length);
      frame.putU32(0, length);
      t.equal(decodeRequest(decodeHeader(frame)!, frame), -errno.EINVAL, `${name} cut to ${length}`);
    }
  }
});
