/**
 * Each case once: the program that is timed, what has to stand before it, and how its work is checked. A case whose
 * result is wrong fails, however fast it was.
 *
 * name, title(sizes); cold: in a new mount without caches; needs: a case whose result it works on; settle: the local disk
 * is quiet first; goesOn: the next case times what is uploaded behind; peerLimitMs: instead of the limit of every case; writes: it works in the place's own working directory; raw: the limit that it is measured against; command(at): program and arguments; setup(at), untimed;
 * check(at): why the result is wrong, or undefined; clock: 'inside' where the program says itself how long it took.
 */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { BIG, chunksOf, contentOf, createdFiles, standingFiles, wrongObjects } from './dataset.js';
import { bytesText, countText } from './sizes.js';

const makeFiles = fileURLToPath(new URL('make-files.js', import.meta.url));
const output = (at) => readFileSync(at.out, 'latin1');
const linesOf = (text) => text.split('\n').filter((line) => line !== '');
const work = (at, name) => join(at.root, at.work, name);
const source = (at) => at.source;
const unpacked = (at) => join(at.scratch, 'files', 'packed');

async function fails(at, ...command) {
  const { ok, timedOut, complaint } = await at.check(command);
  return ok ? undefined : `${command[0]}: ${timedOut ? 'takes too long' : complaint || 'differs'}`;
}

/** The files below a directory of the working directory, seen from the server where there is one. */
async function wrongFiles(at, name, files) {
  if (at.s3) return wrongObjects(at.s3, `${at.work}/${name}`, files);
  return fails(at, 'diff', '-rq', join(at.scratch, 'files', 'created'), work(at, name));
}

async function countBelow(at, prefix) {
  if (at.s3) return (await at.s3.list(`${prefix}/`)).filter(({ key }) => !key.endsWith('/')).length;
  if (!existsSync(join(at.root, prefix))) return 0;
  const { ok } = await at.check(['find', join(at.root, prefix), '-type', 'f']);
  return ok ? linesOf(output(at)).length : -1;
}

/** The large file that cp wrote, byte for byte: read past the mount where there is a server. */
async function wrongBig(at, name) {
  if (!at.s3) return fails(at, 'cmp', source(at), work(at, name));
  const chunks = chunksOf(BIG, at.sizes.big);
  let expected = chunks.next().value;
  for await (let chunk of await at.s3.stream(`${at.work}/${name}`)) {
    while (chunk.length > 0) {
      if (expected === undefined) return 'the object is longer than the file';
      const length = Math.min(chunk.length, expected.length);
      if (expected.compare(chunk, 0, length, 0, length) !== 0) return 'the object has other bytes than the file';
      chunk = chunk.subarray(length);
      // A chunk's buffer is its own: what is compared is taken off its front.
      expected = length === expected.length ? chunks.next().value : expected.subarray(length);
    }
  }
  return expected === undefined ? undefined : 'the object is shorter than the file';
}

const isListed = ({ count, bytes }) =>
  function check(at) {
    const lines = linesOf(output(at)).filter((line) => line.startsWith('-'));
    if (lines.length !== count) return `${lines.length} files are listed`;
    return lines.every((line) => line.split(/\s+/)[4] === String(bytes)) ? undefined : 'a size is wrong';
  };

const list = (temperature) => ({
  name: `ls-${temperature}`,
  title: ({ many }) => `ls -l of ${countText(many.count)} files, ${temperature}`,
  raw: temperature === 'cold' ? 'list' : undefined,
  command: (at) => ['ls', '-l', join(at.root, 'many')],
  check: (at) => isListed(at.sizes.many)(at),
});

const find = (temperature) => ({
  name: `find-${temperature}`,
  title: ({ trees }) =>
    `find: ${countText(trees.count * trees.files)} files, ${trees.count} directories, ${temperature}`,
  command: (at) => ['find', join(at.root, 'trees')],
  check(at) {
    const { count, files } = at.sizes.trees;
    const found = linesOf(output(at)).length;
    return found === 1 + count + count * files ? undefined : `${found} names are found`;
  },
});

const readSmall = (temperature) => ({
  name: `cat-${temperature}`,
  title: ({ small }) => `cat of ${small.count} files of ${small.bytes / 1024} KiB, ${temperature}`,
  raw: temperature === 'cold' ? 'gets-serial' : undefined,
  command: (at) => ['sh', '-c', `exec cat '${join(at.root, 'small')}'/*`],
  check(at) {
    const files = standingFiles(at.sizes).filter(({ path }) => path.startsWith('small/'));
    const hash = (data) => createHash('sha256').update(data).digest('hex');
    const right = hash(Buffer.concat(files.map(({ path, bytes }) => contentOf(path, bytes))));
    return hash(readFileSync(at.out)) === right ? undefined : 'other bytes than were written';
  },
});

const copyOut = (temperature) => ({
  name: `cp-out-${temperature}`,
  title: ({ big }) => `cp of ${bytesText(big)} out, ${temperature}`,
  raw: temperature === 'cold' ? 'ranges-disk' : undefined,
  settle: true,
  setup: (at) => at.check(['rm', '-f', join(at.scratch, 'copied')]),
  command: (at) => ['cp', join(at.root, BIG), join(at.scratch, 'copied')],
  check: (at) => fails(at, 'cmp', source(at), join(at.scratch, 'copied')),
});

