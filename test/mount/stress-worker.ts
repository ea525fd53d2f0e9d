/**
 * One reader and writer of the stress test, a process of its own: `node stress-worker.js DIR SEED SECONDS FILES`. A file's
 * content tells all about itself (its number, a seed, its length, and a checksum over all), so that any wrong byte and any
 * mixture of two versions is found by whoever reads it. Writers of one file take turns through a lock outside the mount.
 */
import { createHash } from 'node:crypto';
import { closeSync, mkdirSync, openSync, readSync, renameSync, rmdirSync, writeFileSync, writeSync } from 'node:fs';

const HEAD_BYTES = 64;
const MAX_BYTES = 160_000;

/** A small generator, so that a seed says what the bytes are (xorshift32). */
export function makeRandom(seed: number): () => number {
  let state = seed | 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

export function makeContent(file: number, seed: number): Buffer {
  const random = makeRandom(seed);
  const size = HEAD_BYTES + Math.floor(random() ** 3 * MAX_BYTES);
  const bytes = Buffer.alloc(size);
  bytes.write(`${file} ${seed} ${size} `.padEnd(HEAD_BYTES - 20, '.'));
  for (let at = HEAD_BYTES; at + 4 <= size; at += 4) bytes.writeUInt32LE((random() * 2 ** 32) >>> 0, at);
  createHash('sha1')
    .update(bytes)
    .digest()
    .copy(bytes, HEAD_BYTES - 20);
  return bytes;
}

/** What is wrong with a content; undefined: nothing. */
export function faultOf(file: number, bytes: Buffer): string | undefined {
  const [number, seed, size] = bytes.toString('latin1', 0, HEAD_BYTES - 20).split(' ');
  if (Number(number) !== file) return `file ${file} holds ${bytes.length} bytes of ${JSON.stringify(number)}`;
  if (Number(size) !== bytes.length) return `file ${file} has ${bytes.length} bytes instead of ${size}`;
  return makeContent(file, Number(seed)).equals(bytes) ? undefined : `file ${file} (${size} bytes) has wrong bytes`;
}

/** Reads in pieces, so that other writers come in between. */
function readSlowly(path: string, random: () => number): Buffer {
  const fd = openSync(path, 'r');
  try {
    const pieces: Buffer[] = [];
    for (let at = 0; ; ) {
      const piece = Buffer.alloc(1 + Math.floor(random() * 70_000));
      const count = readSync(fd, piece, 0, piece.length, at);
      if (count === 0) return Buffer.concat(pieces);
      pieces.push(piece.subarray(0, count));
      at += count;
    }
  } finally {
    closeSync(fd);
  }
}

function overwrite(path: string, content: Buffer): void {
  const fd = openSync(path, 'w');
  try {
    for (let at = 0; at < content.length; ) at += writeSync(fd, content, at, Math.min(50_000, content.length - at), at);
  } finally {
    closeSync(fd);
  }
}

/** False: somebody else has it. */
function lock(path: string): boolean {
  try {
    mkdirSync(path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

export const pathOf = (dir: string, file: number): string => `${dir}/d${file % 10}/f${file}`;
/** Files that writers overwrite in place: nobody may read those meanwhile. The others are replaced by a rename. */
export const isInPlace = (file: number): boolean => file % 4 === 0;

function step(dir: string, locks: string, files: number, random: () => number, pid: number): 'read' | 'wrote' | 'busy' {
  const file = Math.floor(random() * files);
  const path = pathOf(dir, file);
  const writes = random() < 0.4;
  const exclusive = writes || isInPlace(file);
  if (exclusive && !lock(`${locks}/${file}`)) return 'busy';
  try {
    if (!writes) {
      const fault = faultOf(file, readSlowly(path, random));
      if (fault !== undefined) throw new Error(fault);
      return 'read';
    }
    const content = makeContent(file, Math.floor(random() * 2 ** 31));
    if (isInPlace(file)) overwrite(path, content);
    else {
      writeFileSync(`${path}.${pid}`, content);
      renameSync(`${path}.${pid}`, path);
    }
    return 'wrote';
  } finally {
    if (exclusive) rmdirSync(`${locks}/${file}`);
  }
}

function work([dir, locks, seed, seconds, files]: string[]): void {
  const random = makeRandom(Number(seed));
  const end = Date.now() + Number(seconds) * 1000;
  const count = { read: 0, wrote: 0, busy: 0, stale: 0 };
  while (Date.now() < end) {
    try {
      count[step(dir, locks, Number(files), random, process.pid)]++;
    } catch (error) {
      // The file was replaced between its look-up and its opening, twice in a row: what NFS programs know too.
      if ((error as NodeJS.ErrnoException).code !== 'ESTALE') throw error;
      count.stale++;
    }
  }
  console.log(JSON.stringify(count));
}

if (process.argv.length === 7) work(process.argv.slice(2));
