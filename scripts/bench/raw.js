/**
 * What the server itself can give, asked by a plain node:http program in this process: the limits that mounts are
 * measured against, on the same amounts. It also puts the large file and the small ones into the bucket.
 */
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { BIG, contentOf, createdFiles, ensureObjects, standingFiles } from './dataset.js';
import { dropPageCache } from './page-cache.js';
import { together } from './s3-requests.js';
import { bytesText, countText, PART_BYTES } from './sizes.js';

const TRANSFERS = 8;
const SMALL_AT_ONCE = 16;

async function timed(body) {
  const begun = process.hrtime.bigint();
  await body();
  return Number(process.hrtime.bigint() - begun) / 1e9;
}

/** Reads the large object in ranges, so many at once; `write(buffer, offset)` takes what arrives. */
function ranges(s3, bytes, write) {
  return together(TRANSFERS, Math.ceil(bytes / PART_BYTES), async (index) => {
    let offset = index * PART_BYTES;
    const last = Math.min(offset + PART_BYTES, bytes) - 1;
    for await (const chunk of await s3.stream(BIG, { range: `bytes=${offset}-${last}` })) {
      await write?.(chunk, offset);
      offset += chunk.length;
    }
    if (offset !== last + 1) throw new Error('a range was short');
  });
}

async function discard(response) {
  for await (const _ of response);
}

/** Each limit once: its name, what it is, and how it is taken. */
function limitsOf({ s3, sizes, source, scratch }) {
  const { many, small, created, big } = sizes;
  const standing = standingFiles(sizes);
  const of = (directory) => standing.filter(({ path }) => path.startsWith(`${directory}/`));
  const get = (files, atOnce) => together(atOnce, files.length, (i) => s3.key(files[i].path));
  const bodies = createdFiles(sizes).map(({ path, bytes }) => [path, contentOf(path, bytes)]);
  const put = (prefix, atOnce) =>
    together(atOnce, bodies.length, (i) => s3.key(`${prefix}/${bodies[i][0]}`, { method: 'PUT', body: bodies[i][1] }));
  const fromSource = async (length, offset) => {
    const buffer = Buffer.allocUnsafe(length);
    await source.read(buffer, 0, length, offset);
    return buffer;
  };
  const upload = { partSize: PART_BYTES, atOnce: TRANSFERS, read: (offset, length) => fromSource(length, offset) };
  const bigText = bytesText(big);
  const toDisk = async () => {
    const file = await open(join(scratch, 'ranges'), 'w');
    await ranges(s3, big, (chunk, offset) => file.write(chunk, 0, chunk.length, offset));
    await file.close();
  };
  const putOne = () =>
    s3.key('raw/one', { method: 'PUT', body: source.createReadStream({ start: 0, autoClose: false }), length: big });
  return [
    ['list', `LIST walk of ${countText(many.count)} keys`, () => s3.list('many/'), true],
    ['gets-serial', `${small.count} GETs, one after the other`, () => get(of('small'), 1), true],
    [
      'gets-16',
      `${countText(created.count)} GETs, 16 at once`,
      () => get(of('many').slice(0, created.count), 16),
      true,
    ],
    ['puts-serial', `${countText(created.count)} PUTs, one after the other`, () => put('raw/serial', 1)],
    ['puts-16', `${countText(created.count)} PUTs, 16 at once`, () => put('raw/together', SMALL_AT_ONCE)],
    ['multipart-8', `multipart upload of ${bigText}, 8 parts at once`, () => s3.upload(BIG, big, upload)],
    ['put-one', `one PUT of ${bigText}`, putOne],
    ['ranges-null', `ranges of ${bigText}, 8 at once, to nowhere`, () => ranges(s3, big), true],
    ['ranges-disk', `ranges of ${bigText}, 8 at once, to the disk`, toDisk, true],
    ['get-one', `one GET of ${bigText}, to nowhere`, async () => discard(await s3.stream(BIG)), true],
  ];
}

/** Fills the bucket, and answers the limits: [{ name, title, seconds }]. */
export async function takeRawLimits(environment, settle) {
  const { server, sizes, sourcePath, scratch } = environment;
  const { s3 } = server;
  await ensureObjects(s3, standingFiles(sizes));
  const source = await open(sourcePath);
  const taken = [];
  try {
    for (const [name, title, body, cold] of limitsOf({ s3, sizes, source, scratch })) {
      await settle();
      if (cold) dropPageCache();
      taken.push({ name, title, seconds: await timed(body) });
    }
  } finally {
    await source.close();
  }
  const left = await s3.list('raw/');
  await together(16, left.length, (i) => s3.key(left[i].key, { method: 'DELETE' }));
  return taken;
}
