/**
 * `npm run test:crash`: kills the daemon, again and again, while programs work, and checks that nothing was lost that it
 * had acknowledged (oracle.ts has the rules). scripts/test-crash.js brings the server up and passes the options on.
 */
import { parseArgs } from 'node:util';
import { onInterrupt } from '../mount/harness.js';
import { OLD_ATTRIBUTES } from './check-store.js';
import { Ground } from './ground.js';
import { killOnce, type Outcome } from './kill.js';
import type { WriteBack } from './oracle.js';
import { crashPointsOf, type Plan, planOf, tellPlan } from './plan.js';
import { memoryVerdict } from './resident-memory.js';
import { workloads as known } from './workload.js';

interface Options {
  readonly kills: number;
  readonly seed: number;
  readonly writeBack: WriteBack;
  readonly withoutJournal: boolean;
  readonly workloads: readonly string[];
  /** The directory of a failed kill stays. */
  readonly keep: boolean;
}

/** After so many kills everything begins anew, so that what has to be looked through stays small. */
const KILLS_ON_ONE_GROUND = 25;
/** Share of the kills that must find requests to S3 under way. */
const IN_FLIGHT_SHARE = 0.5;
/** From so many kills on every crash point must have been reached. */
const ALL_POINTS_FROM = 30;
const SHOWN_PROBLEMS = 12;

function readOptions(): Options {
  const { values } = parseArgs({
    options: {
      kills: { type: 'string', default: '30' },
      seed: { type: 'string', default: String(Date.now() % 1_000_000) },
      'write-back': { type: 'string', default: 'on' },
      'without-journal': { type: 'boolean', default: false },
      workloads: { type: 'string', default: Object.keys(known).join(',') },
      keep: { type: 'boolean', default: false },
    },
  });
  const workloads = values.workloads.split(',');
  const unknown = workloads.filter((name) => known[name] === undefined);
  if (unknown.length > 0)
    throw new Error(`unknown workloads: ${unknown.join(', ')}; there are ${Object.keys(known).join(', ')}`);
  const writeBack = values['write-back'];
  if (writeBack !== 'on' && writeBack !== 'off') throw new Error('--write-back is on or off');
  const [kills, seed] = [values.kills, values.seed].map(Number);
  if (!Number.isInteger(kills) || kills < 1 || !Number.isInteger(seed))
    throw new Error('--kills and --seed are numbers');
  return { kills, seed, writeBack, withoutJournal: values['without-journal'], workloads, keep: values.keep };
}

class Statistics {
  passed = 0;
  failed = 0;
  inFlight = 0;
  acknowledged = 0;
  again = 0;
  readonly notes = new Map<string, number>();
  readonly hits = new Map<string, number>();
  readonly killsAt = new Map<string, number>();

  add(plan: Plan, outcome: Outcome): void {
    if (outcome.inFlight > 0) this.inFlight++;
    if (plan.againMs !== undefined) this.again++;
    this.acknowledged += outcome.acknowledged;
    for (const note of outcome.notes) this.notes.set(note, (this.notes.get(note) ?? 0) + 1);
    if (plan.kill.kind === 'point' && outcome.reached)
      this.killsAt.set(plan.kill.point, (this.killsAt.get(plan.kill.point) ?? 0) + 1);
  }

  addHits(hits: ReadonlyMap<string, number>): void {
    for (const [name, count] of hits) this.hits.set(name, (this.hits.get(name) ?? 0) + count);
  }

  check(name: string, ok: boolean): void {
    console.log(`${ok ? 'ok    ' : 'FAILED'} ${name}`);
    if (ok) this.passed++;
    else this.failed++;
  }
}

function tellFailure(options: Options, plan: Plan, ground: Ground, problems: readonly string[], log: string): void {
  console.log(
    `\nnot ok: kill ${plan.number} of --seed ${options.seed} --write-back ${options.writeBack}: ${tellPlan(plan)}`,
  );
  for (const problem of problems.slice(0, SHOWN_PROBLEMS)) console.log(`  ${problem}`);
  if (problems.length > SHOWN_PROBLEMS) console.log(`  and ${problems.length - SHOWN_PROBLEMS} more`);
  if (options.keep) console.log(`  kept: ${ground.directory}`);
  console.log(`  the daemons' last lines:\n${log.replace(/^/gm, '    ')}\n`);
}

