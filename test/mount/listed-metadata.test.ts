/**
 * MinIO's listings tell user metadata: `ls -l` has modes and times from them, without a HEAD, and what writes an object
 * again asks for the rest first. On every other server the same is shown, asked one by one. The embedded server takes
 * both parts.
 */
import { CopyObjectCommand, GetObjectTaggingCommand, HeadObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import t, { type Test } from 'tap';
import { type Bucket, type Store, withBucket } from './bucket.js';
import { noKernelMounts } from './harness.js';
import { onlyEmbedded, without } from './s3-place.js';

t.setTimeout(180_000);

/** Three pages where listings tell; elsewhere each file is a HEAD. */
const TOLD_FILES = 2_500;
const ASKED_FILES = 150;
const PARALLEL = 16;
const server = process.env.PAILFS_TEST_SERVER ?? 'embedded';
const modes = ['600', '640', '755'];
const name = (i: number) => `file-${String(i).padStart(4, '0')}`;
const seconds = (i: number) => 1_000_000_000 + i;

function posix(i: number): Record<string, string> {
  const mode = 0o100000 | Number.parseInt(modes[i % 3], 8);
  return { mode: String(mode), mtime: `${seconds(i)}.25`, 'user-tool': 'kept' };
}

/** Files that another tool wrote with s3fs's metadata; the first has more than that. */
async function fill(store: Store, files: number): Promise<void> {
  let next = 1;
  const lane = async () => {
    for (let i = next++; i < files; i = next++) await store.put(name(i), `content ${i}`, { Metadata: posix(i) });
  };
  await Promise.all(Array.from({ length: PARALLEL }, lane));
  const rich = {
    ...{ Metadata: posix(0), ContentType: 'image/png', CacheControl: 'max-age=60', Tagging: 'colour=dark%20blue' },
    // Which classes there are is the server's affair elsewhere.
    ...(['embedded', 'minio'].includes(server) && { StorageClass: 'REDUCED_REDUNDANCY' as const }),
  };
  await store.client.send(
    new PutObjectCommand({ Bucket: store.place.bucket, Key: name(0), Body: 'content 0', ...rich }),
  );
}

/** Requests that the daemon sends while `work` runs, by operation. */
async function cost({ daemon }: Bucket, work: () => Promise<unknown>): Promise<Record<string, number>> {
  const before = { ...daemon.client.counters.requests };
  await work();
  const after = daemon.client.counters.requests;
  const grown = Object.entries(after).map(
    ([operation, count]) => [operation, count - (before[operation] ?? 0)] as const,
  );
  return Object.fromEntries(grown.filter(([, count]) => count > 0));
}

async function showsAll(t: Test, bucket: Bucket, files: number, heads: number): Promise<void> {
  // As the probe at mount does: the first answer tells which server it is.
  await bucket.sh('! stat nothing 2> /dev/null');
  let shown = '';
  const asked = await cost(bucket, async () => {
    shown = await bucket.sh("ls -l > ../listed; wc -l < ../listed; stat -c '%n %a %Y' *", { timeout: 60_000 });
  });
  const wanted = Array.from({ length: files }, (_, i) => `${name(i)} ${modes[i % 3]} ${seconds(i)}`);
  t.same(shown.trimEnd().split('\n'), [String(files + 1), ...wanted], 'modes and times');
  t.equal(asked.ListObjectsV2, Math.ceil(files / 1000), 'LIST');
  t.equal(asked.HeadObject ?? 0, heads, 'HEAD');
  const xattrs = await cost(bucket, () => bucket.py("print(os.listxattr('file-0007'))"));
  t.same(xattrs, {}, 'the extended attributes are known too');
}

/** A rewrite keeps what the LIST did not tell. */
async function keepsTheRest(t: Test, bucket: Bucket): Promise<void> {
  const { store, sh } = bucket;
  const Key = name(0);
  const Bucket = store.place.bucket;
  const { StorageClass: storageClass } = await store.client.send(new HeadObjectCommand({ Bucket, Key }));
  const same = async (what: string, mode: string) => {
    const { ContentType, CacheControl, Metadata, StorageClass } = await store.client.send(
      new HeadObjectCommand({ Bucket, Key }),
    );
    t.match(
      { ContentType, CacheControl, StorageClass },
      { ContentType: 'image/png', CacheControl: 'max-age=60' },
      what,
    );
    t.equal(StorageClass, storageClass, `${what}: storage class`);
    t.equal(Metadata?.['user-tool'], 'kept', `${what}: another tool's metadata`);
    t.equal((Number(Metadata?.mode) & 0o7777).toString(8), mode, `${what}: mode`);
    const tags = await store.client.send(new GetObjectTaggingCommand({ Bucket, Key }));
    t.same(tags.TagSet, [{ Key: 'colour', Value: 'dark blue' }], `${what}: tags`);
  };
  await sh(`chmod 711 ${Key}`);
  await same('chmod', '711');
  await bucket.remount({ fresh: true });
  await sh(`ls -l > /dev/null; echo more >> ${Key}`);
  await same('append', '711');
  t.equal(await store.text(Key), 'content 0more\n');
  const type = await bucket.py(`print(os.getxattr('${name(2)}', 's3.content-type').decode())`);
  t.match(type, /^\S+\n$/, 'what only a HEAD tells is asked');
}

async function wholeRound(t: Test, imitate: boolean): Promise<void> {
  const tells = imitate || server === 'minio';
  const files = tells ? TOLD_FILES : ASKED_FILES;
  await withBucket(
    t,
    async (bucket) => {
      await showsAll(t, bucket, files, tells ? 0 : files);
      await keepsTheRest(t, bucket);
    },
    {
      before: async (store) => {
        if (imitate) store.server.imitatesMinio = true;
        await fill(store, files);
      },
    },
  );
}

t.test('ls -l of files with metadata', { skip: without('ownLastModified') }, (t) => wholeRound(t, false));
t.test('the same on an imitation of MinIO', { skip: onlyEmbedded }, (t) => wholeRound(t, true));

/** A date has whole seconds: what was told within them says nothing of a change right after. */
async function changedRightAfter(t: Test, imitate: boolean): Promise<void> {
  await withBucket(
    t,
    async ({ sh, store, remount }) => {
      const Bucket = store.place.bucket;
      const change = (mode: number) =>
        store.client.send(
          new CopyObjectCommand({
            ...{ Bucket, Key: 'f', CopySource: `${Bucket}/f`, MetadataDirective: 'REPLACE' },
            Metadata: { mode: String(0o100000 | mode) },
          }),
        );
      for (let round = 0; round < 2; round++) {
        await change(0o600);
        await remount({ volume: { metadataTtlMs: 0 } });
        t.match(await sh('ls -l > /dev/null; stat -c %a f; sleep 0.1; echo f'), /^600\n/);
        await change(0o640);
        t.match(await sh('sleep 2.2; ls -l f'), /^-rw-r-----/, 'the change is seen');
      }
    },
    {
      before: async (store) => {
        if (imitate) store.server.imitatesMinio = true;
        await store.put('f', 'x', { Metadata: { mode: '33188' } });
      },
    },
  );
}

t.test('metadata that changes right after the LIST', { skip: noKernelMounts }, (t) => changedRightAfter(t, false));
t.test('the same on an imitation', { skip: onlyEmbedded }, (t) => changedRightAfter(t, true));
