/**
 * What has to be taken away at the end, last things first: mounts, daemons, servers, directories. It happens once, at
 * the end, after a failure, and after a signal; every step has a limit, and one that fails does not keep the next.
 */
import { stopPrograms } from './program.js';

const STEP_LIMIT_MS = 60_000;
const steps = new Set();
let ending;

/** Answers a function that takes the step now, if it was not taken before. The end waits for one that is under way. */
export function atEnd(what, step) {
  let taken;
  const take = () => {
    taken ??= step().finally(() => steps.delete(entry));
    return taken;
  };
  const entry = { what, take };
  steps.add(entry);
  return take;
}

export async function within(ms, what, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: not within ${ms / 1000} s`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

async function takeAway() {
  stopPrograms();
  for (const { what, take } of [...steps].reverse()) {
    try {
      await within(STEP_LIMIT_MS, what, take());
    } catch (error) {
      console.error(`bench: ${what}: ${error.message}`);
    }
  }
}

export function tearDown() {
  ending ??= takeAway();
  return ending;
}

export function tearDownOnSignals() {
  for (const [signal, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ]) {
    process.once(signal, () => {
      console.error(`bench: ${signal}: taking everything away`);
      void tearDown().then(() => process.exit(code));
    });
  }
}
