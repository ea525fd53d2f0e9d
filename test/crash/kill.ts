/**
 * One kill: mount, workloads, SIGKILL, the programs end, mount again on the same state and cache, look through the mount,
 * `pailfs umount`, look into the bucket. Every step has a limit; one that passes it is a failure like any other.
 */
import { existsSync, writeFileSync } from 'node:fs';
import { abortMount, within } from '../mount/harness.js';
import { readHistory } from './ack-log.js';
import { checkStore, leftUploads } from './check-store.js';
import { type CrashDaemon, umount } from './daemon.js';
import { type Ground, how } from './ground.js';
import type { Plan } from './plan.js';

export interface Outcome {
  readonly problems: string[];
  readonly notes: string[];
  /** Requests to S3 that were not answered when the daemon died. */
  readonly inFlight: number;
  /** The crash point was reached before the limit. */
  readonly reached: boolean;
  readonly acknowledged: number;
  readonly files: number;
}

/** A crash point that is not reached within this is given up: the kill comes anyway. */
const POINT_LIMIT_MS = 4_000;
/** A kill that wants a request under way waits no longer for it. */
const BUSY_LIMIT_MS = 500;
const BEGIN_LIMIT_MS = 5_000;
const PROGRAMS_END_MS = 15_000;
const UMOUNT_LIMIT_MS = 60_000;
/** A disk that is busy with something else makes a server wait for long. */
const QUIET_MS = 40_000;
/** An operation that fails longer than this before the daemon is gone failed for another reason. */
const CLOCK_SLACK_MS = 300;

const sleep = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));

/** Waits until every workload is at work: a loaded machine takes its time to start them. */
async function begun(ground: Ground, plan: Plan): Promise<void> {
  const logs = plan.workloads.map((name) => ground.logOf(name, plan.number));
  for (const end = Date.now() + BEGIN_LIMIT_MS; Date.now() < end && !logs.every((log) => existsSync(log)); )
    await sleep(5);
}

/** Waits until the daemon is gone, or kills it when its time has come. Answers whether its crash point was reached. */
async function untilKilled(
  ground: Ground,
  daemon: CrashDaemon,
  plan: Plan,
): Promise<{ reached: boolean; inFlight: number }> {
  const { kill } = plan;
  if (kill.kind === 'point') {
    const end = Date.now() + POINT_LIMIT_MS;
    while (!daemon.isGone && Date.now() < end) await sleep(10);
    const reached = daemon.isGone;
    const { inFlight } = ground.proxy;
    daemon.kill();
    return { reached, inFlight: reached ? 0 : inFlight };
  }
  await begun(ground, plan);
  await sleep(kill.afterMs);
  if (kill.kind === 'time' && kill.busy)
    for (const end = Date.now() + BUSY_LIMIT_MS; Date.now() < end && ground.proxy.inFlight === 0; ) await sleep(1);
  if (kill.kind === 'drain') {
    for (const name of plan.workloads) writeFileSync(`${ground.logOf(name, plan.number)}.stop`, '');
    await sleep(100);
    void umount(ground.place, UMOUNT_LIMIT_MS);
    await sleep(kill.drainMs);
  }
  const { inFlight } = ground.proxy;
  daemon.kill();
  return { reached: true, inFlight };
}

type Running = ReturnType<Ground['startWorkload']>;

/** The programs find out and end; one that hangs is ended with the mount. */
async function programsEnd(
  ground: Ground,
  plan: Plan,
  running: readonly Running[],
  killedAt: number,
): Promise<string[]> {
  const problems: string[] = [];
  const results = Promise.all(running.map(({ result }) => result));
  try {
    await within(PROGRAMS_END_MS, 'the end of the programs', results);
  } catch (error) {
    problems.push(`${(error as Error).message} after the daemon's death`);
    await abortMount(ground.place.mountpoint);
    for (const { child } of running) child.kill('SIGKILL');
    await within(PROGRAMS_END_MS, 'the end of the programs that were killed', results);
  }
  for (const [index, { code, signal, stderr }] of (await results).entries()) {
    const name = plan.workloads[index];
    const { failure } = readHistory(ground.logOf(name, plan.number));
    if (code !== 0 && code !== 3) problems.push(`${name} ended with ${code ?? signal}: ${stderr.slice(-800)}`);
    const dead = /ENOTCONN|ECONNABORTED|not connected|connection abort/i;
    if (failure !== undefined && failure.at < killedAt - CLOCK_SLACK_MS && !dead.test(failure.text))
      problems.push(`${name} failed ${killedAt - failure.at} ms before the kill: ${failure.text}`);
  }
  return problems;
}

