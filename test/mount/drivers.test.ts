/**
 * What the drivers do differently, found out on real mounts with either: every row of the table in docs/drivers.md is a
 * case here, and the page is held to the rows.
 */
import { chmodSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { mountFuseNative } from '../../src/fuse/fuse-native-driver.js';
import { mountKernel } from '../../src/fuse/kernel-driver.js';
import { silentLogger } from '../../src/log.js';
import { packageRoot } from '../../src/package.js';
import { MemoryFilesystem } from '../fuse/memory-filesystem.js';
import { type Bucket, type BucketOptions, withBucket } from './bucket.js';
import { type Capability, type CapabilityName, capabilities } from './driver-capabilities.js';
import { noFuseNative, type TestDriver } from './driver-choice.js';
import { check, noKernelMounts, run, start, until, within } from './harness.js';
import { BUCKET, onlyEmbedded } from './s3-place.js';

t.setTimeout(240_000);
const drivers: readonly TestDriver[] = ['kernel', 'fuse-native'];

interface Case {
  readonly look: (bucket: Bucket, driver: TestDriver) => Promise<unknown>;
  /** What is seen. */
  readonly seen: Readonly<Record<TestDriver, unknown>>;
  readonly options?: Omit<BucketOptions, 'driver'>;
}

const ago = (seconds: number): boolean => Math.abs(Date.now() / 1000 - seconds) < 100;

/** Python that prints what a call comes to: `ok`, or the name of its errno. */
const OUTCOME = `
def outcome(call, *args):
    try: call(*args); return "ok"
    except OSError as e: return errno.errorcode[e.errno]
`;
const outcome = async ({ py }: Bucket, call: string): Promise<string> =>
  (await py(`${OUTCOME}print(outcome(${call}))`)).trim();

/** Opens a file in another program and keeps it open while `work` runs. */
async function whileOpen<T>({ dir, daemon }: Bucket, name: string, work: () => Promise<T>): Promise<T> {
  const script = `import os, time; fd = os.open("${dir}/${name}", os.O_RDONLY); os.read(fd, 999); print("open", flush=True); time.sleep(30)`;
  const holder = start('python3', ['-c', script]);
  let said = '';
  holder.child.stdout!.on('data', (text) => {
    said += text;
  });
  try {
    await until('it is read', () => said === 'open\n');
    return await work();
  } finally {
    holder.child.kill('SIGKILL');
    await holder.result;
    await until('it is closed', () => daemon.filesystem.status().openFiles === 0);
  }
}

const requests = ({ daemon }: Bucket): number => daemon.mounted.stats().session.requests;
const counted = ({ daemon }: Bucket, operation: string): number => daemon.mounted.stats().operations[operation].count;

/** Of a file with the times that `set` gives it: whether the object has the time asked for, or the one of its writing. */
async function mtimeAfter({ sh, store }: Bucket, set: string): Promise<string> {
  await sh(`echo x > f; ${set}`);
  const mtime = Number((await store.get('f'))!.metadata.mtime);
  return Math.floor(mtime) === 1234567890 ? 'as asked' : ago(mtime) ? 'now' : String(mtime);
}

/** One that another tool left can be listed, read, renamed and removed. */
const OF_S3FS = '.fuse_hidden0000000000000001\nf\nof s3fs';

const cases: Readonly<Record<CapabilityName, Case>> = {
  mtime: {
    look: async (bucket) => [
      await mtimeAfter(bucket, 'touch -d @1234567890.123456789 f'),
      await mtimeAfter(bucket, 'touch -d @1234567890 f; sleep 0.1; touch f'),
      await bucket.py(`
os.utime("f", ns=(5_000_000_000, 5_000_000_000)); before = os.stat("f").st_mtime_ns
os.utime("f", (1, 1234567890)); after = os.stat("f"); print(after.st_atime_ns, after.st_mtime_ns == before)`),
    ],
    seen: {
      kernel: ['as asked', 'now', '1000000000 False\n'],
      'fuse-native': ['now', 'now', '1000000000 True\n'],
    },
  },
  oneTime: {
    look: (bucket) => mtimeAfter(bucket, 'touch -m -d @1234567890 f'),
    seen: { kernel: 'as asked', 'fuse-native': 'now' },
  },
  resolution: {
    options: {
      before: async (store) => {
        await store.put('new', 'x', { Metadata: { mode: String(0o100644), mtime: '1234567890.123456789' } });
        await store.put('old', 'x', { Metadata: { mode: String(0o100644), mtime: '-1000.000000000' } });
      },
    },
    look: ({ py }) => py('for n in ("new", "old"): os.close(os.open(n, os.O_RDONLY)); print(os.stat(n).st_mtime_ns)'),
    seen: { kernel: '1234567890123456789\n-1000000000000\n', 'fuse-native': '1234567890123000000\n0\n' },
  },
  owner: {
    look: async ({ sh, dir, store, local }) => {
      await sh('chmod 777 .');
      chmodSync(dirname(local), 0o755);
      const make = 'process.umask(0); require("fs").openSync(process.argv[1], "wx", 0o4755)';
      const nobody = ['--reuid=65534', '--regid=65534', '--clear-groups', '--inh-caps=-all', '--'];
      const { code, stderr } = await run('setpriv', [...nobody, process.execPath, '-e', make, `${dir}/f`]);
      if (code !== 0) throw new Error(stderr);
      const { uid, gid, mode } = (await store.get('f'))!.metadata;
      return { uid, gid, mode: Number(mode).toString(8) };
    },
    seen: {
      kernel: { uid: '65534', gid: '65534', mode: '104755' },
      'fuse-native': { uid: '0', gid: '0', mode: '100755' },
    },
  },
  replaced: {
    options: { volume: { openTtlMs: 0, metadataTtlMs: 0 }, before: (store) => store.put('f', 'old') },
    look: async (bucket) => {
      const while_ = await whileOpen(bucket, 'f', async () => {
        await bucket.store.put('f', 'the new one');
        return [await outcome(bucket, 'os.open, "f", os.O_RDONLY'), await bucket.sh('stat -c %s f')];
      });
      return [...while_, await bucket.sh('cat f')];
    },
    seen: { kernel: ['ok', '11\n', 'the new one'], 'fuse-native': ['ESTALE', '3\n', 'the new one'] },
  },
  hidden: {
    options: { before: (store) => store.put('d/f', 'kept open') },
    look: async (bucket) => {
      const seen = await whileOpen(bucket, 'd/f', async () => {
        await bucket.sh('rm d/f');
        const keys = (await bucket.store.keys()).filter((key) => !key.endsWith('/'));
        return [keys, await bucket.sh('ls -A d'), await outcome(bucket, 'os.rmdir, "d"')];
      });
      await bucket.sh('rmdir d || [ ! -e d ]');
      return [...seen, await bucket.store.keys()];
    },
    seen: { kernel: [[], '', 'ok', []], 'fuse-native': [[], '', 'ENOTEMPTY', []] },
  },
  renameOver: {
    options: { before: async (store) => [await store.put('a', 'A'), await store.put('b', 'B')].at(-1) },
    look: async (bucket) => {
      const { server, sh, store } = bucket;
      const changed = await whileOpen(bucket, 'b', async () => {
        server.requests.reset();
        await sh('mv -f a b');
        const { log } = server.requests;
        const changes = log.map(({ operation }) => operation).filter((name) => /Delete|Copy/.test(String(name)));
        return changes;
      });
      return [changed, await store.text('b'), await store.keys()];
    },
    seen: {
      kernel: [['CopyObject', 'DeleteObject'], 'A', ['b']],
      'fuse-native': [['DeleteObject', 'CopyObject', 'DeleteObject'], 'A', ['b']],
    },
  },
  reserved: {
    look: async (bucket) => {
      const name = '".fuse_hidden0123456789abcdef"';
      await bucket.sh('echo x > f');
      const left = '.fuse_hidden0000000000000001';
      await bucket.store.put(left, 'of s3fs');
      const made = [await bucket.sh(`ls -A; cat ${left}; mv ${left} taken; mv taken kept; rm kept`)];
      for (const call of [`os.mkdir, ${name}`, `os.symlink, "f", ${name} + "1"`, `os.rename, "f", ${name} + "2"`]) {
        made.push(await outcome(bucket, call));
      }
      made.push(await outcome(bucket, `os.mknod, ${name} + "3"`));
      return [...made, (await bucket.store.keys()).filter((key) => key.startsWith('.fuse')).length];
    },
    seen: {
      kernel: [OF_S3FS, 'ok', 'ok', 'ok', 'ok', 4],
      'fuse-native': [OF_S3FS, 'EPERM', 'EPERM', 'EPERM', 'EPERM', 0],
    },
  },
  replacement: {
    options: { before: (store) => store.put('a\ufffdb', 'x') },
    look: async (bucket) => [
      await outcome(bucket, 'os.stat, "a\\ufffdb"'),
      await bucket.py('print(os.listdir(".") == ["a\\ufffdb"])'),
    ],
    seen: { kernel: ['ok', 'True\n'], 'fuse-native': ['EILSEQ', 'True\n'] },
  },
  notUtf8: {
    look: async (bucket) => {
      const made = await outcome(bucket, 'os.mkdir, b"a\\xffb"');
      return [made, (await bucket.store.keys()).length, await outcome(bucket, 'os.symlink, b"t\\xff", "l"')];
    },
    seen: { kernel: ['ok', 1, 'ok'], 'fuse-native': ['EILSEQ', 0, 'EILSEQ'] },
  },
  noReplace: {
    look: async (bucket) => {
      await bucket.sh('echo a > a');
      return (
        await bucket.py(`import ctypes
c = ctypes.CDLL(None, use_errno=True)
print("ok" if c.renameat2(-100, b"a", -100, b"b", 1) == 0 else errno.errorcode[ctypes.get_errno()])`)
      ).trim();
    },
    seen: { kernel: 'ok', 'fuse-native': 'EINVAL' },
  },
  interrupt: {
    look: async ({ server, dir, daemon }) => {
      const ms = 3_000;
      server.faults.add({ match: { operation: 'PutObject' }, action: { kind: 'delay', ms } });
      const program = start('mkdir', [`${dir}/d`]);
      await until('it waits', () => daemon.mounted.stats().session.pending === 1);
      await sleep(300);
      const begun = performance.now();
      program.child.kill('SIGKILL');
      await program.result;
      const waited = performance.now() - begun;
      await until('nothing waits', () => daemon.mounted.stats().session.pending === 0, 15_000);
      return waited > ms / 2 ? 'waits' : 'ends';
    },
    seen: { kernel: 'ends', 'fuse-native': 'waits' },
  },
  requestSize: {
    look: async (bucket) => {
      const before = counted(bucket, 'write');
      // Whole pages: with direct I/O a request has at most so many of them.
      await bucket.py(
        'import mmap; m = mmap.mmap(-1, 4 << 20); fd = os.open("f", os.O_WRONLY | os.O_CREAT); os.write(fd, m); os.close(fd)',
      );
      const writes = counted(bucket, 'write') - before;
      await bucket.remount();
      await bucket.sh('cat f > /dev/null');
      return [writes, bucket.daemon.mounted.info.maxRead, counted(bucket, 'read') <= 33];
    },
    seen: { kernel: [4, 1 << 20, true], 'fuse-native': [32, 128 << 10, true] },
  },
  inodes: {
    options: {
      before: async ({ server }) => {
        for (let i = 0; i < 500; i++) server.putSparse(BUCKET, `d/${i}`, 1);
      },
    },
    look: async (bucket) => {
      await bucket.sh('ls > /dev/null');
      const cost = [];
      for (let round = 0; round < 2; round++) {
        const before = requests(bucket);
        await bucket.sh('ls -l d > /dev/null');
        cost.push(requests(bucket) - before);
      }
      return cost.map((count) => (count < 50 ? 'few' : count >= 1000 ? 'two a name' : count));
    },
    seen: { kernel: ['few', 'few'], 'fuse-native': ['two a name', 'two a name'] },
  },
  ino: {
    options: { before: (store) => store.put('f', 'x') },
    look: async ({ py }) => (Number(await py('print(os.stat("f").st_ino)')) < 2 ** 32 ? 32 : 52),
    seen: { kernel: 52, 'fuse-native': 32 },
  },
  overMount: {
    look: async ({ local }, driver) => {
      await check(`mkdir ${local}/t; mount -t tmpfs none ${local}/t`);
      try {
        const mount = driver === 'kernel' ? mountKernel : mountFuseNative;
        const options = { mountpoint: `${local}/t`, fsname: 's3://test', log: silentLogger };
        const mounted = await mount(new MemoryFilesystem(), options);
        await mounted.unmount();
        await within(5_000, 'the end', mounted.closed);
        return 'done';
      } catch (error) {
        return (error as { code?: string }).code;
      } finally {
        await check(`umount ${local}/t`);
      }
    },
    seen: { kernel: 'done', 'fuse-native': 'EBUSY' },
  },
  passthrough: {
    look: async (bucket) => {
      await bucket.sh('head -c 300000 /dev/zero > f; cat f > /dev/null');
      await bucket.remount();
      // The daemon reads it once, to check it, and the kernel keeps no pages of that.
      await bucket.sh('dd if=f of=/dev/null bs=64k iflag=direct status=none');
      const before = counted(bucket, 'read');
      await bucket.sh('cat f > /dev/null; echo more >> f');
      return [before > 0, counted(bucket, 'read') > before, counted(bucket, 'write') > 0];
    },
    seen: { kernel: [true, false, true], 'fuse-native': [true, true, true] },
  },
};

for (const driver of drivers) {
  const skip = noKernelMounts || onlyEmbedded || (driver === 'fuse-native' && noFuseNative());
  for (const [name, { look, seen, options }] of Object.entries(cases)) {
    t.test(`${driver}: ${name}`, { skip }, async (t) => {
      const body = async (bucket: Bucket) => void t.same(await look(bucket, driver), seen[driver]);
      await withBucket(t, body, { ...options, driver });
    });
  }
}

t.test('the table in docs/drivers.md has these rows, and no others', async (t) => {
  const page = readFileSync(new URL('docs/drivers.md', packageRoot), 'utf8');
  const rows = page.split('\n').filter((line) => line.startsWith('| ') && !line.startsWith('| what'));
  const wanted = Object.values<Capability>(capabilities).map(
    ({ what, comesOf }) => `| ${what} | ${comesOf.kernel} | ${comesOf['fuse-native']} |`,
  );
  t.same(rows, wanted);
});
