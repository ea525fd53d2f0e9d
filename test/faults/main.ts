/**
 * `npm run test:faults`: a program works on a mount of the real binary while the store misbehaves in one way after the
 * other, and while the disk of the state directory is full. No wrong byte is ever read, nothing acknowledged is lost, the
 * error of a trouble reaches the program (or `pailfs status`), and everything works again without a remount.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { EmbeddedServer } from '../../src/embedded/api.js';
import { startEmbeddedServer } from '../../src/embedded/server.js';
import { mountedAt } from '../../src/local/mount-table.js';
import { binary } from '../cli/fixture.js';
import { contentOf, Random } from '../crash/content.js';
import { CrashDaemon, type DaemonPlace, umount } from '../crash/daemon.js';
import { Store } from '../mount/bucket.js';
import { abortMount, onInterrupt, run } from '../mount/harness.js';
import { type Scenario, scenarios, type Trouble, writeCredentials } from './scenarios.js';
import { FILES, isIt, LARGE, nameOf, type Possible, type WorkerAnswer } from './worker.js';

const BUCKET = 'faults';
const RECOVERY_MS = 20_000;
/** A program that hangs is ended, and the test with it. */
const SLACK_MS = 30_000;
const IO_TIMEOUT = '4s';
/** Of the disk that fills (bytes): less than the large files of the worker together. */
const SMALL_DISK = 12 * 2 ** 20;

class Faults {
  readonly directory = mkdtempSync(join(tmpdir(), 'pailfs-faults-'));
  readonly stateFile = join(this.directory, 'possible.json');
  readonly credentialsFile = join(this.directory, 'credentials');
  passed = 0;
  failed = 0;
  #skew = 0;
  #daemon: CrashDaemon | undefined;

  private constructor(
    readonly seed: number,
    readonly writeBack: string,
  ) {
    for (const name of ['mnt', 'state']) mkdirSync(join(this.directory, name));
  }

  server!: EmbeddedServer;

  static async open(seed: number, writeBack: string): Promise<Faults> {
    const faults = new Faults(seed, writeBack);
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
    return { mountpoint: at('mnt'), bucket: BUCKET, env, logFile: at('daemon.log') };
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

  async mount(): Promise<void> {
    const args = ['--write-back', this.writeBack, '--part-size', '5MiB', '--io-timeout', IO_TIMEOUT];
    args.push('--open-ttl', '0', '--metadata-ttl', '0', '--negative-ttl', '0');
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

  async isInStatus(): Promise<boolean> {
    const { env, mountpoint } = this.place;
    const answer = await run(process.execPath, [binary, 'status', mountpoint, '--json'], { env });
    const { dirty = [] } = JSON.parse(answer.stdout) as { dirty?: unknown[] };
    return dirty.length > 0;
  }

  check(name: string, problems: readonly string[], more = ''): void {
    console.log(`${problems.length === 0 ? 'ok    ' : 'FAILED'} ${name}${more}`);
    for (const problem of problems.slice(0, 10)) console.log(`  ${problem}`);
    if (problems.length > 0 && this.#daemon !== undefined) console.log(this.#daemon.log.replace(/^/gm, '    '));
    if (problems.length === 0) this.passed++;
    else this.failed++;
  }

  async scenario(scenario: Scenario, seed: number): Promise<void> {
    const problems: string[] = [];
    let told = '';
    await this.replaceAll(seed);
    scenario.begin(this.trouble);
    try {
      const during = await this.work(seed, scenario.ms, 'trouble');
      problems.push(...during.problems);
      const { ENOENT: _, ...errors } = during.errors;
      told = `: ${during.acknowledged} acknowledged, errors ${JSON.stringify(errors)}`;
      for (const code of Object.keys(errors))
        if (!scenario.errors.includes(code)) problems.push(`a program got ${code}, which this trouble does not give`);
      const isTold = Object.keys(errors).length > 0 || (await this.isInStatus());
      if (scenario.isNoticed && !isTold) problems.push('no program and no status heard of the trouble');
    } finally {
      this.server.faults.clear();
      this.server.denied.clear();
      scenario.end?.(this.trouble);
    }
    const after = await this.work(seed + 1, RECOVERY_MS, 'after');
    problems.push(...after.problems.map((problem) => `afterwards ${problem}`));
    this.check(scenario.name, problems, told);
  }

  /** What the daemon has told the program is in the bucket once it has ended. */
  async end(name: string): Promise<void> {
    const problems: string[] = [];
    const left = await umount(this.place, 60_000);
    if (left.code !== 0) problems.push(`pailfs umount ended with ${left.code}: ${left.stderr}`);
    const { code } = await this.#daemon!.ended;
    if (code !== 0) problems.push(`the daemon ended with ${code}`);
    const possible = JSON.parse(readFileSync(this.stateFile, 'utf8')) as Possible;
    const { store } = this;
    for (const [path, contents] of Object.entries(possible)) {
      const body = (await store.get(path))?.body ?? null;
      if (!contents.some((content) => isIt(content, body))) problems.push(`${path} is not in S3 as acknowledged`);
    }
    for (const key of await store.keys()) if (possible[key] === undefined) problems.push(`${key} was never a name`);
    store.client.destroy();
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

async function storeInTrouble(seed: number, writeBack: string, tally: { passed: number; failed: number }) {
  const faults = await Faults.open(seed, writeBack);
  const leave = onInterrupt(() => faults.close());
  try {
    await faults.mount();
    for (const [number, scenario] of scenarios.entries()) await faults.scenario(scenario, seed + number * 10);
    await faults.end('everything acknowledged is in S3');
  } catch (error) {
    faults.check('the run', [String((error as Error).stack)]);
  } finally {
    tally.passed += faults.passed;
    tally.failed += faults.failed;
    leave();
    await faults.close();
  }
}

/** The state directory on a disk of its own, with less room than the files need. */
async function fullDisk(seed: number, writeBack: string, tally: { passed: number; failed: number }) {
  const faults = await Faults.open(seed, writeBack);
  const leave = onInterrupt(() => faults.close());
  const state = join(faults.directory, 'state');
  try {
    const made = await run('mount', ['-t', 'tmpfs', '-o', `size=${SMALL_DISK}`, 'tmpfs', state]);
    if (made.code !== 0) throw new Error(`a tmpfs cannot be mounted: ${made.stderr}`);
    await faults.mount();
    const filler = join(state, 'filler');
    const fill = (): void => writeFileSync(filler, Buffer.alloc(SMALL_DISK - 2 ** 20));
    const errors = ['ENOSPC', 'EIO'];
    const begin = fill;
    const end = (): void => rmSync(filler);
    await faults.scenario({ name: 'the state disk is full', errors, isNoticed: true, ms: 3_000, begin, end }, seed);
    await faults.end('everything acknowledged is in S3, and the full disk lost nothing');
  } catch (error) {
    faults.check('the full disk', [String((error as Error).stack)]);
  } finally {
    tally.passed += faults.passed;
    tally.failed += faults.failed;
    leave();
    await faults.close();
  }
}

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    'write-back': { type: 'string', default: 'off' },
  },
});
const seed = Number(values.seed);
console.log(`--seed ${seed} --write-back ${values['write-back']}`);
const tally = { passed: 0, failed: 0 };
await storeInTrouble(seed, values['write-back'], tally);
await fullDisk(seed, values['write-back'], tally);
console.log(`\n${tally.passed} passed, ${tally.failed} failed`);
process.exitCode = tally.failed === 0 ? 0 : 1;
