/**
 * Where kill after kill happens: a bucket, a mount point, state and cache directories, and one directory for each workload
 * beside them. Whatever happened, close() leaves no process, mount or directory behind.
 */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { mountedAt } from '../../src/local/mount-table.js';
import { Store } from '../mount/bucket.js';
import { abortMount, type RunResult, run, start } from '../mount/harness.js';
import { commandEnvironment, openPlace, type S3Place } from '../mount/s3-place.js';
import type { CheckAnswer, CheckRequest } from './check-mount.js';
import { Random } from './content.js';
import { CountingProxy } from './counting-proxy.js';
import { CrashDaemon, type DaemonPlace } from './daemon.js';
import type { WriteBack } from './oracle.js';

export interface GroundOptions {
  readonly writeBack: WriteBack;
  readonly withoutJournal: boolean;
  readonly workloads: readonly string[];
  readonly seed: number;
}

const LAST_LINES = 12;
const CHECK_LIMIT_MS = 60_000;
const WORKLOAD_LIMIT_MS = 60_000;

const script = (name: string): string => fileURLToPath(new URL(`./${name}.js`, import.meta.url));

export class Ground {
  readonly place: DaemonPlace;
  readonly hitsFile: string;
  readonly #daemons: CrashDaemon[] = [];

  private constructor(
    readonly s3: S3Place,
    readonly store: Store,
    readonly proxy: CountingProxy,
    readonly options: GroundOptions,
    readonly directory: string,
  ) {
    this.hitsFile = join(directory, 'hits');
    const env: NodeJS.ProcessEnv = {
      ...commandEnvironment({ ...s3, endpoint: proxy.endpoint }, directory),
      ...(options.withoutJournal ? { PAILFS_TEST_WITHOUT_JOURNAL: '1' } : {}),
    };
    this.place = { mountpoint: join(directory, 'mnt'), bucket: s3.bucket, env, logFile: join(directory, 'daemon.log') };
    for (const name of ['mnt', 'mirror', 'local', 'logs']) mkdirSync(join(directory, name));
  }

  static async open(options: GroundOptions): Promise<Ground> {
    const directory = mkdtempSync(join(tmpdir(), 'pailfs-crash-'));
    const s3 = await openPlace(join(directory, 'objects'));
    const proxy = new CountingProxy(s3.endpoint, new Random(options.seed));
    await proxy.listen();
    return new Ground(s3, new Store(s3), proxy, options, directory);
  }

  mirrorOf(workload: string): string {
    return join(this.directory, 'mirror', workload);
  }

  logOf(workload: string, kill: number): string {
    return join(this.directory, 'logs', `${kill}-${workload}`);
  }

  async mount(env: NodeJS.ProcessEnv = {}, wait = true): Promise<CrashDaemon> {
    const args = ['--write-back', this.options.writeBack, '--part-size', '5MiB', '--cache-size', '2GiB'];
    const daemon = new CrashDaemon(this.place, args, { PAILFS_CRASH_HITS: this.hitsFile, ...env });
    this.#daemons.push(daemon);
    if (wait) await daemon.ready();
    return daemon;
  }

  startWorkload(workload: string, kill: number, seed: number): ReturnType<typeof start> {
    const { mountpoint } = this.place;
    const local = join(this.directory, 'local', workload);
    const args = [workload, join(mountpoint, workload), this.logOf(workload, kill), this.mirrorOf(workload), local];
    const env = { PATH: process.env.PATH, HOME: this.directory };
    return start(process.execPath, [script('workload'), ...args, String(seed)], { env, timeout: WORKLOAD_LIMIT_MS });
  }

  /** Looks through the mount. `ran`: the workloads whose logs of this kill count. */
  async look(kill: number, ran: readonly string[]): Promise<CheckAnswer> {
    const request: CheckRequest = {
      mount: this.place.mountpoint,
      writeBack: this.options.writeBack,
      workloads: this.options.workloads.map((name) => ({
        name,
        mirror: this.mirrorOf(name),
        log: ran.includes(name) ? this.logOf(name, kill) : undefined,
      })),
    };
    const file = join(this.directory, 'request.json');
    writeFileSync(file, JSON.stringify(request));
    const answer = await run(process.execPath, [script('check-mount'), file], { timeout: CHECK_LIMIT_MS });
    if (answer.code !== 0) throw new Error(`the look through the mount ${how(answer)}: ${answer.stderr}`);
    return JSON.parse(answer.stdout) as CheckAnswer;
  }

  /** How often each crash point was reached since the start. */
  hits(): Map<string, number> {
    const counts = new Map<string, number>();
    let text = '';
    try {
      text = readFileSync(this.hitsFile, 'utf8');
    } catch {
      // No point was reached.
    }
    for (const name of text.split('\n').filter(Boolean)) counts.set(name, (counts.get(name) ?? 0) + 1);
    return counts;
  }

  /** What the daemons said last. */
  lastLines(): string {
    const log = existsSync(this.place.logFile) ? readFileSync(this.place.logFile, 'utf8') : '';
    return log.split('\n').slice(-LAST_LINES).join('\n');
  }

  /** `keep`: the directory stays, for whoever looks for the cause. */
  async close(keep = false): Promise<void> {
    for (const daemon of this.#daemons) daemon.kill();
    for (let i = 0; i < 10 && mountedAt(this.place.mountpoint) !== undefined; i++)
      await abortMount(this.place.mountpoint);
    await this.proxy.close();
    await this.s3.close();
    if (!keep) rmSync(this.directory, { recursive: true, force: true, maxRetries: 5 });
  }
}

export function how(result: RunResult): string {
  return result.timedOut ? 'did not end in time' : `ended with ${result.code ?? result.signal}`;
}
