/**
 * A program that runs with a time limit, timed by the monotonic clock from before its start to after its end. What
 * is still running when the benchmark is ended is killed with everything it started.
 */
import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';

/** After SIGKILL a program may hang in a mount that does not answer: it is left there (ms). */
const DEATH_LIMIT_MS = 5_000;
const running = new Set();

function killGroup(child) {
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    child.kill('SIGKILL');
  }
}

/** Of what a program complained; '' where its directory is gone already. */
function firstLineOf(path) {
  try {
    return readFileSync(path, 'utf8').trim().split('\n')[0].slice(0, 200);
  } catch {
    return '';
  }
}

let stopped = false;

/** Never resolves once the end has begun: what was going on goes no further, and starts nothing that would be left. */
export function proceed() {
  return stopped ? new Promise(() => {}) : Promise.resolve();
}

export function stopPrograms() {
  stopped = true;
  for (const child of running) killGroup(child);
}

/**
 * Resolves with { ok, ms, timedOut, stdout, complaint }. `out`: the file that takes its standard output, which is not
 * read then; standard error goes to `errors`. `atEnd`: it belongs to the end itself.
 */
export async function runProgram([program, ...args], { cwd, env, limitMs, out, errors, atEnd = false }) {
  if (!atEnd) await proceed();
  const fds = [openSync(out, 'w'), openSync(errors, 'w')];
  return new Promise((resolve) => {
    const begun = process.hrtime.bigint();
    const child = spawn(program, args, { cwd, env, stdio: ['ignore', ...fds], detached: true });
    for (const fd of fds) closeSync(fd);
    running.add(child);
    let timedOut = false;
    let death;
    const end = (result) => {
      clearTimeout(timer);
      clearTimeout(death);
      running.delete(child);
      resolve({ ms: Number(process.hrtime.bigint() - begun) / 1e6, timedOut, ...result });
    };
    const timer = setTimeout(() => {
      timedOut = true;
      killGroup(child);
      death = setTimeout(() => end({ ok: false, complaint: 'killed, and it does not end' }), DEATH_LIMIT_MS);
    }, limitMs);
    child.once('error', (error) => end({ ok: false, complaint: error.message }));
    child.once('exit', (code, signal) => {
      end({
        ok: code === 0,
        complaint: code === 0 ? undefined : firstLineOf(errors) || `ended with ${code ?? signal}`,
      });
    });
  });
}
