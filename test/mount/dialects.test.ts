/** One bucket with every dialect: what `ls -l --full-time` of a real mount shows of it is dialects.txt, byte for byte. */
import { HeadObjectCommand } from '@aws-sdk/client-s3';
import t, { type Test } from 'tap';
import { type Bucket, type Store, withBucket } from './bucket.js';
import { DIALECT_LIST, dialects, dialectTable, tablePart } from './dialect-objects.js';
import { without } from './s3-place.js';

t.setTimeout(120_000);

async function fill(store: Store): Promise<void> {
  for (const [directory, objects] of Object.entries(dialects))
    for (const { key, body, metadata } of objects)
      await store.put(`${directory}/${key}`, Buffer.from(body ?? ''), { Metadata: metadata });
}

/** As ls(1) writes the date of an object, which no table can know. A listing may have it in milliseconds. */
async function dateOf({ client, place }: Store, key: string): Promise<RegExp> {
  const { LastModified } = await client.send(new HeadObjectCommand({ Bucket: place.bucket, Key: key }));
  return new RegExp(`${LastModified!.toISOString().replace('T', ' ').slice(0, 19)}\\.\\d{9}`, 'g');
}

/** Whether the server has the metadata as they were sent. */
async function keeps({ client, place }: Store, directory: string): Promise<boolean> {
  for (const { key, metadata = {} } of dialects[directory]) {
    const head = await client.send(new HeadObjectCommand({ Bucket: place.bucket, Key: `${directory}/${key}` }));
    if (Object.entries(metadata).some(([name, value]) => head.Metadata?.[name] !== value)) return false;
  }
  return true;
}

/** The dialects that can be compared here. */
async function keptDialects(t: Test, store: Store): Promise<string[]> {
  const kept: string[] = [];
  for (const directory of Object.keys(dialects)) if (await keeps(store, directory)) kept.push(directory);
  const lost = Object.keys(dialects).filter((directory) => !kept.includes(directory));
  // radosgw makes a dash of an underscore in a name.
  t.same(lost, process.env.PAILFS_TEST_SERVER === 'radosgw' ? ['gcsfuse'] : [], 'dialects that the server cannot hold');
  return kept;
}

async function listing({ sh, store }: Bucket, directories: readonly string[]): Promise<string> {
  const shown = await sh(`for dir in ${directories.join(' ')}; do echo "$dir:"; ${DIALECT_LIST} $dir; done`);
  return shown.replaceAll(await dateOf(store, 'plain/file'), 'DATE-OF-THE-OBJECT');
}

async function showsTheTable(t: Test, attributes: 'full' | 'auto', before: (store: Store) => Promise<void>) {
  const body = async (bucket: Bucket) => {
    const directories = await keptDialects(t, bucket.store);
    await bucket.sh('ls -l > /dev/null');
    t.equal(await listing(bucket, directories), directories.map(tablePart).join(''));
    t.equal(await bucket.sh('getfattr -n user.colour --only-values s3fs/file'), 'green');
    t.equal(await bucket.sh('cat */file'), 'hello\n'.repeat(Object.keys(dialects).length));
    const [links, count] = directories.includes('gcsfuse')
      ? ['*/link */standard-link', 5]
      : ['[!g]*/link geesefs/link', 3];
    t.equal(await bucket.sh(`cat ${links}`), 'hello\n'.repeat(count), 'links lead where they say');
  };
  t.equal(
    Object.keys(dialects).map(tablePart).join(''),
    dialectTable,
    'the table has the rows of every dialect, and no others',
  );
  await withBucket(t, body, { before, volume: { attributes } });
}

t.test('ls -l --full-time of every dialect', { skip: without('markerMetadata') }, (t) =>
  showsTheTable(t, 'full', fill),
);

t.test('with the default, once one sample had metadata', { skip: without('markerMetadata') }, (t) =>
  showsTheTable(t, 'auto', async (store) => {
    await store.put('sampled', 'x', { Metadata: { mode: '33188' } });
    await fill(store);
  }),
);
