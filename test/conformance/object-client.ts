/**
 * What every ObjectClient promises, as one suite: it runs over the fake, the decorated fake, the real client on the
 * embedded server, and on any server named by PAILFS_TEST_ENDPOINT. A promise that a server does not keep is switched
 * off by name, never by guessing, and then has to be proved absent (capabilities.ts).
 */
import { randomBytes } from 'node:crypto';
import type { Test } from 'tap';
import { MIN_PART_BYTES } from '../../src/constants.js';
import { crc32 } from '../../src/s3/crc32.js';
import { compareKeys } from '../../src/s3/key.js';
import type { GetOptions, ObjectClient, ObjectInfo } from '../../src/s3/object-client.js';
import { isS3Error, type S3ErrorKind } from '../../src/s3/s3-error.js';
import { type CapabilityName, capabilities } from './capabilities.js';

export interface SuiteOptions {
  /** Promises of capabilities.ts that the server does not keep, which is proved. */
  readonly lacks?: readonly CapabilityName[];
  /** Keys begin with this; everything below it is deleted first. */
  readonly prefix?: string;
  /** The server's listings tell metadata (MinIO); others have to tell none. Default false. */
  readonly listsMetadata?: boolean;
}

/** What of capabilities.ts the server is to keep. */
type Can = Readonly<Record<CapabilityName, boolean>>;

type Case = (t: Test, client: ObjectClient, prefix: string, can: Can, listsMetadata: boolean) => Promise<void>;

const bytes = (text: string) => Buffer.from(text);

export async function fails(
  t: Test,
  promise: Promise<unknown>,
  kind: S3ErrorKind,
  what: string,
  details: Record<string, unknown> = {},
): Promise<void> {
  try {
    await promise;
    t.fail(`${what}: succeeded where ${kind} was expected`);
  } catch (error) {
    if (!isS3Error(error)) throw error;
    t.equal(error.kind, kind, `${what}: ${error.message}`);
    t.match(error.details, details);
  }
}

export async function read(
  client: ObjectClient,
  key: string,
  options: Omit<GetOptions, 'onData'> = {},
): Promise<{ body: Buffer; info: ObjectInfo; infos: ObjectInfo[] }> {
  const pieces: Buffer[] = [];
  const infos: ObjectInfo[] = [];
  const info = await client.get(key, {
    ...options,
    onInfo: (received) => infos.push(received),
    onData: (piece) => pieces.push(Buffer.from(piece)),
  });
  return { body: Buffer.concat(pieces), info, infos };
}

