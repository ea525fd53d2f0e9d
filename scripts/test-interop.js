/**
 * `npm run test:interop [-- --only s3fs,rclone --server NAME --write-back on|off]`: pailfs and what Debian has of other
 * tools that mount a bucket, on the same one, in both directions (test/interop/main.ts). The tools are installed where they
 * are not. The last line is `N passed, N failed`.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { runOnServer } from './on-server.js';
import { root } from './set-up.js';

const all = ['s3fs', 'rclone'];
/** Of the package of that name, whatever else is there. */
const peers = { s3fs: 's3fs', rclone: 'rclone-deb' };
const INSTALL_LIMIT_MS = 600_000;

/** `--only NAME,NAME` is taken out of the arguments. */
function takeTools() {
  const at = process.argv.findIndex((one) => one === '--only' || one.startsWith('--only='));
  if (at < 0) return all;
  const [word] = process.argv.splice(at, 1);
  const names = (word.includes('=') ? word.slice('--only='.length) : process.argv.splice(at, 1)[0])?.split(',') ?? [];
  const unknown = names.filter((name) => !all.includes(name));
  if (unknown.length > 0 || names.length === 0) throw new Error(`--only: some of ${all.join(', ')}`);
  return names;
}

function programOf(name) {
  const options = { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'], timeout: INSTALL_LIMIT_MS };
  const { status, stdout } = spawnSync(join(root, 'scripts', 'peers.sh'), ['program', peers[name]], options);
  if (status !== 0) throw new Error(`${name} could not be installed`);
  return stdout.trim();
}

try {
  process.argv.push(...takeTools().map((name) => `${name}=${programOf(name)}`));
  await runOnServer('test:interop', 'dist/test/interop/main.js');
} catch (error) {
  console.error(`test:interop: ${error.message}`);
  console.log('0 passed, 1 failed');
  process.exitCode = 1;
}
