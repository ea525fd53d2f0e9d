/**
 * What a workload is about to do and what was acknowledged to it, one JSON line each, outside the mount. The line that an
 * operation begins is written before its first system call, the line that acknowledges it behind its last one, so that
 * what lies between two lines of a dead daemon's time is at most one operation.
 */
import { appendFileSync, existsSync, readFileSync } from 'node:fs';

/** A file or directory of a tar. */
export interface Packed {
  readonly path: string;
  /** Absent: a directory. */
  readonly content?: { readonly seed: number; readonly size: number };
  readonly mode: number;
  /** Whole seconds. */
  readonly mtime: number;
}

/** Paths are relative to the directory of the workload. */
export type Operation =
  /** open(O_CREAT | O_TRUNC), write, close, by us or by cp. */
  | { readonly op: 'put'; readonly path: string; readonly seed: number; readonly size: number; readonly by?: 'cp' }
  | { readonly op: 'append'; readonly path: string; readonly seed: number; readonly size: number }
  | { readonly op: 'patch'; readonly path: string; readonly at: number; readonly seed: number; readonly size: number }
  | { readonly op: 'truncate'; readonly path: string; readonly size: number }
  /** cp within the mount: the store copies. */
  | { readonly op: 'copy'; readonly from: string; readonly path: string }
  | { readonly op: 'rename'; readonly from: string; readonly path: string }
  | { readonly op: 'unlink' | 'mkdir' | 'rmdir'; readonly path: string }
  | { readonly op: 'chmod'; readonly path: string; readonly mode: number }
  /** Milliseconds since 1970. */
  | { readonly op: 'utimes'; readonly path: string; readonly mtime: number }
  | { readonly op: 'symlink'; readonly path: string; readonly target: string }
  /** Created, written, unlinked while open, written on, closed. */
  | { readonly op: 'unnamed'; readonly path: string; readonly seed: number; readonly size: number }
  /** tar x of an archive with these entries below `path`. */
  | { readonly op: 'unpack'; readonly path: string; readonly entries: readonly Packed[] }
  /** rm -r */
  | { readonly op: 'remove-tree'; readonly path: string }
  /** Checked by the program itself (programs.ts). */
  | { readonly op: 'clone' | 'commit' | 'transaction'; readonly path: string; readonly number: number };

export interface Step {
  readonly operation: Operation;
  /** What the acknowledgement tells, e.g. the hash of a commit. */
  readonly acknowledged?: { readonly result?: string };
}

export interface AckHistory {
  readonly steps: readonly Step[];
  /** How the workload ended, if an operation failed. */
  readonly failure?: { readonly text: string; readonly at: number };
}

export class AckLog {
  constructor(readonly path: string) {}

  begin(operation: Operation): void {
    this.#write({ begin: operation });
  }

  acknowledge(result?: string): void {
    this.#write({ ack: true, result });
  }

  fail(text: string): void {
    this.#write({ fail: text });
  }

  #write(line: Record<string, unknown>): void {
    appendFileSync(this.path, `${JSON.stringify({ ...line, at: Date.now() })}\n`);
  }
}

export function readHistory(path: string): AckHistory {
  const lines = existsSync(path) ? readFileSync(path, 'utf8').split('\n').filter(Boolean) : [];
  const steps: Step[] = [];
  let failure: AckHistory['failure'];
  for (const text of lines) {
    const line = JSON.parse(text);
    if (line.begin !== undefined) steps.push({ operation: line.begin });
    else if (line.ack) steps.push({ ...steps.pop()!, acknowledged: { result: line.result } });
    else if (line.fail !== undefined) failure = { text: line.fail, at: line.at };
  }
  const open = steps.slice(0, -1).find((step) => step.acknowledged === undefined);
  if (open !== undefined) throw new Error(`${path}: ${JSON.stringify(open)} was neither acknowledged nor the last`);
  return { steps, failure };
}
