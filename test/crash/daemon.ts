/** The real command in a process of its own, in the foreground, so that its number is known and it can be killed. */
import { appendFileSync } from 'node:fs';
import { binary } from '../cli/fixture.js';
import { type RunResult, run, start, within } from '../mount/harness.js';
import { watchMemory } from './resident-memory.js';

const READY_MS = 30_000;
const LOG_TAIL = 4_000;

export interface DaemonPlace {
  readonly mountpoint: string;
  readonly bucket: string;
  readonly env: NodeJS.ProcessEnv;
  /** What the daemon says is appended here. */
  readonly logFile: string;
}

export class CrashDaemon {
  readonly pid: number;
  /** Resolves when the process is gone. */
  readonly ended: Promise<RunResult>;
  /** When it ended (milliseconds since 1970). */
  endedAt: number | undefined;
  #log = '';
  readonly #child: ReturnType<typeof start>['child'];

  constructor(
    readonly place: DaemonPlace,
    args: readonly string[],
    env: NodeJS.ProcessEnv,
  ) {
    const command = [binary, 'mount', `s3://${place.bucket}`, place.mountpoint, '-f', ...args];
    const options = { env: { ...place.env, ...env }, timeout: 600_000 };
    const { child, result } = start(process.execPath, command, options);
    this.#child = child;
    this.pid = child.pid!;
    child.stderr!.on('data', (text: string) => {
      this.#log += text;
      appendFileSync(place.logFile, text);
    });
    const leave = watchMemory(this.pid);
    child.once('exit', () => {
      leave();
      this.endedAt = Date.now();
    });
    this.ended = result;
  }

  get log(): string {
    return this.#log.slice(-LOG_TAIL);
  }

  get isGone(): boolean {
    return this.endedAt !== undefined;
  }

  /** Resolves once it has mounted, or is gone. */
  async ready(): Promise<void> {
    const mounted = (async () => {
      while (!this.isGone && !this.#log.includes('"msg":"mounted"')) await new Promise((done) => setTimeout(done, 5));
    })();
    await within(READY_MS, 'the mount', mounted);
  }

  kill(): void {
    if (!this.isGone) this.#child.kill('SIGKILL');
  }
}

/** `pailfs umount`, which uploads what is left before. */
export function umount(place: DaemonPlace, limitMs: number): Promise<RunResult> {
  return run(process.execPath, [binary, 'umount', place.mountpoint], { env: place.env, timeout: limitMs });
}
