/** scripts/programs.sh tells what failed, ends what hangs, and leaves nothing; its programs are those that the page names. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { packageRoot } from '../../src/package.js';
import { type RunResult, run, until } from '../mount/harness.js';

const at = (path: string): string => fileURLToPath(new URL(path, packageRoot));
const script = at('scripts/programs.sh');
t.setTimeout(120_000);

interface Try extends RunResult {
  /** What lies in the directory afterwards. */
  readonly left: readonly string[];
}

/** `fakes`: programs by their name, found before those of the machine. `there`: directories that are there already. */
async function tryPrograms(
  t: Test,
  args: readonly string[],
  fakes: Record<string, string> = {},
  there: readonly string[] = [],
): Promise<Try> {
  const base = mkdtempSync(join(tmpdir(), 'pailfs-programs-test-'));
  t.teardown(() => rmSync(base, { recursive: true, force: true }));
  const [directory, bin] = ['directory', 'bin'].map((name) => join(base, name));
  for (const path of [directory, bin, ...there.map((name) => join(directory, name))]) mkdirSync(path);
  for (const [name, text] of Object.entries(fakes))
    writeFileSync(join(bin, name), `#!/bin/sh\n${text}\n`, { mode: 0o755 });
  const env = { ...process.env, PATH: `${bin}:${process.env.PATH}`, TMPDIR: base };
  const result = await run(script, [directory, '--short', ...args], { env, timeout: 60_000 });
  const kept = readdirSync(base).filter((name) => name.startsWith('pailfs-programs-'));
  return { ...result, left: [...readdirSync(directory), ...kept] };
}

t.test('programs that pass', async (t) => {
  const { code, stdout, left } = await tryPrograms(t, ['--only', 'find,sed']);
  t.match(stdout, /^ok find \(\d+\.\d\)\nok sed \(\d+\.\d\)\n2 passed, 0 failed\n$/);
  t.equal(code, 0);
  t.same(left, []);
});

t.test('one that fails says where, and the next one runs', async (t) => {
  const { code, stdout, left } = await tryPrograms(t, ['--only', 'zip,find'], { zip: 'exit 3', unzip: 'exit 0' });
  t.match(stdout, /^FAILED zip: zip\.sh: line \d+: `zip -qr base\.zip tree` ended with 3\n( {2}\| .*\n)+ok find /);
  t.match(stdout, /\n1 passed, 1 failed\n$/);
  t.equal(code, 1);
  t.same(left, []);
});

t.test('an outcome that is not as it has to be', async (t) => {
  // As on a filesystem that forgets modes.
  const { code, stdout } = await tryPrograms(t, ['--only', 'find'], { chmod: 'exit 0' });
  t.match(stdout, /^FAILED find: by size and mode: , wanted \.\/old-2\n/);
  t.equal(code, 1);
});

t.test('one that hangs is ended, with what it started', async (t) => {
  const pids = join(mkdtempSync(join(tmpdir(), 'pailfs-programs-test-')), 'pids');
  t.teardown(() => rmSync(dirname(pids), { recursive: true, force: true }));
  const fakes = { zip: `sleep 1000 & echo $! $$ >${pids}; wait`, unzip: 'exit 0' };
  const { code, stdout, left } = await tryPrograms(t, ['--only', 'zip', '--limit', '1'], fakes);
  t.match(stdout, /^FAILED zip: work took more than 1 s\n/);
  t.match(stdout, /\n0 passed, 1 failed\n$/);
  t.equal(code, 1);
  t.same(left, []);
  const started = readFileSync(pids, 'utf8').trim().split(' ');
  t.equal(started.length, 2);
  await until('nothing is left', () => started.every((pid) => !existsSync(`/proc/${pid}`)));
});

t.test('what was there before is not taken for its own', async (t) => {
  const { code, stdout, left } = await tryPrograms(t, ['--only', 'sed'], {}, ['sed']);
  t.match(stdout, /^FAILED sed: one\.sh: line \d+: `mkdir "\$place"` ended with 1\n/);
  t.equal(code, 1);
  t.same(left, ['sed']);
});

t.test('a program that there is not', async (t) => {
  t.match(await tryPrograms(t, ['--only', 'find,nothing']), { code: 1, stderr: /there is no program nothing/ });
});

t.test('the page names every program', async (t) => {
  const { stdout } = await run(script, ['--list']);
  const names = stdout.trim().split('\n');
  const files = readdirSync(at('scripts/programs')).filter((file) =>
    /^needs=/m.test(readFileSync(at(`scripts/programs/${file}`), 'utf8')),
  );
  t.same(names.map((name) => `${name}.sh`).sort(), files.sort());
  const rows = [...readFileSync(at('docs/long-tests.md'), 'utf8').matchAll(/^\| `([a-z-]+)` \| [^|]+ \|$/gm)];
  t.same(rows.map(([, name]) => name).sort(), names.sort());
});
