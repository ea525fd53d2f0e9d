import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import pino from 'pino';
import t, { type Test } from 'tap';
import { crc32 } from '../../src/s3/crc32.js';
import { InodeLog } from '../../src/vfs/inode-log.js';

const silent = pino({ level: 'silent' });
let time = 1;

function open(directory: string): InodeLog {
  return InodeLog.open(directory, () => time++, silent);
}

function stateDirectory(t: Test): string {
  const directory = mkdtempSync(join(tmpdir(), 'pailfs-inodes-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** A tree in which every key keeps the origin that it got when it was made. */
class Tree {
  readonly origins = new Map<string, string>();

  constructor(public log: InodeLog) {}

  make(key: string): void {
    const parent = key.slice(0, key.lastIndexOf('/', key.length - 2) + 1);
    const other = key.endsWith('/') ? key.slice(0, -1) : `${key}/`;
    if (this.origins.has(key) || this.origins.has(other) || (parent !== '' && !this.origins.has(parent))) return;
    this.origins.set(key, this.log.originOf(key));
  }

  below(key: string): string[] {
    return [...this.origins.keys()].filter((one) => one === key || (key.endsWith('/') && one.startsWith(key)));
  }

  rename(from: string, to: string): void {
    const parent = to.slice(0, to.lastIndexOf('/', to.length - 2) + 1);
    if (from.endsWith('/') !== to.endsWith('/') || !this.origins.has(from) || to.startsWith(from)) return;
    if ((parent !== '' && !this.origins.has(parent)) || this.below(to).length > 1) return;
    this.origins.delete(to);
    for (const key of this.below(from)) {
      this.origins.set(to + key.slice(from.length), this.origins.get(key)!);
      this.origins.delete(key);
    }
    this.log.renamed(from, to);
  }

  remove(key: string, isHeld: boolean): void {
    if (this.below(key).length !== 1) return;
    this.origins.delete(key);
    this.log.removed(key, isHeld);
  }

  isRight(): boolean {
    for (const [key, origin] of this.origins) if (this.log.originOf(key) !== origin) return false;
    return new Set(this.origins.values()).size === this.origins.size;
  }
}

const key = fc
  .tuple(fc.array(fc.constantFrom('a/', 'b/'), { maxLength: 3 }), fc.constantFrom('', '', 'x', 'y'))
  .map(([directories, file]) => directories.join('') + file)
  .filter((one) => one !== '');
const action = fc.oneof(
  { weight: 4, arbitrary: fc.record({ make: key }) },
  { weight: 4, arbitrary: fc.record({ from: key, to: key }) },
  fc.record({ remove: key, isHeld: fc.boolean() }),
  fc.constant('reopen' as const),
);

t.test('each file keeps its number over renames and remounts, and no two have the same', async (t) => {
  const directory = stateDirectory(t);
  let run = 0;
  fc.assert(
    fc.property(fc.array(action, { minLength: 20, maxLength: 80 }), (actions) => {
      const own = join(directory, `${run++}`);
      mkdirSync(own);
      const tree = new Tree(open(own));
      for (const one of actions) {
        if (one === 'reopen') tree.log = open(own);
        else if ('make' in one) tree.make(one.make);
        else if ('from' in one) tree.rename(one.from, one.to);
        else tree.remove(one.remove, one.isHeld);
        if (!tree.isRight()) return false;
      }
      tree.log = open(own);
      return tree.isRight();
    }),
    { numRuns: 3000 },
  );
});

t.test('a damaged end is cut, and what comes before it counts', async (t) => {
  const directory = stateDirectory(t);
  const path = join(directory, 'inodes.log');
  const log = open(directory);
  log.renamed('a', 'b');
  log.renamed('c', 'd');
  const { size } = statSync(path);
  for (const cut of [size - 1, size - 10]) {
    truncateSync(path, cut);
    const again = open(directory);
    t.equal(again.originOf('b'), 'a');
    t.equal(again.originOf('d'), 'd');
    again.renamed('c', 'd');
    t.equal(open(directory).originOf('d'), 'c');
    truncateSync(path, size);
  }
  const text = readFileSync(path, 'utf8');
  writeFileSync(path, text.replace('"a","b"', '"a","x"'));
  t.equal(open(directory).originOf('x'), 'x', 'a line that does not match its CRC');
  appendFileSync(path, 'garbage');
  open(directory);
  t.notMatch(readFileSync(path, 'utf8'), /garbage/);
});

t.test('history is dropped when the log is opened, and another version is left alone', async (t) => {
  const directory = stateDirectory(t);
  const path = join(directory, 'inodes.log');
  const log = open(directory);
  for (let i = 0; i < 2_000; i++) log.renamed(i % 2 === 0 ? 'a' : 'b', i % 2 === 0 ? 'b' : 'a');
  log.renamed('a', 'z');
  const long = statSync(path).size;
  t.equal(open(directory).originOf('z'), 'a');
  t.ok(statSync(path).size < long / 100);
  t.equal(open(directory).originOf('z'), 'a');
  const header = '["pailfs-inodes",2]';
  writeFileSync(path, `${(crc32(header) >>> 0).toString(16).padStart(8, '0')} ${header}\nwhatever`);
  const other = open(directory);
  other.renamed('p', 'q');
  t.equal(other.originOf('q'), 'p');
  t.match(readFileSync(path, 'utf8'), /whatever$/);
});
