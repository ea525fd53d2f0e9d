/**
 * Runs compiled test files, two at a time, each in a Node of its own, and prints their TAP. tap's own runner would load a
 * TypeScript compiler into each of them, which the files, compiled already, do not need.
 *
 * usage: tap-files.js SECONDS FILE...      SECONDS: a file that takes longer is ended
 */
import { t } from 'tap';

const [seconds, ...files] = process.argv.slice(2);
const timeout = Number(seconds) * 1000;
t.jobs = 2;
t.setTimeout(timeout * files.length);
for (const file of files) {
  const env = { ...process.env, TAP_TIMEOUT: seconds };
  // Without NODE_OPTIONS, in which tap has every Node below it report on itself, also those that run as another user.
  const command = ['-u', 'NODE_OPTIONS', process.execPath, '--enable-source-maps', file];
  t.spawn('env', command, { buffered: true, timeout, env, cwd: process.cwd() }, file);
}
