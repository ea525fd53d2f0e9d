/** What a run was made with: the machine, and the version of everything that took part. */
import { execFileSync } from 'node:child_process';
import { cpus, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { root } from '../set-up.js';

function said(program, ...args) {
  try {
    return execFileSync(program, args, {
      encoding: 'utf8',
      timeout: 10_000,
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  } catch {
    return undefined;
  }
}

export function describeMachine(scratch) {
  return {
    date: new Date().toISOString().slice(0, 10),
    processors: `${cpus().length} × ${cpus()[0].model.trim()}`,
    memory: `${Math.round(totalmem() / 2 ** 30)} GiB`,
    kernel: release(),
    disk: said('findmnt', '-no', 'FSTYPE', '-T', scratch),
    node: process.versions.node,
    pailfs: said('git', '-C', root, 'describe', '--always', '--dirty') ?? said('cat', join(root, 'package.json')),
  };
}

/** A list in Markdown. */
export function machineText({ machine, server, peers, sizeName, repeats, seconds }) {
  const here = peers.filter(({ version }) => version).map(({ name, version }) => `${name} ${version}`);
  const absent = peers.filter((peer) => peer.absent).map(({ name }) => name);
  const lines = [
    `${machine.date}, ${repeats === 1 ? 'each case once' : `medians of ${repeats}`}${sizeName === 'full' ? '' : ' (tiny sizes: these times mean nothing)'}, ${Math.round(seconds)} s in all`,
    `${machine.processors}, ${machine.memory}, Linux ${machine.kernel}, ${machine.disk}, Node ${machine.node}`,
    `pailfs ${machine.pailfs}; server ${server} on the same machine`,
    `peers: ${here.join(', ') || 'none'}${absent.length > 0 ? `; not to be had here: ${absent.join(', ')}` : ''}`,
  ];
  return lines.map((line) => `- ${line}`).join('\n');
}
