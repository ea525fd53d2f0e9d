/** A filesystem over the in-memory client, without a kernel: calls by path, errors as exceptions, a clock of its own. */
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Clock } from '../../src/clock.js';
import { MiB } from '../../src/constants.js';
import { errnoName } from '../../src/errno.js';
import type { CreateReply, DirentSink, EntryReply, OpenReply, RequestContext } from '../../src/fuse/operations.js';
import { ROOT_NODEID } from '../../src/fuse/operations.js';
import { silentLogger } from '../../src/log.js';
import { FaultyClient } from '../../src/s3/faulty-client.js';
import { MemoryClient } from '../../src/s3/memory-client.js';
import { type Filesystem, type FilesystemOptions, openFilesystem } from '../../src/vfs/filesystem.js';

export const O_WRONLY = 1;
export const O_RDWR = 2;
export const O_EXCL = 0o200;
export const O_TRUNC = 0o1000;

export class TestClock implements Clock {
  time = 1_700_000_000_000;

  now(): number {
    return this.time;
  }

  monotonic(): number {
    return this.time;
  }

  advance(ms: number): void {
    this.time += ms;
  }
}

/** A failed operation. `code` is the errno's name. */
export class CallError extends Error {
  constructor(readonly code: string) {
    super(code);
  }
}

export const ctx: RequestContext = { unique: 1, uid: 0, gid: 0, pid: 0, signal: new AbortController().signal };

async function ok<T>(answer: T | number | Promise<T | number>): Promise<T> {
  const value = await answer;
  if (typeof value === 'number' && value < 0) throw new CallError(errnoName(value));
  return value as T;
}

export class TestVolume {
  readonly clock = new TestClock();
  readonly memory = new MemoryClient(this.clock);
  readonly client = new FaultyClient(this.memory);
  readonly directory = mkdtempSync(join(tmpdir(), 'pailfs-volume-'));
  fs!: Filesystem;
  /** Like a kernel with memory to spare: no node is ever forgotten. */
  holds = false;
  /** After ESTALE the kernel looks the name up twice, and lets go of what the first look-up found. */
  looksTwice = false;
  #runs = 0;
  #kills = 0;
  #state = join(this.directory, 'state');
  /** Ends of daemons that were killed. */
  readonly #dead: Promise<void>[] = [];

  static async open(overrides: Partial<FilesystemOptions> = {}): Promise<TestVolume> {
    const volume = new TestVolume();
    await volume.mount(overrides);
    return volume;
  }

  async mount(overrides: Partial<FilesystemOptions> = {}): Promise<void> {
    const writesBack = overrides.writeBack ?? process.env.PAILFS_TEST_WRITE_BACK === 'on';
    this.fs = await openFilesystem({
      client: this.client,
      clock: this.clock,
      logger: silentLogger,
      bucket: 'bucket',
      prefix: '',
      readOnly: false,
      metadataTtlMs: 60_000,
      openTtlMs: 1000,
      negativeTtlMs: 1000,
      attributes: 'auto',
      partBytes: 8 * MiB,
      memoryLimitBytes: 64 * MiB,
      stagingBytes: 2 ** 40,
      uid: 1000,
      gid: 1000,
      fileMode: 0o644,
      directoryMode: 0o755,
      acl: false,
      canList: true,
      host: 'here',
      writeBack: writesBack,
      fsync: 's3',
      exclusive: 'host',
      // What waits for its upload is nowhere else.
      stateDirectory: writesBack ? this.#state : join(this.directory, `state${this.#runs}`),
      cacheDirectory: join(this.directory, `cache${this.#runs}`),
      cacheBytes: 1024 * MiB,
      ...overrides,
    });
  }

  /** Ends this run and begins another; `cold`: with new cache and state directories. */
  async remount(cold: boolean, overrides: Partial<FilesystemOptions> = {}): Promise<void> {
    await this.fs.close();
    if (cold) this.#runs++;
    await this.mount(overrides);
  }

