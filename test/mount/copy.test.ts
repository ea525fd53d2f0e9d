/** copy_file_range through the kernel, with the programs that use it; bytes are counted at the server. */
import t from 'tap';
import { type Bucket, withBucket } from './bucket.js';
import { noKernelMounts } from './harness.js';
import { BUCKET, onlyEmbedded } from './s3-place.js';

const skip = noKernelMounts;
t.setTimeout(120_000);

const GiB = 2 ** 30;
const MiB = 2 ** 20;

/** Body bytes that the server took and gave since the last call. */
function moved({ server }: Bucket): number {
  const { bytesReceived, bytesSent } = server.requests;
  server.requests.reset();
  return bytesReceived + bytesSent;
}

t.test('cp --reflink=auto of 1 GiB within a bucket moves no data', { skip: onlyEmbedded }, async (t) => {
  await withBucket(t, async (bucket) => {
    const { server, sh, py } = bucket;
    const patches = [
      { offset: 5, data: Buffer.from('first') },
      { offset: 700 * MiB, data: Buffer.from('middle') },
      { offset: GiB - 4, data: Buffer.from('last') },
    ];
    server.putSparse(BUCKET, 'big.bin', GiB, patches);
    await sh('stat big.bin');
    moved(bucket);
    await sh('cp --reflink=auto big.bin copy.bin');
    const { byOperation } = server.requests;
    t.equal(byOperation.CopyObject, 1);
    t.notOk(byOperation.GetObject ?? byOperation.PutObject ?? byOperation.UploadPart);
    const bytes = moved(bucket);
    t.ok(bytes < 16_384, `${bytes} bytes of documents`);
    t.comment(`cp of 1 GiB: ${bytes} bytes moved, ${JSON.stringify(byOperation)}`);
    await py(`
fd = os.open("copy.bin", os.O_RDONLY); assert os.fstat(fd).st_size == ${GiB}
assert os.pread(fd, 5, 5) == b"first" and os.pread(fd, 6, ${700 * MiB}) == b"middle" and os.pread(fd, 4, ${GiB - 4}) == b"last"`);
    await sh('cp -p big.bin kept.bin; test $(stat -c %Y big.bin) = $(stat -c %Y kept.bin)');
  });
});

t.test('a copy that is changed, appended to or cut moves only what changed', { skip: onlyEmbedded }, async (t) => {
  await withBucket(t, async (bucket) => {
    const { server, py, store } = bucket;
    const body = Buffer.alloc(40 * MiB);
    for (let at = 0; at < body.length; at += 4096) body.writeUInt32LE(at, at);
    await store.put('a', body);
    moved(bucket);
    await py(`
a = os.open("a", os.O_RDONLY); b = os.open("b", os.O_RDWR | os.O_CREAT)
left = ${40 * MiB}
while left: left -= os.copy_file_range(a, b, left)
os.pwrite(b, b"end", ${40 * MiB}); os.pwrite(b, b"BEGIN", 0)
assert os.pread(b, 4100, 0) == b"BEGIN" + os.pread(a, 4095, 5)
os.close(b)`);
    const { byOperation } = server.requests;
    t.ok((byOperation.UploadPartCopy ?? 0) >= 1);
    const bytes = moved(bucket);
    t.ok(bytes < 14 * MiB, `${bytes} bytes`);
    const want = Buffer.concat([body, Buffer.from('end')]);
    want.write('BEGIN');
    t.ok((await store.get('b'))!.body.equals(want));
  });
});

t.test('copies between files that are open, small, written or removed', { skip }, async (t) => {
  await withBucket(t, async ({ py, store }) => {
    await store.put('small', 'small content');
    await py(`
s = os.open("small", os.O_RDWR); d = os.open("d", os.O_RDWR | os.O_CREAT)
assert os.copy_file_range(s, d, 100, 6, 0) == 7 and os.pread(d, 100, 0) == b"content"
assert os.copy_file_range(s, d, 100, 13, 0) == 0
os.pwrite(s, b"SMALL", 0)
assert os.copy_file_range(s, d, 5, 0, 7) == 5, "from what is not in the store, by the kernel"
assert os.copy_file_range(d, d, 7, 0, 12) == 7, "within one file"
os.unlink("small"); os.close(s)
assert os.pread(d, 100, 0) == b"contentSMALLcontent"
os.close(d); assert open("d").read() == "contentSMALLcontent"
r = os.open("d", os.O_RDONLY)
try: os.copy_file_range(r, r, 5, 0, 100); assert False
except OSError as e: assert e.errno == errno.EBADF`);
    t.equal(await store.text('d'), 'contentSMALLcontent');
    t.same(await store.keys(), ['d']);
  });
});
