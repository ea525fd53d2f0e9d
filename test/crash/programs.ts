/**
 * What git and sqlite themselves say of what they find after a crash. git: `git fsck` is content with every clone that was
 * acknowledged, and every acknowledged commit is there, below HEAD. sqlite: the database is whole, every transaction that
 * was acknowledged is there with all its rows, the one that was under way with all or none, and no other. What no
 * operation has named since is byte for byte what it was.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AckHistory, Step } from './ack-log.js';
import { difference } from './oracle.js';
import { isBelow, subtree, type Tree } from './tree.js';
import { gitEnvironment } from './workloads/git.js';
import { ROWS } from './workloads/sqlite.js';

const LIMIT_MS = 30_000;

function run(command: string, args: readonly string[]): { ok: boolean; said: string; stdout: string } {
  const env = { ...process.env, ...gitEnvironment };
  const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: 'utf8', timeout: LIMIT_MS, env });
  return { ok: status === 0, said: `${error ?? ''}${stdout}${stderr}`.slice(0, 1_000), stdout: stdout ?? '' };
}

/** What is there under a top name that nothing has touched must be what the base has. */
function untouched(base: Tree, there: Tree, history: AckHistory, name: string): string[] {
  if (history.steps.some(({ operation }) => operation.path === name)) return [];
  const problems: string[] = [];
  for (const path of new Set([...subtree(base, name), ...subtree(there, name)])) {
    const how = difference(base.get(path), there.get(path));
    if (how !== undefined) problems.push(`${path} ${how}`);
  }
  return problems;
}

const tops = (tree: Tree): string[] => [...tree.keys()].filter((path) => path !== '.' && !path.includes('/'));

function stepsOf(history: AckHistory, path: string): Step[] {
  const steps = history.steps.filter(({ operation }) => operation.path === path);
  const removed = steps.findLastIndex(({ operation }) => operation.op === 'remove-tree');
  return steps.slice(removed + 1);
}

/** Whether it was being removed or is removed: then 'maybe' or 'no'. */
function mayExist(history: AckHistory, path: string): 'yes' | 'maybe' | 'no' {
  const last = history.steps.findLast(({ operation }) => operation.path === path);
  if (last?.operation.op !== 'remove-tree') return 'yes';
  return last.acknowledged === undefined ? 'maybe' : 'no';
}

function checkClone(directory: string, steps: readonly Step[]): string[] {
  if (steps[0]?.operation.op !== 'clone' || steps[0].acknowledged === undefined) return [];
  const problems: string[] = [];
  const git = (...args: string[]) => run('git', ['-C', directory, ...args]);
  const fsck = git('fsck', '--full', '--strict', '--no-dangling');
  if (!fsck.ok) problems.push(`git fsck of ${directory}: ${fsck.said}`);
  const commits = steps.flatMap(({ operation, acknowledged }) =>
    operation.op === 'commit' && acknowledged?.result !== undefined ? [acknowledged.result] : [],
  );
  for (const commit of commits) {
    const found = git('merge-base', '--is-ancestor', commit, 'HEAD');
    if (!found.ok) problems.push(`commit ${commit} of ${directory} is not below HEAD: ${found.said}`);
  }
  return problems;
}

export function checkGit(directory: string, base: Tree, there: Tree, history: AckHistory): string[] {
  const problems: string[] = [];
  for (const name of new Set([...tops(base), ...tops(there)])) {
    problems.push(...untouched(base, there, history, name));
    const isKnown = base.has(name) || history.steps.some(({ operation }) => operation.path === name);
    if (!isKnown) problems.push(`${name} was never a name`);
    if (there.has(name) && mayExist(history, name) === 'no') problems.push(`${name} is back`);
  }
  for (const { operation } of history.steps)
    if (operation.op === 'clone' && mayExist(history, operation.path) === 'yes')
      problems.push(...checkClone(join(directory, operation.path), stepsOf(history, operation.path)));
  return problems;
}

const readRows = `
import hashlib, json, sqlite3, sys
def blob(number, row): return hashlib.sha256(b'%d %d' % (number, row)).digest() * (1 + (number * 7 + row) % 90)
db = sqlite3.connect(sys.argv[1], timeout=20)
whole = db.execute('PRAGMA integrity_check').fetchall()
rows = {}
try:
    for number, row, content in db.execute('SELECT number, row, blob FROM t'):
        rows.setdefault(str(number), []).append(row if content == blob(number, row) else 'wrong')
except sqlite3.OperationalError as error:
    if 'no such table' not in str(error): raise
db.close()
print(json.dumps({'whole': whole, 'rows': rows}))
`;

