/**
 * Another tool that mounts the same bucket: s3fs or rclone, of Debian's packages, in the foreground, so that it is known by
 * its process and ends before anybody else looks at the bucket. The mount is touched by child processes only.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { mountedAt } from '../../src/local/mount-table.js';
import { abortMount, run, until, within } from '../mount/harness.js';
import type { S3Place } from '../mount/s3-place.js';

export type PeerName = 's3fs' | 'rclone';

const MOUNT_MS = 30_000;
/** What waits is uploaded before. */
const UMOUNT_MS = 60_000;

interface Start {
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
}

/**
 * Defaults, but for where things lie. rclone uploads 2 s (5) after close(): a time that is set while a file is uploaded is
 * lost now and then.
 */
const starts: Readonly<Record<PeerName, (s3: S3Place, mountpoint: string, own: string) => Start>> = {
  s3fs: (s3, mountpoint, own) => ({
    args: [s3.bucket, mountpoint, '-f', '-o', `url=${s3.endpoint},use_path_request_style,use_xattr,tmpdir=${own}`],
    env: { AWSACCESSKEYID: s3.credentials.accessKeyId, AWSSECRETACCESSKEY: s3.credentials.secretAccessKey },
  }),
  rclone: (s3, mountpoint, own) => ({
    args: ['mount', `x:${s3.bucket}`, mountpoint, '--vfs-cache-mode', 'writes', '--vfs-write-back', '2s'].concat([
      '--cache-dir',
      join(own, 'cache'),
      '--config',
      rcloneConfig(s3, own),
    ]),
    env: {},
  }),
};

export function rcloneConfig({ endpoint, region, credentials }: S3Place, directory: string): string {
  const path = join(directory, 'rclone.conf');
  // Left to itself it tries a listing with control characters for 40 s before it asks for escaped names.
  const lines = [
    '[x]',
    'list_url_encode = true',
    'type = s3',
    'provider = Other',
    `endpoint = ${endpoint}`,
    `region = ${region}`,
  ];
  lines.push(`access_key_id = ${credentials.accessKeyId}`, `secret_access_key = ${credentials.secretAccessKey}`);
  writeFileSync(path, `${lines.join('\n')}\n`, { mode: 0o600 });
  return path;
}

export class Peer {
  readonly mountpoint: string;
  readonly #own: string;
  #child: ChildProcess | undefined;
  #said = '';

  constructor(
    readonly name: PeerName,
    readonly program: string,
    readonly s3: S3Place,
    directory: string,
  ) {
    this.mountpoint = join(directory, `${name}-mnt`);
    this.#own = join(directory, `${name}-own`);
    mkdirSync(this.mountpoint);
    mkdirSync(this.#own);
  }

  /** Nothing of the environment that could change what it does. */
  get env(): NodeJS.ProcessEnv {
    const { env } = starts[this.name](this.s3, this.mountpoint, this.#own);
    return { PATH: process.env.PATH, HOME: this.#own, AWS_EC2_METADATA_DISABLED: 'true', ...env };
  }

  get config(): string {
    return join(this.#own, 'rclone.conf');
  }

  /** With nothing cached. */
  async mount(): Promise<void> {
    rmSync(this.#own, { recursive: true, force: true });
    mkdirSync(this.#own);
    const { args } = starts[this.name](this.s3, this.mountpoint, this.#own);
    const child = spawn(this.program, args, { env: this.env, stdio: ['ignore', 'pipe', 'pipe'] });
    this.#child = child;
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text) => {
        this.#said = (this.#said + text).slice(-4_000);
      });
    child.on('error', (error) => {
      this.#said += error.message;
    });
    try {
      await until(
        `${this.name} mounts`,
        () => {
          if (child.exitCode !== null || child.pid === undefined) throw new Error(`${this.name} ended`);
          return mountedAt(this.mountpoint) !== undefined;
        },
        MOUNT_MS,
      );
      // s3fs is there before it has looked at the bucket.
      const seen = await run('stat', [this.mountpoint], { timeout: MOUNT_MS });
      if (seen.code !== 0) throw new Error(`${this.name}: ${seen.stderr}`);
    } catch (error) {
      throw new Error(`${(error as Error).message}\n${this.#said}`);
    }
  }

  /** rclone uploads behind close(), and does not wait for that when it is unmounted. */
  async settle(): Promise<void> {
    const meta = join(this.#own, 'cache', 'vfsMeta');
    if (this.name !== 'rclone' || !existsSync(meta)) return;
    const isDirty = (path: string): boolean => /"Dirty":\s*true/.test(readFileSync(path, 'utf8'));
    const files = (): string[] =>
      readdirSync(meta, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath ?? entry.path, entry.name));
    await until('rclone has uploaded everything', () => !files().some(isDirty), UMOUNT_MS);
  }

  /** It has ended then, and everything is in the store. */
  async umount(): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    await this.settle();
    const ended = child.exitCode === null ? once(child, 'exit') : Promise.resolve([]);
    const done = await run('fusermount3', ['-u', this.mountpoint], { timeout: UMOUNT_MS });
    if (done.code !== 0) throw new Error(`${this.name} is not unmounted: ${done.stderr}`);
    await within(UMOUNT_MS, `the end of ${this.name}`, ended);
    this.#child = undefined;
  }

  /** Whatever happened, nothing is left. */
  async close(): Promise<void> {
    this.#child?.kill('SIGKILL');
    while (mountedAt(this.mountpoint) !== undefined) await abortMount(this.mountpoint);
  }
}
