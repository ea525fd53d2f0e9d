/**
 * A bucket on the embedded server (or on a named one, s3-place.ts), mounted through the real kernel, with an independent S3 client beside it. What must
 * hold at every unmount (no handle, no inode, no lookup, no unsaved file, no unanswered request) is checked here, so
 * that every test checks it. The mount is touched by child processes only.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  DeleteObjectCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import pino from 'pino';
import type { Test } from 'tap';
import type { EmbeddedServer } from '../../src/embedded/api.js';
import type { VolumeOptions } from '../../src/vfs/volume.js';
import { type Daemon, type DaemonOptions, endDaemon, leftovers, residentMemory, startDaemon } from './daemon.js';
import type { TestDriver } from './driver-choice.js';
import { abortMount, check, type RunOptions, run, within } from './harness.js';
import { independentClient, openPlace, type S3Place } from './s3-place.js';

export interface BucketOptions {
  readonly volume?: Partial<VolumeOptions>;
  readonly ioTimeoutMs?: number;
  /** Another than the suite's. */
  readonly driver?: TestDriver;
  readonly cacheBytes?: number;
  readonly passthrough?: boolean;
  /** The daemon is a process of its own. */
  readonly ownProcess?: boolean;
  /** Things that need a look at the store first: runs before the mount. */
  readonly before?: (store: Store) => Promise<void>;
  /** Dirty files and the like are what this test leaves. */
  readonly mayLeave?: readonly string[];
  readonly stateDirectory?: string;
}

export interface StoredObject {
  readonly body: Buffer;
  readonly metadata: Record<string, string>;
  readonly contentType: string | undefined;
  readonly etag: string;
}

/** The bucket as another program sees it. */
export class Store {
  readonly client: S3Client;

  constructor(readonly place: S3Place) {
    this.client = independentClient(place);
  }

  /** The embedded server; a test that asks for it has to be left out on others (`onlyEmbedded`). */
  get server(): EmbeddedServer {
    if (this.place.embedded === undefined) throw new Error('the test needs the embedded server, and must say so');
    return this.place.embedded;
  }

  /** Before the store is looked at: what waits for it is brought over. */
  settle: () => Promise<unknown> = async () => undefined;

  async get(key: string): Promise<StoredObject | undefined> {
    await this.settle();
    try {
      const answer = await this.client.send(new GetObjectCommand({ Bucket: this.place.bucket, Key: key }));
      return {
        body: Buffer.from(await answer.Body!.transformToByteArray()),
        metadata: answer.Metadata ?? {},
        contentType: answer.ContentType,
        etag: answer.ETag!,
      };
    } catch (error) {
      if ((error as Error).name === 'NoSuchKey') return undefined;
      throw error;
    }
  }

  async text(key: string): Promise<string | undefined> {
    return (await this.get(key))?.body.toString();
  }

  async keys(prefix = ''): Promise<string[]> {
    await this.settle();
    const keys: string[] = [];
    for (let token: string | undefined; ; ) {
      const page = await this.client.send(
        new ListObjectsV2Command({ Bucket: this.place.bucket, Prefix: prefix, ContinuationToken: token }),
      );
      keys.push(...(page.Contents ?? []).map((object) => object.Key!));
      token = page.NextContinuationToken;
      if (token === undefined) return keys;
    }
  }

  async put(key: string, body: string | Uint8Array, more: { Metadata?: Record<string, string> } = {}): Promise<void> {
    await this.client.send(new PutObjectCommand({ Bucket: this.place.bucket, Key: key, Body: body, ...more }));
  }

  async remove(key: string): Promise<void> {
    await this.client.send(new DeleteObjectCommand({ Bucket: this.place.bucket, Key: key }));
  }
}

export interface Bucket {
  /** The mount point. */
  readonly dir: string;
  /** A directory that is not mounted, for sources and comparisons; removed at the end. */
  readonly local: string;
  readonly place: S3Place;
  readonly server: EmbeddedServer;
  readonly store: Store;
  /** The daemon in this process; see `ownProcess`. */
  readonly daemon: Daemon;
  /** Log lines of the daemon. */
  readonly log: ReadonlyArray<Record<string, unknown>>;
  /** Unmounts, checks what is left, and mounts again; `fresh`: with nothing kept on this machine. */
  remount(how?: { fresh?: boolean; volume?: Partial<VolumeOptions> }): Promise<void>;
  /** Runs a script in the mount that has to succeed; answers what it printed. */
  sh(script: string, options?: RunOptions): Promise<string>;
  /** Runs Python in the mount, with `os`, `sys` and `errno` there; has to succeed. */
  py(script: string, options?: RunOptions): Promise<string>;
  /** Highest resident memory of the daemon in its own process (bytes). */
  highestMemory(): number;
}

const PYTHON_HEAD = 'import os, sys, errno\nos.chdir(sys.argv[1])\n';

class MountedBucket implements Bucket {
  readonly dir: string;
  readonly local: string;
  readonly log: Array<Record<string, unknown>> = [];
  readonly #base: string;
  readonly #logger: pino.Logger;
  #inside: Daemon | undefined;
  #child: ChildProcess | undefined;
  #options: DaemonOptions | undefined;
  #round = 0;