const putAndRead: Case = async (t, client, prefix) => {
  const key = `${prefix}object`;
  const headers = { contentType: 'text/plain', cacheControl: 'no-cache', contentDisposition: 'attachment' };
  const metadata = { mode: '33188', 'with-dash': 'a b%20c' };
  const tags = [['colour', 'dark blue'] as const, ['a+b', 'x=y:z/@'] as const];
  const reply = await client.put(key, bytes('hello world'), { headers, metadata, tags });
  t.match(reply.etag, /^[^"]+$/);
  const info = await client.head(key);
  t.equal(info.etag, reply.etag);
  t.equal(info.size, 11);
  t.same(info.metadata, metadata);
  t.match(info.headers, headers);
  t.equal(info.lastModified % 1000, 0, 'whole seconds');
  t.ok(Math.abs(info.date - info.lastModified) < 60_000);
  t.notOk(info.archived);
  t.same([...(await client.getTags(key))].sort(), [...tags].sort());
  const whole = await read(client, key);
  t.equal(whole.body.toString(), 'hello world');
  t.equal(whole.info.etag, reply.etag);
  t.equal(whole.infos.length, 1, 'onInfo once');
  await client.put(key, bytes('other'));
  t.same((await client.head(key)).metadata, {}, 'a put replaces the metadata');
  await fails(t, client.put(key, bytes('x'), { metadata: { name: 'zürich' } }), 'InvalidRequest', 'non-ASCII metadata');
  await fails(t, client.put(key, bytes('x'), { metadata: { name: 'a\nb' } }), 'InvalidRequest', 'control in metadata');
};

const ranges: Case = async (t, client, prefix) => {
  const key = `${prefix}range`;
  await client.put(key, bytes('0123456789'));
  const cases: Array<[number | undefined, number | undefined, string]> = [
    [0, 1, '0'],
    [3, 7, '3456'],
    [3, 100, '3456789'],
    [9, 10, '9'],
    [4, undefined, '456789'],
    [undefined, 2, '01'],
    [0, 10, '0123456789'],
    [0, 1000, '0123456789'],
    [10, 11, ''],
    [10, undefined, ''],
    [500, 600, ''],
    [5, 5, ''],
  ];
  for (const [start, end, expected] of cases) {
    const { body, info, infos } = await read(client, key, { start, end });
    t.equal(body.toString(), expected, `${start}-${end}`);
    t.equal(info.size, 10);
    t.equal(infos.length, 1);
  }
  await client.put(key, bytes(''));
  for (const [start, end] of [
    [0, 1],
    [0, undefined],
    [5, 9],
    [undefined, undefined],
  ]) {
    const { body, info } = await read(client, key, { start, end });
    t.equal(body.length, 0, 'empty object');
    t.equal(info.size, 0);
  }
  await fails(t, read(client, key, { start: 5, end: 4 }), 'InvalidRequest', 'backwards');
};

const readConditions: Case = async (t, client, prefix) => {
  const key = `${prefix}conditions`;
  const first = await client.put(key, bytes('one'));
  t.equal((await read(client, key, { ifMatch: first.etag })).body.toString(), 'one');
  await fails(t, read(client, key, { ifNoneMatch: first.etag }), 'NotModified', 'unchanged');
  const second = await client.put(key, bytes('two'));
  await fails(t, read(client, key, { ifMatch: first.etag }), 'PreconditionFailed', 'replaced');
  await fails(
    t,
    read(client, key, { start: 1, end: 2, ifMatch: first.etag }),
    'PreconditionFailed',
    'range of replaced',
  );
  t.equal((await read(client, key, { ifNoneMatch: first.etag })).info.etag, second.etag);
  await client.delete(key);
  await fails(t, read(client, key, { ifMatch: second.etag }), 'NotFound', 'gone');
  await fails(t, client.head(key), 'NotFound', 'head of nothing');
  await fails(t, read(client, key), 'NotFound', 'get of nothing');
};

const names = [
  'plain',
  'with space',
  'plus+',
  'per%cent',
  'a%20b',
  'ü',
  '日本',
  '😀',
  'q?m#h',
  "it's",
  '(a)*!',
  'a&b<c>"',
  '~tilde',
  'a=b&c',
  ':;,@$',
  'x'.repeat(200),
];
const keys: Case = async (t, client, prefix) => {
  const base = `${prefix}keys/`;
  const all = names.map((name) => base + name);
  for (const key of all) await client.put(key, bytes(key));
  for (const key of all) t.equal((await read(client, key)).body.toString(), key, JSON.stringify(key));
  const page = await client.list({ prefix: base });
  t.same(
    page.objects.map((object) => object.key),
    [...all].sort(compareKeys),
    'listed as written, in byte order',
  );
  await client.copy(all[1], `${base}copy of it`);
  t.equal((await read(client, `${base}copy of it`)).body.toString(), all[1]);
  t.same(await client.deleteMany([...all, `${base}copy of it`, `${base}never was`]), []);
  t.same((await client.list({ prefix: base })).objects, []);
};

const listing: Case = async (t, client, prefix, can) => {
  const base = `${prefix}list/`;
  const hyphen = can.byteOrder ? ['a-'] : [];
  const beside = can.objectBesidePrefix ? ['a'] : [];
  const all = [...beside, ...hyphen, 'a/1', 'a/2', 'a0', 'b/x/y', 'b/z', 'c', '\ue000', '😀'].map(
    (name) => base + name,
  );
  for (const key of all) await client.put(key, bytes('x'));
  const flat: string[] = [];
  let token: string | undefined;
  let pages = 0;
  do {
    const page = await client.list({ prefix: base, maxKeys: 3, token });
    flat.push(...page.objects.map((object) => object.key));
    token = page.nextToken;
    pages++;
  } while (token !== undefined && pages < 20);
  t.same(flat, all, 'pages in byte order');
  t.ok(pages >= Math.ceil(all.length / 3), `${pages} pages`);
  const top = await client.list({ prefix: base, delimiter: '/' });
  t.same(top.prefixes, [`${base}a/`, `${base}b/`]);
  t.same(
    top.objects.map((object) => object.key),
    [...beside, ...hyphen, 'a0', 'c', '\ue000', '😀'].map((name) => base + name),
  );
  const after = await client.list({ prefix: base, startAfter: `${base}a/1` });
  t.equal(after.objects[0].key, `${base}a/2`);
  const beyond = await client.list({ prefix: base, delimiter: '/', startAfter: `${base}a/` });
  t.same(beyond.prefixes, [`${base}b/`], 'a prefix not above start-after is left out');
  t.same(beyond.objects[0].key, `${base}a0`);
  const [entry] = top.objects;
  const info = await client.head(entry.key);
  t.equal(entry.etag, info.etag);
  t.equal(entry.size, 1);
  t.equal(Math.floor(entry.lastModified / 1000), info.lastModified / 1000);
  t.same((await client.list({ prefix: `${base}none` })).objects, []);
};

/** An extension of MinIO's. What a server tells is what HEAD says, and others tell nothing. */
const listedMetadata: Case = async (t, client, prefix, _can, tells) => {
  const base = `${prefix}metadata/`;
  const values = ['33188', 'a b%20c', '<&>"\'', '=?UTF-8?Q?x?=', 'a  b', ''];
  const odd = "o!d#d$%&'*+.^_`|~-1";
  const sets: Array<Record<string, string>> = [
    { mode: '33188', mtime: '1700000000.5', 'with-dash': 'x', with_underscore: 'y' },
    {},
    ...values.map((value) => ({ value })),
    { [odd]: 'x', '1': 'digit', '-': 'dash', 'x-amz-meta-x': 'twice' },
  ];
  const keys = sets.map((_, i) => `${base}${i}`);
  const kept: ObjectInfo[] = [];
  for (const [i, key] of keys.entries()) {
    await client.put(key, bytes('x'), { metadata: sets[i], headers: { contentType: 'text/plain' } });
    // Some servers drop an empty value: what counts is what HEAD says.
    kept.push(await client.head(key));
  }
  const plain = await client.list({ prefix: base });
  t.ok(
    plain.objects.every(({ metadata }) => metadata === undefined),
    'not told unless asked',
  );
  const { objects } = await client.list({ prefix: base, metadata: true });
  t.same(
    objects.map(({ key }) => key),
    [...keys].sort(compareKeys),
  );
  const told = objects.filter(({ metadata }) => metadata !== undefined);
  for (const { key, metadata } of told) t.same(metadata, kept[keys.indexOf(key)].metadata, key);
  t.equal(told.length, tells ? keys.length : 0, 'told of all or none');
  for (const key of keys) await client.delete(key);
};

const multipart: Case = async (t, client, prefix) => {
  const key = `${prefix}multipart`;
  const one = randomBytes(MIN_PART_BYTES);
  const id = await client.createUpload(key, { metadata: { mode: '33188' }, headers: { contentType: 'image/png' } });
  await fails(t, client.head(key), 'NotFound', 'invisible until complete');
  t.match(await client.listUploads(key), [{ key, uploadId: id }]);
  const first = await client.uploadPart(key, id, 1, one);
  t.equal(first.size, one.length);
  t.equal(first.crc32, crc32(one));
  const parts = [first, await client.uploadPart(key, id, 5, bytes('end'))];
  const size = one.length + 3;
  const reply = await client.completeUpload(key, id, parts, { size });
  t.match(reply.etag, /-2$/);
  const { body, info } = await read(client, key);
  t.ok(body.equals(Buffer.concat([one, bytes('end')])), 'the parts in order');
  t.equal(info.etag, reply.etag);
  t.same(info.metadata, { mode: '33188' });
  t.equal(info.headers.contentType, 'image/png');
  const second = await client.createUpload(key);
  await client.uploadPart(key, second, 1, bytes('x'));
  await client.abortUpload(key, second);
  await client.abortUpload(key, second);
  await fails(t, client.uploadPart(key, second, 2, bytes('x')), 'NotFound', 'part of an aborted upload');
  t.same(await client.listUploads(key), []);
};

/** A range of an object becomes a part beside parts that are sent, as where a large file is changed in one place. */
const copiedParts: Case = async (t, client, prefix) => {
  const key = `${prefix}copied-parts`;
  const source = randomBytes(2 * MIN_PART_BYTES + 10);
  const one = randomBytes(MIN_PART_BYTES);
  const { etag } = await client.put(key, source);
  const id = await client.createUpload(key, { copies: true });
  const size = 2 * MIN_PART_BYTES + 10 + 3;
  const parts = [
    await client.uploadPart(key, id, 1, one),
    await client.uploadPartCopy(key, id, 2, key, { start: 10, end: 10 + MIN_PART_BYTES, sourceIfMatch: etag }),
    await client.uploadPartCopy(key, id, 3, key, { start: 10 + MIN_PART_BYTES, end: 20 + MIN_PART_BYTES }),
    await client.uploadPart(key, id, 4, bytes('end')),
  ];
  // A part that is no last one has at least 5 MiB: the third is sent anew, over what stands there.
  parts[2] = await client.uploadPart(key, id, 3, one);
  const reply = await client.completeUpload(key, id, parts, { size: size - 10 + MIN_PART_BYTES });
  t.match(reply.etag, /-4$/);
  const { body, info } = await read(client, key);
  t.ok(body.equals(Buffer.concat([one, source.subarray(10, 10 + MIN_PART_BYTES), one, bytes('end')])), 'in order');
  t.equal(info.etag, reply.etag);
  const whole = await client.createUpload(key, { copies: true });
  const copied = await client.uploadPartCopy(key, whole, 1, key);
  t.equal(copied.size, body.length, 'the whole source');
  await client.completeUpload(key, whole, [copied], { size: body.length });
  t.ok((await read(client, key)).body.equals(body), 'over its own source');
};

const copies: Case = async (t, client, prefix) => {
  const from = `${prefix}copy/from ü`;
  const to = `${prefix}copy/to`;
  const attributes = { metadata: { mode: '1' }, headers: { contentType: 'a/b' }, tags: [['k', 'v'] as const] };
  const source = await client.put(from, bytes('content'), attributes);
  await client.copy(from, to);
  const kept = await client.head(to);
  t.same(kept.metadata, { mode: '1' });
  t.equal(kept.headers.contentType, 'a/b');
  t.same(await client.getTags(to), [['k', 'v']]);
  await client.copy(from, to, { replace: { metadata: { mode: '2' } }, sourceIfMatch: source.etag });
  t.same((await client.head(to)).metadata, { mode: '2' });
  await client.copy(to, to, { replace: { metadata: { mode: '3' } } });
  t.same((await client.head(to)).metadata, { mode: '3' }, 'in place');
  for (const value of ['one', 'two = @/3']) {
    await client.copy(to, to, { replace: { metadata: { mode: '4' }, tags: [['k', value]] } });
    t.same(await client.getTags(to), [['k', value]], 'tags that are sent');
  }
  t.equal((await read(client, to)).body.toString(), 'content');
  await fails(t, client.copy(`${prefix}copy/none`, to), 'NotFound', 'no source');
};

const deletes: Case = async (t, client, prefix) => {
  const key = `${prefix}delete`;
  await client.put(key, bytes('x'));
  await client.delete(key);
  await fails(t, client.head(key), 'NotFound', 'deleted');
  await client.delete(key);
  const many = Array.from({ length: 1001 }, (_, i) => `${prefix}many/${i}`);
  await client.put(many[0], bytes('x'));
  await client.put(many[1000], bytes('x'));
  t.same(await client.deleteMany(many), []);
  t.same((await client.list({ prefix: `${prefix}many/` })).objects, []);
  t.same(await client.deleteMany([]), []);
};

const signals: Case = async (t, client, prefix) => {
  const key = `${prefix}signal`;
  await client.put(key, bytes('x'));
  const signal = AbortSignal.abort();
  await fails(t, client.head(key, { signal }), 'Aborted', 'head');
  await fails(t, read(client, key, { signal }), 'Aborted', 'get');
  await fails(t, client.list({ prefix, signal }), 'Aborted', 'list');
  await fails(t, client.deleteMany([key], { signal }), 'Aborted', 'delete many');
  t.equal((await client.head(key)).size, 1, 'nothing was deleted');
  const before = client.counters.requests.HeadObject ?? 0;
  await client.head(key);
  t.equal(client.counters.requests.HeadObject, before + 1, 'counted');
};

const cases: Readonly<Record<string, Case>> = {
  'put, head, get, tags': putAndRead,
  ranges,
  'conditions of reads': readConditions,
  keys,
  listing,
  'metadata in listings': listedMetadata,
  multipart,
  'copied parts': copiedParts,
  copies,
  deletes,
  'signals and counters': signals,
};

/** A promise that is kept, or one that the server is excused from and proves to lack. */
async function promise(t: Test, client: ObjectClient, prefix: string, name: CapabilityName, can: Can): Promise<void> {
  const instead = await capabilities[name].probe(client, `${prefix}${name}/`);
  if (can[name]) {
    t.equal(instead, undefined, name);
    return;
  }
  if (instead === undefined) t.fail(`${name} is kept after all, and must not be excused`);
  else t.comment(`lacks ${name}: ${instead}`);
  t.ok(instead, `lacks ${name}`);
}

async function empty(client: ObjectClient, prefix: string): Promise<void> {
  for (;;) {
    const { objects } = await client.list({ prefix });
    if (objects.length === 0) return;
    await client.deleteMany(objects.map((object) => object.key));
  }
}

/** Runs the suite; `makeClient` is called once, and the client closed at the end. */
export async function objectClientConformance(
  t: Test,
  name: string,
  makeClient: () => Promise<ObjectClient> | ObjectClient,
  options: SuiteOptions = {},
): Promise<void> {
  const names = Object.keys(capabilities) as CapabilityName[];
  const can = Object.fromEntries(names.map((name) => [name, !options.lacks?.includes(name)])) as Can;
  await t.test(`conformance: ${name}`, async (t) => {
    const client = await makeClient();
    t.teardown(() => client.close());
    const prefix = options.prefix ?? 'conformance/';
    await empty(client, prefix);
    const tells = options.listsMetadata ?? false;
    for (const [title, run] of Object.entries(cases)) await t.test(title, (t) => run(t, client, prefix, can, tells));
    for (const one of names) await t.test(capabilities[one].promise, (t) => promise(t, client, prefix, one, can));
    await client.close();
    await fails(t, client.head(`${prefix}x`), 'Aborted', 'after close');
  });
}
