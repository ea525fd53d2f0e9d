/** The kernel driver on real mounts, over the filesystem in memory. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { errno } from '../../src/errno.js';
import { type KernelMount, mountKernel } from '../../src/fuse/kernel-driver.js';
import type { Operations } from '../../src/fuse/operations.js';
import { silentLogger } from '../../src/log.js';
import { MemoryFilesystem } from '../fuse/memory-filesystem.js';
import { check, noKernelMounts, run, sh, start, until, within, withMount } from './harness.js';
import { mountAsUser } from './mount-as-user.js';

const skip = noKernelMounts;
t.setTimeout(120_000);
/** The tap object of one subtest. */
type Tap = Pick<typeof t, 'same' | 'equal' | 'fail'>;

/** What has to hold once everything is closed, and at the end. */
async function settled(t: Tap, filesystem: MemoryFilesystem, mounted: KernelMount): Promise<void> {
  await mounted.closed;
  const { session, device } = mounted.stats();
  const { pending, nlookup, nodes, openFiles, openDirectories } = session;
  const left = { pending, nlookup, nodes, openFiles, openDirectories, kept: device.buffersKept };
  t.same(left, { pending: 0, nlookup: 0, nodes: 0, openFiles: 0, openDirectories: 0, kept: 0 });
  t.equal(filesystem.handles.size, 0);
  t.equal(filesystem.destroyed, 1);
  for (const node of filesystem.nodes.values()) if (node.nlookup !== 0) t.fail(`node ${node.id} is still looked up`);
}

/** Runs `body` on a mount, and then checks that nothing is left. */
async function onMount(
  t: Tap,
  filesystem: MemoryFilesystem,
  body: (directory: string, mounted: KernelMount) => Promise<void>,
  options: Parameters<typeof withMount>[2] = {},
) {
  const mounted = await withMount(
    filesystem,
    async (mounted, directory) => {
      await body(directory, mounted);
      return mounted;
    },
    options,
  );
  await settled(t, filesystem, mounted);
}

t.test('the mount in /proc/mounts', { skip }, async (t) => {
  await onMount(t, new MemoryFilesystem(), async (directory, mounted) => {
    const line = readFileSync('/proc/mounts', 'utf8')
      .split('\n')
      .find((one) => one.includes(directory));
    t.match(line, /^s3:\/\/test \S+ fuse\.pailfs rw,nosuid,nodev,/);
    t.match(mounted.info, { maxWrite: 1 << 20, privileged: true });
    const device = (await check(`mountpoint -d ${directory}`)).trim();
    t.equal(readFileSync(`/sys/class/bdi/${device}/read_ahead_kb`, 'utf8').trim(), '4096');
  });
  const options = { readOnly: true, defaultPermissions: true, allowOther: true, suid: true, dev: true, noExec: true };
  await onMount(
    t,
    new MemoryFilesystem(),
    async (directory) => {
      const line = readFileSync('/proc/mounts', 'utf8')
        .split('\n')
        .find((one) => one.includes(directory));
      t.match(line, /fuse\.pailfs ro,noexec,relatime,.*default_permissions,allow_other/);
      t.match((await sh(`touch ${directory}/a`)).stderr, /Read-only/);
    },
    options,
  );
});

t.test('files: write, read, append, truncate, times, modes', { skip }, async (t) => {
  await onMount(t, new MemoryFilesystem(), async (directory) => {
    const script = `cd ${directory}
      echo one > a; echo two >> a; cat a
      chmod 640 a; touch -d '1969-12-31 23:59:58.25 UTC' a; stat -c '%a %s %Y %h %F' a
      truncate -s 2 a; truncate -s 4 a; od -An -c a
      mkdir -p d/e; ln -s ../a d/link; readlink d/link; ln a hard; stat -c %h a
      mv a d/e/b; cat d/link 2>/dev/null || echo dangling
      setfattr -n user.x -v y hard 2>/dev/null && getfattr --only-values -n user.x hard || python3 -c '
import os; os.setxattr("hard", "user.x", b"y"); print(os.getxattr("hard", "user.x").decode(), end="")'
      echo; rm hard; ls -R; rm -r d; ls -A | wc -l`;
    const expected = [
      ...['one', 'two', '640 8 -2 1 regular file', '   o   n  \\0  \\0', '../a', '2', 'dangling', 'y'],
      ...['.:', 'd', '', './d:', 'e', 'link', '', './d/e:', 'b', '0', ''],
    ];
    t.equal(await check(script), expected.join('\n'));
  });
});

