/**
 * What two hosts may do to each other's files, decided from the logs of their programs and from what the bucket holds in
 * the end. Every write is a content of its own that names the one it was made over (content.ts), so that no order of events
 * has to be guessed:
 *
 * - Nothing is mixed: whatever is read, by a program or in the bucket, is one content, whole.
 * - Nothing is lost: a content whose write was acknowledged (close() or fsync() answered 0), or whose fsync() or close()
 *   answered ESTALE (a conflict), is in the bucket, under its name or as a conflict copy, or one that was made over it is,
 *   by the same rule: who overwrites has seen. What was made under a name that is also removed may have been removed
 *   since; so may what a rename replaced, which rename(2) does to whatever stands there.
 * - Close-to-open: once fsync() of a content has answered 0, an open that begins later (by the TTL of opens) shows none that
 *   it was made over, directly or not. It may show the reader's own that waits for its upload: that becomes a conflict.
 * - Only errors that the work of others can cause: ESTALE, and for names that come and go those of their absence and presence.
 * - No key is there that was never a name; of the files that are only written none disappears, and no content is under two
 *   keys. (What two hosts rename at one time may end under both new names: each rename was done.)
 */
import type { Content } from './content.js';
import { KEPT, type Step } from './worker.js';

/** What the bucket holds under a key: a content, or what is wrong with it. */
export type Stored = Pick<Content, 'id' | 'parent'> | { readonly problem: string };

export interface Evidence {
  readonly steps: readonly Step[];
  /** Contents that were there before the programs began, by name. */
  readonly initial: Readonly<Record<string, string>>;
  /** Files, without the markers of directories. */
  readonly stored: ReadonlyMap<string, Stored>;
  /** How old what an open shows may be (ms). */
  readonly staleMs: number;
}

const CONFLICT = /\.conflict-[^/]+$/;
export const isConflictCopy = (key: string): boolean => CONFLICT.test(key);

const allowed: Readonly<Record<Step['op'], readonly string[]>> = {
  read: ['ok', 'ESTALE', 'ENOENT'],
  write: ['ok', 'ESTALE'],
  make: ['ok', 'ESTALE', 'EEXIST', 'ENOENT'],
  remove: ['ok', 'ESTALE', 'ENOENT'],
  rename: ['ok', 'ESTALE', 'ENOENT'],
  mkdir: ['ok', 'EEXIST'],
  rmdir: ['ok', 'ENOENT', 'ENOTEMPTY'],
  'rename-directory': ['ok', 'ENOENT', 'ENOTEMPTY'],
};
/** What can take away a content that was made under another name before. */
const removing: ReadonlySet<Step['op']> = new Set(['remove', 'rename']);

interface Written extends Pick<Content, 'id' | 'parent'> {
  readonly step: Step | undefined;
}

class Oracle {
  readonly #problems: string[] = [];
  readonly #written = new Map<string, Written>();
  readonly #children = new Map<string, string[]>();
  readonly #keysOf = new Map<string, string[]>();

  constructor(readonly evidence: Evidence) {
    for (const id of Object.values(evidence.initial)) this.#written.set(id, { id, parent: undefined, step: undefined });
    for (const step of evidence.steps) if (step.op === 'write' || step.op === 'make') this.#noteWrite(step);
  }

