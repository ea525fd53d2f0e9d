/** How much memory the daemons of a long test had resident at most: each is looked at as long as it lives. */
import { MiB } from '../../src/constants.js';
import { residentMemory } from '../mount/daemon.js';

const MOST_BYTES = 300 * MiB;
/** The kernel keeps the highest figure of a process; only what came behind the last look at one that was killed is missed. */
const LOOK_MS = 200;

let highest = 0;

/** Looks at a process until the answered function is called. */
export function watchMemory(pid: number): () => void {
  const look = (): void => {
    try {
      highest = Math.max(highest, residentMemory(pid).highest || 0);
    } catch {
      // It has ended.
    }
  };
  const timer = setInterval(look, LOOK_MS);
  timer.unref();
  return () => clearInterval(timer);
}

/** What is to be printed at the end of a run, and whether it was little enough. */
export function memoryVerdict(): { readonly text: string; readonly ok: boolean } {
  const text = `a daemon had ${Math.round(highest / MiB)} MiB resident at most, of ${MOST_BYTES / MiB} that it may have`;
  return { text, ok: highest > 0 && highest < MOST_BYTES };
}
