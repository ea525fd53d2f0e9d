/** `pailfs status`: one mount, or all of this user's, for people or as JSON; and what daemons left that are gone. */
import { counted, durationText, sizeText } from '../amount.js';
import type { Settings } from '../config.js';
import { askStatus, NoDaemonError } from '../control/client.js';
import type { DaemonStatus, UnsavedFile } from '../control/messages.js';
import { allSockets, socketPath } from '../control/socket-path.js';
import { type ExitCode, exitCode } from '../exit-code.js';
import { baseDirectories } from '../local/directories.js';
import { pailfsMounts } from '../local/mount-table.js';
import { lifeOf, resolvePlace } from '../local/mountpoint.js';
import { StartupFailure } from '../startup-failure.js';
import { print } from './say.js';

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

/** Files of one kind that are named for people; `--json` has all. */
const MAX_NAMED = 20;

/** Names may hold anything: what would move the cursor or begin a line is shown as an escape. */
function shownName(path: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for.
  return path.replace(/[\x00-\x1f\x7f\u0080-\u009f]/g, (one) =>
    JSON.stringify(one)
      .slice(1, -1)
      .replace(/^[^\\]/, '?'),
  );
}

function ageText(since: number, now: number): string {
  return durationText(Math.max(0, now - since) / 1000);
}

type Kind = 'failed' | 'refused' | 'uploading' | 'queued' | 'open';

const kinds: Readonly<Record<UnsavedFile['state'], Kind>> = {
  failed: 'failed',
  refused: 'refused',
  running: 'uploading',
  resting: 'queued',
  waiting: 'queued',
  open: 'open',
};

function fileLine({ path, size, failure, reason, nextTryAt, state }: UnsavedFile, now: number): string {
  const why = reason ?? failure;
  const tried = nextTryAt === undefined ? '' : `, next try in ${durationText(Math.max(0, nextTryAt - now) / 1000)}`;
  return `    ${kinds[state]}  ${shownName(path)} (${sizeText(size)})${why === undefined ? '' : `: ${why}`}${tried}`;
}

/** What S3 does not have: how much in which state, the oldest, and the files by name, those with a failure first. */
function waitingLines({ dirty, waiting }: DaemonStatus, now: number): string[] {
  const lines: string[] = [];
  if (waiting !== undefined) {
    const { queued, running, removals, removalFailure, stateFailure, isAway, oldest } = waiting;
    const failed = dirty.filter(({ state }) => state === 'failed').length;
    const refused = dirty.filter(({ state }) => state === 'refused').length;
    const rest = queued - running - failed - refused;
    const why = removalFailure === undefined ? '' : ` (${removalFailure})`;
    const counts = `${Math.max(0, rest)} queued, ${running} uploading, ${failed} failed, ${refused} refused`;
    lines.push(`  write-back  ${counts}; ${counted(removals, 'deletion')}${why}`);
    if (stateFailure !== undefined) lines.push(`    the disk of the state directory fails: ${stateFailure}`);
    if (isAway) lines.push('    S3 does not answer: tries go on by themselves');
    if (oldest !== undefined)
      lines.push(`    oldest  ${shownName(oldest.path)}, for ${ageText(oldest.since, now)} on this machine only`);
  }
  for (const kind of ['failed', 'refused', 'uploading', 'queued', 'open'] as const) {
    const files = dirty.filter(({ state }) => kinds[state] === kind);
    for (const file of files.slice(0, MAX_NAMED)) lines.push(fileLine(file, now));
    if (files.length > MAX_NAMED) lines.push(`    ${kind}  and ${files.length - MAX_NAMED} more`);
  }
  return lines;
}

function ignoredText({ conditionalWrites, conditionalCopies }: DaemonStatus): string {
  if (conditionalWrites === 'ignored') return ', ignores conditions on writes';
  return conditionalCopies === 'ignored' ? ', ignores conditions on copies' : '';
}

/** @param now milliseconds since 1970 */
export function statusText(status: DaemonStatus, now: number): string {
  const { requests, operations, dirty, conflicts, staging, memory } = status;
  const cache = status.cache as { memoryBytes?: number; diskBytes?: number; hits?: number; misses?: number };
  const counts = Object.fromEntries(Object.entries(operations).map(([name, { count }]) => [name, count]));
  const traffic = `${sizeText(requests.bytesReceived)} in, ${sizeText(requests.bytesSent)} out`;
  const lines = [
    `s3://${status.bucket}${status.prefix === '' ? '' : `/${status.prefix}`} on ${status.mountpoint}${status.draining ? ' (unmounted: what is left is being uploaded)' : ''}`,
    `  server      ${status.endpoint} (${status.region})${status.anonymous ? ', without credentials' : ''}${ignoredText(status)}`,
    `  daemon      pailfs ${status.version}, process ${status.pid}, up ${durationText(status.uptimeSeconds)}, ${sizeText(memory.rssBytes)} resident`,
    `  driver      ${status.driver}${status.privileged ? '' : ' (fusermount3)'}${status.readOnly ? ', read only' : ''}, passthrough ${status.passthrough}`,
    `  requests    ${sum(requests.byOperation)} (${listed(requests.byOperation)}); ${requests.retries} retries, ${requests.errors} errors; ${traffic}`,
    `  operations  ${sum(counts)} (${listed(counts)})`,
    `  cache       ${sizeText(cache.diskBytes ?? 0)} on disk, ${sizeText(cache.memoryBytes ?? 0)} in memory; ${cache.hits} hits, ${cache.misses} misses`,
    `  open        ${status.openFiles} files, ${status.openDirectories} directories`,
    `  not in S3   ${counted(dirty.length, 'file')}, ${sizeText(staging.usedBytes)} of at most ${sizeText(staging.limitBytes)}`,
    ...waitingLines(status, now),
  ];
  lines.push(`  conflicts   ${conflicts.length}`);
  for (const conflict of conflicts as ReadonlyArray<{ path: string; copy: string }>) {
    lines.push(`    ${shownName(conflict.path)}: ours is in ${shownName(conflict.copy)}`);
  }
  return lines.join('\n');
}

function overviewText({ daemons, unanswered, deadSockets }: Overview): string {
  const lines = daemons.map((status) => statusText(status, Date.now()));
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
    print(json ? JSON.stringify(all, undefined, 2) : overviewText(all));
  } else {
    const status = await statusOf(mountpoint, runtime);
    print(json ? JSON.stringify(status, undefined, 2) : statusText(status, Date.now()));
  }
  return exitCode.ok;
}