  #noteWrite(step: Step): void {
    const { content } = step;
    if (content === undefined) return;
    this.#written.set(content.id, { ...content, step });
    if (content.parent === undefined) return;
    const others = this.#children.get(content.parent);
    if (others === undefined) this.#children.set(content.parent, [content.id]);
    else others.push(content.id);
  }

  judge(): string[] {
    this.#judgeStore();
    for (const step of this.evidence.steps) this.#judgeStep(step);
    this.#judgeLosses();
    for (const path of Object.keys(KEPT)) this.#judgeAges(path);
    return this.#problems;
  }

  #judgeStore(): void {
    const { stored } = this.evidence;
    for (const [key, content] of stored) {
      if (!/^(k\d|(d\d\/)?m\d)$/.test(key.replace(CONFLICT, ''))) this.#problems.push(`${key} was never a name`);
      if ('problem' in content) this.#problems.push(`in the bucket ${key}: ${content.problem}`);
      else this.#keysOf.set(content.id, [...(this.#keysOf.get(content.id) ?? []), key]);
    }
    for (const [id, keys] of this.#keysOf) {
      const isKept = keys.some((key) => key.replace(CONFLICT, '') in KEPT);
      if (isKept && keys.length > 1) this.#problems.push(`${id} is under ${keys.join(' and ')}`);
      if (!this.#written.has(id)) this.#problems.push(`in the bucket ${keys[0]}: nobody has written ${id}`);
    }
    for (const path of Object.keys(this.evidence.initial))
      if (!stored.has(path)) this.#problems.push(`${path} is not in the bucket any more`);
  }

  #judgeStep(step: Step): void {
    const { op, path, outcome, content, problem, host } = step;
    if (problem !== undefined) this.#problems.push(`${host} read ${path}: ${problem}`);
    if (!allowed[op].includes(outcome)) this.#problems.push(`${host}: ${op} of ${path} got ${outcome}`);
    if (outcome === 'ENOENT' && path in KEPT) this.#problems.push(`${host}: ${op} did not find ${path}`);
    if (op === 'read' && content !== undefined && !this.#written.has(content.id))
      this.#problems.push(`${host} read ${content.id} in ${path}, which nobody has written`);
  }

  #judgeLosses(): void {
    const removals = this.evidence.steps.filter(({ op, outcome }) => removing.has(op) && outcome === 'ok');
    const lastRemoval = Math.max(Number.NEGATIVE_INFINITY, ...removals.map(({ end }) => end));
    for (const { id, step } of this.#written.values()) {
      if (step !== undefined && !isAcknowledged(step)) continue;
      if (this.#survives(id)) continue;
      if (step?.op === 'make' && lastRemoval >= step.start) continue;
      const told = step === undefined ? 'there from the beginning' : `${step.outcome} to ${step.host}`;
      this.#problems.push(
        `${id} (${step?.path ?? ''}, ${told}) is lost: neither it nor what was made over it is there`,
      );
    }
  }

  /** It, or something that was made over it, is in the bucket. */
  #survives(id: string): boolean {
    const waiting = [id];
    for (let at = waiting.pop(); at !== undefined; at = waiting.pop()) {
      if (this.#keysOf.has(at)) return true;
      waiting.push(...(this.#children.get(at) ?? []));
    }
    return false;
  }

  #isMadeOver(id: string, ancestor: string): boolean {
    for (let at = this.#written.get(id)?.parent; at !== undefined; at = this.#written.get(at)?.parent)
      if (at === ancestor) return true;
    return false;
  }

  #judgeAges(path: string): void {
    const { steps, staleMs } = this.evidence;
    const of = steps.filter((step) => step.path === path);
    const synced = of.filter(({ op, isSynced, outcome }) => op === 'write' && isSynced && outcome === 'ok');
    synced.sort((one, other) => one.end - other.end);
    const opens = of.filter(({ content }) => content !== undefined).sort((one, other) => one.start - other.start);
    let last: Step | undefined;
    let next = 0;
    for (const open of opens) {
      while (next < synced.length && synced[next].end + staleMs < open.start) last = synced[next++];
      const seen = open.op === 'read' ? open.content!.id : open.content!.parent;
      if (last === undefined || seen === undefined || !this.#isMadeOver(last.content!.id, seen)) continue;
      const late = Math.round(open.start - last.end);
      this.#problems.push(
        `${open.host} saw ${seen} in ${path} ${late} ms after fsync of ${last.content!.id}, which was made over it, had answered ${last.host}`,
      );
    }
  }
}

/** All its bytes were written, and the program was told that they are kept, or that they are in conflict. */
function isAcknowledged({ isWritten, outcome }: Step): boolean {
  return isWritten === true && (outcome === 'ok' || outcome === 'ESTALE');
}

/** What is not as it may be, in words. */
export function judge(evidence: Evidence): string[] {
  return new Oracle(evidence).judge();
}
