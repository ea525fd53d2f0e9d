/** The addon's contract: results are values or negative errnos, also for what is wrong. */
import { closeSync, openSync } from 'node:fs';
import t from 'tap';
import { errno } from '../../src/errno.js';
import { native } from '../../src/fuse/native.js';

const addon = native();

function pair(): [number, number] {
  const sockets = addon.socketPair();
  if (typeof sockets === 'number') throw new Error(`socketPair: ${sockets}`);
  return sockets;
}

t.test('errors are negative errnos', async (t) => {
  t.equal(addon.openDevice('/nowhere'), -errno.ENOENT);
  t.equal(addon.closeDescriptor(-1), -errno.EBADF);
  t.equal(addon.read(-1, Buffer.alloc(1)), -errno.EBADF);
  t.equal(addon.setNonblocking(-1), -errno.EBADF);
  t.equal(
    addon.pollOpen(-1, () => {}),
    -errno.EBADF,
  );
  t.equal(await new Promise((resolve) => addon.unmount('/nowhere', 0, resolve)), -errno.ENOENT);
  t.equal(await new Promise((resolve) => addon.mount('a', '/nowhere', 'fuse.x', 0, '', resolve)), -errno.ENOENT);
  t.throws(() => addon.read(0, 'text' as never), TypeError);
  t.throws(() => addon.openDevice(undefined as never), TypeError);
  t.throws(() => addon.pollStart({} as never), TypeError);
});

t.test('write and writev send exactly what is told', async (t) => {
  const [a, b] = pair();
  const buffer = Buffer.alloc(64);
  t.equal(addon.write(a, Buffer.from('abcdef'), 3), 3);
  t.equal(addon.writev(a, Buffer.from('XYZ'), 2, [Buffer.from('one'), Buffer.alloc(0), Buffer.from('two')]), 8);
  t.equal(addon.read(b, buffer), 11);
  t.equal(buffer.toString('latin1', 0, 11), 'abcXYonetwo');
  t.equal(addon.write(a, Buffer.alloc(2), 3), -errno.EINVAL, 'more than the buffer has');
  t.equal(addon.writev(a, Buffer.alloc(2), 3, []), -errno.EINVAL);
  t.equal(addon.writev(a, Buffer.alloc(2), 2, new Array(1024).fill(buffer)), -errno.EINVAL);
  t.equal(addon.setNonblocking(b), 0);
  t.equal(addon.read(b, buffer), -errno.EAGAIN);
  t.equal(addon.receiveDescriptor(b), -errno.EAGAIN, 'does not wait');
  addon.write(a, buffer, 1);
  t.equal(addon.receiveDescriptor(b), -errno.ENODATA, 'a byte without a descriptor');
  for (const fd of [a, b]) addon.closeDescriptor(fd);
});

t.test('a watcher calls when readable, can be stopped and started, and is closed for good', async (t) => {
  const [a, b] = pair();
  let calls = 0;
  let called: (() => void) | undefined;
  const watcher = addon.pollOpen(b, (status) => {
    t.equal(status, 0);
    calls += 1;
    addon.read(b, Buffer.alloc(8));
    called?.();
  });
  if (typeof watcher === 'number') throw new Error('no watcher');
  const next = () =>
    new Promise<void>((resolve) => {
      called = resolve;
    });
  addon.write(a, Buffer.from('x'), 1);
  await new Promise((resolve) => setTimeout(resolve, 20));
  t.equal(calls, 0, 'made stopped');
  t.equal(addon.pollStart(watcher), 0);
  await next();
  t.equal(addon.pollStop(watcher), 0);
  addon.write(a, Buffer.from('x'), 1);
  await new Promise((resolve) => setTimeout(resolve, 20));
  t.equal(calls, 1);
  addon.pollStart(watcher);
  await next();
  t.equal(addon.pollClose(watcher), 0);
  t.equal(addon.pollClose(watcher), -errno.EBADF);
  t.equal(addon.pollStart(watcher), -errno.EBADF);
  t.equal(addon.pollStop(watcher), -errno.EBADF);
  for (const fd of [a, b]) addon.closeDescriptor(fd);
});

t.test('the notifier sends in order, counts, and refuses what its queue cannot hold', async (t) => {
  const [a, b] = pair();
  const counters = new Float64Array(4);
  const notifier = addon.notifierOpen(a, 2);
  if (typeof notifier === 'number') throw new Error('no notifier');
  const settled = async () => {
    do {
      await new Promise((resolve) => setTimeout(resolve, 2));
      addon.notifierCounters(notifier, counters);
    } while (counters[0] > 0);
  };
  t.equal(addon.notifierSend(notifier, Buffer.from('one')), 0);
  t.equal(addon.notifierSend(notifier, Buffer.from('two')), 0);
  await settled();
  const buffer = Buffer.alloc(64);
  t.equal(buffer.toString('latin1', 0, addon.read(b, buffer)), 'onetwo');
  t.same([...counters], [0, 2, 0, 0]);
  // A socket whose buffer is full holds the thread, as a lock in the kernel would.
  const large = Buffer.alloc(1 << 20);
  t.equal(addon.notifierSend(notifier, large), 0);
  t.equal(addon.notifierSend(notifier, large), 0);
  t.equal(addon.notifierSend(notifier, large), -errno.EAGAIN);
  t.equal(addon.notifierClose(notifier, 20), -errno.ETIMEDOUT);
  t.equal(addon.notifierSend(notifier, large), -errno.EBADF);
  t.equal(addon.notifierCounters(notifier, new Float64Array(3)), -errno.EINVAL);
  while (addon.notifierClose(notifier, 1) !== 0) addon.read(b, large);
  for (const fd of [a, b]) addon.closeDescriptor(fd);
});

t.test('failed notifications are counted by kind', async (t) => {
  const fd = openSync('/dev/full', 'w');
  const counters = new Float64Array(4);
  const notifier = addon.notifierOpen(fd, 4);
  if (typeof notifier === 'number') throw new Error('no notifier');
  addon.notifierSend(notifier, Buffer.from('x'));
  do {
    await new Promise((resolve) => setTimeout(resolve, 2));
    addon.notifierCounters(notifier, counters);
  } while (counters[0] > 0);
  t.same([...counters], [0, 0, 0, 1]);
  t.equal(addon.notifierClose(notifier, 1000), 0);
  closeSync(fd);
});

t.test('a worker that ends with everything open ends cleanly', async (t) => {
  const { Worker } = await import('node:worker_threads');
  const source = `
    const { native } = await import(${JSON.stringify(new URL('../../src/fuse/native.js', import.meta.url).href)});
    const [a, b] = native().socketPair();
    const watcher = native().pollOpen(a, () => {});
    native().pollStart(watcher);
    native().notifierOpen(b, 4);
    globalThis.kept = watcher;
    process.exit(7);`;
  const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(source)}`));
  t.equal(await new Promise((resolve) => worker.on('exit', resolve)), 7);
});
