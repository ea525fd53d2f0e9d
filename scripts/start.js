/**
 * `npm start`: from a fresh clone to a mounted bucket. Without arguments (or with a directory) the demo; with
 * s3://BUCKET MOUNTPOINT [options] a real bucket, in the foreground.
 */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { buildAddon, compile } from './build.js';
import { tellMissing, whatIsMissing } from './preflight.js';
import { installDependencies, root } from './set-up.js';

function prepare() {
  const { building, mounting } = whatIsMissing();
  const missing = [...building, ...mounting];
  if (missing.length > 0) {
    tellMissing(missing);
    return false;
  }
  return installDependencies() && buildAddon() && compile();
}

function commandFor(given) {
  const isBucket =
    given.some((one) => one.startsWith('s3://')) || given.filter((one) => !one.startsWith('-')).length > 1;
  return isBucket ? ['mount', ...given, '--foreground'] : ['demo', ...given];
}

function run(given) {
  const child = spawn(process.execPath, [join(root, 'bin', 'pailfs.js'), ...commandFor(given)], { stdio: 'inherit' });
  // Ctrl-C reaches the whole group, and the child unmounts; this only waits for it. The rest is handed on.
  process.on('SIGINT', () => {});
  for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  child.on('exit', (code, signal) => {
    process.exitCode = signal === null ? code : 1;
  });
}

if (prepare()) run(process.argv.slice(2));
else process.exitCode = 1;
