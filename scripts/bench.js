/**
 * `npm run bench`: pailfs beside the null mount, the local disk, other programs that mount buckets, and what the server
 * can give (docs/benchmarks.md). `--quick` runs each case once, in under 5 minutes; without it everything is run
 * three times, and the medians are told.
 *
 *   --only CASE,…   --on PLACE,…   --server NAME   --json FILE   --markdown FILE   --cases   --smoke
 */
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { cases, chosenCases } from './bench/cases.js';
import { addSums, combineRaw, combineRuns } from './bench/figures.js';
import { describeMachine, machineText } from './bench/machine.js';
import { findPeer, peerNames } from './bench/peers.js';
import { LocalDisk, NullMount, Pailfs, Peer } from './bench/places.js';
import { proceed } from './bench/program.js';
import { takeRawLimits } from './bench/raw.js';
import { runPlace, settle } from './bench/run.js';
import { fillScratch } from './bench/scratch.js';
import { installServer, startServer } from './bench/server.js';
import { sizes } from './bench/sizes.js';
import { reportOf, resultText } from './bench/table.js';
import { atEnd, tearDown, tearDownOnSignals } from './bench/teardown.js';
import { buildAddon, compile } from './build.js';
import { installDependencies } from './set-up.js';

const REPEATS = 3;
/** The quick form takes no longer (ms): what pailfs and the local places leave of it is the peers'. */
const QUICK_MS = 280_000;
/** Of that a peer may use so much for its cases (ms) … */
const PEER_BUDGET_MS = 60_000;
/** … and needs so much for mounts, and for the files that the place before it has moved away (ms). */
const PEER_OVERHEAD_MS = 20_000;
const own = { pailfs: Pailfs, null: NullMount, ext4: LocalDisk };
const placeNames = [...Object.keys(own), ...peerNames];
const serverNames = ['minio', 'radosgw', 'embedded'];
const say = (text) => console.error(text);

function listOf(text, known, what) {
  const names = text?.split(',').filter((name) => name !== '');
  const unknown = names?.find((name) => !known.includes(name));
  if (unknown !== undefined) throw new Error(`${what} ${unknown} is unknown; there are ${known.join(', ')}`);
  return names;
}

function parseOptions(words) {
  const text = { type: 'string' };
  const flag = { type: 'boolean', default: false };
  const options = {
    quick: flag,
    smoke: flag,
    cases: flag,
    only: text,
    on: text,
    server: text,
    json: text,
    markdown: text,
  };
  const { values } = parseArgs({ args: words, options });
  const caseNames = cases.map(({ name }) => name);
  return {
    ...values,
    quick: values.quick || values.smoke,
    chosen: chosenCases(listOf(values.only, caseNames, 'the case')),
    on: listOf(values.on, placeNames, 'the place') ?? (values.smoke ? Object.keys(own) : placeNames),
    server: listOf(values.server, serverNames, 'the server')?.[0] ?? (values.smoke ? 'embedded' : undefined),
    sizeName: values.smoke ? 'smoke' : 'full',
  };
}

/** What is installed and built once does not count. */
async function prepare({ on, server, smoke }) {
  if (process.geteuid() !== 0) throw new Error('it needs root: for mount(2), and to drop the page cache');
  if (!existsSync('/dev/fuse')) throw new Error('/dev/fuse is not there');
  // Other tests may be running from what is built.
  if (!smoke && (!installDependencies() || !buildAddon() || !compile())) throw new Error('it could not be built');
  const serverName = await installServer(server);
  const peers = [];
  for (const name of peerNames.filter((one) => on.includes(one))) peers.push(await findPeer(name));
  for (const { name, absent } of peers) if (absent) say(`${name} is left out: ${absent}`);
  return { serverName, peers };
}

function makePlace(name, { scratch, server, peers, repeat }) {
  const directory = join(scratch, `${name}-${repeat}`);
  const Own = own[name];
  if (Own) return new Own(directory, server);
  const peer = peers.find((one) => one.name === name);
  return peer?.program && new Peer(directory, server, peer);
}