/** Cold, and at once again. */
const twice = (make) => [
  { ...make('cold'), cold: true },
  { ...make('warm'), needs: make('cold').name },
];
const reading = [list, find, readSmall].flatMap(twice);

const copyIn = {
  name: 'cp-in',
  title: ({ big }) => `cp of ${bytesText(big)} in, to close()`,
  settle: true,
  goesOn: true,
  // What is read must not have to come from the disk.
  setup: (at) => at.check(['cat', source(at)]),
  command: (at) => ['cp', source(at), work(at, 'big')],
  check: (at) => (existsSync(work(at, 'big')) ? undefined : 'the file is not there'),
};

const syncFile = {
  name: 'sync-file',
  title: () => 'then sync FILE',
  needs: 'cp-in',
  command: (at) => ['sync', work(at, 'big')],
  check: (at) => wrongBig(at, 'big'),
};

const moveFile = {
  name: 'mv-file',
  title: ({ big }) => `mv of ${bytesText(big)}`,
  needs: 'cp-in',
  command: (at) => ['mv', work(at, 'big'), work(at, 'moved')],
  async check(at) {
    if (existsSync(work(at, 'big'))) return 'the old name is still there';
    return wrongBig(at, 'moved');
  },
};

const manySmall = [
  {
    name: 'create',
    title: ({ created }) => `create ${countText(created.count)} files of ${created.bytes / 1024} KiB`,
    raw: 'puts-serial',
    clock: 'inside',
    setup: (at) => at.check(['mkdir', work(at, 'created')]),
    command: (at) => [process.execPath, makeFiles, 'created', at.sizeName, work(at, 'created')],
    check: (at) => wrongFiles(at, 'created', createdFiles(at.sizes)),
  },
  {
    name: 'rm',
    title: ({ created }) => `rm -r of these ${countText(created.count)}`,
    needs: 'create',
    command: (at) => ['rm', '-r', work(at, 'created')],
    async check(at) {
      const left = await countBelow(at, `${at.work}/created`);
      return left === 0 && !existsSync(work(at, 'created')) ? undefined : `${left} files are left`;
    },
  },
];

const programs = [
  {
    name: 'tar',
    title: ({ packed }) => `tar x of ${packed.count} files of ${packed.bytes / 1024} KiB`,
    setup: (at) => at.check(['mkdir', work(at, 'tar')]),
    command: (at) => ['tar', '-x', '-f', join(at.scratch, 'files.tar'), '-C', work(at, 'tar')],
    check: (at) => fails(at, 'diff', '-rq', unpacked(at), join(work(at, 'tar'), 'packed')),
  },
  {
    name: 'git-clone',
    title: ({ packed }) => `git clone of ${packed.count} files`,
    command: (at) => ['git', 'clone', '-q', `file://${join(at.scratch, 'repository')}`, work(at, 'clone')],
    async check(at) {
      const wrong = await fails(at, 'git', '-C', work(at, 'clone'), 'status', '--porcelain');
      if (wrong || output(at) !== '') return wrong ?? 'git finds changes in its clone';
      return fails(at, 'diff', '-rq', unpacked(at), join(work(at, 'clone'), 'packed'));
    },
  },
  {
    name: 'sqlite',
    title: ({ transactions }) => `sqlite: ${transactions} transactions of 20 rows`,
    command: (at) => ['sqlite3', '-bail', work(at, 'rows.db'), `.read ${join(at.scratch, 'rows.sql')}`],
    async check(at) {
      const query = 'pragma integrity_check; select count(*), sum(n) from rows;';
      const wrong = await fails(at, 'sqlite3', work(at, 'rows.db'), query);
      const rows = at.sizes.transactions * 20;
      return wrong ?? (output(at) === `ok\n${rows}|${(rows * (rows - 1)) / 2}\n` ? undefined : 'rows are missing');
    },
  },
];

const moveDirectory = {
  name: 'mv-directory',
  title: ({ many }) => `mv of a directory of ${countText(many.count)}`,
  // None of them has ended within 15 s, and nothing comes after it.
  peerLimitMs: 5_000,
  command: (at) => ['mv', join(at.root, 'many'), work(at, 'many')],
  async check(at) {
    const left = await countBelow(at, 'many');
    if (left !== 0) return `${left} files have not moved`;
    const moved = await countBelow(at, `${at.work}/many`);
    return moved === at.sizes.many.count ? undefined : `${moved} files have moved`;
  },
};

const writing = (some) => some.map((one) => ({ ...one, writes: true }));

/** In the order in which they are run: the last moves away what the first ones read. */
export const cases = [
  ...reading,
  ...writing([copyIn, syncFile, ...manySmall, ...programs, moveFile]),
  ...twice(copyOut),
  ...writing([moveDirectory]),
];

/** Those, and what they need. */
export function chosenCases(names) {
  if (names === undefined) return cases;
  const wanted = new Set(names);
  for (const one of [...cases].reverse()) if (wanted.has(one.name) && one.needs) wanted.add(one.needs);
  return cases.filter(({ name }) => wanted.has(name));
}
