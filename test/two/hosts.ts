/**
 * Two hosts with one bucket, as far as one machine can be two: the real command twice, each with state, cache and mount
 * point of its own, on one embedded server. Whatever happens, nothing stays behind.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startEmbeddedServer } from '../../src/embedded/server.js';
import { mountedAt } from '../../src/local/mount-table.js';
import { CrashDaemon, type DaemonPlace, umount } from '../crash/daemon.js';
import { Store } from '../mount/bucket.js';
import { abortMount, type RunResult, within } from '../mount/harness.js';
import { commandEnvironment, type S3Place } from '../mount/s3-place.js';

const BUCKET = 'two';
const END_MS = 60_000;

class Host {
  readonly directory: string;
  #daemon: CrashDaemon | undefined;

  constructor(
    readonly name: string,
    base: string,
    readonly place: S3Place,
  ) {
    this.directory = join(base, name);
    mkdirSync(join(this.directory, 'mnt'), { recursive: true });
  }

  get mountpoint(): string {
    return join(this.directory, 'mnt');
  }

  get daemon(): CrashDaemon {
    if (this.#daemon === undefined) throw new Error(`${this.name} has no daemon`);
    return this.#daemon;
  }

  get daemonPlace(): DaemonPlace {
    const { place, directory, mountpoint } = this;
    const env = commandEnvironment(place, directory);
    return { mountpoint, bucket: place.bucket, env, logFile: join(directory, 'daemon.log') };
  }

  async mount(args: readonly string[]): Promise<void> {
    this.#daemon = new CrashDaemon(this.daemonPlace, args, {});
    await this.#daemon.ready();
    if (this.#daemon.isGone) throw new Error(`${this.name} did not mount: ${this.#daemon.log}`);
  }

  /** `pailfs umount`: everything is in the store then. Rejects where that failed. */
  async end(): Promise<void> {
    const left: RunResult = await umount(this.daemonPlace, END_MS);
    if (left.code !== 0) throw new Error(`${this.name}: pailfs umount ended with ${left.code}: ${left.stderr}`);
    const { code } = await within(END_MS, 'the end of the daemon', this.daemon.ended);
    if (code !== 0) throw new Error(`${this.name}: the daemon ended with ${code}: ${this.daemon.log}`);
  }

  async destroy(): Promise<void> {
    this.#daemon?.kill();
    for (let i = 0; i < 10 && mountedAt(this.mountpoint) !== undefined; i++) await abortMount(this.mountpoint);
  }
}

export class Hosts {
  readonly #directory: string;
  readonly place: S3Place;
  readonly store: Store;
  readonly a: Host;
  readonly b: Host;

  private constructor(directory: string, place: S3Place) {
    this.#directory = directory;
    this.place = place;
    this.store = new Store(place);
    this.a = new Host('a', directory, place);
    this.b = new Host('b', directory, place);
  }

  static async open(): Promise<Hosts> {
    const directory = mkdtempSync(join(tmpdir(), 'pailfs-two-'));
    const embedded = await startEmbeddedServer({ directory: join(directory, 'objects'), buckets: [BUCKET] });
    const { endpoint, region, credentials } = embedded;
    const close = (): Promise<void> => embedded.close();
    return new Hosts(directory, { endpoint, region, credentials, bucket: BUCKET, embedded, close });
  }

  get both(): readonly Host[] {
    return [this.a, this.b];
  }

  async mount(args: readonly string[]): Promise<void> {
    for (const host of this.both) await host.mount(args);
  }

  async close(): Promise<void> {
    for (const host of this.both) await host.destroy();
    this.store.client.destroy();
    await this.place.close();
    rmSync(this.#directory, { recursive: true, force: true, maxRetries: 5 });
  }
}
