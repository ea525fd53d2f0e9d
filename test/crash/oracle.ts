/**
 * What may be there after a crash. The rules:
 *
 * 1. A workload does one thing at a time, so that of its operations all but the last are acknowledged, and the last one
 *    may be. Acknowledged is: a close() that answered 0 (the content), a rename, unlink, mkdir, rmdir, symlink, chmod or
 *    utimes that answered 0. Whatever was acknowledged is there, and nothing else: a name that was taken away is not back,
 *    a name that never was is not there.
 * 2. The operation that was under way happened wholly or not at all. Four exceptions:
 *    a. A program (tar x, rm -r) is a list of operations: each of them happened or did not.
 *    b. A file that was open for writing and not closed. With --write-back=off S3 knows whole uploads only: the content
 *       before or behind. With `on` it may also be torn, as POSIX allows: every byte is that of before, that of
 *       behind, or zero, and it is no longer than the longer of them; where O_TRUNC took the old content away, it may
 *       be empty. Both are counted, so that one can see how often.
 *    c. chmod, chown and utimes with --write-back=off: S3 may have the new attributes while this machine shows the old ones
 *       (LastModified has whole seconds, and a copy onto itself keeps the ETag). Counted as known.
 *    d. A rename with --write-back=off is a copy and a delete: both names may be left, each with the whole content, of a
 *       directory's keys any number. Never none. Counted as known. With `on` the journal finishes it.
 * 3. git, sqlite: what the program itself calls whole, with everything that it acknowledged (programs.ts).
 */
import type { AckHistory, Operation } from './ack-log.js';
import { apply, type Entry, subtree, type Tree } from './tree.js';

export type WriteBack = 'on' | 'off';

export interface Judgement {
  readonly problems: string[];
  /** Allowed and worth counting: 'torn', 'both names'. */
  readonly notes: string[];
}

function firstDifference(a: Buffer, b: Buffer): number {
  const common = Math.min(a.length, b.length);
  for (let at = 0; at < common; at++) if (a[at] !== b[at]) return at;
  return common;
}

/** How what is there differs from what must be; undefined: it does not. */
export function difference(wanted: Entry | undefined, there: Entry | undefined, attributes = true): string | undefined {
  if (wanted === undefined) return there === undefined ? undefined : `is there (a ${there.type})`;
  if (there === undefined) return `is not there (a ${wanted.type})`;
  if (wanted.type !== there.type) return `is a ${there.type}, not a ${wanted.type}`;
  if (wanted.type === 'link')
    return wanted.target === (there as typeof wanted).target ? undefined : 'has another target';
  if (wanted.type === 'file') {
    const { bytes, mtime } = there as typeof wanted;
    if (!bytes.equals(wanted.bytes)) {
      const at = firstDifference(bytes, wanted.bytes);
      return `has ${bytes.length} bytes for ${wanted.bytes.length}, different from byte ${at} on`;
    }
    if (attributes && wanted.mtime !== undefined && Math.abs(wanted.mtime - (mtime ?? 0)) > 0.001)
      return `has mtime ${mtime}, not ${wanted.mtime}`;
  }
  const { mode } = there as { mode?: number };
  if (attributes && wanted.mode !== undefined && wanted.mode !== mode)
    return `has mode ${mode?.toString(8)}, not ${wanted.mode.toString(8)}`;
  return undefined;
}

/** Rule 2b, with `on`. */
export function isTorn(before: Entry | undefined, after: Entry | undefined, there: Entry | undefined): boolean {
  if (there?.type !== 'file') return false;
  const old = before?.type === 'file' ? before.bytes : Buffer.alloc(0);
  const fresh = after?.type === 'file' ? after.bytes : Buffer.alloc(0);
  if (there.bytes.length > Math.max(old.length, fresh.length)) return false;
  return there.bytes.every((byte, at) => byte === 0 || byte === fresh[at] || byte === old[at]);
}

class Judge {
  readonly problems: string[] = [];
  readonly notes: string[] = [];

  constructor(
    readonly before: Tree,
    readonly after: Tree,
    readonly there: Tree,
    readonly mode: WriteBack,
  ) {}

  /** Both sides agree about these, so nothing may differ. */
  untouched(touched: ReadonlySet<string>): void {
    for (const path of new Set([...this.before.keys(), ...this.there.keys()])) {
      if (touched.has(path)) continue;
      const how = difference(this.before.get(path), this.there.get(path));
      if (how !== undefined) this.problems.push(`${path} ${how}`);
    }
  }

