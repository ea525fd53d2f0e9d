/** Encoding of replies, notifications and INIT: whole frames, and numbers of any size. */
import fc from 'fast-check';
import t from 'tap';
import { errno } from '../../src/errno.js';
import { INIT_OUT_BYTES, init, init2, OUT_HEADER_BYTES, STATX_OUT_BYTES } from '../../src/fuse/abi.js';
import { decodeRequest } from '../../src/fuse/decode.js';
import { decodeHeader, Frame } from '../../src/fuse/frame.js';
import { mixesDirectIo, negotiate, refusalText } from '../../src/fuse/negotiate.js';
import { deleteFrame, FrameNotifier, invalEntryFrame, invalInodeFrame } from '../../src/fuse/notify.js';
import type { FileAttributes } from '../../src/fuse/operations.js';
import { type InitReply, putEntry, putHeader, putInit, putStatxReply } from '../../src/fuse/reply.js';
import type { InitRequest } from '../../src/fuse/request.js';
import { silentLogger } from '../../src/log.js';
import { fixture } from './fake-kernel.js';

export const sampleAttributes: FileAttributes = {
  ...{ ino: 7, size: 2 ** 32, blocks: 2 ** 23, mode: 0o100644, nlink: 1, uid: 1000, gid: 1001, rdev: 0 },
  ...{ blksize: 1 << 20, atime: { sec: -1, nsec: 1e8 }, mtime: { sec: 2, nsec: 2 }, ctime: { sec: 3, nsec: 3 } },
};

t.test('an entry', async (t) => {
  const frame = new Frame(Buffer.alloc(144, 0xff));
  const entry = { nodeid: 5, generation: 1, entryTtlMs: 1500, attrTtlMs: 60_000, attributes: sampleAttributes };
  t.equal(putEntry(frame, OUT_HEADER_BYTES, entry), 144);
  putHeader(frame, 4, 0x80000000, 0, 144);
  t.same(frame.bytes, fixture('entry.reply'));
});

t.test('a time to live without end, and none', async (t) => {
  const frame = new Frame(Buffer.alloc(144));
  putEntry(frame, 0, { nodeid: 5, generation: 0, entryTtlMs: Infinity, attrTtlMs: -5, attributes: sampleAttributes });
  t.ok(frame.u64(16) > 86_400 * 365);
  t.ok(frame.u64(16) < 2 ** 32);
  t.equal(frame.u64(24), 0);
  t.equal(frame.u32(32), 0);
});

t.test('64-bit numbers keep their value', async () => {
  const frame = new Frame(Buffer.alloc(8));
  fc.assert(
    fc.property(fc.maxSafeInteger(), (value) => {
      frame.put64(0, value);
      return frame.i64(0) === value && frame.bytes.readBigInt64LE(0) === BigInt(value);
    }),
  );
});

t.test('statx carries the birth time only where it is known', async (t) => {
  const frame = new Frame(Buffer.alloc(STATX_OUT_BYTES));
  const attributes = { ...sampleAttributes, btime: { sec: 9, nsec: 8 }, rdev: 0x12345 };
  putStatxReply(frame, 0, { attrTtlMs: 0, attributes });
  t.equal(frame.u32(32), 0xfff);
  t.equal(frame.u64(32 + 80), 9);
  t.same([frame.u32(32 + 128), frame.u32(32 + 132)], [0x123, 0x45]);
  putStatxReply(frame, 0, { attrTtlMs: 0, attributes: sampleAttributes });
  t.equal(frame.u32(32), 0x7ff);
});

t.test('statx of a device, as a whole frame', async (t) => {
  const frame = new Frame(Buffer.alloc(OUT_HEADER_BYTES + STATX_OUT_BYTES, 0xff));
  const attributes: FileAttributes = {
    ...{ ino: 7, size: 0, blocks: 0, mode: 0o060660, nlink: 1, uid: 1000, gid: 1001, rdev: 0x11110370, blksize: 4096 },
    ...{
      atime: { sec: 1, nsec: 0 },
      mtime: { sec: 2, nsec: 0 },
      ctime: { sec: 3, nsec: 0 },
      btime: { sec: 4, nsec: 5 },
    },
  };
  const end = putStatxReply(frame, OUT_HEADER_BYTES, { attrTtlMs: 60_000, attributes });
  putHeader(frame, 14, 0, 0, end);
  t.same(frame.bytes, fixture('statx.reply'));
});

const plain = { passthrough: false, acl: false };
const passing = { passthrough: true, acl: false };