  constructor(
    readonly t: Test,
    base: string,
    readonly place: S3Place,
    readonly store: Store,
    readonly how: BucketOptions,
  ) {
    this.#base = base;
    this.dir = join(base, 'mount');
    this.local = join(base, 'local');
    for (const path of [this.dir, this.local]) mkdirSync(path);
    const stream = { write: (line: string) => void this.log.push(JSON.parse(line)) };
    this.#logger = pino({ level: 'warn', serializers: { err: pino.stdSerializers.err } }, stream);
  }

  get server(): EmbeddedServer {
    return this.store.server;
  }

  get daemon(): Daemon {
    if (this.#inside === undefined) throw new Error('the daemon is not in this process');
    return this.#inside;
  }

  async mount(volume: Partial<VolumeOptions> = {}): Promise<void> {
    const { how, place } = this;
    this.#options = {
      endpoint: place.endpoint,
      region: place.region,
      credentials: place.credentials,
      mountpoint: this.dir,
      cacheDirectory: join(this.#base, `cache-${this.#round}`),
      stateDirectory: how.stateDirectory ?? join(this.#base, `state-${this.#round}`),
      ioTimeoutMs: how.ioTimeoutMs,
      driver: how.driver,
      cacheBytes: how.cacheBytes,
      passthrough: how.passthrough,
      volume: { bucket: place.bucket, ...how.volume, ...volume },
    };
    if (how.ownProcess) {
      const script = fileURLToPath(new URL('./daemon.js', import.meta.url));
      this.#child = fork(script, [JSON.stringify(this.#options)], { execArgv: [], stdio: ['ignore', 2, 2, 'ipc'] });
      await within(10_000, 'the daemon is ready', once(this.#child, 'message'));
    } else this.#inside = await startDaemon(this.#options, this.#logger);
    this.store.settle = async () => this.#inside?.filesystem.flushAll();
  }

  /** Ends the mount in order and checks that nothing is left. */
  async unmount(): Promise<void> {
    const left = await (this.#child === undefined ? this.#endInside() : this.#endChild(this.#child));
    const held = Object.entries(left).filter(([name, count]) => count !== 0 && !this.how.mayLeave?.includes(name));
    this.t.same(Object.fromEntries(held), {}, 'nothing is left at unmount');
  }

  async #endInside(): Promise<Record<string, number>> {
    const left = await endDaemon(this.daemon, this.#options!);
    this.#inside = undefined;
    return left;
  }

  async #endChild(child: ChildProcess): Promise<Record<string, number>> {
    const answer = once(child, 'message');
    child.send('end');
    const [left] = await within(40_000, 'the end of the daemon', answer);
    await within(10_000, 'exit', child.exitCode === null ? once(child, 'exit') : Promise.resolve([]));
    this.#child = undefined;
    return left;
  }

  /** Whatever state it is in, nothing stays behind. */
  async destroy(): Promise<void> {
    if (this.#inside !== undefined || this.#child !== undefined) await abortMount(this.dir);
    this.#child?.kill('SIGKILL');
    if (this.#inside === undefined) return;
    await within(15_000, 'end of the connection', this.#inside.mounted.closed);
    await this.#inside.filesystem.close();
    await this.#inside.client.close();
  }

  // Functions of their own, so that a test can take them apart.
  readonly remount = async (how: { fresh?: boolean; volume?: Partial<VolumeOptions> } = {}): Promise<void> => {
    await this.unmount();
    if (how.fresh) this.#round++;
    await this.mount(how.volume);
  };

  readonly sh = (script: string, options?: RunOptions): Promise<string> => check(`cd ${this.dir}\n${script}`, options);

  readonly py = async (script: string, options: RunOptions = {}): Promise<string> => {
    const result = await run('python3', ['-c', PYTHON_HEAD + script, this.dir, this.local], options);
    if (result.code === 0) return result.stdout;
    if (!result.timedOut) throw new Error(`exit ${result.code}: ${script}\n${result.stderr}`);
    const where = this.#inside === undefined ? {} : leftovers(this.#inside);
    const asked = JSON.stringify(this.place.embedded?.requests.log.slice(-6));
    throw new Error(`timed out: ${script}\n${JSON.stringify(where)}\n${asked}\n${JSON.stringify(this.log.slice(-6))}`);
  };

  readonly highestMemory = (): number => residentMemory(this.#child!.pid!).highest;
}

/** Mounts a fresh bucket, runs `body`, and takes everything away again, whatever happened. */
export async function withBucket(
  t: Test,
  body: (bucket: Bucket) => Promise<void>,
  options: BucketOptions = {},
): Promise<void> {
  const base = mkdtempSync(join(tmpdir(), 'pailfs-bucket-'));
  const place = await openPlace(join(base, 'server'));
  const store = new Store(place);
  const bucket = new MountedBucket(t, base, place, store, options);
  try {
    await options.before?.(store);
    await bucket.mount();
    await body(bucket);
    await bucket.unmount();
  } catch (error) {
    // What goes wrong when it is taken away must not hide this.
    t.error(error);
  } finally {
    await bucket.destroy();
    store.client.destroy();
    await place.close();
    rmSync(base, { recursive: true, force: true });
  }
}