t.test('names that are not UTF-8', { skip }, async (t) => {
  const filesystem = new MemoryFilesystem();
  await onMount(t, filesystem, async (directory) => {
    t.equal(await check(`cd ${directory}; printf x > "$(printf 'a\\377b')"; ls | od -An -tx1`), ' 61 ff 62 0a\n');
    t.ok(filesystem.root.children?.has('a\udcffb'));
    t.match((await sh(`touch ${directory}/${'x'.repeat(256)}`)).stderr, /File name too long/);
    await check(`touch ${directory}/${'x'.repeat(255)}`);
  });
});

t.test('a big file is read and written in requests of 1 MiB', { skip }, async (t) => {
  const filesystem = new MemoryFilesystem();
  await onMount(t, filesystem, async (directory, mounted) => {
    const source = join(mkdtempSync(join(tmpdir(), 'pailfs-source-')), 'source');
    try {
      await check(
        `head -c 50000000 /dev/urandom > ${source}; cp ${source} ${directory}/big; cmp ${source} ${directory}/big`,
      );
      t.ok(mounted.stats().operations.write.count <= 60, 'writes');
      // Dropped pages make the kernel read, through readahead.
      mounted.notifier.invalInode([...filesystem.nodes.keys()].at(-1)!, 0, 0);
      await until('notification', () => mounted.stats().notifications.sent === 1);
      await check(
        `cmp ${source} ${directory}/big; cp ${directory}/big ${directory}/copy; cmp ${source} ${directory}/copy`,
      );
      const reads = mounted.stats().operations.read.count;
      t.ok(reads >= 48 && reads <= 100, `${reads} reads`);
    } finally {
      rmSync(join(source, '..'), { recursive: true });
    }
  });
});

t.test('mmap reads and writes', { skip }, async (t) => {
  await onMount(t, new MemoryFilesystem(), async (directory) => {
    const script = `
import mmap, os
f = open("${directory}/m", "w+b"); f.truncate(10000)
m = mmap.mmap(f.fileno(), 10000); m[5000:5005] = b"hello"; m.flush(); m.close(); f.close()
f = open("${directory}/m", "rb"); f.seek(5000); print(f.read(5).decode())
m = mmap.mmap(f.fileno(), 10000, prot=mmap.PROT_READ); print(m[5000:5005].decode())`;
    t.equal(await check(`python3 -c '${script}'`), 'hello\nhello\n');
  });
});

t.test('ls -l of 10,000 files is READDIRPLUS and a few GETXATTR', { skip }, async (t) => {
  const filesystem = new MemoryFilesystem({ ttlMs: 60_000 });
  for (let i = 0; i < 10_000; i++) filesystem.addFile(`file-${i}`);
  await onMount(t, filesystem, async (directory, mounted) => {
    t.equal((await check(`ls -l ${directory} | wc -l`)).trim(), '10001');
    const { operations, session } = mounted.stats();
    t.ok(operations.getxattr.count <= 4, `${operations.getxattr.count} GETXATTR`);
    t.ok(operations.lookup.count <= 2, `${operations.lookup.count} LOOKUP`);
    t.ok(operations.getattr.count <= 5, `${operations.getattr.count} GETATTR`);
    t.equal(session.nlookup, 10_000);
    t.equal(session.nodes, 10_000);
  });
});

