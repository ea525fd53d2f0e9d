/**
 * One mount of the real binary on an embedded server that misbehaves on request, and what is checked around each trouble:
 * what programs read, what they and `pailfs status` are told, that everything works again without a remount, and what is in
 * the store then.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { DaemonStatus } from '../../src/control/messages.js';
import type { EmbeddedServer } from '../../src/embedded/api.js';
import { startEmbeddedServer } from '../../src/embedded/server.js';
import { mountedAt } from '../../src/local/mount-table.js';
import { binary } from '../cli/fixture.js';
import { contentOf, Random } from '../crash/content.js';
import { CrashDaemon, type DaemonPlace, umount } from '../crash/daemon.js';
import type { WriteBack } from '../crash/oracle.js';
import { Store } from '../mount/bucket.js';
import { abortMount, run, within } from '../mount/harness.js';
import { type Scenario, type Trouble, writeCredentials } from './scenarios.js';
import { FILES, isIt, LARGE, nameOf, type Possible, type WorkerAnswer } from './worker.js';

const BUCKET = 'faults';
/** A program that hangs is ended, and the test with it. */
const SLACK_MS = 30_000;
const RECOVERY_MS = 20_000;
const SYNC_MS = 60_000;
/** So long a trouble may go unnoticed by `pailfs status`: the time that a request has, and some. */
const NOTICE_MS = 8_000;
const IO_TIMEOUT = '4s';

export interface Plan {
  readonly seed: number;
  readonly writeBack: WriteBack;
  /** Of the times that the scenarios want, for a short run. */
  readonly share: number;
  /** Where what the daemons say is kept, operation by operation. */
  readonly log: string | undefined;
  /** Names of the scenarios; absent: all. */
  readonly chosen: ReadonlySet<string> | undefined;
}

export class Faults {
  readonly directory = mkdtempSync(join(tmpdir(), 'pailfs-faults-'));
  readonly stateFile = join(this.directory, 'possible.json');
  readonly credentialsFile = join(this.directory, 'credentials');
  passed = 0;
  failed = 0;
  #skew = 0;
  #checkedAt = performance.now();
  #daemon: CrashDaemon | undefined;

  private constructor(readonly plan: Plan) {
    for (const name of ['mnt', 'state']) mkdirSync(join(this.directory, name));
  }

  server!: EmbeddedServer;

  static async open(plan: Plan): Promise<Faults> {
    const faults = new Faults(plan);
    const now = (): number => Date.now() + faults.#skew;
    const directory = join(faults.directory, 'objects');
    faults.server = await startEmbeddedServer({ directory, buckets: [BUCKET], now });
    const { accessKeyId, secretAccessKey } = faults.server.credentials;
    writeCredentials(faults.credentialsFile, accessKeyId, secretAccessKey);
    return faults;
  }

  get place(): DaemonPlace {
    const at = (name: string): string => join(this.directory, name);
    const env: NodeJS.ProcessEnv = {
      PATH: process.env.PATH,
      HOME: this.directory,
      AWS_SHARED_CREDENTIALS_FILE: this.credentialsFile,
      AWS_EC2_METADATA_DISABLED: 'true',
      PAILFS_ENDPOINT_URL: this.server.endpoint,
      PAILFS_REGION: this.server.region,
      PAILFS_STATE_DIR: at('state'),
      PAILFS_CACHE_DIR: at('cache'),
      PAILFS_RUNTIME_DIR: at('run'),
    };
    return { mountpoint: at('mnt'), bucket: BUCKET, env, logFile: this.plan.log ?? at('daemon.log') };
  }

  get trouble(): Trouble {
    const setSkew = (ms: number): void => {
      this.#skew = ms;
    };
    return { server: this.server, credentialsFile: this.credentialsFile, setSkew };
  }

  get store(): Store {
    const { endpoint, region, credentials } = this.server;
    return new Store({ endpoint, region, credentials, bucket: BUCKET, embedded: this.server, close: async () => {} });
  }

