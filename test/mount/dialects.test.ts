/** One bucket with every dialect: what `ls -l --full-time` of a real mount shows of it is dialects.txt, byte for byte. */
import { readFileSync } from 'node:fs';
import { HeadObjectCommand } from '@aws-sdk/client-s3';
import t, { type Test } from 'tap';
import { packageRoot } from '../../src/package.js';
import { type Bucket, type Store, withBucket } from './bucket.js';
import { dialects } from './dialect-objects.js';
import { without } from './s3-place.js';

t.setTimeout(120_000);
const table = readFileSync(new URL('test/mount/dialects.txt', packageRoot), 'utf8');
const LIST = 'LC_ALL=C TZ=UTC ls -ln --full-time';

async function fill(store: Store): Promise<void> {
  for (const [directory, objects] of Object.entries(dialects))
    for (const { key, body, metadata } of objects)
      await store.put(`${directory}/${key}`, Buffer.from(body ?? ''), { Metadata: metadata });
}

/** As ls(1) writes the date of an object, which no table can know. */
async function dateOf({ client, place }: Store, key: string): Promise<string> {
  const { LastModified } = await client.send(new HeadObjectCommand({ Bucket: place.bucket, Key: key }));
  return `${LastModified!.toISOString().replace('T', ' ').slice(0, 19)}.000000000`;
}

async function listing({ sh, store }: Bucket): Promise<string> {
  const shown = await sh(`for dir in ${Object.keys(dialects).join(' ')}; do echo "$dir:"; ${LIST} $dir; done`);
  return shown.replaceAll(await dateOf(store, 'plain/file'), 'DATE-OF-THE-OBJECT');
}

async function showsTheTable(t: Test, attributes: 'full' | 'auto', before: (store: Store) => Promise<void>) {
  const body = async (bucket: Bucket) => {
    await bucket.sh('ls -l > /dev/null');
    t.equal(await listing(bucket), table);
    t.equal(await bucket.sh('getfattr -n user.colour --only-values s3fs/file'), 'green');
    t.equal(await bucket.sh('cat */file | sort | uniq -c | tr -d " "'), `${Object.keys(dialects).length}hello\n`);
    t.equal(await bucket.sh('cat */link */standard-link'), 'hello\n'.repeat(5), 'links lead where they say');
  };
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
