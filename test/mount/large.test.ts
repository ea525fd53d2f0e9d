/**
 * Large objects: what moves over the wire, and what the daemon needs to do it. Its memory is measured in a process of
 * its own.
 */
import t from 'tap';
import { type Bucket, withBucket } from './bucket.js';
import { sh as outside } from './harness.js';
import { BUCKET, onlyEmbedded, without } from './s3-place.js';

t.setTimeout(180_000);
const MiB = 1 << 20;
const GiB = 1024 * MiB;
/** The bound for the whole process. */
const MEMORY_LIMIT = 300 * MiB;

const mib = (bytes: number): string => `${(bytes / MiB).toFixed(1)} MiB`;

function moved({ server }: Bucket): number {
  return server.requests.bytesReceived + server.requests.bytesSent;
}

t.test('10 GiB: the end is read, one byte is written in the middle', { skip: onlyEmbedded }, async (t) => {
  const size = 10 * GiB;
  const end = Buffer.from('the end of it all');
  const body = async (bucket: Bucket) => {
    const { py, server, highestMemory } = bucket;
    server.requests.reset();
    await py(`
fd = os.open("huge", os.O_RDONLY); data = os.pread(fd, 4096, ${size} - 4096); os.close(fd)
assert data == bytes(4096 - ${end.length}) + b"${end}", data[-20:]`);
    t.comment(`4 KiB read: ${mib(moved(bucket))} moved`);
    t.ok(moved(bucket) < MiB, 'what was asked is what moves');
    await py(
      `
fd = os.open("huge", os.O_RDWR); assert os.pwrite(fd, b"!", ${size / 2} + 1) == 1; os.close(fd)
assert os.stat("huge").st_size == ${size}`,
      { timeout: 60_000 },
    );
    t.comment(
      `${mib(moved(bucket))} moved, ${mib(highestMemory())} resident, ${JSON.stringify(server.requests.byOperation)}`,
    );
    t.ok(moved(bucket) < 32 * MiB, mib(moved(bucket)));
    t.ok(highestMemory() < MEMORY_LIMIT, mib(highestMemory()));
    await py(`
fd = os.open("huge", os.O_RDONLY)
assert os.pread(fd, 4096, ${size / 2}) == b"\\0!" + bytes(4094)
assert os.pread(fd, 4096, ${size} - 4096) == bytes(4096 - ${end.length}) + b"${end}"
for at in range(0, ${size}, ${GiB}): assert os.pread(fd, 5000, at + 4096) == bytes(5000)
assert os.pread(fd, 12, 1000) == b"at the start"`);
  };
  const patches = [
    { offset: 1000, data: Buffer.from('at the start') },
    { offset: size - end.length, data: end },
  ];
  const before = async ({ server }: Bucket['store']) => server.putSparse(BUCKET, 'huge', size, patches);
  await withBucket(t, body, { ownProcess: true, before });
});

t.test('1 KiB appended to 1 GiB', { skip: onlyEmbedded }, async (t) => {
  const body = async (bucket: Bucket) => {
    bucket.server.requests.reset();
    await bucket.py(
      `
fd = os.open("big", os.O_WRONLY | os.O_APPEND); os.write(fd, b"a" * 1024); os.close(fd)
assert os.stat("big").st_size == ${GiB} + 1024
fd = os.open("big", os.O_RDONLY); assert os.pread(fd, 3000, ${GiB} - 1000) == bytes(1000) + b"a" * 1024`,
      { timeout: 60_000 },
    );
    t.comment(`${mib(moved(bucket))} moved`);
    t.ok(moved(bucket) < 32 * MiB, mib(moved(bucket)));
  };
  const before = async ({ server }: Bucket['store']) => server.putSparse(BUCKET, 'big', GiB);
  await withBucket(t, body, { before });
});

t.test('1 GiB in and out', { skip: onlyEmbedded }, async (t) => {
  const body = async ({ local, server, sh, highestMemory, remount }: Bucket) => {
    let parts = 0;
    let most = 0;
    // Counts the parts under way by their arrival and the answer that follows the pause.
    const before = async () => {
      parts++;
      most = Math.max(most, parts);
      await new Promise((resolve) => setTimeout(resolve, 20));
      parts--;
    };
    server.faults.add({ match: { operation: 'UploadPart' }, action: { kind: 'call', before } });
    await outside(
      `openssl enc -aes-128-ctr -K 00 -iv 00 -in /dev/zero 2>/dev/null | head -c ${GiB} > ${local}/source`,
      {
        timeout: 60_000,
      },
    );
    const timed = async (what: string, script: string) => {
      const begun = performance.now();
      await sh(script, { timeout: 90_000 });
      const seconds = (performance.now() - begun) / 1000;
      t.comment(
        `${what}: ${seconds.toFixed(2)} s, ${Math.round(1024 / seconds)} MiB/s, ${mib(highestMemory())} resident`,
      );
      t.ok(highestMemory() < MEMORY_LIMIT, mib(highestMemory()));
    };
    await timed('in', `cp ${local}/source copy`);
    t.ok(most > 1, `${most} parts at one time`);
    server.faults.clear();
    await remount({ fresh: true });
    await timed('out', `cp copy ${local}/back`);
    const sums = await outside(`cksum < ${local}/source; cksum < ${local}/back`, { timeout: 60_000 });
    const [source, copy] = sums.stdout.trim().split('\n');
    t.equal(copy, source, 'checksum');
  };
  await withBucket(t, body, { ownProcess: true });
});

t.test(
  'a few bytes in the middle of 40 MiB: the rest is copied inside the store',
  { skip: without('copiedPartChecksum') },
  async (t) => {
    const size = 40 * MiB + 12_345;
    const base = Buffer.alloc(size);
    for (let at = 0; at + 4 <= size; at += 4096) base.writeUInt32LE(at, at);
    await withBucket(
      t,
      async ({ py, store, place, remount }) => {
        await py(`
fd = os.open("f", os.O_RDWR); os.pwrite(fd, b"changed", ${20 * MiB} + 3); os.close(fd)
with open("f", "ab") as f: f.write(b"appended")`);
        base.write('changed', 20 * MiB + 3);
        const wanted = Buffer.concat([base, Buffer.from('appended')]);
        const { body, etag } = (await store.get('f'))!;
        t.ok(body.equals(wanted), 'as another client reads it');
        t.match(etag, /-\d+"$/, 'made of parts');
        t.ok((place.embedded?.requests.byOperation.UploadPartCopy ?? 1) > 0, 'parts were copied');
        await remount({ fresh: true });
        await py(`
data = open("f", "rb").read()
assert len(data) == ${size} + 8 and data[${20 * MiB}:${20 * MiB} + 12] == b"\\0\\0\\x40changed\\0\\0"[:12], data[${20 * MiB}:${20 * MiB} + 12]
assert data[-8:] == b"appended"`);
      },
      { before: (store) => store.put('f', base) },
    );
  },
);
