/** Builds everything: the addon with a C compiler, the TypeScript with tsc. `npm run build` */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildNative } from './build-native.js';
import { root } from './set-up.js';

/** What was compiled from a source that is gone would still be run. */
function removeStale(directory) {
  if (!existsSync(directory)) return;
  for (const entry of readdirSync(directory, { withFileTypes: true, recursive: true })) {
    const stem = /^(.*?)(\.js|\.d\.ts)(\.map)?$/.exec(entry.name)?.[1];
    if (!entry.isFile() || stem === undefined) continue;
    const source = join(root, relative(join(root, 'dist'), entry.parentPath ?? entry.path), `${stem}.ts`);
    if (!existsSync(source)) rmSync(join(entry.parentPath ?? entry.path, entry.name));
  }
}

/** Compiles the TypeScript; its complaints go to standard error. */
export function compile() {
  removeStale(join(root, 'dist', 'src'));
  removeStale(join(root, 'dist', 'test'));
  // Not .bin/tsc, a module without an ending: Node 24 cannot start it where a loader is set, as by a test runner.
  const compiler = join(root, 'node_modules', 'typescript', 'lib', 'tsc.js');
  return (
    spawnSync(process.execPath, [compiler, '-p', root], { cwd: root, stdio: ['ignore', 2, 'inherit'] }).status === 0
  );
}

/** The addon; says what went wrong. */
export function buildAddon() {
  const result = buildNative();
  if (!result.ok) console.error(`pailfs: the native addon was not built: ${result.reason}`);
  return result.ok;
}

if (process.argv[1] && fileURLToPath(import.meta.url) === process.argv[1]) {
  const built = [buildAddon(), compile()];
  if (built.includes(false)) process.exitCode = 1;
}