async function run(options: Options, statistics: Statistics): Promise<void> {
  let ground: Ground | undefined;
  let leave = (): void => {};
  for (let number = 0; number < options.kills; number++) {
    if (ground === undefined) {
      const fresh = await Ground.open(options);
      leave = onInterrupt(() => fresh.close());
      ground = fresh;
    }
    const plan = planOf(options.seed, number, options.workloads, options.writeBack);
    const begun = Date.now();
    const seconds = () => ((Date.now() - begun) / 1000).toFixed(1);
    let problems: string[];
    let isSpent = (number + 1) % KILLS_ON_ONE_GROUND === 0 || number + 1 === options.kills;
    try {
      const outcome = await killOnce(ground, plan);
      statistics.add(plan, outcome);
      problems = outcome.problems;
      isSpent ||= outcome.notes.includes(OLD_ATTRIBUTES);
      const late = outcome.reached ? '' : ' (not reached in time)';
      console.log(
        `${problems.length === 0 ? 'ok    ' : 'FAILED'} ${number}: ${tellPlan(plan)}${late}: ${outcome.inFlight} requests in flight, ` +
          `${outcome.acknowledged} acknowledged, ${outcome.files} files (${seconds()} s)`,
      );
    } catch (error) {
      problems = [String((error as Error).stack)];
      console.log(`FAILED ${number}: ${tellPlan(plan)} (${seconds()} s)`);
    }
    if (problems.length === 0) statistics.passed++;
    else statistics.failed++;
    if (problems.length > 0) tellFailure(options, plan, ground, problems, ground.lastLines());
    if (problems.length > 0 || isSpent) {
      statistics.addHits(ground.hits());
      leave();
      await ground.close(options.keep && problems.length > 0);
      ground = undefined;
    }
  }
}

function conclude(options: Options, statistics: Statistics): void {
  const crashPoints = crashPointsOf(options.writeBack);
  console.log(`\n${'crash point'.padEnd(20)} ${'hits'.padStart(7)} ${'kills'.padStart(6)}`);
  for (const name of crashPoints) {
    const [hits, kills] = [statistics.hits, statistics.killsAt].map((counts) => counts.get(name) ?? 0);
    console.log(`${name.padEnd(20)} ${String(hits).padStart(7)} ${String(kills).padStart(6)}`);
  }
  const { inFlight, acknowledged, again } = statistics;
  console.log(`\n${acknowledged} acknowledged operations checked; ${again} daemons killed again as they started`);
  for (const [note, count] of statistics.notes) console.log(`allowed, and counted: ${note}: ${count}`);
  statistics.check(
    `${inFlight} of ${options.kills} kills landed with requests in flight`,
    inFlight >= options.kills * IN_FLIGHT_SHARE,
  );
  const missed = crashPoints.filter((name) => !statistics.hits.has(name));
  const allPoints = Object.keys(known).every((name) => options.workloads.includes(name));
  if (options.kills >= ALL_POINTS_FROM && allPoints)
    statistics.check(
      `every crash point was reached${missed.length > 0 ? `, but ${missed.join(', ')}` : ''}`,
      missed.length === 0,
    );
  const memory = memoryVerdict();
  statistics.check(memory.text, memory.ok);
  console.log(`\n${statistics.passed} passed, ${statistics.failed} failed`);
  process.exitCode = statistics.failed === 0 ? 0 : 1;
}

const options = readOptions();
const { kills, seed, writeBack, workloads } = options;
console.log(`${kills} kills, --seed ${seed} --write-back ${writeBack} --workloads ${workloads.join(',')}`);
const statistics = new Statistics();
await run(options, statistics);
conclude(options, statistics);