t.test('INIT asks for what is wanted out of what is offered', async (t) => {
  const frame = new Frame(fixture('init.request'));
  const request = decodeRequest(decodeHeader(frame)!, frame) as InitRequest;
  const out = new Frame(Buffer.alloc(OUT_HEADER_BYTES + INIT_OUT_BYTES));
  const reply = negotiate(request, plain);
  if (typeof reply === 'number') throw new Error('refused');
  putInit(out, OUT_HEADER_BYTES, reply);
  putHeader(out, 2, 0, 0, out.length);
  t.same(out.bytes, fixture('init.reply'));
  t.match(negotiate({ ...request, flags: 0 }, passing), { flags: 0, flags2: 0, maxWrite: 131072, maxPages: 32 });
  t.equal(negotiate({ ...request, minor: 27 }, passing), -errno.EPROTO);
  t.match(negotiate({ ...request, minor: 99 }, passing), { minor: 45 }, 'never newer than what is known');
  t.ok(mixesDirectIo(reply));
  t.notOk(mixesDirectIo({ ...reply, minor: 40 }), 'older kernels keep pages that a direct write made old');
  t.notOk(mixesDirectIo({ ...reply, flags2: 0 }), 'nor without mappings');
});

t.test('passthrough is asked for where it is wanted and offered', async (t) => {
  const offered = { major: 7, minor: 45, maxReadahead: 0, flags: init.INIT_EXT, flags2: 0xffffffff };
  t.match(negotiate(offered, passing), {
    flags: init.INIT_EXT,
    flags2: init2.PASSTHROUGH | init2.DIRECT_IO_ALLOW_MMAP,
    maxStackDepth: 1,
  });
  const others = { flags2: init2.DIRECT_IO_ALLOW_MMAP, maxStackDepth: 0 };
  t.match(negotiate(offered, plain), others);
  t.match(negotiate({ ...offered, flags2: ~init2.PASSTHROUGH }, passing), others);
  t.match(negotiate({ ...offered, flags: 0 }, passing), { flags2: 0, maxStackDepth: 0 }, 'not without INIT_EXT');
  const out = new Frame(Buffer.alloc(OUT_HEADER_BYTES + INIT_OUT_BYTES));
  putInit(out, OUT_HEADER_BYTES, negotiate(offered, passing) as InitReply);
  // struct fuse_init_out of linux/fuse.h: flags2 at 32, max_stack_depth at 36.
  t.same(
    [out.view.getUint32(OUT_HEADER_BYTES + 32, true), out.view.getUint32(OUT_HEADER_BYTES + 36, true)],
    [(1 << 5) | (1 << 4), 1],
  );
});

t.test('ACLs are asked for where they are wanted, with what they need', async (t) => {
  const offered = { major: 7, minor: 45, maxReadahead: 0, flags: -1, flags2: 0 };
  const aclFlags = (1 << 6) | (1 << 20) | (1 << 29);
  const asked = (flags: number): number =>
    (negotiate({ ...offered, flags }, { ...plain, acl: true }) as InitReply).flags;
  t.equal(
    (negotiate(offered, plain) as InitReply).flags & aclFlags,
    0,
    'FUSE_DONT_MASK, POSIX_ACL, SETXATTR_EXT: not without',
  );
  t.equal(asked(-1) & aclFlags, aclFlags);
  t.equal(asked(~(1 << 29)) & aclFlags, (1 << 6) | (1 << 20), 'before Linux 5.13');
  const old = { ...offered, flags: ~(1 << 20) };
  const refused = negotiate(old, { ...plain, acl: true });
  t.equal(refused, -errno.EOPNOTSUPP, 'modes alone would let in too many');
  t.match(refusalText(old, -errno.EOPNOTSUPP), /without --acl/);
  t.match(refusalText(old, -errno.EPROTO), /7\.45 is too old/);
});

t.test('INIT never asks for flags that would take control from us', async () => {
  // POSIX_LOCKS, FLOCK_LOCKS, AUTO_INVAL_DATA, READDIRPLUS_AUTO, WRITEBACK_CACHE, NO_OPEN, NO_OPENDIR, splice
  const never = [1, 10, 12, 14, 16, 17, 24, 7, 8, 9].reduce((flags, bit) => flags | (1 << bit), 0);
  const u32 = fc.integer({ min: 0, max: 0xffffffff });
  fc.assert(
    fc.property(u32, u32, fc.boolean(), fc.boolean(), (flags, flags2, passthrough, acl) => {
      const reply = negotiate({ major: 7, minor: 45, maxReadahead: 0, flags, flags2 }, { passthrough, acl });
      if (reply === -errno.EOPNOTSUPP) return acl;
      return typeof reply !== 'number' && (reply.flags & never) === 0 && (reply.flags & ~flags) === 0;
    }),
  );
});

t.test('notifications', async (t) => {
  t.same(invalInodeFrame(5, -1, 0), fixture('inval-inode.notify'));
  t.same(invalEntryFrame(1, 'name'), fixture('inval-entry.notify'));
  t.same(deleteFrame(1, 5, 'name'), fixture('delete.notify'));
});

t.test('a notification that finds the queue full is counted', async (t) => {
  const results = [0, -errno.EAGAIN, -errno.EAGAIN, 0];
  const notifier = new FrameNotifier(() => results.shift()!, silentLogger);
  notifier.invalInode(1, 0, 0);
  notifier.invalEntry(1, 'a');
  notifier.deleted(1, 2, 'a');
  notifier.invalInode(1, 0, 0);
  t.equal(notifier.dropped, 2);
});
