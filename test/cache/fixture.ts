/** A cache in a temporary directory over any client, with a clock that the test owns. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BlockCache } from '../../src/cache/block-cache.js';
import { BlockStore } from '../../src/cache/block-store.js';
import { CacheIndex } from '../../src/cache/cache-index.js';
import type { Clock } from '../../src/clock.js';
import { GiB, MiB } from '../../src/constants.js';
import { silentLogger } from '../../src/log.js';
import type { ObjectClient } from '../../src/s3/object-client.js';

export class TestClock implements Clock {
  #now = Date.UTC(2026, 0, 1);
  #start = this.#now;

  now(): number {
    return this.#now;
  }

  monotonic(): number {
    return this.#now - this.#start;
  }

  advance(ms: number): void {
    this.#now += ms;
  }
}

/** The parts of tap's Test that are used here. */
interface Teardown {
  teardown(work: () => unknown): void;
}

export function temporary(t: Teardown, under = tmpdir()): string {
  const directory = mkdtempSync(join(under, 'pailfs-test-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

export interface StoreOptions {
  readonly directory?: string;
  readonly maxBytes?: number;
  readonly clock?: TestClock;
}

export interface OpenStore {
  readonly directory: string;
  readonly clock: TestClock;
  readonly index: CacheIndex;
  readonly store: BlockStore;
  /** Ends the run, as a restart does. */
  close(): Promise<void>;
}

export async function openStore(t: Teardown, options: StoreOptions = {}): Promise<OpenStore> {
  const directory = options.directory ?? temporary(t);
  const clock = options.clock ?? new TestClock();
  const index = CacheIndex.open(directory, silentLogger);
  const store = await BlockStore.open(index, {
    directory,
    maxBytes: options.maxBytes ?? GiB,
    clock,
    logger: silentLogger,
  });
  let closed: Promise<void> | undefined;
  const close = (): Promise<void> => {
    closed ??= store.close().then(() => index.close());
    return closed;
  };
  t.teardown(close);
  return { directory, clock, index, store, close };
}

export interface OpenCache extends OpenStore {
  readonly cache: BlockCache;
}

export async function openCache(
  t: Teardown,
  client: ObjectClient,
  options: StoreOptions & { readonly memoryLimitBytes?: number } = {},
): Promise<OpenCache> {
  const opened = await openStore(t, options);
  const memoryLimitBytes = options.memoryLimitBytes ?? 64 * MiB;
  const cache = new BlockCache({ client, store: opened.store, memoryLimitBytes, logger: silentLogger });
  const close = (): Promise<void> => cache.close().then(() => opened.close());
  t.teardown(close);
  return { ...opened, cache, close };
}

/** Bytes that tell where they belong: no two pages are alike. */
export function content(size: number, seed = 1): Buffer {
  const bytes = Buffer.allocUnsafe(size);
  let state = seed * 2654435761 + 1;
  for (let at = 0; at + 4 <= size; at += 4) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes.writeUInt32LE(state, at);
  }
  return bytes.fill(seed & 255, size - (size % 4));
}

export const join1 = (pieces: readonly Uint8Array[]): Buffer => Buffer.concat(pieces);

/** Names of the block files. */
export function blockFiles(directory: string): string[] {
  const blocks = join(directory, 'blocks');
  return readdirSync(blocks).flatMap((shelf) => readdirSync(join(blocks, shelf)).map((id) => join(blocks, shelf, id)));
}

/** A promise and what settles it. */
export function gate(): { readonly opened: Promise<void>; readonly open: () => void } {
  let open = (): void => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}

/** One turn of the event loop: everything that needs no I/O has run. */
export const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Waits for a condition, at most five seconds. */
export async function until(what: string, holds: () => boolean): Promise<void> {
  const deadline = performance.now() + 5_000;
  while (!holds()) {
    if (performance.now() > deadline) throw new Error(`not within five seconds: ${what}`);
    await turn();
  }
}
