/**
 * `npm test [-- NAME...]`: sets itself up, then types, lint, and all tests that need no network (or those whose path
 * contains a NAME). The last line is `N passed, N failed`. With CI=true whatever was skipped has failed.
 *
 * --again is for a second run on another Node: without types, lint and ELSEWHERE.
 */
import { spawn, spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join, relative } from 'node:path';
import { buildAddon, compile } from './build.js';
import { tellMissing, whatIsMissing } from './preflight.js';
import { installDependencies, root } from './set-up.js';

const arguments_ = process.argv.slice(2);
const isAgain = arguments_.includes('--again');
const wanted = arguments_.filter((one) => !one.startsWith('--'));
/**
 * What of the mount suite runs on the driver fuse-native too. Behind another Node, what shows that it works there.
 */
const onFuseNative = isAgain ? ['files', 'names'] : ['files', 'names', 'programs', 'reading', 'requests'];
/** The same with write-back on. */
const onWriteBack = isAgain
  ? ['vfs/model', 'files']
  : [
      'vfs/model',
      'files',
      'names',
      'programs',
      'nodes',
      'acl',
      'unnamed',
      'sparse',
      'copy',
      'keys',
      'passthrough',
      'posix',
      'reading',
      'stress',
    ];
/** The stress of a minute is done without write-back; with it so many seconds show the same. */
const WRITE_BACK = { PAILFS_TEST_WRITE_BACK: 'on', PAILFS_STRESS_SECONDS: '15' };
/** What takes long and looks at the system, at programs and scripts rather than at what Node does. */
const ELSEWHERE = [
  'cli/bucket-options',
  'cli/fuse-native',
  'cli/life',
  'cli/startup-failures',
  'cli/streams',
  'cli/write-back',
  'mount/demo',
  'mount/drivers',
  'mount/exclusive',
  'mount/kept-listings',
  'mount/large',
  'mount/listed-metadata',
  'mount/posix',
  'mount/requests',
  'mount/stress',
  'scripts/',
  's3/credentials',
  'vfs/rename-storm',
];
/** A test file that takes longer than this (seconds) is ended; each sets a shorter limit of its own. */
const FILE_LIMIT_S = 600;

function testFiles() {
  const files = readdirSync(join(root, 'test'), { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.test.ts'))
    .map((entry) => relative(root, join(entry.parentPath ?? entry.path, entry.name)))
    .filter((file) => !isAgain || !ELSEWHERE.some((name) => file.startsWith(`test/${name}`)));
  const chosen = wanted.length === 0 ? files : files.filter((file) => wanted.some((name) => file.includes(name)));
  return chosen.sort().map((file) => join('dist', file.replace(/\.ts$/, '.js')));
}

function lint() {
  const command = [join(root, 'node_modules', '.bin', 'biome'), ['check', '--error-on-warnings']];
  return spawnSync(...command, { cwd: root, stdio: ['ignore', 2, 'inherit'] }).status === 0;
}

/** Why fuse-native cannot be loaded here; undefined where it can. */
function fuseNativeIsMissing() {
  const script = "require('fuse-native')";
  const { status, stderr } = spawnSync(process.execPath, ['-e', script], { cwd: root, encoding: 'utf8' });
  return status === 0 ? undefined : (/^Error: (.*)$/m.exec(stderr)?.[1] ?? stderr.trim());
}

/** The mount suite once more, on the other driver; adds to the count. */
async function runOnFuseNative(count) {
  const missing = fuseNativeIsMissing();
  if (missing !== undefined) {
    count.skipped += 1;
    count.skips.push(`the mount suite on fuse-native: ${missing} (apt-get install libfuse2)`);
    return;
  }
  await runMore(count, onFuseNative, { PAILFS_TEST_DRIVER: 'fuse-native' }, ' on fuse-native');
}

async function runMore(count, names, more, where) {
  const files = names
    .map((name) => join('dist', 'test', name.includes('/') ? name : `mount/${name}`))
    .map((one) => `${one}.test.js`);
  add(count, await runTap(files, more, where));
}

function add(count, more) {
  for (const [key, value] of Object.entries(more)) {
    if (Array.isArray(value)) count[key].push(...value);
    else count[key] += value;
  }
}

/** Runs the tests; answers their count. */
async function runTap(files, more = {}, where = '') {
  const { countTap } = await import('./tap-count.js');
  const showFile = (file) => {
    const seconds = file.time === null ? '' : ` (${(file.time / 1000).toFixed(1)} s)`;
    console.log(
      `${file.ok ? 'ok    ' : 'FAILED'} ${file.name.replace(/^dist\//, '').replace(/\.js$/, '')}${where}${seconds}`,
    );
  };
  const { parser, count } = countTap(showFile, (comment) => console.log(`       ${comment}`));
  const tap = spawn(process.execPath, [join(root, 'scripts', 'tap-files.js'), String(FILE_LIMIT_S), ...files], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, TAP_SNAPSHOT: '0', ...more },
  });
  tap.stdout.pipe(parser);
  const parsed = new Promise((resolve) => parser.on('complete', resolve));
  const code = await new Promise((resolve) => tap.on('exit', resolve));
  await parsed;
  if (code !== 0 && count.failed === 0) fail(count, `tap ended with ${code}`);
  if (count.passed + count.failed + count.skipped === 0) fail(count, 'no test ran');
  return count;
}

function fail(count, line) {
  count.failed += 1;
  count.failures.push(line);
}

/** Counts a step that is no test as one. */
function step(count, name, ok) {
  console.log(`${ok ? 'ok    ' : 'FAILED'} ${name}`);
  if (ok) count.passed += 1;
  else fail(count, `${name}: see above`);
}

function conclude(count) {
  if (process.env.CI === 'true') {
    for (const name of count.skips) fail(count, `skipped, which counts as failed where CI=true: ${name}`);
    count.skipped = 0;
  } else for (const name of count.skips) console.log(`skipped: ${name}`);
  for (const failure of count.failures) console.log(`\nnot ok: ${failure}`);
  const skipped = count.skipped === 0 ? '' : `, ${count.skipped} skipped`;
  console.log(`\n${count.passed} passed, ${count.failed} failed${skipped}`);
  process.exitCode = count.failed === 0 ? 0 : 1;
}

async function main() {
  const { building, mounting } = whatIsMissing();
  if (building.length + mounting.length > 0) tellMissing([...building, ...mounting]);
  const none = { passed: 0, failed: 0, skipped: 0, failures: [], skips: [] };
  if (building.length > 0) {
    for (const line of building) fail(none, `this system lacks ${line}`);
    return conclude(none);
  }
  if (!installDependencies()) {
    fail(none, 'npm ci failed');
    return conclude(none);
  }
  step(none, 'addon', buildAddon());
  step(none, 'types', compile());
  if (!isAgain) step(none, 'lint', lint());
  const count = await runTap(testFiles());
  if (wanted.length === 0) {
    await runMore(count, onWriteBack, WRITE_BACK, ' with write-back');
    await runOnFuseNative(count);
  }
  count.passed += none.passed;
  count.failed += none.failed;
  count.failures.unshift(...none.failures);
  conclude(count);
}

await main();