  get daemon(): CrashDaemon {
    if (this.#daemon === undefined) throw new Error('nothing is mounted');
    return this.#daemon;
  }

  get isWriteBack(): boolean {
    return this.plan.writeBack === 'on';
  }

  async mount(more: readonly string[] = []): Promise<void> {
    const args = ['--write-back', this.plan.writeBack, '--part-size', '5MiB', '--io-timeout', IO_TIMEOUT];
    if (this.plan.log !== undefined) args.push('--log-level', 'debug');
    args.push('--open-ttl', '0', '--metadata-ttl', '0', '--negative-ttl', '0', ...more);
    this.#daemon = new CrashDaemon(this.place, args, {});
    await this.#daemon.ready();
    if (this.#daemon.isGone) throw new Error(`the mount did not come up: ${this.#daemon.log}`);
  }

  async work(seed: number, ms: number, phase: 'trouble' | 'after'): Promise<WorkerAnswer> {
    const script = fileURLToPath(new URL('./worker.js', import.meta.url));
    const args = [script, join(this.directory, 'mnt'), this.stateFile, String(seed), String(ms), phase];
    const answer = await run(process.execPath, args, { timeout: ms + SLACK_MS });
    if (answer.code !== 0) {
      const how = answer.timedOut ? 'hangs' : `ended with ${answer.code ?? answer.signal}`;
      throw new Error(`the program ${how}: ${answer.stderr}`);
    }
    return JSON.parse(answer.stdout) as WorkerAnswer;
  }

  /** Another client writes every file anew, so that what is read during the trouble comes from the store. */
  async replaceAll(seed: number): Promise<void> {
    const possible: Possible = {};
    const random = new Random(seed);
    const { store } = this;
    for (let file = 0; file < FILES; file++) {
      const size = file < FILES - LARGE ? random.between(5_000, 100_000) : random.between(5_500_000, 9_000_000);
      const content = { seed: random.seed(), size };
      await store.put(nameOf(file), contentOf(content.seed, size));
      possible[nameOf(file)] = [content];
    }
    store.client.destroy();
    writeFileSync(this.stateFile, JSON.stringify(possible));
  }

  /** Of files that the worker knows nothing of. */
  expectAlso(more: Possible): void {
    const possible = JSON.parse(readFileSync(this.stateFile, 'utf8')) as Possible;
    writeFileSync(this.stateFile, JSON.stringify({ ...possible, ...more }));
  }

  async status(): Promise<DaemonStatus> {
    const { env, mountpoint } = this.place;
    const answer = await run(process.execPath, [binary, 'status', mountpoint, '--json'], { env });
    if (answer.code !== 0) throw new Error(`pailfs status ended with ${answer.code}: ${answer.stderr}`);
    return JSON.parse(answer.stdout) as DaemonStatus;
  }

  /** Whether status tells of a trouble, within the time that it may take until a request has failed. */
  async isInStatus(): Promise<boolean> {
    for (const end = Date.now() + NOTICE_MS; ; ) {
      const { dirty, waiting } = await this.status();
      if (dirty.some(({ failure, reason }) => failure !== undefined || reason !== undefined)) return true;
      if (waiting?.isAway || waiting?.removalFailure !== undefined || waiting?.stateFailure !== undefined) return true;
      if (Date.now() > end) return false;
      await new Promise((done) => setTimeout(done, 250));
    }
  }

  /** Everything acknowledged is in the store, and nothing else. Answers what is not so. */
  async settled(): Promise<string[]> {
    const { env, mountpoint } = this.place;
    const sync = await run(process.execPath, [binary, 'sync', mountpoint], { env, timeout: SYNC_MS });
    if (sync.code !== 0) return [`pailfs sync ended with ${sync.code ?? sync.signal}: ${sync.stderr}`];
    const { dirty, conflicts, staging, waiting } = await this.status();
    const problems: string[] = [];
    if (dirty.length > 0) problems.push(`after pailfs sync ${JSON.stringify(dirty)} are not in the store`);
    if ((waiting?.removals ?? 0) > 0) problems.push(`after pailfs sync ${waiting?.removals} removals are left`);
    if (conflicts.length > 0) problems.push(`conflicts where nobody else wrote: ${JSON.stringify(conflicts)}`);
    if (staging.usedBytes > 0) problems.push(`${staging.usedBytes} bytes stay staged`);
    return [...problems, ...(await this.compareStore())];
  }

  async compareStore(): Promise<string[]> {
    const problems: string[] = [];
    const possible = JSON.parse(readFileSync(this.stateFile, 'utf8')) as Possible;
    const { store } = this;
    for (const [path, contents] of Object.entries(possible)) {
      const body = (await store.get(path))?.body ?? null;
      if (!contents.some((content) => isIt(content, body)))
        problems.push(`${path} is in S3 ${body === null ? 'not at all' : `with ${body.length} other bytes`}`);
    }
    for (const key of await store.keys()) if (possible[key] === undefined) problems.push(`${key} was never a name`);
    store.client.destroy();
    return problems;
  }

  check(name: string, problems: readonly string[], more = ''): void {
    const seconds = ((performance.now() - this.#checkedAt) / 1000).toFixed(1);
    this.#checkedAt = performance.now();
    console.log(`${problems.length === 0 ? 'ok    ' : 'FAILED'} ${name}${more} (${seconds} s)`);
    for (const problem of problems.slice(0, 10)) console.log(`  ${problem}`);
    if (problems.length > 0 && this.#daemon !== undefined) console.log(this.#daemon.log.replace(/^/gm, '    '));
    if (problems.length === 0) this.passed++;
    else this.failed++;
  }

  async scenario(scenario: Scenario, seed: number): Promise<void> {
    const problems: string[] = [];
    let told = '';
    await this.replaceAll(seed);
    const ms = Math.round(scenario.ms * this.plan.share);
    await scenario.begin(this.trouble);
    try {
      const during = await this.work(seed, ms, 'trouble');
      problems.push(...during.problems);
      const { ENOENT: _, ...errors } = during.errors;
      told = `: ${during.acknowledged} acknowledged, errors ${JSON.stringify(errors)}`;
      for (const code of Object.keys(errors))
        if (!scenario.errors.includes(code)) problems.push(`a program got ${code}, which this trouble does not give`);
      if (scenario.isNoticed && Object.keys(errors).length === 0 && !(await this.isInStatus()))
        problems.push('no program and no status heard of the trouble');
    } finally {
      this.server.faults.clear();
      this.server.denied.clear();
      await scenario.end?.(this.trouble);
    }
    const after = await this.work(seed + 1, RECOVERY_MS, 'after');
    problems.push(...after.problems.map((problem) => `afterwards ${problem}`));
    problems.push(...(await this.settled()).map((problem) => `at the end ${problem}`));
    this.check(scenario.name, problems, told);
  }

  /** What the daemon has told the program is in the bucket once it has ended. */
  async end(name: string): Promise<void> {
    const problems: string[] = [];
    const left = await umount(this.place, 60_000);
    if (left.code !== 0) problems.push(`pailfs umount ended with ${left.code}: ${left.stderr}`);
    const { code } = await within(SYNC_MS, 'the end of the daemon', this.daemon.ended);
    if (code !== 0) problems.push(`the daemon ended with ${code}`);
    problems.push(...(await this.compareStore()));
    this.check(name, problems);
  }

  async close(): Promise<void> {
    this.#daemon?.kill();
    const { mountpoint } = this.place;
    for (let i = 0; i < 10 && mountedAt(mountpoint) !== undefined; i++) await abortMount(mountpoint);
    await this.server.close();
    await run('umount', ['-l', join(this.directory, 'state')], { timeout: 5_000 });
    rmSync(this.directory, { recursive: true, force: true, maxRetries: 5 });
  }
}