  #agrees(tree: Tree, touched: Iterable<string>): boolean {
    return [...touched].every((path) => difference(tree.get(path), this.there.get(path)) === undefined);
  }

  #neither(operation: Operation, touched: Iterable<string>): void {
    for (const path of touched) {
      const [old, fresh] = [this.before, this.after].map((tree) => difference(tree.get(path), this.there.get(path)));
      if (old !== undefined || fresh !== undefined)
        this.problems.push(
          `${path}, under way ${short(operation)}: before: ${old ?? 'as is'}; behind: ${fresh ?? 'as is'}`,
        );
    }
  }

  whole(operation: Operation, touched: ReadonlySet<string>): void {
    if (!this.#agrees(this.before, touched) && !this.#agrees(this.after, touched)) this.#neither(operation, touched);
  }

  content(operation: Operation, touched: ReadonlySet<string>): void {
    if (this.#agrees(this.before, touched) || this.#agrees(this.after, touched)) return;
    const { path } = operation;
    const fresh = operation.op === 'unnamed' ? apply(this.before, { ...operation, op: 'put' }) : this.after;
    if (this.mode === 'on' && isTorn(this.before.get(path), fresh.get(path), this.there.get(path)))
      this.notes.push('torn');
    else this.#neither(operation, touched);
  }

  rename(operation: Extract<Operation, { op: 'rename' }>, touched: ReadonlySet<string>): void {
    if (this.#agrees(this.before, touched) || this.#agrees(this.after, touched)) return;
    if (this.mode === 'on' || !this.#isHalfRenamed(operation)) this.#neither(operation, touched);
    else this.notes.push('both names');
  }

  /** Rule 2d: of every name one side is whole, and what is there of the other is right. */
  #isHalfRenamed({ from, path }: { from: string; path: string }): boolean {
    const moved = subtree(this.before, from).map((one) => one.slice(from.length));
    const right = (side: string) => (one: string) =>
      difference(this.before.get(from + one), this.there.get(side + one)) === undefined;
    const rightOrAbsent = (side: string) => (one: string) => !this.there.has(side + one) || right(side)(one);
    // What stood under the new name, before it was replaced.
    const replaced = (one: string) => difference(this.before.get(path + one), this.there.get(path + one)) === undefined;
    const oldIsWhole = moved.every(right(from)) && moved.every((one) => replaced(one) || right(path)(one));
    const newIsWhole = moved.every(right(path)) && moved.every(rightOrAbsent(from));
    const known = new Set([...moved.map((one) => from + one), ...moved.map((one) => path + one)]);
    const stray = [...subtree(this.there, from), ...subtree(this.there, path)].some((one) => !known.has(one));
    return (oldIsWhole || newIsWhole) && !stray;
  }

  /** Rule 2a. */
  each(operation: Operation, touched: ReadonlySet<string>): void {
    for (const path of touched) {
      const there = this.there.get(path);
      const [before, after] = [this.before.get(path), this.after.get(path)];
      if (difference(before, there) === undefined || difference(after, there, false) === undefined) continue;
      if (this.mode === 'on' && operation.op === 'unpack' && isTorn(before, after, there)) this.notes.push('torn');
      else this.#neither(operation, [path]);
    }
  }
}

function short(operation: Operation): string {
  const text = JSON.stringify(operation);
  return text.length > 200 ? `${text.slice(0, 200)}…` : text;
}

function touchedBy(before: Tree, after: Tree, operation: Operation): Set<string> {
  const roots = 'from' in operation && operation.op === 'rename' ? [operation.from, operation.path] : [operation.path];
  return new Set([before, after].flatMap((tree) => roots.flatMap((root) => subtree(tree, root))).concat(roots));
}

/** Rule 2c: paths that begin so may have old attributes in the mount and new ones in S3. */
export function unsettledBy({ steps }: AckHistory, mode: WriteBack): string | undefined {
  const last = steps.at(-1);
  if (mode === 'on' || last === undefined || last.acknowledged !== undefined) return undefined;
  const { op, path } = last.operation;
  return ['chmod', 'utimes', 'unpack', 'clone', 'commit', 'transaction'].includes(op) ? path : undefined;
}

/** Compares what is there with what the history allows. */
export function judge(base: Tree, { steps }: AckHistory, there: Tree, mode: WriteBack): Judgement {
  let before = base;
  const last = steps.at(-1);
  const open = last !== undefined && last.acknowledged === undefined ? last.operation : undefined;
  for (const { operation, acknowledged } of steps) if (acknowledged !== undefined) before = apply(before, operation);
  const after = open === undefined ? before : apply(before, open);
  const judgement = new Judge(before, after, there, mode);
  const touched = open === undefined ? new Set<string>() : touchedBy(before, after, open);
  if (open?.op === 'rename')
    for (const path of [...subtree(there, open.from), ...subtree(there, open.path)]) touched.add(path);
  judgement.untouched(touched);
  if (open !== undefined) judgeOpen(judgement, open, touched);
  return judgement;
}

function judgeOpen(judgement: Judge, open: Operation, touched: ReadonlySet<string>): void {
  switch (open.op) {
    case 'put':
    case 'append':
    case 'patch':
    case 'truncate':
    case 'copy':
    case 'unnamed':
      judgement.content(open, touched);
      break;
    case 'rename':
      judgement.rename(open, touched);
      break;
    case 'unpack':
    case 'remove-tree':
      judgement.each(open, touched);
      break;
    default:
      judgement.whole(open, touched);
  }
}
