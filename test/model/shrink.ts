/**
 * Delta debugging: the shortest program found within a time that still fails. Stages and operations are left out in ever
 * smaller groups; a group without which it still fails stays out. Another failure than the first counts too.
 */
import { countOperations, type ModelOperation, type Stage } from './operations.js';
import type { Failure } from './run.js';

export type Try = (stages: readonly Stage[]) => Promise<Failure | undefined>;

/** One thing that can be left out. */
interface Piece {
  readonly stage: number;
  /** Absent: the stage itself, which is no work. */
  readonly process?: number;
  readonly index?: number;
}

function piecesOf(stages: readonly Stage[]): Piece[] {
  return stages.flatMap((one, stage): Piece[] => {
    // The first mount is no choice.
    if (one.kind !== 'work') return stage === 0 ? [] : [{ stage }];
    return one.lists.flatMap((list, process) => list.map((_, index) => ({ stage, process, index })));
  });
}

function keep(stages: readonly Stage[], pieces: readonly Piece[]): Stage[] {
  const kept = new Set(pieces.map(({ stage, process, index }) => `${stage} ${process} ${index}`));
  return stages.flatMap((one, stage): Stage[] => {
    if (one.kind !== 'work') return stage === 0 || kept.has(`${stage} undefined undefined`) ? [one] : [];
    const lists = one.lists.map((list, process) => list.filter((_, index) => kept.has(`${stage} ${process} ${index}`)));
    return lists.some((list) => list.length > 0) ? [{ kind: 'work', lists }] : [];
  });
}

/** What certainly has nothing to do with it: whatever comes behind the failure. */
function cutBehind(stages: readonly Stage[], { stage, process, index }: Failure): Stage[] {
  const cut = stages.slice(0, stage + 1);
  const last = cut[stage];
  if (last?.kind !== 'work' || process === undefined) return cut;
  const lists = last.lists.map((list, i) => (i === process ? list.slice(0, index! + 1) : list));
  return [...cut.slice(0, -1), { kind: 'work', lists }];
}

function operationOf(stages: readonly Stage[], { stage, process, index }: Piece): ModelOperation | undefined {
  const one = stages[stage];
  return one.kind === 'work' ? one.lists[process!][index!] : undefined;
}

type Property = (stages: readonly Stage[], piece: Piece) => string | undefined;

const kindOf: Property = (stages, piece) => operationOf(stages, piece)?.op;
const processOf: Property = (_, { process }) => process?.toString();
const directoryOf: Property = (stages, piece) => operationOf(stages, piece)?.path?.split('/').slice(0, 2).join('/');

export async function shrink(
  stages: readonly Stage[],
  failure: Failure,
  limitMs: number,
  attempt: Try,
): Promise<{ stages: readonly Stage[]; failure: Failure; attempts: number }> {
  const end = Date.now() + limitMs;
  let best = { stages: cutBehind(stages, failure), failure };
  let attempts = 0;
  const fails = async (candidate: readonly Stage[]): Promise<boolean> => {
    attempts++;
    const found = await attempt(candidate);
    if (found === undefined) return false;
    best = { stages: cutBehind(candidate, found), failure: found };
    return true;
  };
  // All operations of a kind, all in a directory, all of a process: most failures need few of them.
  for (const property of [directoryOf, kindOf, processOf]) {
    const values = new Set(piecesOf(best.stages).map((piece) => property(best.stages, piece)));
    for (const value of values)
      if (value !== undefined && Date.now() < end)
        await fails(
          keep(
            best.stages,
            piecesOf(best.stages).filter((piece) => property(best.stages, piece) !== value),
          ),
        );
  }
  for (let groups = 2; Date.now() < end; ) {
    const pieces = piecesOf(best.stages);
    const size = Math.ceil(pieces.length / groups);
    if (pieces.length < 2) break;
    let reduced = false;
    for (let at = 0; at < pieces.length && Date.now() < end && !reduced; at += size)
      reduced = await fails(keep(best.stages, [...pieces.slice(0, at), ...pieces.slice(at + size)]));
    if (reduced) groups = Math.max(2, groups - 1);
    else if (size === 1) break;
    else groups = Math.min(pieces.length, groups * 2);
  }
  return { ...best, attempts };
}

export function tell(stages: readonly Stage[]): string {
  const lines = stages.flatMap((one) => {
    if (one.kind !== 'work') return [JSON.stringify(one)];
    return one.lists.flatMap((list, process) => list.map((op) => `  process ${process}: ${JSON.stringify(op)}`));
  });
  return `${countOperations(stages)} operations:\n${lines.join('\n')}`;
}
