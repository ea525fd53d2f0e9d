/**
 * What another tool or the console set on an object survives whatever a mount does to it: metadata of names that are
 * unknown here, Content-*, Cache-Control, Expires, tags, storage class and encryption. Looked at with a client that is no
 * part of pailfs, on every server. What a server does not even keep of a plain PUT is found out first, and has to be
 * what docs/servers.md says of it (scripts/s3-server.sh gives MinIO and radosgw a key, and radosgw a storage class).
 */
import {
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  GetObjectTaggingCommand,
  HeadObjectCommand,
  type HeadObjectCommandOutput,
  PutObjectCommand,
  PutObjectTaggingCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import t, { type Test } from 'tap';
import { type Bucket, type Store, withBucket } from './bucket.js';
import { without } from './s3-place.js';

t.setTimeout(180_000);
const MiB = 1 << 20;
const FIRST_PART = 5 * MiB;
const LARGE = FIRST_PART + 1000;
const server = process.env.PAILFS_TEST_SERVER ?? 'embedded';
const ENCRYPTED_COPIES = 'copies of what it has encrypted';
/** What these do not do for any client (docs/servers.md); others say it. */
const knownLacks: Readonly<Record<string, readonly string[]>> = {
  embedded: [],
  minio: [],
  radosgw: [ENCRYPTED_COPIES],
};

const headers = {
  ContentType: 'text/x-own',
  ContentEncoding: 'gzip',
  ContentDisposition: 'attachment; filename="own.txt"',
  ContentLanguage: 'de',
  CacheControl: 'max-age=5',
  Expires: new Date('2030-01-02T03:04:05Z'),
  Metadata: { colour: 'green', 'with-dash': 'a b%20c', title: '=?UTF-8?B?R3LDvMOfZQ==?=' },
  Tagging: 'project=dark%20blue&stage=2',
};
const tags = [
  { Key: 'project', Value: 'dark blue' },
  { Key: 'stage', Value: '2' },
];
/** What a server may refuse: the first that it keeps is taken. */
const classes: readonly Chosen[] = [{ StorageClass: 'STANDARD_IA' }, { StorageClass: 'REDUCED_REDUNDANCY' }];
const encryptions: readonly Chosen[] = [
  { ServerSideEncryption: 'aws:kms', SSEKMSKeyId: 'pailfs-key' },
  { ServerSideEncryption: 'AES256' },
];
type Chosen = Partial<Record<'StorageClass' | 'ServerSideEncryption' | 'SSEKMSKeyId', string>>;

/** POSIX attributes in metadata, which the changes are about. */
const posixNames = ['mode', 'uid', 'gid', 'mtime', 'ctime', 'atime', 'xattr'];

interface Shown {
  readonly told: Record<string, unknown>;
  readonly mode: string | undefined;
  readonly size: number | undefined;
}

async function look({ client, place: { bucket: Bucket }, settle }: Store, Key: string): Promise<Shown> {
  await settle();
  const head: HeadObjectCommandOutput = await client.send(new HeadObjectCommand({ Bucket, Key }));
  const { TagSet = [] } = await client.send(new GetObjectTaggingCommand({ Bucket, Key }));
  const metadata = Object.fromEntries(
    Object.entries(head.Metadata ?? {}).filter(([name]) => !posixNames.includes(name)),
  );
  const told = {
    metadata,
    tags: TagSet.map(({ Key, Value }) => `${Key}=${Value}`).sort(),
    ContentType: head.ContentType,
    ContentEncoding: head.ContentEncoding,
    ContentDisposition: head.ContentDisposition,
    ContentLanguage: head.ContentLanguage,
    CacheControl: head.CacheControl,
    Expires: head.ExpiresString,
    StorageClass: head.StorageClass,
    ServerSideEncryption: head.ServerSideEncryption,
    SSEKMSKeyId: head.SSEKMSKeyId,
  };
  const mode = head.Metadata?.mode;
  return { told, mode: mode && (Number(mode) & 0o7777).toString(8), size: head.ContentLength };
}

interface Kept {
  readonly storageClass: Chosen;
  readonly encryption: Chosen;
  /** What the server does not do for any client. */
  readonly lacks: readonly string[];
}

/** Whether the server does what it is asked. */
const isDone = (asked: Promise<unknown>): Promise<boolean> =>
  asked.then(
    () => true,
    () => false,
  );

/** What the server keeps of a plain PUT, and whether it copies what it has encrypted. */
async function probe(store: Store): Promise<Kept> {
  const { client, place } = store;
  const target = { Bucket: place.bucket, Key: 'probe' };
  const first = async (candidates: readonly Chosen[]): Promise<Chosen | undefined> => {
    for (const candidate of candidates) {
      const put = new PutObjectCommand({ ...target, Body: 'x', ...(candidate as object) });
      if (!(await isDone(client.send(put)))) continue;
      const { told } = await look(store, 'probe');
      if (Object.entries(candidate).every(([name, value]) => String(told[name]).endsWith(value))) return candidate;
    }
    return undefined;
  };
  const storageClass = await first(classes);
  const encryption = await first(encryptions);
  const lacks: string[] = [];
  if (storageClass === undefined) lacks.push('storage class');
  if (encryption === undefined) lacks.push('encryption');
  else {
    const copy = { ...target, Key: 'copy', CopySource: `${place.bucket}/probe`, ...(encryption as object) };
    if (!(await isDone(client.send(new CopyObjectCommand(copy))))) lacks.push(ENCRYPTED_COPIES);
    await store.remove('copy');
  }
  await store.remove('probe');
  return { storageClass: storageClass ?? {}, encryption: encryption ?? {}, lacks };
}

async function putLarge({ client, place: { bucket: Bucket } }: Store, Key: string, attributes: object): Promise<void> {
  const { UploadId } = await client.send(new CreateMultipartUploadCommand({ Bucket, Key, ...attributes }));
  const Parts: Array<{ ETag: string | undefined; PartNumber: number }> = [];
  for (const [index, size] of [FIRST_PART, LARGE - FIRST_PART].entries()) {
    const part = { Bucket, Key, UploadId, PartNumber: index + 1, Body: Buffer.alloc(size, index + 65) };
    const { ETag } = await client.send(new UploadPartCommand(part));
    Parts.push({ ETag, PartNumber: index + 1 });
  }
  await client.send(new CompleteMultipartUploadCommand({ Bucket, Key, UploadId, MultipartUpload: { Parts } }));
  // radosgw ignores those that came with its creation.
  await client.send(new PutObjectTaggingCommand({ Bucket, Key, Tagging: { TagSet: tags } }));
}

/**
 * Objects that somebody else wrote with everything: small and in parts, at the top and in a directory. `sealed` is
 * encrypted also where the server does not copy such objects, which takes away chmod and rename.
 */
async function fill(t: Test, store: Store): Promise<void> {
  const { storageClass, encryption, lacks } = await probe(store);
  if (server in knownLacks) t.same(lacks, knownLacks[server], `what ${server} lacks`);
  else t.comment(`${server} lacks ${lacks.join(', ') || 'nothing'}`);
  const sealed = { ...headers, ...(storageClass as object), ...(encryption as object) };
  const attributes = lacks.includes(ENCRYPTED_COPIES) ? { ...headers, ...(storageClass as object) } : sealed;
  const put = (Key: string, more: object) =>
    store.client.send(new PutObjectCommand({ Bucket: store.place.bucket, Key, Body: 'hello', ...more }));
  for (const directory of ['', 'dir/']) {
    await put(`${directory}small`, attributes);
    await putLarge(store, `${directory}large`, attributes);
  }
  await put('sealed', sealed);
}

/** What is done, where the object is then, its mode, and how many bytes more it has. */
const steps: ReadonlyArray<{ what: string; script: string; at: string; mode?: string; grown?: number }> = [
  { what: 'chmod', script: 'chmod 640 NAME', at: 'NAME', mode: '640' },
  { what: 'touch', script: 'touch -d 2020-01-01 NAME', at: 'NAME', mode: '640' },
  { what: 'setfattr', script: 'setfattr -n user.x -v y NAME', at: 'NAME', mode: '640' },
  { what: 'append', script: 'printf more >> NAME', at: 'NAME', mode: '640', grown: 4 },
  { what: 'a byte in the middle', script: 'printf X | dd of=NAME bs=1 seek=2 conv=notrunc status=none', at: 'NAME' },
  { what: 'rename', script: 'mv NAME moved-NAME', at: 'moved-NAME', mode: '640' },
  { what: 'truncate', script: 'truncate -s +3 moved-NAME', at: 'moved-NAME', mode: '640', grown: 3 },
  { what: 'rename and chmod', script: 'mv moved-NAME NAME; chmod 600 NAME', at: 'NAME', mode: '600' },
  { what: 'rename over another', script: 'echo > other; mv -f NAME other', at: 'other', mode: '600' },
  { what: 'and back', script: 'mv other NAME', at: 'NAME', mode: '600' },
];

async function oneObject(t: Test, { sh, store }: Bucket, name: string): Promise<void> {
  const before = await look(store, name);
  const { Expires, Tagging, Metadata, ...same } = headers;
  t.match(before.told, { ...same, metadata: Metadata, Expires: 'Wed, 02 Jan 2030 03:04:05 GMT' }, 'as it was written');
  t.same(before.told.tags, ['project=dark blue', 'stage=2'], 'its tags');
  let size = before.size!;
  for (const { what, script, at, mode, grown = 0 } of steps) {
    await sh(script.replaceAll('NAME', name));
    const after = await look(store, at.replaceAll('NAME', name));
    t.same(after.told, before.told, `${name}: ${what}`);
    if (mode !== undefined) t.equal(after.mode, mode, `${name}: ${what}: mode`);
    size += grown;
    t.equal(after.size, size, `${name}: ${what}: size`);
  }
  const content = await sh(`head -c 5 ${name}; tail -c 7 ${name} | head -c 4`);
  t.equal(content, name === 'small' ? 'heXlomore' : 'AAXAAmore');
  await sh(`printf 'all new' > ${name}`);
  const rewritten = await look(store, name);
  t.same(rewritten.told, before.told, `${name}: rewrite`);
  t.match(rewritten, { mode: '600', size: 7 });
}

/** What needs no copy. */
async function sealed(t: Test, { sh, store }: Bucket): Promise<void> {
  const before = await look(store, 'sealed');
  for (const [script, size] of [
    ['printf more >> sealed', 9],
    ['printf anew > sealed', 4],
  ] as const) {
    await sh(script);
    const after = await look(store, 'sealed');
    t.same(after.told, before.told, script);
    t.equal(after.size, size, script);
  }
}

/** The directory is renamed before anything is known of what is in it, and again after that. */
async function directory(t: Test, { sh, store, remount }: Bucket): Promise<void> {
  const names = ['small', 'large'];
  const before = await Promise.all(names.map((name) => look(store, `dir/${name}`)));
  const same = async (prefix: string, what: string) => {
    for (const [index, name] of names.entries())
      t.same((await look(store, `${prefix}/${name}`)).told, before[index].told, `${name}: ${what}`);
  };
  await remount({ fresh: true });
  await sh('mv dir one');
  await same('one', 'rename of its directory');
  await sh('for name in one/*; do printf + >> "$name"; done; mv one two');
  await same('two', 'rename of its directory after an append');
  await sh('mv two/small two/large .');
  for (const [index, name] of names.entries())
    t.same((await look(store, name)).told, before[index].told, `${name}: out of its directory`);
}

for (const writeBack of [true, false]) {
  const how = `write-back ${writeBack ? 'on' : 'off'}`;
  t.test(`what another tool set on an object stays, ${how}`, { skip: without() }, (t) =>
    withBucket(
      t,
      async (bucket) => {
        await oneObject(t, bucket, 'small');
        await oneObject(t, bucket, 'large');
        await directory(t, bucket);
        await sealed(t, bucket);
      },
      { before: (store) => fill(t, store), volume: { writeBack, partBytes: 5 * MiB } },
    ),
  );
}