async function mountAgain(ground: Ground, plan: Plan): Promise<CrashDaemon> {
  if (plan.againMs !== undefined) {
    const daemon = await ground.mount({}, false);
    await sleep(plan.againMs);
    daemon.kill();
    await within(5_000, 'the second death', daemon.ended);
    await ground.proxy.quiet(QUIET_MS);
  }
  const daemon = await ground.mount();
  if (daemon.isGone) throw new Error(`the mount after the kill ${how(await daemon.ended)}: ${daemon.log}`);
  return daemon;
}

async function endInOrder(ground: Ground, daemon: CrashDaemon): Promise<string[]> {
  const problems: string[] = [];
  const left = await umount(ground.place, UMOUNT_LIMIT_MS);
  // The mount stays then, and the daemon with it.
  if (left.code !== 0) return [`pailfs umount ${how(left)}: ${left.stderr}${daemon.log}`];
  const end = await within(UMOUNT_LIMIT_MS, 'the end of the daemon', daemon.ended);
  if (end.code !== 0) problems.push(`the daemon ${how(end)}: ${daemon.log}`);
  return problems;
}

export async function killOnce(ground: Ground, plan: Plan): Promise<Outcome> {
  const { proxy, options } = ground;
  const { kill } = plan;
  proxy.slow = true;
  const first = await ground.mount({
    ...(kill.kind === 'point' ? { PAILFS_CRASH_AT: `${kill.point}:${kill.hit}` } : {}),
    ...(plan.streams ? { PAILFS_TEST_STREAM_AFTER_MS: '0' } : {}),
  });
  // On a loaded machine the point may be reached by the mount itself, before any program could begin.
  const isEarly = first.isGone && kill.kind === 'point' && (await first.ended).signal === 'SIGKILL';
  if (first.isGone && !isEarly) throw new Error(`the mount ${how(await first.ended)}: ${first.log}`);
  const before = proxy.cutOff;
  const running = (isEarly ? [] : plan.workloads).map((name, i) =>
    ground.startWorkload(name, plan.number, plan.seed + i),
  );
  const { reached, inFlight } = await untilKilled(ground, first, plan);
  await within(5_000, 'the death of the daemon', first.ended);
  const problems = await programsEnd(ground, plan, running, first.endedAt!);
  await proxy.quiet(QUIET_MS);
  const cutOff = proxy.cutOff - before;
  // What the daemon ended by itself is only seen by the connections that break.
  proxy.slow = false;
  const second = await mountAgain(ground, plan);
  const seen = await ground.look(plan.number, plan.workloads);
  problems.push(...seen.problems);
  problems.push(...(await endInOrder(ground, second)));
  const store = await checkStore(ground.store, seen.seen, seen.unsettled);
  problems.push(...store.problems);
  const notes = [...seen.notes, ...store.notes];
  const large = seen.seen.filter(({ path }) => path.startsWith('copies/')).map(({ path }) => path);
  const uploads = await leftUploads(ground.store, [...large, ...['a', 'b', 'c'].map((one) => `copies/large-${one}`)]);
  for (const key of uploads)
    if (options.writeBack === 'off') notes.push('upload left');
    else problems.push(`a multipart upload of ${key} is left`);
  const files = seen.seen.filter(({ type }) => type === 'file').length;
  return { problems, notes, inFlight: Math.max(inFlight, cutOff), reached, acknowledged: seen.acknowledged, files };
}
