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
  t.ok(isEnding(status({ pnd: [9] })), 'SIGKILL');
  t.ok(isEnding(status({ shd: [2], cgt: [2] })), 'SIGINT, also with a handler');
  t.ok(isEnding(status({ shd: [14] })), 'SIGALRM without a handler ends the program');
  t.notOk(isEnding(status({ shd: [14], cgt: [14] })), 'a timer with a handler');
  t.notOk(isEnding(status({ shd: [17, 28] })), 'SIGCHLD and SIGWINCH');
  t.notOk(isEnding(status({ shd: [15], ign: [15] })), 'ignored');
  t.notOk(isEnding(status({ shd: [15], blk: [15] })), 'blocked');
  t.notOk(isEnding(status({})));
});

t.test('threads', async (t) => {
  t.ok(isThreadEnding(0), 'of another pid namespace');
  t.ok(isThreadEnding(2 ** 30), 'gone');
  t.notOk(isThreadEnding(process.pid));
});
