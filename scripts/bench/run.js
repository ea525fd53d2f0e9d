/** All cases on one place, one after the other: what has to be there first, cold or warm, timed, counted, checked. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ensureObjects, standingFiles } from './dataset.js';
import { runProgram } from './program.js';
import { countRequests } from './request-counter.js';
import { quietGit } from './scratch.js';

/** A case may take so long (ms): a peer that hangs must not take the run with it. */
const CASE_LIMIT_MS = 60_000;
const PEER_CASE_LIMIT_MS = 15_000;
const CHECK_LIMIT_MS = 40_000;
const SETTLE_LIMIT_MS = 60_000;
const makeFiles = fileURLToPath(new URL('make-files.js', import.meta.url));

/** Writes out what the local disk has to write. */
export async function settle(scratch) {
  const streams = { out: join(scratch, 'out'), errors: join(scratch, 'errors') };
  await runProgram(['sync', '-f', scratch], { limitMs: SETTLE_LIMIT_MS, ...streams });
}

/** What a case sees: { root, work, scratch, source, sizes, sizeName, s3, out, check }. */
function surroundings(place, environment, repeat) {
  const { scratch, sizes, sizeName, sourcePath, server } = environment;
  const env = { ...process.env, ...quietGit };
  const out = join(place.scratch, 'out');
  const errors = join(place.scratch, 'errors');
  const run = (command, limitMs) => runProgram(command, { limitMs, env, out, errors, cwd: scratch });
  return {
    ...{ scratch, sizes, sizeName, out, run, source: sourcePath, root: place.directory },
    work: `work-${place.name}-${repeat}`,
    s3: place.isLocal ? undefined : server.s3,
    check: (command) => run(command, CHECK_LIMIT_MS),
  };
}

/** What the cases read has to stand in the place. */
async function fill(place, at, environment) {
  if (!place.isLocal) return;
  const { ok, complaint } = await at.check([
    ...[process.execPath, makeFiles, 'standing', environment.sizeName, place.directory, environment.sourcePath],
  ]);
  if (!ok) throw new Error(`${place.name} cannot be filled: ${complaint}`);
}

async function timeCase(one, { place, at, counter, limitMs }) {
  if (one.cold) await place.chill();
  if (one.settle) await settle(at.scratch);
  // Where directories are not kept in the bucket (rclone), it went with the mount that made it.
  if (one.writes) await at.check(['mkdir', '-p', join(at.root, at.work)]);
  await one.setup?.(at);
  await counter?.begin();
  place.isFresh = false;
  const before = place.daemon?.cpuSeconds ?? 0;
  const { ok, ms, timedOut, complaint } = await at.run(one.command(at), limitMs);
  // What goes on behind the program's back takes its requests and its processor too, and is looked at when it is there.
  if (ok && !one.goesOn) await place.uploads?.();
  const requests = await counter?.take();
  const cpuSeconds = (place.daemon?.cpuSeconds ?? 0) - before;
  if (timedOut) return { late: limitMs / 1000, requests };
  const inside = one.clock === 'inside' ? Number(readFileSync(at.out, 'utf8')) : ms;
  const wrong = ok ? await one.check(at) : complaint;
  return wrong === undefined ? { seconds: inside / 1000, requests, cpuSeconds } : { wrong, requests };
}

async function tryCase(one, context) {
  try {
    return await timeCase(one, context);
  } catch (error) {
    return { wrong: error.message };
  }
}

/** Why it is not run, or undefined. */
function hindrance(one, results, over) {
  if (over) return 'the time of this place is over';
  if (one.needs && results[one.needs]?.seconds === undefined) return `${one.needs} did not succeed`;
  return undefined;
}

function limitOf(one, place, left) {
  const limitMs = place.isPeer ? (one.peerLimitMs ?? PEER_CASE_LIMIT_MS) : CASE_LIMIT_MS;
  return Math.min(limitMs, Math.max(1_000, left));
}

/** `budgetMs`: what all cases may take, behind which none is begun. `tell(name, result)` hears of each. Answers { results, cpuSeconds, peakBytes }. */
export async function runPlace(place, cases, environment, { repeat, budgetMs, tell }) {
  const results = {};
  const at = surroundings(place, environment, repeat);
  if (!place.isLocal) await ensureObjects(environment.server.s3, standingFiles(environment.sizes));
  await settle(at.scratch);
  const seconds = await place.mount();
  if (seconds !== undefined) {
    results.mount = { seconds };
    tell('mount', results.mount);
  }
  const counter = await countRequests(environment.server, place);
  const begun = Date.now();
  try {
    await fill(place, at, environment);
    for (const one of cases) {
      const left = budgetMs - (Date.now() - begun);
      const reason = hindrance(one, results, left < 1_000);
      const limitMs = limitOf(one, place, left);
      const result = reason ? { skipped: reason } : await tryCase(one, { place, at, counter, limitMs });
      results[one.name] = result;
      tell(one.name, result);
      if (result.late !== undefined) await place.restart();
    }
  } finally {
    counter?.close();
    await place.unmount();
  }
  return { results, cpuSeconds: place.cpuSeconds, peakBytes: place.peakBytes };
}
