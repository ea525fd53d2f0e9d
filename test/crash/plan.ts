/** What one kill will be: chosen by the seed of the run and the number of the kill, and by nothing else. */
import { crashPoints as allPoints, type CrashPoint } from '../../src/crash-point.js';
import { Random } from './content.js';
import type { WriteBack } from './oracle.js';

export interface Plan {
  readonly number: number;
  readonly seed: number;
  readonly workloads: readonly string[];
  /**
   * `time`: this long (ms) after all workloads have begun; `busy`: from then on, when a request to S3 is under way. `point`: at a hit of a crash point. `drain`: in `pailfs umount`.
   */
  readonly kill:
    | { readonly kind: 'time'; readonly afterMs: number; readonly busy: boolean }
    | { readonly kind: 'point'; readonly point: CrashPoint; readonly hit: number }
    | { readonly kind: 'drain'; readonly afterMs: number; readonly drainMs: number };
  /** Files are uploaded while they are written, however fast that is. */
  readonly streams: boolean;
  /** The daemon that comes after is killed too, so long after its start. */
  readonly againMs?: number;
}

/** What brings a crash point on, where not every workload does, and up to which hit is worth waiting for. */
const reached: Readonly<Partial<Record<CrashPoint, { by: readonly string[]; hits: number }>>> = {
  'upload-begun': { by: ['files', 'copies', 'trees'], hits: 60 },
  'upload-done': { by: ['files', 'copies', 'git', 'storm'], hits: 60 },
  'upload-settled': { by: ['files', 'copies', 'sqlite', 'trees'], hits: 60 },
  'upload-created': { by: ['copies', 'files', 'storm'], hits: 3 },
  'stream-begun': { by: ['copies'], hits: 2 },
  'stream-part-sent': { by: ['copies'], hits: 4 },
  'parts-sent': { by: ['copies', 'storm', 'files', 'trees'], hits: 3 },
  'attributes-stored': { by: ['files', 'trees', 'git', 'storm'], hits: 4 },
  'copy-done': { by: ['storm', 'files', 'git'], hits: 12 },
  'old-key-deleted': { by: ['storm', 'files', 'sqlite', 'trees'], hits: 12 },
  'child-copied': { by: ['storm', 'files', 'copies'], hits: 20 },
  'directory-copied': { by: ['storm', 'files', 'sqlite'], hits: 4 },
  'journal-appended': { by: ['files', 'storm', 'git', 'copies'], hits: 300 },
  'directory-moved': { by: ['storm', 'trees', 'files'], hits: 4 },
};
/** For crash points that are not in the table. */
const anywhere = { by: ['files', 'storm', 'copies'], hits: 12 };
/** Workloads side by side at a kill that no crash point asks for. */
const SIDE_BY_SIDE = 4;

/** The crash points that there are in a mode. */
export function crashPointsOf(writeBack: WriteBack): readonly CrashPoint[] {
  return writeBack === 'on' ? allPoints : allPoints.filter((name) => name !== 'journal-appended');
}

export function planOf(seed: number, number: number, all: readonly string[], writeBack: WriteBack): Plan {
  const random = new Random(seed * 65_537 + number * 257);
  for (let i = 0; i < 4; i++) random.next();
  const base = { number, seed: random.seed(), streams: number % 4 < 2 };
  const againMs = random.chance(writeBack === 'on' ? 0.25 : 0.1) ? random.between(200, 1_000) : undefined;
  if (number % 2 === 1) {
    const crashPoints = crashPointsOf(writeBack);
    const point = crashPoints[((number - 1) / 2) % crashPoints.length];
    const { by, hits } = reached[point] ?? anywhere;
    const able = by.filter((name) => all.includes(name));
    if (able.length > 0) {
      const hit = 1 + Math.floor(random.next() ** 2 * hits);
      const streams = base.streams || point.startsWith('stream-');
      return { ...base, streams, againMs, workloads: able, kill: { kind: 'point', point, hit } };
    }
  }
  const left = [...all];
  const workloads = Array.from(
    { length: Math.min(SIDE_BY_SIDE, all.length) },
    () => left.splice(random.below(left.length), 1)[0],
  );
  const afterMs = random.between(0, 1_500);
  if (writeBack === 'on' && random.chance(0.25)) {
    return { ...base, workloads, kill: { kind: 'drain', afterMs, drainMs: random.between(150, 700) } };
  }
  return { ...base, againMs, workloads, kill: { kind: 'time', afterMs, busy: random.chance(0.85) } };
}

export function tellPlan({ workloads, kill, againMs, streams }: Plan): string {
  const how =
    kill.kind === 'point'
      ? `at ${kill.point}:${kill.hit}`
      : kill.kind === 'time'
        ? `after ${kill.afterMs} ms`
        : `${kill.drainMs} ms into the drain after ${kill.afterMs} ms`;
  return `${how}${streams ? ', streaming' : ''}${againMs === undefined ? '' : `, again ${againMs} ms into the next start`}, with ${workloads.join(' ')}`;
}