/** How long all cases of a place may take (ms). */
function budgetOf(place, { quick, begun, peersLeft }) {
  if (!quick || !place.isPeer) return Number.POSITIVE_INFINITY;
  const share = (QUICK_MS - (Date.now() - begun)) / peersLeft - PEER_OVERHEAD_MS;
  return Math.max(1_000, Math.min(PEER_BUDGET_MS, share));
}

/** Everything once: { places: by name what runPlace answered, raw }. */
async function runOnce(options, environment, peers, repeat) {
  const { scratch, server } = environment;
  const raw = await takeRawLimits(environment, () => settle(scratch));
  for (const { title, seconds } of raw) say(`raw: ${title}: ${resultText({ seconds })}`);
  const places = {};
  let peersLeft = peers.filter(({ program }) => program).length;
  for (const name of options.on) {
    const place = makePlace(name, { scratch, server, peers, repeat });
    if (!place) continue;
    const begun = Date.now();
    const tell = (what, result) =>
      say(`${name}: ${what}: ${resultText(result)}${result.wrong ? ` (${result.wrong})` : ''}`);
    try {
      const budgetMs = budgetOf(place, { quick: options.quick, begun: environment.begun, peersLeft });
      places[name] = await runPlace(place, options.chosen, environment, { repeat, budgetMs, tell });
    } catch (error) {
      // What a signal ended is taken away by the end itself, which still uses the place's directory.
      await proceed();
      say(`${name} is given up: ${error.message}`);
      await place.gone?.();
      places[name] ??= { results: { mount: { wrong: error.message } }, cpuSeconds: 0, peakBytes: 0 };
    }
    if (place.isPeer) peersLeft -= 1;
    rmSync(place.scratch, { recursive: true, force: true });
    say(`${name}: ${Math.round((Date.now() - begun) / 1000)} s`);
  }
  return { places, raw };
}

async function measure(options, { serverName, peers }) {
  const begun = Date.now();
  const scratch = mkdtempSync(join(tmpdir(), 'pailfs-bench-'));
  atEnd('the directory goes', async () => rmSync(scratch, { recursive: true, force: true }));
  const { sizeName } = options;
  const server = await startServer(serverName, scratch);
  const sourcePath = await fillScratch(scratch, sizeName);
  const environment = { begun, scratch, server, sizeName, sizes: sizes[sizeName], sourcePath };
  const runs = [];
  for (let repeat = 1; repeat <= (options.quick ? 1 : REPEATS); repeat++) {
    mkdirSync(join(scratch, `repeat-${repeat}`));
    runs.push(await runOnce(options, environment, peers, repeat));
  }
  const combined = Object.keys(runs[0].places).map((name) => [
    name,
    combineRuns(runs.map(({ places }) => places[name])),
  ]);
  const places = Object.fromEntries(combined);
  addSums(places);
  const seconds = (Date.now() - begun) / 1000;
  const machine = describeMachine(scratch);
  const told = peers.map(({ name, version, absent }) => ({ name, version, absent }));
  const raw = combineRaw(runs.map((run) => run.raw));
  return { machine, server: serverName, peers: told, sizeName, repeats: runs.length, seconds, places, raw };
}

async function main() {
  const options = parseOptions(process.argv.slice(2));
  if (options.cases) {
    for (const { name, title } of cases) console.log(`${name.padEnd(14)} ${title(sizes.full)}`);
    return;
  }
  tearDownOnSignals();
  const report = await measure(options, await prepare(options));
  const text = `${machineText(report)}\n\n${reportOf(report, options.chosen, sizes[options.sizeName])}`;
  console.log(text);
  if (options.json) writeFileSync(options.json, `${JSON.stringify(report, undefined, 2)}\n`);
  if (options.markdown) writeFileSync(options.markdown, text);
}

try {
  await main();
} catch (error) {
  console.error(`bench: ${error.message}`);
  process.exitCode = 1;
} finally {
  await tearDown();
}
