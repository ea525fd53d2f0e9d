/**
 * The benchmark itself, with tiny sizes on the embedded server: every case runs and is checked on pailfs, the null mount
 * and the local disk, nothing is left behind, and an end by a signal takes everything away. Times are not looked at.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { packageRoot } from '../../src/package.js';
import { noKernelMounts, run, start, until } from '../mount/harness.js';

const script = fileURLToPath(new URL('scripts/bench.js', packageRoot));
const skip = noKernelMounts;
const LIMIT_MS = 100_000;
t.setTimeout(240_000);

interface Result {
  readonly seconds?: number;
  readonly wrong?: string;
  readonly requests?: Record<string, number>;
}

interface Report {
  readonly raw: ReadonlyArray<{ name: string; seconds: number }>;
  readonly places: Record<string, { results: Record<string, Result>; cpuSeconds: number; peakBytes: number }>;
}

function withDirectory(t: { teardown(f: () => void): void }): { directory: string; env: NodeJS.ProcessEnv } {
  const directory = mkdtempSync(join(tmpdir(), 'pailfs-bench-test-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  return { directory, env: { ...process.env, TMPDIR: directory } };
}

async function caseNames(): Promise<string[]> {
  const { code, stdout } = await run(process.execPath, [script, '--cases']);
  if (code !== 0) throw new Error('--cases fails');
  return stdout
    .trim()
    .split('\n')
    .map((line) => line.split(' ')[0]);
}

const mountsIn = (directory: string): string[] =>
  readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter((line) => line.includes(directory));

t.test('every case has its time on every place, and nothing is left', { skip }, async (t) => {
  const { directory, env } = withDirectory(t);
  const json = join(directory, 'report.json');
  const args = [script, '--smoke', '--json', json, '--markdown', join(directory, 'report.md')];
  const result = await run(process.execPath, args, { env, timeout: LIMIT_MS });
  t.equal(result.code, 0, result.stderr);
  const { raw, places } = JSON.parse(readFileSync(json, 'utf8')) as Report;
  t.same(Object.keys(places), ['pailfs', 'null', 'ext4']);
  const names = await caseNames();
  t.ok(names.length >= 17);
  for (const [place, { results }] of Object.entries(places)) {
    for (const name of names) {
      const { seconds, wrong } = results[name] ?? {};
      t.ok(seconds !== undefined && seconds > 0, `${place}: ${name}${wrong === undefined ? '' : `: ${wrong}`}`);
    }
  }
  for (const { name, seconds } of raw) t.ok(seconds > 0, `raw: ${name}`);
  const { pailfs } = places;
  t.equal(pailfs.results.create.requests?.PutObject, 12 + 1, 'a PUT a file, and one of their directory');
  t.same(pailfs.results['ls-warm'].requests, {}, 'what is warm asks nothing');
  t.ok(pailfs.peakBytes > 20 << 20 && pailfs.cpuSeconds > 0, 'the daemon is measured');
  const page = readFileSync(join(directory, 'report.md'), 'utf8');
  for (const part of ['### Times', '### Raw limits', '### Requests', '| start to mounted '])
    t.ok(page.includes(part), part);
  t.notMatch(page, /NaN|undefined|fails/);
  t.same(readdirSync(directory).sort(), ['report.json', 'report.md']);
  t.same(mountsIn(directory), []);
});

t.test('a signal takes everything away', { skip }, async (t) => {
  const { directory, env } = withDirectory(t);
  const { child, result } = start(process.execPath, [script, '--smoke'], { env, timeout: LIMIT_MS });
  await until('pailfs is mounted', () => mountsIn(directory).length > 0, LIMIT_MS);
  child.kill('SIGINT');
  const { code, stderr } = await result;
  t.equal(code, 130, stderr);
  t.same(mountsIn(directory), []);
  t.same(readdirSync(directory), []);
});

t.test('what it does not know is refused', async (t) => {
  for (const [args, line] of [
    [['--only', 'nothing'], /the case nothing is unknown; there are ls-cold/],
    [['--on', 'floppy'], /the place floppy is unknown; there are pailfs, null, ext4, s3fs, rclone/],
    [['--server', 'ftp'], /the server ftp is unknown/],
    [['--fast'], /--fast/],
  ] as const) {
    t.match(await run(process.execPath, [script, ...args]), { code: 1, stderr: line });
  }
});

t.test('passthrough beside none, with a tiny file, and nothing is left', { skip }, async (t) => {
  const { directory, env } = withDirectory(t);
  const passthrough = fileURLToPath(new URL('scripts/bench/passthrough.js', packageRoot));
  const args = [passthrough, '--mib', '3', '--rounds', '1'];
  const { code, stdout, stderr } = await run(process.execPath, args, { env, timeout: LIMIT_MS });
  t.equal(code, 0, stderr);
  for (const line of stdout.trim().split('\n'))
    t.match(line, /^(first read|again|from the disk): auto \d+ ms, off \d+ ms: [\d.]+ times as fast$/);
  t.equal(stdout.trim().split('\n').length, 3);
  t.same(readdirSync(directory), []);
  t.same(mountsIn(directory), []);
});
