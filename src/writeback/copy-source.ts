/** A version of an object that ranges of a file being written are copies of, as long as the file has not been uploaded. */
export interface CopySource {
  /** Where the store has it now; a rename of it moves the key along. */
  readonly key: string;
  readonly etag: string;
  /** Bytes of the whole object. */
  readonly size: number;
  /** The store was seen not to have this version any more: only what is cached of it can still be had. */
  isLost: boolean;
  /** Pieces of [start, end); rejects where they can be had nowhere, and never answers bytes of another version. */
  read(start: number, end: number, signal?: AbortSignal): Promise<Uint8Array[]>;
  /** No range refers to it any more. */
  release(): void;
}

/** Those that ranges of one staged file refer to. */
export class CopySources extends Set<CopySource> {
  /** Lets go of those that none of `ranges` refers to any more. */
  keepOnly(ranges: Iterable<{ readonly source: CopySource }>): void {
    if (this.size === 0) return;
    const used = new Set([...ranges].map(({ source }) => source));
    for (const source of [...this]) {
      if (used.has(source)) continue;
      this.delete(source);
      source.release();
    }
  }
}
