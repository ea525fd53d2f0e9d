/**
 * The files that the cases work on. What a file holds follows from its path, so that every place has the same bytes, made
 * where they are needed, and a check knows what it must find. Nothing in it can be compressed.
 */
import { createCipheriv, createHash } from 'node:crypto';
import { closeSync, mkdirSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { together } from './s3-requests.js';

const CHUNK = 1024 * 1024;
const zeros = Buffer.alloc(CHUNK);

/** The bytes of a file, a chunk at a time. */
export function* chunksOf(path, bytes) {
  const cipher = createCipheriv('aes-128-ctr', createHash('md5').update(path).digest(), Buffer.alloc(16));
  for (let left = bytes; left > 0; left -= CHUNK) yield cipher.update(left < CHUNK ? zeros.subarray(0, left) : zeros);
}

export const contentOf = (path, bytes) => Buffer.concat([...chunksOf(path, bytes)]);

const number = (i) => String(i).padStart(5, '0');
const series = (directory, { count, bytes }) =>
  Array.from({ length: count }, (_, i) => ({ path: `${directory}/file-${number(i)}`, bytes }));

/** { path, bytes } of each small file that stands there before the cases begin. */
export function standingFiles({ many, small, trees }) {
  const leaves = Array.from({ length: trees.count }, (_, i) =>
    series(`trees/branch-${number(i)}`, { count: trees.files, bytes: trees.bytes }),
  );
  return [...series('many', many), ...series('small', small), ...leaves.flat()];
}

/** What the case `create` makes. */
export const createdFiles = ({ created }) => series('created', created);

/** What the archive and the repository hold, in directories of ten. */
export const packedFiles = ({ packed }) =>
  series('packed', packed).map(({ path, bytes }, i) => ({ path: path.replace('packed/', `packed/${i % 10}/`), bytes }));

/** The one large file, by the name under which it stands. */
export const BIG = 'big/file';

export function writeBig(path, bytes) {
  const fd = openSync(path, 'w');
  for (const chunk of chunksOf(BIG, bytes)) writeSync(fd, chunk);
  closeSync(fd);
}

export function writeFiles(directory, files) {
  const made = new Set();
  for (const { path, bytes } of files) {
    const parent = dirname(join(directory, path));
    if (!made.has(parent)) mkdirSync(parent, { recursive: true });
    made.add(parent);
    writeFileSync(join(directory, path), contentOf(path, bytes));
  }
}

/** Puts those into the bucket that are not there: a case may have moved them, or half of them. */
export async function ensureObjects(s3, files) {
  const there = new Set();
  for (const directory of new Set(files.map(({ path }) => path.split('/')[0]))) {
    for (const { key, size } of await s3.list(`${directory}/`)) there.add(`${key} ${size}`);
  }
  const absent = files.filter(({ path, bytes }) => !there.has(`${path} ${bytes}`));
  await together(16, absent.length, (i) => {
    const { path, bytes } = absent[i];
    return s3.key(path, { method: 'PUT', body: contentOf(path, bytes) });
  });
  return absent.length;
}

/** Why the objects below a prefix are not these files, or undefined. */
export async function wrongObjects(s3, prefix, files, md5 = true) {
  const found = new Map((await s3.list(`${prefix}/`)).map((entry) => [entry.key, entry]));
  for (const { path, bytes } of files) {
    const entry = found.get(`${prefix}/${path.split('/').slice(1).join('/')}`);
    if (entry?.size !== bytes) return `${path} is not in the bucket as it should be`;
    const right = md5 ? createHash('md5').update(contentOf(path, bytes)).digest('hex') : entry.etag;
    if (entry.etag !== right) return `${path} has other bytes in the bucket`;
  }
  const extra = [...found.values()].filter(({ key }) => !key.endsWith('/')).length - files.length;
  return extra === 0 ? undefined : `${extra} more objects than files`;
}
