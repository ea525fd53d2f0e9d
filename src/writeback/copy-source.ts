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
