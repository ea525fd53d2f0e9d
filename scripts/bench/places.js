/**
 * Where the cases are run: pailfs, the null mount, the local disk, and the peers, each with its default options. A place
 * is mounted by the command that a user would type, cold (new cache and state directories, no pages), and unmounted
 * so that nothing is left, in the end by force.
 */
import { fork } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../set-up.js';
import { findDaemon, isMounted } from './daemon.js';
import { dropPageCache } from './page-cache.js';
import { proceed, runProgram } from './program.js';
import { atEnd, within } from './teardown.js';

const MOUNT_LIMIT_MS = 30_000;
const UNMOUNT_LIMIT_MS = 60_000;
const UPLOAD_LIMIT_MS = 90_000;
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** `scratch`: a directory of this place alone. */
class Place {
  isLocal = false;
  /** Nothing was asked of it since it was mounted cold. */
  isFresh = false;
  cpuSeconds = 0;
  peakBytes = 0;
  #cold = 0;

  constructor(scratch) {
    this.scratch = scratch;
    this.directory = join(scratch, 'mounted');
    mkdirSync(this.directory, { recursive: true });
  }

  run(command, { limitMs = MOUNT_LIMIT_MS, env = {}, atEnd = false } = {}) {
    // Not the files of the cases: what these printed is still to be checked.
    const streams = { out: join(this.scratch, 'told'), errors: join(this.scratch, 'complaints') };
    return runProgram(command, { limitMs, env: { ...process.env, ...env }, atEnd, ...streams });
  }

  /** Mounts it cold; answers how long it took until the mount point answered (seconds). */
  async mount() {
    await proceed();
    const caches = join(this.scratch, `cold-${++this.#cold}`);
    mkdirSync(caches, { mode: 0o700 });
    dropPageCache();
    const begun = process.hrtime.bigint();
    this.gone = atEnd(`${this.name} is unmounted`, () => this.force());
    await this.start(caches);
    for (const limit = Date.now() + MOUNT_LIMIT_MS; !isMounted(this.directory); await pause(2)) {
      if (Date.now() > limit) throw new Error(`${this.name} does not mount: ${this.complaint()}`);
    }
    const answer = await this.run(['stat', this.directory]);
    if (!answer.ok) throw new Error(`${this.name} does not answer: ${answer.complaint}`);
    this.daemon = findDaemon(this.directory);
    this.isFresh = true;
    return Number(process.hrtime.bigint() - begun) / 1e9;
  }

  complaint() {
    return readFileSync(join(this.scratch, 'complaints'), 'utf8').trim().slice(0, 300);
  }

  /** The command that mounts, and returns. */
  async start(caches) {
    const { command, env } = this.mounting(caches);
    const { ok, complaint } = await this.run(command, { env });
    if (!ok) throw new Error(`${this.name} does not mount: ${complaint}`);
  }

  async stop() {
    for (let tries = 0; tries < 20; tries++) {
      const { ok } = await this.run(['umount', this.directory], { limitMs: UNMOUNT_LIMIT_MS });
      if (ok) return;
      await pause(100);
    }
  }

  async unmount() {
    const { daemon } = this;
    this.peakBytes = Math.max(this.peakBytes, daemon?.peakBytes ?? 0);
    this.cpuSeconds += daemon?.cpuSeconds ?? 0;
    if (isMounted(this.directory)) await this.stop();
    await daemon?.ends(10_000);
    await this.gone?.();
    rmSync(join(this.scratch, `cold-${this.#cold}`), { recursive: true, force: true });
  }

  /** Whatever state it is in: what waits in the mount fails, the daemon ends. */
  async force() {
    const daemon = this.daemon ?? findDaemon(this.directory);
    if (isMounted(this.directory)) {
      await this.run(['umount', '-f', this.directory], { limitMs: 5_000, atEnd: true });
      if (isMounted(this.directory)) await this.run(['umount', '-l', this.directory], { limitMs: 5_000, atEnd: true });
    }
    if (daemon && !(await daemon.ends(2_000))) daemon.kill();
    this.daemon = undefined;
  }

  async chill() {
    if (this.isFresh) return;
    await this.unmount();
    await this.mount();
  }

  /** After a program that did not end in time: nothing of it may go on. */
  async restart() {
    await proceed();
    this.cpuSeconds += this.daemon?.cpuSeconds ?? 0;
    this.peakBytes = Math.max(this.peakBytes, this.daemon?.peakBytes ?? 0);
    await this.gone?.();
    await this.mount();
  }
}

class Pailfs extends Place {
  name = 'pailfs';

  constructor(scratch, server) {
    super(scratch);
    this.server = server;
  }

  #command(...words) {
    return [process.execPath, join(root, 'bin', 'pailfs.js'), ...words, '--runtime-dir', join(this.scratch, 'run')];
  }

  mounting(caches) {
    const { endpoint, bucket, region, accessKey, secretKey } = this.server;
    const places = ['--cache-dir', join(caches, 'cache'), '--state-dir', join(caches, 'state')];
    const command = this.#command('mount', `s3://${bucket}`, this.directory, '--endpoint-url', endpoint, ...places);
    return { command, env: { AWS_ACCESS_KEY_ID: accessKey, AWS_SECRET_ACCESS_KEY: secretKey, AWS_REGION: region } };
  }

  async stop() {
    const { ok, complaint } = await this.run(this.#command('umount', this.directory), { limitMs: UNMOUNT_LIMIT_MS });
    if (!ok) console.error(`bench: pailfs umount: ${complaint}`);
  }

  async #status() {
    const { ok, complaint } = await this.run(this.#command('status', '--json', this.directory));
    if (!ok) throw new Error(`pailfs status: ${complaint}`);
    return JSON.parse(readFileSync(join(this.scratch, 'told'), 'utf8'));
  }

  /** By operation, since it was mounted. */
  async requests() {
    return (await this.#status()).requests.byOperation;
  }

  /** Whether everything that was changed here is in the bucket within the limit. */
  async uploads() {
    for (const limit = Date.now() + UPLOAD_LIMIT_MS; Date.now() < limit; await pause(200)) {
      const { dirty, waiting } = await this.#status();
      if (dirty.length + (waiting?.queued ?? 0) + (waiting?.removals ?? 0) === 0) return true;
    }
    return false;
  }
}

/** It keeps everything in memory, so it is mounted once, and cold means without pages. */
class NullMount extends Place {
  name = 'null';
  isLocal = true;

  async start() {
    const child = fork(join(root, 'scripts', 'bench', 'null-mount.js'), [this.directory], { stdio: 'inherit' });
    const mounted = new Promise((resolve, reject) => {
      child.once('message', resolve).once('error', reject);
      child.once('exit', (code) => reject(new Error(`the null mount ended with ${code}`)));
    });
    await within(MOUNT_LIMIT_MS, 'the null mount', mounted);
    child.disconnect();
    child.unref();
  }

  async chill() {
    dropPageCache();
  }
}

/** A directory of the local disk, without a mount. */
class LocalDisk extends Place {
  name = 'ext4';
  isLocal = true;

  async mount() {
    return undefined;
  }

  async unmount() {}

  async restart() {}

  async chill() {
    dropPageCache();
  }
}

/** `mounting(place, caches)` answers the command and its environment. */
class Peer extends Place {
  isPeer = true;

  constructor(scratch, server, { name, program, mounting }) {
    super(scratch);
    this.name = name;
    this.mounting = (caches) => mounting({ program, directory: this.directory, caches, ...server });
  }
}

export { LocalDisk, NullMount, Pailfs, Peer };
