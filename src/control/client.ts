/** The asker's end of the control socket. */
import { connect } from 'node:net';
import type { Progress } from '../progress.js';
import type { ControlAnswer, ControlRequest, DaemonStatus } from './messages.js';

export interface AskOptions {
  /** Longest silence (ms). Absent: no limit. */
  readonly timeoutMs?: number;
  /** Stay connected after `done` until the daemon has ended. */
  readonly untilEnd?: boolean;
  readonly onProgress?: (progress: Progress) => void;
}

/** Nobody answers there: the daemon is gone (or stuck, where it timed out). */
export class NoDaemonError extends Error {
  override readonly name = 'NoDaemonError';
}

/** Resolves with the last answer; with `untilEnd` once the daemon has ended. Rejects with NoDaemonError. */
export function ask(path: string, request: ControlRequest, options: AskOptions = {}): Promise<ControlAnswer> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    let rest = '';
    let last: ControlAnswer | undefined;
    const fail = (reason: string) => {
      socket.destroy();
      reject(new NoDaemonError(reason));
    };
    const receive = (line: string) => {
      const answer = JSON.parse(line) as ControlAnswer;
      if ('progress' in answer) options.onProgress?.(answer.progress);
      else last = answer;
      if (last !== undefined && !('done' in last && options.untilEnd)) socket.destroy();
    };
    socket.setEncoding('utf8');
    if (options.timeoutMs !== undefined) socket.setTimeout(options.timeoutMs, () => fail('it does not answer'));
    socket.once('connect', () => socket.write(`${JSON.stringify(request)}\n`));
    socket.on('error', (error: NodeJS.ErrnoException) => {
      // A daemon that ended after its answer may reset the connection.
      if (last === undefined) fail(error.code ?? error.message);
    });
    socket.on('data', (text: string) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop()!;
      for (const line of lines) receive(line);
    });
    socket.on('close', () => {
      if (last !== undefined) resolve(last);
      else reject(new NoDaemonError('it ended without an answer'));
    });
  });
}

/** Rejects with NoDaemonError. */
export async function askStatus(path: string, timeoutMs = 5_000): Promise<DaemonStatus> {
  const answer = await ask(path, { ask: 'status' }, { timeoutMs });
  if ('status' in answer) return answer.status;
  throw new NoDaemonError('failed' in answer ? answer.failed.line : 'it answers something else');
}
