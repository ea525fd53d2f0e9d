/** A crash point ends the process in place, at the hit that was asked for and no other, and every hit is on record. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';

const module = new URL('../src/crash-point.js', import.meta.url).href;

function run(env: NodeJS.ProcessEnv) {
  const script = `import { crashPoint } from '${module}';
    for (const name of ['upload-begun', 'copy-done', 'upload-begun', 'upload-done']) {
      crashPoint(name);
      process.stdout.write(name + ' ');
    }`;
  const options = { encoding: 'utf8', timeout: 20_000, env: { PATH: process.env.PATH, ...env } } as const;
  return spawnSync(process.execPath, ['--input-type=module', '-e', script], options);
}

t.test('at the second hit, in place', async (t) => {
  const hits = join(t.testdir(), 'hits');
  const { signal, stdout } = run({ PAILFS_CRASH_AT: 'upload-begun:2', PAILFS_CRASH_HITS: hits });
  t.same([signal, stdout], ['SIGKILL', 'upload-begun copy-done ']);
  t.equal(readFileSync(hits, 'utf8'), 'upload-begun\ncopy-done\nupload-begun\n');
});

t.test('nothing without the variables, nor at a hit that does not come', async (t) => {
  const all = 'upload-begun copy-done upload-begun upload-done ';
  t.match(run({}), { signal: null, status: 0, stdout: all });
  t.match(run({ PAILFS_CRASH_AT: 'copy-done:2' }), { signal: null, status: 0, stdout: all });
});
