/**
 * What the system has to bring, looked for before anything is installed or built: each thing that is missing is named
 * with the command that installs it. Runs on any Node, so that an old one is told instead of failing.
 */
import { spawnSync } from 'node:child_process';
import { closeSync, existsSync, openSync } from 'node:fs';

const minimalNode = [20, 19];

function install(debian, fedora, alpine) {
  return `Debian/Ubuntu: apt-get install ${debian}; Fedora: dnf install ${fedora}; Alpine: apk add ${alpine}`;
}

function checkNode() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major > minimalNode[0] || (major === minimalNode[0] && minor >= minimalNode[1])) return undefined;
  const remedy = install('nodejs npm (of Debian 13 or later)', 'nodejs', 'nodejs npm');
  return `Node.js ${minimalNode.join('.')} or later (this is ${process.versions.node}). ${remedy}`;
}

function checkCompiler() {
  const candidates = process.env.CC ? [process.env.CC] : ['cc', 'gcc', 'clang'];
  const works = (compiler) =>
    spawnSync(compiler, ['-E', '-x', 'c', '-'], { input: '#include <stdlib.h>\n', stdio: ['pipe', 'ignore', 'ignore'] })
      .status === 0;
  if (candidates.some(works)) return undefined;
  return `a C compiler with the headers of libc. ${install('gcc libc6-dev', 'gcc glibc-devel', 'gcc musl-dev')}`;
}

function checkDevice() {
  if (!existsSync('/dev/fuse')) {
    return `/dev/fuse. Load the module with "modprobe fuse"; in a container, start it with --device /dev/fuse --cap-add SYS_ADMIN`;
  }
  try {
    closeSync(openSync('/dev/fuse', 'r+'));
    return undefined;
  } catch (error) {
    const remedy = install('fuse3', 'fuse3', 'fuse3');
    return `access to /dev/fuse (${error.code}). It is for everybody where fuse3 is installed, or run this as root. ${remedy}`;
  }
}

function checkHelper() {
  if (process.geteuid() === 0) return undefined;
  if (spawnSync('fusermount3', ['-V'], { stdio: 'ignore' }).status === 0) return undefined;
  return `fusermount3, with which users mount. ${install('fuse3', 'fuse3', 'fuse3')}`;
}

/**
 * @returns {{ building: string[], mounting: string[] }} what is missing for each, one line a thing
 */
export function whatIsMissing() {
  const found = (checks) => checks.map((check) => check()).filter((line) => line !== undefined);
  if (process.platform !== 'linux') return { building: [], mounting: ['Linux: the kernel driver is for nothing else'] };
  return { building: found([checkNode, checkCompiler]), mounting: found([checkDevice, checkHelper]) };
}

/** Prints what is missing. */
export function tellMissing(lines) {
  console.error('pailfs: this system lacks');
  for (const line of lines) console.error(`  - ${line}`);
}
