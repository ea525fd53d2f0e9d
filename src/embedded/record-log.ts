/**
 * The append-only file that makes the records outlive the process: one JSON entry a line, applied in order at start.
 * A torn last line (the process was killed) is dropped. When most lines are history the file is written anew beside
 * and renamed over. Not synced: this server holds demo and test data.
 */
import { closeSync, existsSync, ftruncateSync, openSync, readSync, renameSync, statSync, writeSync } from 'node:fs';
import { StringDecoder } from 'node:string_decoder';
import type { ObjectRecord, PartRecord, UploadRecord } from './record.js';

export type Entry =
  | { readonly do: 'bucket'; readonly bucket: string; readonly created: number }
  | { readonly do: 'drop'; readonly bucket: string }
  | { readonly do: 'put' | 'amend'; readonly bucket: string; readonly record: ObjectRecord }
  | { readonly do: 'delete'; readonly bucket: string; readonly key: string }
  | { readonly do: 'upload'; readonly upload: UploadRecord }
  | { readonly do: 'part'; readonly id: string; readonly part: PartRecord }
  | { readonly do: 'abort'; readonly id: string }
  | { readonly do: 'complete'; readonly id: string; readonly record: ObjectRecord };

const READ_BYTES = 1 << 20;

export class RecordLog {
  readonly #path: string;
  #file = -1;
  #lines = 0;

  constructor(path: string) {
    this.#path = path;
  }

  /** Lines since the file was last written anew. */
  get lines(): number {
    return this.#lines;
  }

  open(apply: (entry: Entry) => void): void {
    const whole = existsSync(this.#path) ? this.#replay(apply) : 0;
    this.#file = openSync(this.#path, 'a');
    if (statSync(this.#path).size > whole) ftruncateSync(this.#file, whole);
  }

  append(entry: Entry): void {
    writeSync(this.#file, `${JSON.stringify(entry)}\n`);
    this.#lines++;
  }

  rewrite(entries: Iterable<Entry>): void {
    const fresh = `${this.#path}.new`;
    const file = openSync(fresh, 'w');
    let text = '';
    this.#lines = 0;
    for (const entry of entries) {
      text += `${JSON.stringify(entry)}\n`;
      this.#lines++;
      if (text.length > READ_BYTES) {
        writeSync(file, text);
        text = '';
      }
    }
    writeSync(file, text);
    closeSync(file);
    renameSync(fresh, this.#path);
    closeSync(this.#file);
    this.#file = openSync(this.#path, 'a');
  }

  close(): void {
    closeSync(this.#file);
  }

  /** Bytes of whole lines. Read in pieces: the log of a million keys does not fit into one string. */
  #replay(apply: (entry: Entry) => void): number {
    const file = openSync(this.#path, 'r');
    const decoder = new StringDecoder('utf8');
    const piece = Buffer.alloc(READ_BYTES);
    let rest = '';
    let whole = 0;
    for (let size = readSync(file, piece); size > 0; size = readSync(file, piece)) {
      const lines = (rest + decoder.write(piece.subarray(0, size))).split('\n');
      rest = lines.pop()!;
      for (const line of lines) {
        apply(JSON.parse(line) as Entry);
        whole += Buffer.byteLength(line) + 1;
        this.#lines++;
      }
    }
    closeSync(file);
    return whole;
  }
}
