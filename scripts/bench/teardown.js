/**
 * What has to be taken away at the end, last things first: mounts, daemons, servers, directories. It happens once, at
 * the end, after a failure, and after a signal; every step has a limit, and one that fails does not keep the next.
 */
import { stopPrograms } from './program.js';

const STEP_LIMIT_MS = 60_000;
const steps = new Set();
let ending;

/** Answers a function that takes the step now, and not again. */
export function atEnd(what, step) {
  const entry = { what, step };
  steps.add(entry);
  return async () => {
    if (steps.delete(entry)) await step();
  };
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
  for (const { what, step } of [...steps].reverse()) {
    try {
      await within(STEP_LIMIT_MS, what, step());
    } catch (error) {
      console.error(`bench: ${what}: ${error.message}`);
    }
  }
  steps.clear();
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
