/**
 * `npm run test:servers [-- NAME...]`: the client's conformance suite and the mount suite against real S3 servers, each
 * brought up by scripts/s3-server.sh and taken down again. At the end a table says of each what passed and what it
 * cannot do, which the tests themselves have found out: a promise that a server is excused from has to be broken by it
 * (test/conformance/capabilities.ts). The last line is `N passed, N failed`.
 */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildAddon, compile } from './build.js';
import { installDependencies, root } from './set-up.js';

const all = ['embedded', 'minio', 'radosgw', 'seaweedfs', 'versitygw'];
const wanted = process.argv.slice(2).filter((one) => !one.startsWith('--'));
const script = join(root, 'scripts', 's3-server.sh');
/** A test file that takes longer than this (seconds) is ended. */
const FILE_LIMIT_S = 300;
/** Building MinIO on a bare machine takes minutes. */
const UP_LIMIT_MS = 1_500_000;

/** The conformance suite, and whatever mounts a bucket. */
function testFiles() {
  const mounting = readdirSync(join(root, 'test', 'mount'))
    .filter((name) => name.endsWith('.test.ts'))
    .filter((name) => readFileSync(join(root, 'test', 'mount', name), 'utf8').includes("from './bucket.js'"));
  return ['s3/lean-client.test.ts', ...mounting.map((name) => `mount/${name}`)].map((name) =>
    join('dist', 'test', name.replace(/\.ts$/, '.js')),
  );
}

/** The lines `export NAME=value NAME=value` as an object. */
function environmentOf(text) {
  const words = text.split('\n').flatMap((line) => (line.startsWith('export ') ? line.slice(7).split(' ') : []));
  return Object.fromEntries(words.map((word) => [word.slice(0, word.indexOf('=')), word.slice(word.indexOf('=') + 1)]));
}

function failed(line) {
  return { passed: 0, failed: 1, skipped: 0, failures: [line], skips: [] };
}

async function runTap(environment, onComment) {
  const { countTap } = await import('./tap-count.js');
  const showFile = ({ ok, name, time }) => {
    const seconds = time === null ? '' : ` (${(time / 1000).toFixed(1)} s)`;
    console.log(`${ok ? 'ok    ' : 'FAILED'} ${name.replace(/^dist\//, '').replace(/\.js$/, '')}${seconds}`);
  };
  const { parser, count } = countTap(showFile, onComment);
  const arguments_ = [join(root, 'scripts', 'tap-files.js'), String(FILE_LIMIT_S), ...testFiles()];
  const env = { ...process.env, ...environment, TAP_SNAPSHOT: '0' };
  const tap = spawn(process.execPath, arguments_, { cwd: root, stdio: ['ignore', 'pipe', 'inherit'], env });
  tap.stdout.pipe(parser);
  const parsed = new Promise((resolve) => parser.on('complete', resolve));
  const code = await new Promise((resolve) => tap.on('exit', resolve));
  await parsed;
  if (code !== 0 && count.failed === 0) Object.assign(count, { failed: 1, failures: [`tap ended with ${code}`] });
  if (count.passed === 0) Object.assign(count, { failed: count.failed + 1, failures: ['no test ran'] });
  return count;
}

/** Puts what was left out in its place: where it belongs, or among the failures. */
function sortSkips(count) {
  const elsewhere = [];
  const lacking = [];
  for (const skip of count.skips) {
    if (/: only on the embedded server/.test(skip)) elsewhere.push(skip.replace(/: only on.*/, ''));
    else if (/: the server lacks /.test(skip)) lacking.push(skip);
    else if (process.env.CI === 'true') {
      count.failed += 1;
      count.failures.push(`skipped, which counts as failed where CI=true: ${skip}`);
    } else console.log(`skipped: ${skip}`);
  }
  return { elsewhere, lacking };
}

/** Brings a server up, runs everything, takes it down. */
async function testServer(name) {
  const directory = mkdtempSync(join(tmpdir(), 'pailfs-test-servers-'));
  const env = { ...process.env, PAILFS_SERVER_DIR: directory };
  const lacks = [];
  const begun = Date.now();
  const seconds = () => `${Math.round((Date.now() - begun) / 1000)} s`;
  try {
    const up = spawnSync(script, ['up', name], {
      env,
      stdio: ['ignore', 'pipe', 'inherit'],
      encoding: 'utf8',
      timeout: UP_LIMIT_MS,
    });
    if (up.status !== 0) return { name, lacks, count: failed(`${name} did not come up`), elsewhere: [], lacking: [] };
    console.log(`\n== ${name}, up after ${seconds()}`);
    const count = await runTap(environmentOf(up.stdout), (comment) => {
      const found = /^# lacks (\w+): (.*)$/.exec(comment);
      if (found) lacks.push({ promise: found[1], instead: found[2] });
    });
    const { elsewhere, lacking } = sortSkips(count);
    console.log(`${name}: ${count.passed} passed, ${count.failed} failed, after ${seconds()}`);
    return { name, lacks, count, elsewhere, lacking };
  } finally {
    spawnSync(script, ['down', name], { env, stdio: ['ignore', 2, 'inherit'] });
    rmSync(directory, { recursive: true, force: true });
  }
}

function tell({ name, count, lacks, elsewhere, lacking }) {
  console.log(`\n${name}: ${count.passed} passed, ${count.failed} failed`);
  for (const { promise, instead } of lacks) console.log(`  lacks ${promise}: ${instead.slice(0, 160)}`);
  for (const skip of lacking) console.log(`  left out: ${skip.replace(/^dist\//, '')}`);
  if (elsewhere.length > 0) console.log(`  only on the embedded server: ${elsewhere.length} tests`);
  for (const failure of count.failures) console.log(`\nnot ok: ${name}: ${failure}`);
}

async function main() {
  const unknown = wanted.filter((name) => !all.includes(name));
  if (unknown.length > 0) throw new Error(`unknown: ${unknown.join(', ')}; there are ${all.join(', ')}`);
  if (!installDependencies() || !buildAddon() || !compile()) throw new Error('it could not be built');
  const results = [];
  for (const name of wanted.length > 0 ? wanted : all) results.push(await testServer(name));
  for (const result of results) tell(result);
  console.log(`\n${'server'.padEnd(10)} passed failed lacks`);
  let sum = { passed: 0, failed: 0 };
  for (const { name, count, lacks } of results) {
    const list = lacks.map(({ promise }) => promise).join(' ') || '-';
    console.log(`${name.padEnd(10)} ${String(count.passed).padStart(6)} ${String(count.failed).padStart(6)} ${list}`);
    sum = { passed: sum.passed + count.passed, failed: sum.failed + count.failed };
  }
  console.log(`\n${sum.passed} passed, ${sum.failed} failed`);
  process.exitCode = sum.failed === 0 ? 0 : 1;
}

main().catch((error) => {
  console.error(`test:servers: ${error.message}`);
  console.log('0 passed, 1 failed');
  process.exitCode = 1;
});
