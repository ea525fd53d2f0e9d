/**
 * Where the suites of others run: a bucket, and a mount of it by `pailfs mount` as users run it, with its default options,
 * let in by everybody. Whatever happened, close() leaves no process, mount or directory behind.
 */
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mountedAt } from '../../src/local/mount-table.js';
import { binary } from '../cli/fixture.js';
import { abortMount, type RunResult, run } from '../mount/harness.js';
import { commandEnvironment, openPlace, type S3Place } from '../mount/s3-place.js';

/** A filesystem in memory. */
const MEMORY = '/dev/shm';
const MOUNT_MS = 60_000;
/** Everything that waits is uploaded before. */
const UMOUNT_MS = 300_000;

export class Ground {
  readonly mountpoint: string;
  /** Not mounted: for what the suites need beside the mount. */
  readonly local: string;
  /** On another filesystem, where what is done on the mount can be done again without waiting for a disk. */
  readonly memory = mkdtempSync(join(MEMORY, 'pailfs-posix-'));
  readonly #env: NodeJS.ProcessEnv;

  private constructor(
    readonly s3: S3Place,
    readonly directory: string,
    readonly args: readonly string[],
  ) {
    const at = (name: string): string => join(directory, name);
    this.mountpoint = at('mnt');
    this.local = at('local');
    for (const name of ['mnt', 'local']) mkdirSync(at(name));
    this.#env = { ...commandEnvironment(s3, directory), PAILFS_LOG_FILE: at('daemon.log') };
  }

  /**
   * `args`: of `pailfs mount`, besides the bucket and the place; `fill`: is given the directory of an embedded server before
   * it starts.
   */
  static async open(args: readonly string[], fill?: (directory: string) => void): Promise<Ground> {
    const directory = mkdtempSync(join(tmpdir(), 'pailfs-posix-'));
    // Other users have to come to the mount.
    chmodSync(directory, 0o755);
    fill?.(join(directory, 'objects'));
    return new Ground(await openPlace(join(directory, 'objects')), directory, args);
  }

  #pailfs(args: readonly string[], timeout: number): Promise<RunResult> {
    return run(process.execPath, [binary, ...args], { env: this.#env, timeout });
  }

  async mount(more: readonly string[] = []): Promise<void> {
    const args = ['mount', `s3://${this.s3.bucket}`, this.mountpoint, '--allow-other', ...this.args, ...more];
    must('pailfs mount', await this.#pailfs(args, MOUNT_MS));
  }

  /** Everything is in the store then. */
  async umount(): Promise<void> {
    must('pailfs umount', await this.#pailfs(['umount', this.mountpoint], UMOUNT_MS));
  }

  /** With nothing cached: what is read then comes from the store. */
  async mountCold(more: readonly string[] = []): Promise<void> {
    rmSync(join(this.directory, 'cache'), { recursive: true, force: true });
    await this.mount(more);
  }

  async remountCold(): Promise<void> {
    await this.umount();
    await this.mountCold();
  }

  /** What the daemons said, as far as it is worth a look. */
  lastLines(): string {
    const path = join(this.directory, 'daemon.log');
    return existsSync(path) ? readFileSync(path, 'utf8').split('\n').slice(-12).join('\n') : '';
  }

  async close(): Promise<void> {
    for (const pid of this.daemons()) process.kill(pid, 'SIGKILL');
    while (mountedAt(this.mountpoint) !== undefined) await abortMount(this.mountpoint);
    await this.s3.close();
    rmSync(this.memory, { recursive: true, force: true });
    rmSync(this.directory, { recursive: true, force: true, maxRetries: 5 });
  }

  /** Those that run, from the locks of the state directory. */
  daemons(): number[] {
    const state = join(this.directory, 'state');
    const locks = existsSync(state) ? readdirSync(state).map((id) => join(state, id, 'lock')) : [];
    const pids = locks.filter((path) => existsSync(path)).map((path) => JSON.parse(readFileSync(path, 'utf8')).pid);
    return pids.filter((pid: number) => existsSync(`/proc/${pid}`));
  }
}

function must(what: string, { code, signal, stderr, timedOut }: RunResult): void {
  if (code !== 0) throw new Error(`${what}: ${timedOut ? 'did not end' : (code ?? signal)}: ${stderr}`);
}
