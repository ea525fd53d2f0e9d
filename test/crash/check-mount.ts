/**
 * Looks through the mount after a crash: `node check-mount.js REQUEST`, a process of its own, so that a mount that hangs
 * hangs only this. Compares with what the logs allow, asks git and sqlite, and answers in JSON what is wrong and what is
 * there, which the store then must have too. Copies what is there to the mirrors, from which the next kill starts.
 */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readHistory } from './ack-log.js';
import { difference, judge, unsettledBy, type WriteBack } from './oracle.js';
import { checkGit, checkSqlite, isProgramsName } from './programs.js';
import { readMirror, readTree, type Tree, writeMirror } from './tree.js';

export interface CheckRequest {
  readonly mount: string;
  readonly writeBack: WriteBack;
  readonly workloads: ReadonlyArray<{
    readonly name: string;
    readonly mirror: string;
    /** Absent: it did not run. */
    readonly log?: string;
  }>;
}

export interface Seen {
  /** From the mount point. */
  readonly path: string;
  readonly type: 'file' | 'directory' | 'link';
  readonly size: number;
  /** Of the bytes, or of the target of a link. */
  readonly sha1: string;
  readonly mode?: number;
  readonly mtime?: number;
}

export interface CheckAnswer {
  readonly problems: string[];
  readonly notes: string[];
  readonly seen: Seen[];
  /** How the paths from the mount point begin whose attributes may differ in S3 (oracle.ts, rule 2c). */
  readonly unsettled: string[];
  /** Acknowledged operations that were checked. */
  readonly acknowledged: number;
}

const sha1 = (bytes: Buffer | string): string => createHash('sha1').update(bytes).digest('hex');

function seenOf(workload: string, tree: Tree): Seen[] {
  return [...tree].map(([path, entry]) => {
    const place = { path: path === '.' ? workload : `${workload}/${path}`, type: entry.type };
    if (entry.type === 'link') return { ...place, size: entry.target.length, sha1: sha1(entry.target) };
    if (entry.type === 'directory') return { ...place, size: 0, sha1: '', mode: entry.mode };
    return { ...place, size: entry.bytes.length, sha1: sha1(entry.bytes), mode: entry.mode, mtime: entry.mtime };
  });
}

const programs: Readonly<Record<string, typeof checkSqlite>> = { git: checkGit, sqlite: checkSqlite };

function unchanged(base: Tree, there: Tree): string[] {
  const problems: string[] = [];
  for (const path of new Set([...base.keys(), ...there.keys()])) {
    const how = difference(base.get(path), there.get(path));
    if (how !== undefined) problems.push(`${path} ${how}, and nothing touched it`);
  }
  return problems;
}

function check({ mount, writeBack, workloads }: CheckRequest): CheckAnswer {
  const problems: string[] = [];
  const notes: string[] = [];
  const seen: Seen[] = [];
  const unsettled: string[] = [];
  let acknowledged = 0;
  for (const name of readdirSync(mount))
    if (!workloads.some((one) => one.name === name)) problems.push(`${name} in the mount was never a name`);
  for (const { name, mirror, log } of workloads) {
    const directory = join(mount, name);
    const base = readMirror(mirror);
    let there = readTree(directory);
    const found: string[] = [];
    if (log === undefined) found.push(...unchanged(base, there));
    else {
      const history = readHistory(log);
      acknowledged += history.steps.filter((step) => step.acknowledged !== undefined).length;
      const byProgram = programs[name];
      if (byProgram !== undefined) {
        found.push(...byProgram(directory, base, there, history, mirror));
        for (const path of there.keys())
          if (path !== '.' && !isProgramsName(name, path)) found.push(`${path} was never a name`);
        // The program may have put things right.
        there = readTree(directory);
      } else {
        const judgement = judge(base, history, there, writeBack);
        found.push(...judgement.problems);
        notes.push(...judgement.notes);
      }
      const loose = unsettledBy(history, writeBack);
      if (loose !== undefined) unsettled.push(`${name}/${loose}`);
      writeMirror(mirror, there);
    }
    for (const path of there.keys())
      if (/\.conflict-|=pailfs/.test(path)) found.push(`${path}: there was no second writer`);
    problems.push(...found.map((problem) => `${name}: ${problem}`));
    seen.push(...seenOf(name, there));
  }
  return { problems, notes, seen, unsettled, acknowledged };
}

if (process.argv[1]?.endsWith('/check-mount.js') && existsSync(process.argv[2])) {
  console.log(JSON.stringify(check(JSON.parse(readFileSync(process.argv[2], 'utf8')))));
}
