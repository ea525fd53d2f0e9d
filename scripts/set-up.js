/** Makes a fresh clone ready: dependencies as the lock file has them, unless they are there already. */
import { spawnSync } from 'node:child_process';
import { lstatSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = dirname(dirname(fileURLToPath(import.meta.url)));
// As in bin/pailfs.js: in a log of all tests it stands hundreds of times.
process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= 'true';

function modifiedAt(path) {
  return statSync(join(root, path), { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

/** A node_modules that is a link belongs to another clone, and is not ours to replace. */
function isBorrowed() {
  return lstatSync(join(root, 'node_modules'), { throwIfNoEntry: false })?.isSymbolicLink() ?? false;
}

/** npm writes its own copy of the lock file last, so it is there only when an installation went through. */
function isInstalled() {
  return modifiedAt('node_modules/.package-lock.json') >= modifiedAt('package-lock.json');
}

/** Answers whether it worked; npm itself has said why not. */
export function installDependencies() {
  if (isBorrowed() || isInstalled()) return true;
  console.error('pailfs: installing dependencies');
  const options = { cwd: root, stdio: ['ignore', 2, 'inherit'] };
  // --include=dev: also where NODE_ENV is production, because what builds is among them.
  return spawnSync('npm', ['ci', '--include=dev', '--no-audit', '--no-fund', '--loglevel=error'], options).status === 0;
}
