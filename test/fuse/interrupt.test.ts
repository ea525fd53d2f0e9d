import t from 'tap';
import { isEnding, isThreadEnding } from '../../src/fuse/interrupt.js';

const status = (masks: { pnd?: number[]; shd?: number[]; blk?: number[]; ign?: number[]; cgt?: number[] }): string => {
  const hex = (signals: number[] = []): string => {
    const mask = signals.reduce((sum, signal) => sum | (1n << BigInt(signal - 1)), 0n);
    return mask.toString(16).padStart(16, '0');
  };
  const { pnd, shd, blk, ign, cgt } = masks;
  return `Name:\tx\nSigQ:\t0/1\nSigPnd:\t${hex(pnd)}\nShdPnd:\t${hex(shd)}\nSigBlk:\t${hex(blk)}\nSigIgn:\t${hex(ign)}\nSigCgt:\t${hex(cgt)}\n`;
};

t.test('signals that end a wait, and those that do not', async (t) => {
  for (const alsoHandled of [false, true]) {
    const ends = (masks: Parameters<typeof status>[0]): boolean => isEnding(status(masks), alsoHandled);
    t.ok(ends({ pnd: [9] }), 'SIGKILL');
    t.ok(ends({ shd: [15] }), 'SIGTERM');
    t.equal(ends({ shd: [2], cgt: [2] }), alsoHandled, 'SIGINT with a handler');
    t.equal(ends({ shd: [1], cgt: [1] }), alsoHandled, 'SIGHUP with a handler');
    t.ok(ends({ shd: [14] }), 'SIGALRM without a handler ends the program');
    t.notOk(ends({ shd: [14], cgt: [14] }), 'a timer with a handler');
    t.notOk(ends({ shd: [17, 28] }), 'SIGCHLD and SIGWINCH');
    t.notOk(ends({ shd: [15], ign: [15] }), 'ignored');
    t.notOk(ends({ shd: [15], blk: [15] }), 'blocked');
    t.notOk(ends({}));
  }
});

t.test('threads', async (t) => {
  t.ok(isThreadEnding(0, false), 'of another pid namespace');
  t.ok(isThreadEnding(2 ** 30, false), 'gone');
  t.notOk(isThreadEnding(process.pid, true));
});
