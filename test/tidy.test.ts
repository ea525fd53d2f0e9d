/** Style as a test: what imports what, how long files are, how they begin, and that nothing lies around unused. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { optionNames, specOf } from '../src/config/table.js';
import { exitCode } from '../src/exit-code.js';
import { packageRoot } from '../src/package.js';

const root = fileURLToPath(packageRoot);

function filesIn(directory: string, ending: RegExp): string[] {
  const entries = readdirSync(join(root, directory), { withFileTypes: true, recursive: true });
  const files = entries.filter((entry) => entry.isFile() && ending.test(entry.name));
  return files.map((entry) => relative(root, join(entry.parentPath ?? entry.path, entry.name))).sort();
}

function read(path: string): string {
  return readFileSync(join(root, path), 'utf8');
}

const sources = filesIn('src', /\.ts$/);
const tests = filesIn('test', /\.ts$/);

/** Files of the repository that a file imports, also dynamically and in types. */
function importsOf(path: string): string[] {
  const found = read(path).matchAll(/(?:from|import)\s*\(?\s*'(\.[^']+)'/g);
  return [...found].map((match) => join(dirname(path), match[1]).replace(/\.js$/, '.ts'));
}

const area = (path: string) => /^src\/([^/]+)\//.exec(path)?.[1] ?? 'src';

/** Of each directory those that it never imports from. */
const forbidden: Readonly<Record<string, readonly string[]>> = {
  fuse: ['s3', 'vfs', 'cache', 'writeback', 'control', 'cli', 'config', 'embedded', 'local'],
  s3: ['fuse', 'vfs', 'cache', 'writeback', 'control', 'cli', 'config', 'embedded', 'local'],
  cache: ['fuse', 'writeback', 'vfs', 'control', 'cli', 'config', 'embedded', 'local'],
  writeback: ['fuse', 'cache', 'vfs', 'control', 'cli', 'config', 'embedded', 'local'],
  vfs: ['control', 'cli', 'config', 'embedded', 'local'],
  embedded: ['s3', 'fuse', 'vfs', 'cache', 'writeback', 'control', 'cli', 'config', 'local'],
  control: ['s3', 'fuse', 'vfs', 'cache', 'writeback', 'cli', 'config', 'embedded'],
  config: ['s3', 'fuse', 'vfs', 'cache', 'writeback', 'control', 'cli', 'embedded', 'local'],
  local: ['s3', 'vfs', 'cache', 'writeback', 'control', 'cli', 'embedded'],
};

/** What joins two layers by a type or a measure that both need, each for the reason given. */
const joins: ReadonlyArray<readonly [string, string]> = [];

t.test('values flow down: no layer imports one beside or above it', async (t) => {
  t.ok(sources.length > 50);
  for (const path of sources) {
    for (const imported of importsOf(path)) {
      const crossing = forbidden[area(path)]?.includes(area(imported)) ?? false;
      if (crossing && !joins.some(([from, to]) => from === path && to === imported)) {
        t.fail(`${path} imports ${imported}`);
      }
    }
  }
});

t.test('no module imports itself through others', async (t) => {
  const open: string[] = [];
  const done = new Set<string>();
  const visit = (path: string): void => {
    if (done.has(path)) return;
    if (open.includes(path)) {
      t.fail(`a cycle: ${[...open.slice(open.indexOf(path)), path].join(' -> ')}`);
      return;
    }
    open.push(path);
    for (const imported of valueImportsOf(path)) visit(imported);
    open.pop();
    done.add(path);
  };
  for (const path of sources) visit(path);
});

/** Imports that are there at run time, at the start. */
function valueImportsOf(path: string): string[] {
  const statements = read(path).matchAll(/^(?:import|export)\s+(?!type\b)([^;]*?)\s*from\s+'(\.[^']+)'/gm);
  return [...statements]
    .filter(([, names]) => !/^\{(\s*type\s+[^,}]+,?)+\s*\}$/.test(names))
    .map(([, , from]) => join(dirname(path), from).replace(/\.js$/, '.ts'));
}

/** Longer than others, and why: none at present. */
const longFiles: readonly string[] = [];
const MAX_LINES = 350;

