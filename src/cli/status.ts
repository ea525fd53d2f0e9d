/** `pailfs status`: one mount, or all of this user's, for people or as JSON; and what daemons left that are gone. */
import type { Settings } from '../config.js';
import { askStatus, NoDaemonError } from '../control/client.js';
import type { DaemonStatus } from '../control/messages.js';
import { allSockets, socketPath } from '../control/socket-path.js';
import { type ExitCode, exitCode } from '../exit-code.js';
import { baseDirectories } from '../local/directories.js';
import { pailfsMounts } from '../local/mount-table.js';
import { lifeOf, resolvePlace } from '../local/mountpoint.js';
import { StartupFailure } from '../startup-failure.js';
import { sizeText } from './say.js';

export interface StatusArguments {
  readonly mountpoint?: string;
  readonly json: boolean;
  readonly settings: Settings;
}

interface Unanswered {
  readonly mountpoint: string;
  readonly source: string;
  /** dead: its daemon is gone. alive: it is another user's, or has another runtime directory. */
  readonly life: 'dead' | 'alive' | 'stuck';
}

interface Overview {
  readonly daemons: readonly DaemonStatus[];
  readonly unanswered: readonly Unanswered[];
  /** Sockets of daemons that are gone. */
  readonly deadSockets: readonly string[];
}

function sum(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((total, count) => total + count, 0);
}

function listed(counts: Readonly<Record<string, number>>): string {
  const ordered = Object.entries(counts).sort((a, b) => b[1] - a[1]);
  return ordered.map(([name, count]) => `${name} ${count}`).join(', ');
}

function duration(seconds: number): string {
  const parts = [
    [Math.floor(seconds / 86400), 'd'],
    [Math.floor(seconds / 3600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'min'],
    [Math.floor(seconds) % 60, 's'],
  ] as const;
  const shown = parts.filter(([count]) => count > 0).slice(0, 2);
  return shown.length === 0 ? '0 s' : shown.map(([count, unit]) => `${count} ${unit}`).join(' ');
}

export function statusText(status: DaemonStatus): string {
  const { requests, operations, dirty, conflicts, memory } = status;
  const cache = status.cache as { memoryBytes?: number; diskBytes?: number; hits?: number; misses?: number };
  const counts = Object.fromEntries(Object.entries(operations).map(([name, { count }]) => [name, count]));
  const traffic = `${sizeText(requests.bytesReceived)} in, ${sizeText(requests.bytesSent)} out`;
  const lines = [
    `s3://${status.bucket}${status.prefix === '' ? '' : `/${status.prefix}`} on ${status.mountpoint}`,
    `  server      ${status.endpoint} (${status.region})${status.anonymous ? ', without credentials' : ''}`,
    `  daemon      pailfs ${status.version}, process ${status.pid}, up ${duration(status.uptimeSeconds)}, ${sizeText(memory.rssBytes)} resident`,
    `  driver      ${status.driver}${status.privileged ? '' : ' (fusermount3)'}${status.readOnly ? ', read only' : ''}`,
    `  requests    ${sum(requests.byOperation)} (${listed(requests.byOperation)}); ${requests.retries} retries, ${requests.errors} errors; ${traffic}`,
    `  operations  ${sum(counts)} (${listed(counts)})`,
    `  cache       ${sizeText(cache.diskBytes ?? 0)} on disk, ${sizeText(cache.memoryBytes ?? 0)} in memory; ${cache.hits} hits, ${cache.misses} misses`,
    `  open        ${status.openFiles} files, ${status.openDirectories} directories`,
    `  not in S3   ${dirty.length} files, ${sizeText(dirty.reduce((total, { size }) => total + size, 0))}`,
  ];
  for (const { path, size, failure } of dirty) {
    lines.push(`    ${path} (${sizeText(size)})${failure === undefined ? '' : `: ${failure}`}`);
  }
  lines.push(`  conflicts   ${conflicts.length}`);
  for (const conflict of conflicts as ReadonlyArray<{ path: string; copy: string }>) {
    lines.push(`    ${conflict.path}: ours is in ${conflict.copy}`);
  }
  return lines.join('\n');
}

function overviewText({ daemons, unanswered, deadSockets }: Overview): string {
  const lines = daemons.map(statusText);
  for (const { mountpoint, source, life } of unanswered) {
    const dead = `its daemon is gone: run "pailfs umount ${mountpoint}"`;
    lines.push(`${source} on ${mountpoint}: ${life === 'dead' ? dead : `its daemon does not answer here (${life})`}`);
  }
  for (const socket of deadSockets) lines.push(`${socket}: the daemon of this socket is gone`);
  return lines.length === 0 ? 'no bucket is mounted' : lines.join('\n');
}

async function overview(runtime: string): Promise<Overview> {
  const daemons: DaemonStatus[] = [];
  const deadSockets: string[] = [];
  for (const socket of allSockets(runtime)) {
    try {
      daemons.push(await askStatus(socket));
    } catch (error) {
      if (!(error instanceof NoDaemonError)) throw error;
      deadSockets.push(socket);
    }
  }
  const answered = new Set(daemons.map(({ mountpoint }) => mountpoint));
  const unanswered: Unanswered[] = [];
  for (const { mountpoint, source } of pailfsMounts()) {
    if (answered.has(mountpoint)) continue;
    const life = await lifeOf(mountpoint);
    if (life !== 'none') unanswered.push({ mountpoint, source, life });
  }
  return { daemons, unanswered, deadSockets };
}

async function statusOf(mountpoint: string, runtime: string): Promise<DaemonStatus> {
  const place = await resolvePlace(mountpoint);
  try {
    return await askStatus(socketPath(runtime, place));
  } catch (error) {
    if (!(error instanceof NoDaemonError)) throw error;
    const life = await lifeOf(place);
    const lines = {
      none: `no bucket is mounted on ${place}`,
      dead: `the daemon of ${place} is gone: run "pailfs umount ${place}"`,
      alive: `the daemon of ${place} does not answer here: it is another user's, or has another --runtime-dir`,
      stuck: `the daemon of ${place} does not answer`,
    };
    throw new StartupFailure(exitCode.notMounted, lines[life]);
  }
}

export async function runStatus({ mountpoint, json, settings }: StatusArguments): Promise<ExitCode> {
  const { runtime } = baseDirectories(settings, process.env, process.geteuid!());
  if (mountpoint === undefined) {
    const all = await overview(runtime);
    console.log(json ? JSON.stringify(all, undefined, 2) : overviewText(all));
  } else {
    const status = await statusOf(mountpoint, runtime);
    console.log(json ? JSON.stringify(status, undefined, 2) : statusText(status));
  }
  return exitCode.ok;
}