t.test('rename over, unlink of an open file', { skip }, async (t) => {
  const filesystem = new MemoryFilesystem();
  await onMount(t, filesystem, async (directory) => {
    const script = `cd ${directory}; echo old > a; echo new > b; exec 3<a; mv b a; cat a; cat <&3
      exec 4<a; rm a; cat <&4; ls -A; mkdir x y; touch y/z; mv -T x y 2>/dev/null || echo refused`;
    t.equal(await check(script), 'new\nold\nnew\nrefused\n');
    await until('the nodes of unlinked files go', () => filesystem.nodes.size === 4);
  });
});

t.test('a waiting operation ends with its caller', { skip }, async (t) => {
  const filesystem = new MemoryFilesystem();
  let waiting = 0;
  let interrupted = 0;
  const answers: Array<(answer: number) => void> = [];
  const fsync: Operations['fsync'] = (ctx) =>
    new Promise((resolve) => {
      waiting += 1;
      answers.push(resolve);
      ctx.signal.addEventListener('abort', () => {
        interrupted += 1;
        resolve(-errno.EINTR);
      });
    });
  filesystem.fsync = fsync as never;
  await onMount(t, filesystem, async (directory, mounted) => {
    await check(`touch ${directory}/a`);
    const killed = start('sync', [`${directory}/a`]);
    await until('the operation waits', () => waiting === 1);
    killed.child.kill('SIGKILL');
    t.match(await killed.result, { signal: 'SIGKILL', timedOut: false });
    const script = `
import ctypes, os, signal
signal.signal(signal.SIGALRM, lambda *_: None)
signal.setitimer(signal.ITIMER_REAL, 0.1, 0.1)
fd = os.open("${directory}/a", os.O_RDWR)
print("asking", flush=True)
print(ctypes.CDLL(None).fsync(fd))`;
    const timed = start('python3', ['-c', script]);
    await until('the operation waits again', () => waiting === 2);
    await new Promise((resolve) => setTimeout(resolve, 700));
    t.equal(interrupted, 1, 'a timer is no reason to give up');
    timed.child.kill('SIGTERM');
    t.match(await timed.result, { signal: 'SIGTERM', timedOut: false });
    t.equal(interrupted, 2);
    const handler = `
import os, signal
signal.signal(signal.SIGTERM, lambda *_: print("handled", flush=True))
fd = os.open("${directory}/a", os.O_RDWR)
os.fsync(fd)
print("in the end", flush=True)`;
    const handling = start('python3', ['-c', handler]);
    await until('a third operation waits', () => waiting === 3);
    handling.child.kill('SIGTERM');
    await new Promise((resolve) => setTimeout(resolve, 700));
    t.equal(interrupted, 2, 'a database that handles SIGTERM must not get EINTR from fsync');
    for (const answer of answers) answer(0);
    t.match(await handling.result, { code: 0, stdout: 'handled\nin the end\n' });
    await until('nothing is pending', () => mounted.stats().session.pending === 0);
  });
});

t.test('a program that waits for an operation that never answers can be killed', { skip }, async (t) => {
  const filesystem = new MemoryFilesystem();
  let answer: (() => void) | undefined;
  filesystem.fsync = (() =>
    new Promise((resolve) => {
      answer = () => resolve(0);
    })) as never;
  await onMount(t, filesystem, async (directory, mounted) => {
    await check(`touch ${directory}/a`);
    const killed = start('sync', [`${directory}/a`]);
    await until('the operation waits', () => answer !== undefined);
    killed.child.kill('SIGKILL');
    t.match(await killed.result, { signal: 'SIGKILL', timedOut: false });
    t.equal(mounted.stats().session.pending, 1, 'the operation goes on');
    answer?.();
    await until('nothing is pending', () => mounted.stats().session.pending === 0);
  });
});

t.test('umount(8) from outside is noticed', { skip }, async (t) => {
  const filesystem = new MemoryFilesystem();
  await onMount(t, filesystem, async (directory, mounted) => {
    await check(`echo x > ${directory}/a; ls -l ${directory}; umount ${directory}`);
    await within(20_000, 'closed', mounted.closed);
    await mounted.unmount();
  });
});