t.test('files are short, named after what they hold, and begin with why they exist', async (t) => {
  for (const path of sources) {
    const text = read(path);
    const lines = text.split('\n').length - 1;
    if (lines > MAX_LINES && !longFiles.includes(path)) t.fail(`${path} has ${lines} lines: cut it along a noun`);
    if (!/^(#!.*\n)?\/\*\*?/.test(text)) t.fail(`${path} does not begin with a comment that says why it exists`);
    if (/(^|\/|-)(utils?|helpers?|common|manager|misc)\.ts$/.test(path)) t.fail(`${path}: the name says nothing`);
  }
  t.pass();
});

const scripts = filesIn('scripts', /\.js$/);
const pages = [...filesIn('docs', /\.(md|service)$/), 'package.json'];

t.test('no notes to ourselves, and no paths of one machine', async (t) => {
  // Written in pieces, so that this file does not find itself.
  const notes = new RegExp(`\\b(${['TO' + 'DO', 'FIX' + 'ME', 'X' + 'XX', 'HA' + 'CK'].join('|')})\\b`);
  const homes = new RegExp(`(?<![\\w.~$}])/(${['ho' + 'me', 'ro' + 'ot', 'Us' + 'ers'].join('|')})/\\w`);
  for (const path of [...sources, ...tests, ...scripts, ...pages]) {
    for (const [index, line] of read(path).split('\n').entries()) {
      if (notes.test(line) || homes.test(line)) t.fail(`${path}:${index + 1}: ${line.trim()}`);
    }
  }
  t.pass();
});

t.test('the lock file names no registry', async (t) => {
  t.notMatch(read('package-lock.json'), /"resolved"/);
});

t.test('the lock file has an entry for every platform, without which npm ci refuses it', async (t) => {
  const { packages } = JSON.parse(read('package-lock.json')) as {
    packages: Record<string, { optionalDependencies?: Record<string, string> }>;
  };
  for (const [path, { optionalDependencies = {} }] of Object.entries(packages)) {
    for (const name of Object.keys(optionalDependencies)) {
      const there = packages[`node_modules/${name}`] ?? packages[`${path}/node_modules/${name}`];
      if (there === undefined) t.fail(`${name}, which ${path} may have, is not in package-lock.json`);
    }
  }
  t.pass();
});

t.test('every option stands in docs/options.md as it is, and nothing else does', async (t) => {
  const page = read('docs/options.md');
  const rows = [...page.matchAll(/^\| `--([a-z-]+)`(?:, `-([a-z])`)? \| ([^|]*) \|/gm)];
  const told = new Map(rows.map(([, name, alias, standard]) => [name, { alias, standard: standard.trim() }]));
  t.same([...told.keys()].sort(), [...optionNames].sort());
  for (const name of optionNames) {
    const spec = specOf(name);
    const { alias, standard } = told.get(name) ?? {};
    t.equal(alias, spec.alias, `alias of --${name}`);
    if (spec.type === 'flag') t.equal(standard, '', `a flag has no default: --${name}`);
    else if (spec.default !== undefined) t.equal(standard, `\`${spec.default}\``, `default of --${name}`);
    for (const choice of spec.choices ?? []) t.ok(page.includes(`\`${choice}\``), `--${name} ${choice}`);
  }
});

t.test('every exit code stands in docs/options.md, and nothing else does', async (t) => {
  const rows = [...read('docs/options.md').matchAll(/^\| (\d+) \| `([A-Za-z]+)` \|/gm)];
  t.same(Object.fromEntries(rows.map(([, code, name]) => [name, Number(code)])), exitCode);
  t.equal(new Set(Object.values(exitCode)).size, Object.keys(exitCode).length, 'each its own');
});

/** Started by name and not imported: the command, the public face, the server as a program of its own, and a thread. */
const entries = ['src/cli.ts', 'src/index.ts', 'src/embedded/main.ts', 'src/s3/transfer-thread.ts'];

t.test('no dead modules', async (t) => {
  const used = new Set([...sources, ...tests].flatMap(importsOf));
  for (const path of sources) if (!used.has(path) && !entries.includes(path)) t.fail(`nothing imports ${path}`);
  t.pass();
});