interface Found {
  readonly whole: unknown;
  readonly rows: Readonly<Record<string, ReadonlyArray<number | 'wrong'>>>;
}

function readDatabase(path: string): Found | string {
  const { ok, said, stdout } = run('python3', ['-c', readRows, path]);
  return ok ? (JSON.parse(stdout) as Found) : said;
}

/** Transactions in the copy of what was there before; read from a copy, because reading may change files. */
function numbersBefore(mirror: string, name: string): string[] {
  if (!existsSync(join(mirror, name))) return [];
  const place = mkdtempSync(join(tmpdir(), 'pailfs-crash-db-'));
  try {
    for (const file of readdirSync(mirror)) if (file.startsWith(name)) cpSync(join(mirror, file), join(place, file));
    const found = readDatabase(join(place, name));
    if (typeof found === 'string') throw new Error(`the copy of ${name}: ${found}`);
    return Object.keys(found.rows);
  } finally {
    rmSync(place, { recursive: true });
  }
}

function checkDatabase(directory: string, mirror: string, name: string, history: AckHistory): string[] {
  const found = readDatabase(join(directory, name));
  if (typeof found === 'string') return [`${name}: ${found}`];
  const problems: string[] = [];
  if (JSON.stringify(found.whole) !== '[["ok"]]') problems.push(`${name}: ${JSON.stringify(found.whole)}`);
  const wasRemoved = history.steps.some(({ operation }) => operation.op === 'remove-tree' && operation.path === name);
  const certain = new Set(wasRemoved ? [] : numbersBefore(mirror, name));
  const perhaps = new Set<string>();
  for (const { operation, acknowledged } of stepsOf(history, name))
    if (operation.op === 'transaction' && operation.number !== 0)
      (acknowledged === undefined ? perhaps : certain).add(String(operation.number));
  for (const number of certain)
    if (found.rows[number] === undefined) problems.push(`${name}: transaction ${number} was acknowledged and is gone`);
  const all = JSON.stringify(Array.from({ length: ROWS }, (_, row) => row));
  for (const [number, rows] of Object.entries(found.rows)) {
    if (!certain.has(number) && !perhaps.has(number)) problems.push(`${name}: transaction ${number} never was`);
    const sorted = JSON.stringify([...rows].sort());
    if (sorted !== all) problems.push(`${name}: transaction ${number} has rows ${sorted}`);
  }
  return problems;
}

const ofDatabase = (file: string): string => file.replace(/-(journal|wal|shm)$/, '');

export function checkSqlite(directory: string, base: Tree, there: Tree, history: AckHistory, mirror: string): string[] {
  const problems: string[] = [];
  for (const file of new Set([...tops(base), ...tops(there)])) {
    const name = ofDatabase(file);
    if (!history.steps.some(({ operation }) => operation.path === name))
      problems.push(...untouched(base, there, history, file));
    const isNamed = history.steps.some(({ operation }) => operation.path === name);
    if (!base.has(name) && !base.has(file) && !isNamed) problems.push(`${file} was never a name`);
    if (there.has(file) && mayExist(history, name) === 'no') problems.push(`${file} is back`);
  }
  const names = new Set([...base.keys(), ...history.steps.map(({ operation }) => operation.path)]);
  for (const name of names) {
    if (name === '.' || ofDatabase(name) !== name || mayExist(history, name) !== 'yes') continue;
    const isWanted = base.has(name) || stepsOf(history, name).some(({ acknowledged }) => acknowledged !== undefined);
    if (there.has(name)) problems.push(...checkDatabase(directory, mirror, name, history));
    else if (isWanted) problems.push(`${name} is gone`);
  }
  return problems;
}

/** Whether a path can have been a name of the program: its temporary files are not logged. */
export function isProgramsName(workload: string, path: string): boolean {
  if (workload === 'sqlite') return /^base-\d+\.db(-journal|-wal|-shm)?$/.test(path);
  const inside = /^clone-\d+\/?(.*)$/.exec(path)?.[1];
  if (inside === undefined) return false;
  if (inside === '' || inside === '.git' || /^(begin|file)-\d+\.txt$/.test(inside)) return true;
  if (!isBelow(inside, '.git')) return false;
  const known =
    /^\.git\/(HEAD|config|description|index|packed-refs|COMMIT_EDITMSG|ORIG_HEAD|FETCH_HEAD|shallow|t\w{6}|(hooks|info|logs|refs|branches|objects)(\/[\w.+-]+)*)(\.lock|\.new)?$/;
  return known.test(inside);
}