t.test('umount while busy is refused; lazily it waits for the last close', { skip }, async (t) => {
  const filesystem = new MemoryFilesystem();
  await onMount(t, filesystem, async (directory, mounted) => {
    const holder = start('/bin/sh', ['-c', `exec 3>${directory}/open; exec sleep 60`]);
    await until('open', () => filesystem.handles.size === 1);
    await t.rejects(mounted.unmount(), { code: 'EBUSY' });
    t.equal((await sh(`ls ${directory}`)).stdout, 'open\n', 'still mounted');
    await mounted.unmount({ lazy: true });
    t.equal((await sh(`ls ${directory}`)).stdout, '', 'the name is free');
    t.equal(filesystem.handles.size, 1, 'the open file lives on');
    holder.child.kill('SIGKILL');
    await holder.result;
    await within(20_000, 'closed', mounted.closed);
  });
});

t.test('an abort gives back what is open', { skip }, async (t) => {
  const filesystem = new MemoryFilesystem();
  await onMount(t, filesystem, async (directory, mounted) => {
    const holder = start('/bin/sh', ['-c', `exec 3>${directory}/open; exec sleep 60`]);
    await until('open', () => filesystem.handles.size === 1);
    // Forced: the connection is aborted, though the mount is busy.
    t.match(await run('umount', ['-f', directory]), { stderr: /busy/ });
    await within(20_000, 'closed', mounted.closed);
    t.equal(filesystem.handles.size, 0);
    await run('umount', ['-l', directory]);
    holder.child.kill('SIGKILL');
    await holder.result;
  });
});

t.test('notifications while readers run', { skip }, async (t) => {
  const filesystem = new MemoryFilesystem({ ttlMs: 60_000 });
  const nodes = Array.from({ length: 50 }, (_, i) => filesystem.addFile(`f${i}`, 'x'.repeat(100_000)));
  // Answers later, so that requests are open while notifications want the same locks.
  const lookup = filesystem.lookup.bind(filesystem);
  const read = filesystem.read.bind(filesystem);
  const later = <T>(answer: () => T) => new Promise<T>((resolve) => setTimeout(() => resolve(answer()), 1));
  filesystem.lookup = ((...args: Parameters<typeof lookup>) => later(() => lookup(...args))) as never;
  filesystem.read = ((...args: Parameters<typeof read>) => later(() => read(...args))) as never;
  await onMount(t, filesystem, async (directory, mounted) => {
    const reader = `for i in 1 2 3 4 5; do cat ${directory}/f* > /dev/null; ls -l ${directory} > /dev/null; done`;
    const readers = [sh(reader), sh(reader), sh(reader)];
    const timer = setInterval(() => {
      for (const [i, node] of nodes.entries()) {
        mounted.notifier.invalInode(node, 0, 0);
        mounted.notifier.invalEntry(1, `f${i}`);
      }
    }, 20);
    const results = await Promise.all(readers);
    clearInterval(timer);
    t.same(
      results.map((one) => one.code),
      [0, 0, 0],
    );
    await until('all are sent', () => mounted.stats().notifications.waiting === 0);
    const { sent, failed, dropped } = mounted.stats().notifications;
    t.ok(sent > 100, `${sent} sent`);
    t.same({ failed, dropped }, { failed: 0, dropped: 0 });
  });
});

t.test('a notification makes the kernel ask again', { skip }, async (t) => {
  const filesystem = new MemoryFilesystem({ ttlMs: 3_600_000 });
  const node = filesystem.addFile('a', 'old');
  await onMount(t, filesystem, async (directory, mounted) => {
    t.equal(await check(`cat ${directory}/a`), 'old');
    filesystem.nodes.get(node)!.data.write(0, Buffer.from('new'));
    t.equal(await check(`cat ${directory}/a`), 'old', 'cached');
    mounted.notifier.invalInode(node, 0, 0);
    await until('sent', () => mounted.stats().notifications.sent === 1);
    t.equal(await check(`cat ${directory}/a`), 'new');
    filesystem.unlink({} as never, 1, 'a');
    mounted.notifier.deleted(1, node, 'a');
    mounted.notifier.invalEntry(1, 'never there');
    await until('sent', () => mounted.stats().notifications.waiting === 0);
    t.match(mounted.stats().notifications, { sent: 2, absent: 1, failed: 0 });
    t.equal((await sh(`cat ${directory}/a`)).code, 1);
  });
});

