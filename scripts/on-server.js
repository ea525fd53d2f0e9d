/**
 * Runs a test program of its own against one S3 server: builds, brings the server up where it is not the embedded one
 * (which the program starts itself), passes the arguments on, and takes the server down again, also when it is interrupted.
 */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildAddon, compile } from './build.js';
import { installDependencies, root } from './set-up.js';

const script = join(root, 'scripts', 's3-server.sh');
/** Building MinIO on a bare machine takes minutes. */
const UP_LIMIT_MS = 1_500_000;

/** `--server NAME` or `--server=NAME`, and the other arguments. */
function takeServer(given) {
  const rest = [...given];
  const at = rest.findIndex((one) => one === '--server' || one.startsWith('--server='));
  if (at < 0) return { server: 'embedded', rest };
  const [word] = rest.splice(at, 1);
  return { server: word.includes('=') ? word.slice('--server='.length) : rest.splice(at, 1)[0], rest };
}

function environmentOf(text) {
  const words = text.split('\n').flatMap((line) => (line.startsWith('export ') ? line.slice(7).split(' ') : []));
  return Object.fromEntries(words.map((word) => [word.slice(0, word.indexOf('=')), word.slice(word.indexOf('=') + 1)]));
}

function runProgram(program, args, env) {
  const child = spawn(process.execPath, ['--enable-source-maps', join(root, program), ...args], {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, ...env },
  });
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
  return new Promise((resolve) => child.on('exit', (code) => resolve(code ?? 1)));
}

async function runOn(server, program, rest) {
  if (server === 'embedded') return runProgram(program, rest, {});
  const directory = mkdtempSync(join(tmpdir(), 'pailfs-on-server-'));
  const env = { ...process.env, PAILFS_SERVER_DIR: directory };
  try {
    const options = { env, stdio: ['ignore', 'pipe', 'inherit'], encoding: 'utf8', timeout: UP_LIMIT_MS };
    const up = spawnSync(script, ['up', server], options);
    if (up.status !== 0) throw new Error(`${server} did not come up`);
    return await runProgram(program, rest, environmentOf(up.stdout));
  } finally {
    spawnSync(script, ['down', server], { env, stdio: ['ignore', 2, 'inherit'] });
    rmSync(directory, { recursive: true, force: true });
  }
}

/** `name`: of the npm script. Sets the exit code; a run that does not come to its count counts as one failure. */
export async function runOnServer(name, program) {
  try {
    if (!installDependencies() || !buildAddon() || !compile()) throw new Error('it could not be built');
    const { server, rest } = takeServer(process.argv.slice(2));
    process.exitCode = await runOn(server, program, rest);
  } catch (error) {
    console.error(`${name}: ${error.message}`);
    console.log('0 passed, 1 failed');
    process.exitCode = 1;
  }
}
