/**
 * Runs one program of the model test: a bucket prefix of its own, the real command mounted on it, a plain directory beside
 * it, and the driver processes. At the end, after `pailfs umount`, the keys are compared with the plain directory too.
 * Whatever happens, nothing stays behind.
 */
import { mkdirSync, mkdtempSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { mountedAt } from '../../src/local/mount-table.js';
import { packageRoot } from '../../src/package.js';
import { contentOf, Random } from '../crash/content.js';
import { CrashDaemon, type DaemonPlace, umount } from '../crash/daemon.js';
import type { WriteBack } from '../crash/oracle.js';
import { Store } from '../mount/bucket.js';
import { abortMount, within } from '../mount/harness.js';
import { commandEnvironment, type S3Place } from '../mount/s3-place.js';
import { Driver, type PlainTree } from './driver.js';
import { type ForeignChange, type ModelOperation, PROCESSES, type Stage } from './operations.js';

export interface Failure {
  /** Index of the stage; of the process and its operation, where it was one. */
  readonly stage: number;
  readonly process?: number;
  readonly index?: number;
  readonly operation?: ModelOperation;
  readonly text: string;
  /** The daemon's last lines. */
  readonly log: string;
}

const UMOUNT_LIMIT_MS = 60_000;
const driverScript = fileURLToPath(new URL('test/model/driver.py', packageRoot));

let prefixes = 0;

export class ModelRun {
  readonly #directory = mkdtempSync(join(tmpdir(), 'pailfs-model-'));
  readonly #store: Store;
  readonly #prefix = `run-${process.pid}-${prefixes++}`;
  readonly #drivers: Driver[] = [];
  #daemon: CrashDaemon | undefined;
  #round = 0;

  constructor(
    readonly s3: S3Place,
    readonly writeBack: WriteBack,
  ) {
    this.#store = new Store(s3);
    for (const name of ['mnt', 'plain']) mkdirSync(join(this.#directory, name));
  }

  get #plain(): string {
    return join(this.#directory, 'plain');
  }

  get #place(): DaemonPlace {
    const { s3 } = this;
    const at = (name: string): string => join(this.#directory, name);
    const env = { ...commandEnvironment(s3, this.#directory), PAILFS_CACHE_DIR: at(`cache-${this.#round}`) };
    return { mountpoint: at('mnt'), bucket: `${s3.bucket}/${this.#prefix}`, env, logFile: at('daemon.log') };
  }

  /** Runs the stages; answers the first difference. `toTheEnd`: with an unmount, and a look into the bucket. */
  async run(stages: readonly Stage[], toTheEnd: boolean): Promise<Failure | undefined> {
    for (let i = 0; i < PROCESSES; i++)
      this.#drivers.push(new Driver(driverScript, join(this.#directory, 'mnt'), this.#plain));
    for (const [stage, one] of stages.entries()) {
      const failure = await this.#runStage(one).catch((error: Error) => ({ text: error.message }));
      if (failure !== undefined) return { stage, log: this.#daemon?.log ?? '', ...failure };
    }
    if (!toTheEnd) return undefined;
    const text = await this.#end();
    return text === undefined ? undefined : { stage: stages.length, text, log: this.#daemon?.log ?? '' };
  }

  async #runStage(stage: Stage): Promise<Omit<Failure, 'stage' | 'log'> | undefined> {
    if (stage.kind === 'remount') await this.#remount(stage.cold, stage.strict);
    else if (stage.kind === 'foreign') await this.#foreign(stage.seed, stage.changes);
    else {
      const answers = await Promise.all(stage.lists.map((list, i) => this.#drivers[i].batch(list)));
      const process = answers.findIndex((answer) => 'index' in answer);
      const answer = answers[process];
      if (answer !== undefined && 'index' in answer) {
        const { index } = answer;
        const text = `on the mount ${JSON.stringify(answer.mount)}, in a plain directory ${JSON.stringify(answer.plain)}`;
        return { process, index, operation: stage.lists[process][index], text };
      }
    }
    const text = await this.#drivers[0].compare();
    return text === undefined ? undefined : { text };
  }

  async #remount(cold: boolean, strict: boolean): Promise<void> {
    const ended = await this.#unmount();
    if (ended !== undefined) throw new Error(ended);
    if (cold) this.#round++;
    const args = ['--write-back', this.writeBack, '--part-size', '5MiB', '--cache-size', '1GiB'];
    if (strict) args.push('--metadata-ttl', '0', '--open-ttl', '0', '--negative-ttl', '0');
    this.#daemon = new CrashDaemon(this.#place, args, {});
    await this.#daemon.ready();
    if (this.#daemon.isGone) throw new Error('the mount did not come up');
  }

  /** Answers what went wrong. */
  async #unmount(): Promise<string | undefined> {
    if (this.#daemon === undefined) return undefined;
    const left = await umount(this.#place, UMOUNT_LIMIT_MS);
    if (left.code !== 0) return `pailfs umount ended with ${left.code ?? left.signal}: ${left.stderr}`;
    const { code, signal } = await within(UMOUNT_LIMIT_MS, 'the end of the daemon', this.#daemon.ended);
    return code === 0 ? undefined : `the daemon ended with ${code ?? signal}`;
  }

  async #foreign(seed: number, count: number): Promise<void> {
    // What waits for its upload would meet the other client's change, and rightly become a conflict.
    if (this.writeBack === 'on') await this.#remount(false, true);
    const tree = await this.#drivers[0].read();
    const random = new Random(seed);
    // A directory that only this key lets exist would go with it, which no plain directory does.
    const isNeeded = async (path: string): Promise<boolean> => {
      const parent = `${this.#prefix}/${dirname(path)}/`;
      return (await this.#store.keys(parent)).every((key) => key === `${this.#prefix}/${path}`);
    };
    for (let i = 0; i < count; i++) {
      const change = chooseChange(random, tree);
      if (change === undefined || (change.kind === 'delete' && (await isNeeded(change.path)))) continue;
      const key = `${this.#prefix}/${change.path}`;
      const real = join(this.#plain, change.path);
      if (tree[change.path] !== undefined) unlinkSync(real);
      if (change.kind === 'delete') {
        await this.#store.remove(key);
        delete tree[change.path];
        continue;
      }
      const body = contentOf(change.seed, change.size);
      await this.#store.put(key, body);
      mkdirSync(dirname(real), { recursive: true });
      writeFileSync(real, body);
      tree[change.path] = ['file'];
    }
  }

  async #end(): Promise<string | undefined> {
    const tree = await this.#drivers[0].read();
    const ended = await this.#unmount();
    return ended ?? (await compareKeys(this.#store, `${this.#prefix}/`, tree));
  }

  async close(): Promise<void> {
    for (const driver of this.#drivers) driver.close();
    this.#daemon?.kill();
    const mountpoint = join(this.#directory, 'mnt');
    for (let i = 0; i < 10 && mountedAt(mountpoint) !== undefined; i++) await abortMount(mountpoint);
    this.#store.client.destroy();
    rmSync(this.#directory, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** Another client's change: of a file that is there, or a new one, also in a directory that nothing says exists. */
function chooseChange(random: Random, tree: PlainTree): ForeignChange | undefined {
  const paths = Object.keys(tree);
  const files = paths.filter((path) => tree[path][0] === 'file');
  const directories = paths.filter((path) => tree[path][0] === 'directory' && path !== '.');
  const content = { seed: random.seed(), size: random.below(40_000) };
  const roll = random.next();
  if (roll < 0.45 && files.length > 0) return { kind: 'put', path: random.pick(files), ...content };
  if (roll < 0.65 && files.length > 0) return { kind: 'delete', path: random.pick(files) };
  if (directories.length === 0) return undefined;
  const name = `foreign${random.below(4)}${random.chance(0.3) ? '/inner' : ''}`;
  const path = `${random.pick(directories)}/${name}`;
  const top = path.replace(/\/inner$/, '');
  const isTaken = tree[path] !== undefined || (top !== path && tree[top]?.[0] === 'file');
  return isTaken || tree[path]?.[0] === 'directory' ? undefined : { kind: 'put', path, ...content };
}

/** The bucket against the plain directory: the keys and the sizes, which the mount has just shown with their content. */
async function compareKeys(store: Store, prefix: string, tree: PlainTree): Promise<string | undefined> {
  const keys = new Set((await store.keys(prefix)).map((key) => key.slice(prefix.length)).filter(Boolean));
  for (const [path, [type]] of Object.entries(tree)) {
    if (path === '.') continue;
    const isThere = type === 'directory' ? [...keys].some((key) => key.startsWith(`${path}/`)) : keys.has(path);
    if (!isThere) return `S3 has no key for ${path}`;
  }
  for (const key of keys) {
    const entry = tree[key.replace(/\/$/, '')];
    if (entry === undefined || (entry[0] === 'directory') !== key.endsWith('/')) return `S3 has the key ${key}`;
    if (entry[0] !== 'file') continue;
    const size = (await store.get(prefix + key))?.body.length;
    if (size !== entry[2]) return `${key} has ${size} bytes in S3, not ${entry[2]}`;
  }
  return undefined;
}
