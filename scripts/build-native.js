/**
 * Compiles the addon in native/ with nothing but a C compiler: the Node-API headers come from npm, and libuv's few
 * functions are declared in native/uv_abi.h, so neither node-gyp nor a download is needed.
 *
 * Compilers are tried in this order: $CC, cc, gcc, clang.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const sourceDirectory = join(root, 'native');
const output = join(sourceDirectory, 'build', 'Release', 'pailfs.node');

function sources() {
  return readdirSync(sourceDirectory)
    .filter((name) => /\.[ch]$/.test(name))
    .map((name) => join(sourceDirectory, name));
}

function upToDate() {
  if (!existsSync(output)) return false;
  const built = statSync(output).mtimeMs;
  return [...sources(), fileURLToPath(import.meta.url)].every((path) => statSync(path).mtimeMs <= built);
}

function findCompiler() {
  const candidates = process.env.CC ? [process.env.CC] : ['cc', 'gcc', 'clang'];
  return candidates.find((name) => spawnSync(name, ['--version'], { stdio: 'ignore' }).status === 0);
}

function includeDirectory() {
  return createRequire(import.meta.url)('node-api-headers').include_dir;
}

/**
 * Builds the addon unless it is up to date.
 * @param {{ force?: boolean }} [options]
 * @returns {{ ok: true, path: string, built: boolean } | { ok: false, reason: string }}
 */
export function buildNative(options = {}) {
  if (process.platform !== 'linux') return { ok: false, reason: 'the kernel driver is for Linux only' };
  if (!options.force && upToDate()) return { ok: true, path: output, built: false };
  const compiler = findCompiler();
  if (!compiler) {
    const wanted = process.env.CC ? `CC=${process.env.CC} does not run` : 'no C compiler found (tried cc, gcc, clang)';
    return { ok: false, reason: `${wanted}: install one, for example "apt-get install gcc libc6-dev", or set CC` };
  }
  mkdirSync(dirname(output), { recursive: true });
  // Compiled beside its place and renamed: a daemon that has the old one loaded keeps it whole.
  const fresh = `${output}.${process.pid}`;
  const flags = [
    '-std=gnu11',
    '-O2',
    '-shared',
    '-fPIC',
    '-pthread',
    '-fvisibility=hidden',
    '-Wall',
    '-Wextra',
    '-Werror',
  ];
  const files = sources().filter((path) => path.endsWith('.c'));
  const result = spawnSync(compiler, [...flags, '-isystem', includeDirectory(), '-o', fresh, ...files], {
    encoding: 'utf8',
  });
  if (result.status !== 0) {
    rmSync(fresh, { force: true });
    return { ok: false, reason: `${compiler} failed:\n${result.stderr || result.error?.message || ''}`.trimEnd() };
  }
  renameSync(fresh, output);
  return { ok: true, path: output, built: true };
}

if (process.argv[1] && fileURLToPath(import.meta.url) === process.argv[1]) {
  const result = buildNative({ force: process.argv.includes('--force') });
  if (result.ok) console.log(result.built ? `built ${result.path}` : `${result.path} is up to date`);
  else {
    console.error(`pailfs: the native addon was not built: ${result.reason}`);
    process.exitCode = 1;
  }
}