  /**
   * kill -9 and a new mount, with a new cache: what this machine's state is at this moment goes on in another daemon. The
   * client of the old one must not reach the store any more (mortal-client.ts).
   */
  async kill(overrides: Partial<FilesystemOptions> = {}): Promise<void> {
    const state = join(this.directory, `state-${++this.#kills}`);
    cpSync(this.#state, state, { recursive: true });
    this.#dead.push(this.fs.close().catch(() => undefined));
    this.#runs++;
    this.#state = state;
    await this.mount(overrides);
  }

  async close(): Promise<void> {
    await this.fs.close();
    await Promise.all(this.#dead);
    rmSync(this.directory, { recursive: true, force: true });
  }

  /** Requests of the store since the last call, by operation. */
  requests(): Record<string, number> {
    const now = this.memory.counters.requests;
    const since: Record<string, number> = {};
    for (const [name, count] of Object.entries(now))
      if (count !== (this.#seen[name] ?? 0)) since[name] = count - (this.#seen[name] ?? 0);
    this.#seen = { ...now };
    return since;
  }

  #seen: Record<string, number> = {};

  async entry(path: string): Promise<EntryReply> {
    let nodeid = ROOT_NODEID;
    let entry: EntryReply | undefined;
    for (const name of path.split('/').filter((part) => part !== '')) {
      const parent = nodeid;
      try {
        entry = await ok<EntryReply>(this.fs.lookup(ctx, parent, name));
      } finally {
        if (parent !== ROOT_NODEID && !this.holds) this.fs.forget(parent, 1);
      }
      if (entry.nodeid === 0) throw new CallError('ENOENT');
      nodeid = entry.nodeid;
    }
    if (entry !== undefined) return entry;
    const { attributes } = await ok(this.fs.getattr(ctx, ROOT_NODEID, undefined));
    return { nodeid, generation: 0, entryTtlMs: 0, attrTtlMs: 0, attributes };
  }

  /** Runs with the node of a path, and lets go of it. */
  async with<T>(path: string, work: (nodeid: number, entry: EntryReply) => Promise<T>): Promise<T> {
    const entry = await this.entry(path);
    try {
      return await work(entry.nodeid, entry);
    } finally {
      if (entry.nodeid !== ROOT_NODEID && !this.holds) this.fs.forget(entry.nodeid, 1);
    }
  }

  withParent<T>(path: string, work: (nodeid: number, name: string) => Promise<T>): Promise<T> {
    const slash = path.lastIndexOf('/');
    return this.with(path.slice(0, Math.max(0, slash)), (nodeid, entry) => {
      if ((entry.attributes.mode & 0o170000) !== 0o040000) throw new CallError('ENOTDIR');
      return work(nodeid, path.slice(slash + 1));
    });
  }

  /** open(2), with the kernel's one repetition on ESTALE. */
  async open(path: string, flags = 0): Promise<{ nodeid: number } & OpenReply> {
    for (let attempt = 0; ; attempt++) {
      const entry = await this.entry(path);
      try {
        const reply = await ok<OpenReply>(this.fs.open(ctx, entry.nodeid, flags, false));
        return { nodeid: entry.nodeid, ...reply };
      } catch (error) {
        this.fs.forget(entry.nodeid, 1);
        if (attempt > 0 || (error as CallError).code !== 'ESTALE') throw error;
        // The kernel may look whether the name has the node it knew, let go of another that it finds, and ask again.
        const found = !this.looksTwice ? undefined : await this.entry(path).catch(() => undefined);
        if (found !== undefined) this.fs.forget(found.nodeid, 1);
      }
    }
  }

  async create(path: string, flags = O_RDWR, mode = 0o644): Promise<{ nodeid: number; fh: number }> {
    return this.withParent(path, async (parent, name) => {
      const reply = await ok<CreateReply>(this.fs.create(ctx, parent, name, mode, 0o022, flags));
      return { nodeid: reply.entry.nodeid, fh: reply.open.fh };
    });
  }

  async readAt(file: { nodeid: number; fh: number }, offset: number, size: number): Promise<Buffer> {
    const data = await ok(this.fs.read(ctx, file.nodeid, file.fh, offset, size));
    return Array.isArray(data) ? Buffer.concat(data) : Buffer.from(data);
  }

  async writeAt(file: { nodeid: number; fh: number }, offset: number, data: string | Uint8Array): Promise<void> {
    const bytes = Buffer.from(data as Uint8Array);
    const count = await ok(
      this.fs.write(ctx, file.nodeid, file.fh, offset, bytes, { killSuidgid: false, fromPageCache: false }),
    );
    if (count !== bytes.length) throw new Error(`short write: ${count}`);
  }

  /** close(2): FLUSH, whose error it reports, and RELEASE. */
  async closeFile(file: { nodeid: number; fh: number }): Promise<void> {
    try {
      await ok(this.fs.flush(ctx, file.nodeid, file.fh));
    } finally {
      await this.fs.release(file.nodeid, file.fh);
      if (!this.holds) this.fs.forget(file.nodeid, 1);
    }
  }

  async write(path: string, data: string | Uint8Array): Promise<void> {
    const exists = await this.entry(path).then(
      (entry) => {
        this.fs.forget(entry.nodeid, 1);
        return true;
      },
      () => false,
    );
    const file = exists ? await this.open(path, O_WRONLY | O_TRUNC) : await this.create(path, O_WRONLY);
    if (data.length > 0) await this.writeAt(file, 0, data);
    await this.closeFile(file);
  }

  async read(path: string): Promise<string> {
    const file = await this.open(path);
    const pieces: Buffer[] = [];
    for (let at = 0; ; ) {
      const piece = await this.readAt(file, at, 128 * 1024);
      if (piece.length === 0) break;
      pieces.push(piece);
      at += piece.length;
    }
    await this.closeFile(file);
    return Buffer.concat(pieces).toString('latin1');
  }

  /** Names in a directory, in the order they come, through replies of `batch` entries. */
  async list(path: string, batch = 7, plus = true): Promise<string[]> {
    return this.with(path, async (nodeid) => {
      const { fh } = await ok<OpenReply>(this.fs.opendir(ctx, nodeid, 0));
      const names: string[] = [];
      for (let offset = 0; ; ) {
        let taken = 0;
        const looked: number[] = [];
        const sink: DirentSink = {
          plus,
          add: (name, next, _ino, _type, entry) => {
            if (taken === batch) return false;
            taken++;
            offset = next;
            if (name !== '.' && name !== '..') names.push(name);
            if (entry !== undefined && entry.nodeid !== 0) looked.push(entry.nodeid);
            return true;
          },
        };
        await ok(this.fs.readdir(ctx, nodeid, fh, offset, sink));
        if (!this.holds) for (const child of looked) this.fs.forget(child, 1);
        if (taken === 0) break;
      }
      await this.fs.releasedir(nodeid, fh);
      return names;
    });
  }

  async unlink(path: string): Promise<void> {
    await this.withParent(path, (parent, name) => ok(this.fs.unlink(ctx, parent, name)));
  }

  async mkdir(path: string): Promise<void> {
    await this.withParent(path, async (parent, name) => {
      const entry = await ok<EntryReply>(this.fs.mkdir(ctx, parent, name, 0o755, 0o022));
      this.fs.forget(entry.nodeid, 1);
    });
  }

  async rmdir(path: string): Promise<void> {
    await this.withParent(path, (parent, name) => ok(this.fs.rmdir(ctx, parent, name)));
  }

  async rename(from: string, to: string, flags = 0): Promise<void> {
    await this.withParent(from, (parent, name) =>
      this.withParent(to, (newParent, newName) => ok(this.fs.rename(ctx, parent, name, newParent, newName, flags))),
    );
  }

  async truncate(path: string, size: number): Promise<void> {
    await this.with(path, (nodeid) => ok(this.fs.setattr(ctx, nodeid, { size, killSuidgid: false })));
  }

  /** What another client does. */
  async put(key: string, data: string, metadata: Record<string, string> = {}): Promise<void> {
    await this.memory.put(key, Buffer.from(data), { metadata });
  }

  body(key: string): string | undefined {
    const object = this.memory.objects.get(key);
    return object === undefined ? undefined : Buffer.from(object.body).toString('latin1');
  }
}

export { ok };

/** Runs with a fresh volume, whose nodes are never forgotten. */
export async function withVolume(
  work: (volume: TestVolume) => Promise<void>,
  overrides: Partial<FilesystemOptions> = {},
): Promise<void> {
  const volume = await TestVolume.open(overrides);
  volume.holds = true;
  try {
    await work(volume);
  } finally {
    await volume.close();
  }
}

/** 'ok', or the name of the errno that an operation failed with. */
export const code = async (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'ok',
    (error) => (error as CallError).code ?? String(error),
  );
