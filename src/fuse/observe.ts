/**
 * Watches a filesystem from outside: counters for every operation, and at level debug one line each with its name,
 * node, result and time. It decorates the interface, so that neither the session nor the filesystem logs operations.
 */
import type { Clock } from '../clock.js';
import { errnoName } from '../errno.js';
import type { Logger } from '../log.js';
import type { Operations } from './operations.js';

export interface OperationCount {
  count: number;
  /** Negative answers and exceptions. ENOENT of a lookup is one. */
  errors: number;
}

export interface Observed {
  readonly operations: Operations;
  /** By operation; one that was never called has zeros. */
  readonly counts: Readonly<Record<string, OperationCount>>;
}

type Operation = (...args: unknown[]) => unknown;

/** Where an operation's node id stands among its arguments; the rest have it second, behind the context. */
const nodeFirst = new Set<string>(['forget', 'release', 'releasedir']);
const names = [
  ...['lookup', 'forget', 'getattr', 'setattr', 'readlink', 'mknod', 'mkdir', 'unlink', 'rmdir', 'symlink', 'rename'],
  ...['link', 'open', 'create', 'read', 'write', 'flush', 'release', 'fsync', 'opendir', 'readdir', 'releasedir'],
  ...['fsyncdir', 'statfs', 'access', 'setxattr', 'getxattr', 'listxattr', 'removexattr', 'fallocate', 'lseek'],
  ...['copyFileRange', 'tmpfile'],
] as const satisfies readonly (keyof Operations)[];

function describe(result: unknown): unknown {
  if (typeof result === 'number') return result < 0 ? errnoName(result) : result;
  if (result instanceof Uint8Array) return `${result.length} bytes`;
  if (Array.isArray(result)) return `${result.length} pieces`;
  return 'ok';
}

/** One operation, watched. */
function watch(name: string, run: Operation, count: OperationCount, log: Logger, clock: Clock): Operation {
  const at = nodeFirst.has(name) ? 0 : 1;
  const record = (args: unknown[], started: number, result: unknown, failed: boolean) => {
    if (failed || (typeof result === 'number' && result < 0)) count.errors += 1;
    if (started < 0) return;
    const us = Math.round((clock.monotonic() - started) * 1000);
    const node = typeof args[at] === 'number' ? args[at] : (args[at] as { nodeid?: number } | undefined)?.nodeid;
    const file = typeof args[at + 1] === 'string' ? args[at + 1] : undefined;
    log.debug({ op: name, node, name: file, result: failed ? 'threw' : describe(result), us }, name);
  };
  return (...args) => {
    count.count += 1;
    const started = log.isLevelEnabled('debug') ? clock.monotonic() : -1;
    let result: unknown;
    try {
      result = run(...args);
    } catch (error) {
      record(args, started, undefined, true);
      throw error;
    }
    if (result instanceof Promise) {
      result.then(
        (value) => record(args, started, value, false),
        () => record(args, started, undefined, true),
      );
    } else record(args, started, result, false);
    return result;
  };
}

export function observe(operations: Operations, log: Logger, clock: Clock): Observed {
  const counts: Record<string, OperationCount> = {};
  const watched: Record<string, unknown> = {
    init: operations.init?.bind(operations),
    passthrough: operations.passthrough?.bind(operations),
    destroy: operations.destroy?.bind(operations),
  };
  for (const name of names) {
    const operation = operations[name] as Operation | undefined;
    // An absent operation stays absent: the session answers ENOSYS for it.
    if (operation === undefined) continue;
    counts[name] = { count: 0, errors: 0 };
    watched[name] = watch(name, operation.bind(operations), counts[name], log, clock);
  }
  return { operations: watched as unknown as Operations, counts };
}
