/** The content of one file in memory: chunks that exist only where something was written. */

const CHUNK_BYTES = 1 << 20;
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
      pieces.push((this.#chunks.get((at - within) / CHUNK_BYTES) ?? zeros).subarray(within, within + take));
      at += take;
    }
    return pieces;
  }

  write(offset: number, data: Uint8Array): void {
    for (let done = 0; done < data.length; ) {
      const at = offset + done;
      const within = at % CHUNK_BYTES;
      const take = Math.min(CHUNK_BYTES - within, data.length - done);
      const index = (at - within) / CHUNK_BYTES;
      let chunk = this.#chunks.get(index);
      if (!chunk) {
        chunk = Buffer.alloc(CHUNK_BYTES);
        this.#chunks.set(index, chunk);
      }
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
      this.#chunks.get(last)?.fill(0, size % CHUNK_BYTES);
    }
    this.size = size;
  }
}
