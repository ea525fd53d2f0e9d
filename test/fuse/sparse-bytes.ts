/**
 * The content of one file in memory: chunks that exist only where something was written. A chunk is as long as what was
 * written into it wants: a thousand small files must not cost the null mount of the benchmark a thousand MiB.
 */

const CHUNK_BYTES = 1 << 20;
const LEAST_BYTES = 4096;
const zeros = Buffer.alloc(CHUNK_BYTES);

export class SparseBytes {
  readonly #chunks = new Map<number, Buffer>();
  size = 0;

  /** Bytes of memory that stand for blocks. */
  get allocated(): number {
    return Math.min(this.#chunks.size * CHUNK_BYTES, Math.ceil(this.size / 512) * 512);
  }

  read(offset: number, length: number): Uint8Array[] {
    const end = Math.min(offset + length, this.size);
    const pieces: Uint8Array[] = [];
    for (let at = offset; at < end; ) {
      const within = at % CHUNK_BYTES;
      const take = Math.min(CHUNK_BYTES - within, end - at);
      const chunk = this.#chunks.get((at - within) / CHUNK_BYTES) ?? zeros.subarray(0, 0);
      const there = Math.max(0, Math.min(chunk.length - within, take));
      if (there > 0) pieces.push(chunk.subarray(within, within + there));
      if (there < take) pieces.push(zeros.subarray(0, take - there));
      at += take;
    }
    return pieces;
  }

  write(offset: number, data: Uint8Array): void {
    for (let done = 0; done < data.length; ) {
      const at = offset + done;
      const within = at % CHUNK_BYTES;
      const take = Math.min(CHUNK_BYTES - within, data.length - done);
      const chunk = this.#chunk((at - within) / CHUNK_BYTES, within + take);
      chunk.set(data.subarray(done, done + take), within);
      done += take;
    }
    this.size = Math.max(this.size, offset + data.length);
  }

  truncate(size: number): void {
    if (size < this.size) {
      const last = Math.floor(size / CHUNK_BYTES);
      for (const index of this.#chunks.keys()) if (index > last) this.#chunks.delete(index);
      // What lies behind the end must read as zeros when the file grows again.
      const chunk = this.#chunks.get(last);
      chunk?.fill(0, Math.min(size % CHUNK_BYTES, chunk.length));
    }
    this.size = size;
  }

  /** The chunk, at least so long. */
  #chunk(index: number, bytes: number): Buffer {
    const there = this.#chunks.get(index);
    if (there !== undefined && there.length >= bytes) return there;
    let length = LEAST_BYTES;
    while (length < bytes) length *= 2;
    const chunk = Buffer.alloc(length);
    if (there !== undefined) chunk.set(there);
    this.#chunks.set(index, chunk);
    return chunk;
  }
}
