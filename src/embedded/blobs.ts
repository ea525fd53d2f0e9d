/**
 * Content on the disk: immutable files `blobs/<id>`, counted by the records (and running answers) that point to them
 * and removed with the last one. Small contents are written and read synchronously, which on a page cache costs less
 * than the way through the thread pool.
 */

import { randomBytes } from 'node:crypto';
import { closeSync, mkdirSync, openSync, readdirSync, readSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import type { Segment } from './record.js';

/** Up to here content is held and written at once (bytes). */
const HELD_BYTES = 1 << 20;
/** One read of a long answer (bytes). */
const PIECE_BYTES = 1 << 20;
const zeros = Buffer.alloc(PIECE_BYTES);

export class BlobStore {
  readonly #directory: string;
  readonly #references = new Map<string, number>();
  readonly #run = randomBytes(6).toString('hex');
  #count = 0;

  constructor(directory: string) {
    this.#directory = join(directory, 'blobs');
    mkdirSync(this.#directory, { recursive: true });
  }

  retain(segments: readonly Segment[]): void {
    for (const { blob } of segments) if (blob) this.#references.set(blob, (this.#references.get(blob) ?? 0) + 1);
  }

  release(segments: readonly Segment[]): void {
    for (const { blob } of segments) {
      if (!blob) continue;
      const left = (this.#references.get(blob) ?? 0) - 1;
      if (left > 0) this.#references.set(blob, left);
      else {
        this.#references.delete(blob);
        unlinkSync(this.#path(blob));
      }
    }
  }

  /** Removes what no record points to: uploads cut short by the end of an earlier run. Only before the first request. */
  sweep(): void {
    for (const name of readdirSync(this.#directory)) {
      if (!this.#references.has(name)) rmSync(join(this.#directory, name));
    }
  }

  /** Its segments, once finished, belong to the caller: one reference each. */
  writer(): BlobWriter {
    return new BlobWriter(this);
  }

  create(): { id: string; path: string } {
    const id = `${this.#run}-${(this.#count++).toString(36)}`;
    return { id, path: this.#path(id) };
  }

  /** The whole content of the segments; for short ones. */
  read(segments: readonly Segment[], length: number): Buffer {
    const content = Buffer.allocUnsafe(length);
    let at = 0;
    for (const segment of segments) {
      if (segment.blob) this.#readSync(segment.blob, content.subarray(at, at + segment.length), segment.offset);
      else content.fill(0, at, at + segment.length);
      at += segment.length;
    }
    return content;
  }

  /** The content in pieces of at most 1 MiB. Holes come as one shared block of zeros: nobody writes into pieces. */
  async *pieces(segments: readonly Segment[]): AsyncGenerator<Buffer> {
    for (const segment of segments) {
      if (!segment.blob) {
        for (let left = segment.length; left > 0; left -= PIECE_BYTES) yield zeros.subarray(0, left);
        continue;
      }
      const file = await open(this.#path(segment.blob), 'r');
      try {
        for (let at = 0; at < segment.length; at += PIECE_BYTES) {
          const piece = Buffer.allocUnsafeSlow(Math.min(PIECE_BYTES, segment.length - at));
          const { bytesRead } = await file.read(piece, 0, piece.length, segment.offset + at);
          if (bytesRead !== piece.length) throw new Error(`blob ${segment.blob} is shorter than its records say`);
          yield piece;
        }
      } finally {
        await file.close();
      }
    }
  }

  #readSync(blob: string, into: Buffer, offset: number): void {
    const file = openSync(this.#path(blob), 'r');
    try {
      if (readSync(file, into, 0, into.length, offset) !== into.length) {
        throw new Error(`blob ${blob} is shorter than its records say`);
      }
    } finally {
      closeSync(file);
    }
  }

  #path(id: string): string {
    return join(this.#directory, id);
  }
}

export class BlobWriter {
  readonly #store: BlobStore;
  #held: Buffer[] = [];
  #heldBytes = 0;
  #length = 0;
  #blob: { id: string; path: string } | undefined;
  #file: FileHandle | undefined;

  constructor(store: BlobStore) {
    this.#store = store;
  }

  /** A promise when the caller has to wait before it writes more. */
  write(data: Buffer): Promise<void> | undefined {
    this.#held.push(data);
    this.#heldBytes += data.length;
    this.#length += data.length;
    return this.#heldBytes >= HELD_BYTES ? this.#flush() : undefined;
  }

  async finish(): Promise<Segment[]> {
    if (this.#length === 0) return [];
    if (this.#file) {
      await this.#flush();
      await this.#file.close();
    } else {
      this.#blob = this.#store.create();
      writeFileSync(this.#blob.path, this.#held.length === 1 ? this.#held[0]! : Buffer.concat(this.#held));
    }
    const segments = [{ blob: this.#blob!.id, offset: 0, length: this.#length }];
    this.#store.retain(segments);
    return segments;
  }

  async discard(): Promise<void> {
    this.#held = [];
    if (!this.#file) return;
    await this.#file.close();
    rmSync(this.#blob!.path, { force: true });
  }

  async #flush(): Promise<void> {
    const held = this.#held;
    this.#held = [];
    this.#heldBytes = 0;
    if (!this.#file) {
      this.#blob = this.#store.create();
      this.#file = await open(this.#blob.path, 'wx');
    }
    if (held.length === 0) return;
    const length = held.reduce((sum, data) => sum + data.length, 0);
    const { bytesWritten } = await this.#file.writev(held);
    if (bytesWritten !== length) throw new Error('short write of a blob');
  }
}
