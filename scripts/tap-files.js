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
  t.spawn(process.execPath, ['--enable-source-maps', file], { buffered: true, timeout, env, cwd: process.cwd() }, file);
}
