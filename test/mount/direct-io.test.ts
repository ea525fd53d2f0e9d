/**
 * Files that are only written have direct I/O: which opens get it, and that whoever reads or maps such a file meanwhile sees
 * what was written and nothing else.
 */
import t from 'tap';
import type { OpenReply } from '../../src/fuse/operations.js';
import { O_RDWR, O_WRONLY, ok, TestVolume } from '../vfs/volume-fixture.js';
import { withBucket } from './bucket.js';
import { noKernelMounts } from './harness.js';

const O_APPEND = 0o2000;

t.test('which opens have direct I/O', async (t) => {
  const volume = await TestVolume.open();
  t.teardown(() => volume.close());
  volume.holds = true;
  await volume.memory.put('f', Buffer.from('content'));
  const open = (flags: number) => volume.open('f', flags);
  const close = ({ nodeid, fh }: { nodeid: number; fh: number }) => ok(volume.fs.release(nodeid, fh));
  const direct = ({ directIo }: OpenReply): boolean => directIo === true;
  const before = await open(O_WRONLY);
  t.notOk(direct(before), 'none where the kernel does not keep pages and direct writes apart');
  await close(before);
  volume.fs.init?.({ protocolMinor: 41, maxWrite: 0, maxRead: 0, privileged: true, mixesDirectIo: true }, {} as never);
  const writer = await open(O_WRONLY);
  t.ok(direct(writer));
  const reader = await open(0);
  t.ok(direct(reader), 'who comes meanwhile has no pages either');
  const both = await open(O_RDWR);
  t.ok(direct(both));
  await close(writer);
  t.ok(direct(await open(0)), 'as long as one of them writes');
  await close(both);
  const next = await open(O_WRONLY);
  t.notOk(direct(next), 'not beside others, who may have pages');
  await close(next);
  await volume.memory.put('log', Buffer.from('line\n'));
  t.notOk(direct(await volume.open('log', O_WRONLY | O_APPEND)), 'others follow what is appended');
  await volume.memory.put('read', Buffer.from('content'));
  t.notOk(direct(await volume.open('read')));
  t.notOk(direct(await volume.open('read', O_RDWR)));
});

const FOLLOW = `
import mmap, os, sys, time
path = "followed"
line = lambda i: b"%08d" % i + b"." * 91 + b"\\n"
pid = os.fork()
if pid == 0:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    for i in range(6000):
        os.write(fd, line(i))
    os.close(fd)
    os._exit(0)
while not os.path.exists(path): time.sleep(0.001)
fd = os.open(path, os.O_RDONLY)
seen = 0
end = time.time() + 60
while seen < 6000 and time.time() < end:
    size = os.fstat(fd).st_size
    if size > seen * 100:
        data = os.pread(fd, size - seen * 100, seen * 100)
        whole = len(data) // 100
        for i in range(whole):
            if data[i * 100:(i + 1) * 100] != line(seen + i): sys.exit("line %d: %r" % (seen + i, data[i * 100:(i + 1) * 100][:40]))
        if size >= 4096:
            with mmap.mmap(fd, size, mmap.MAP_SHARED, mmap.PROT_READ) as m:
                if m[:100] != line(0): sys.exit("mapped: %r" % m[:40])
        seen += whole
os.waitpid(pid, 0)
print(seen)
`;

t.test(
  'who follows a file that is being written sees its lines, read and mapped',
  { skip: noKernelMounts },
  async (t) => {
    await withBucket(t, async ({ py, sh }) => {
      t.equal((await py(FOLLOW, { timeout: 90_000 })).trim(), '6000');
      t.equal((await sh('wc -l < followed')).trim(), '6000');
    });
  },
);