t.test('writes that wait hold at most the pool, and all go through', { skip }, async (t) => {
  const filesystem = new MemoryFilesystem();
  const write = filesystem.write.bind(filesystem);
  const slowly = (...args: Parameters<typeof write>) =>
    new Promise((resolve) => setTimeout(() => resolve(write(...args)), 3));
  filesystem.write = slowly as never;
  const body = async (directory: string, mounted: KernelMount) => {
    const names = [1, 2, 3, 4, 5, 6];
    const one = (i: number) => check(`dd if=/dev/zero of=${directory}/f${i} bs=1M count=10 2>/dev/null`);
    await Promise.all(names.map(one));
    const { buffers, stalls } = mounted.stats().device;
    t.equal(buffers, 2);
    t.ok(stalls > 0, `${stalls} stalls`);
    t.equal(await check(`cat ${directory}/f* | wc -c`), `${60 << 20}\n`);
  };
  await onMount(t, filesystem, body, { maxBuffers: 2 });
});

t.test('a daemon that exits without unmounting does not hang, and leaves a dead mount', { skip }, async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'pailfs-exit-'));
  const url = (path: string) => JSON.stringify(new URL(path, import.meta.url).href);
  const source = `
    const { mountKernel } = await import(${url('../../src/fuse/kernel-driver.js')});
    const { MemoryFilesystem } = await import(${url('../fuse/memory-filesystem.js')});
    const { silentLogger } = await import(${url('../../src/log.js')});
    const options = { mountpoint: ${JSON.stringify(directory)}, fsname: 'x', log: silentLogger };
    await mountKernel(new MemoryFilesystem(), options);
    process.exit(3);`;
  try {
    const result = await run(process.execPath, ['--input-type=module', '-e', source], { timeout: 10_000 });
    t.match(result, { code: 3, timedOut: false });
    t.match((await sh(`ls ${directory}`)).stderr, /not connected/);
    const again = mountKernel(new MemoryFilesystem(), { mountpoint: directory, fsname: 'x', log: silentLogger });
    await t.rejects(again, { code: 'ENOTCONN', message: /umount -l/ });
  } finally {
    await run('umount', ['-l', directory]);
    rmSync(directory, { recursive: true });
  }
});

t.test('mount points that cannot be used', { skip }, async (t) => {
  const options = { fsname: 's3://test', log: silentLogger };
  await t.rejects(mountKernel(new MemoryFilesystem(), { ...options, mountpoint: '/nowhere/at/all' }), {
    code: 'ENOENT',
  });
  await t.rejects(mountKernel(new MemoryFilesystem(), { ...options, mountpoint: '/etc/passwd' }), { code: 'ENOTDIR' });
  const devicePath = '/dev/no-fuse';
  const mountpoint = tmpdir();
  await t.rejects(mountKernel(new MemoryFilesystem(), { ...options, mountpoint, devicePath }), { code: 'ENOENT' });
});

t.test('a user mounts through fusermount3', { skip }, async (t) => {
  const { skipped, line, ...rest } = await mountAsUser('kernel');
  if (skipped !== undefined) return t.pass('a mount as a user', { skip: skipped });
  t.match(line, /^s3:\/\/a,b \S+ fuse\.pailfs rw,nosuid,nodev,relatime,user_id=65534/);
  t.same(rest, {
    privileged: false,
    content: 'hello\n',
    busy: 'EBUSY',
    closed: true,
    nlookup: 0,
    allowOther: 'EPERM',
  });
});
