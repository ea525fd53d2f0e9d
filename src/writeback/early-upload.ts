/**
 * A multipart upload that is begun while its file is still written: full parts leave as soon as they are there, and what
 * is left of the file is sent when it is whole, by the upload that takes this over (upload.ts). A part that changes after
 * it was read counts as stale, and is sent again then. Knows nothing of names, nor of when it is worth it.
 */
import {
  EARLY_PARTS_OF_ONE_SIZE,
  MAX_EARLY_PART_FACTOR,
  MAX_EARLY_PARTS,
  MAX_PART_BYTES,
  MAX_STALE_PARTS,
} from '../constants.js';
import { crashPoint } from '../crash-point.js';
import type { ObjectClient, UploadedPart, WriteAttributes } from '../s3/object-client.js';
import { isS3Error, type S3ErrorKind } from '../s3/s3-error.js';
import type { Extent } from './extent-map.js';
import type { BegunUpload, ByteBudget, UploadAccount } from './upload.js';

export interface EarlyUploadInput {
  readonly key: string;
  readonly attributes: WriteAttributes;
  /** Of the first parts (bytes). */
  readonly partBytes: number;
  /** Bytes [start, end) of the file. */
  readonly read: (start: number, end: number) => Promise<Uint8Array>;
  readonly account?: UploadAccount;
}

interface Part extends Extent {
  /** Bytes of it changed since they were read. */
  isStale: boolean;
  sent: UploadedPart | undefined;
  /** Never rejects. */
  done: Promise<void>;
}

/** After these the store has certainly not begun an upload. */
const refusals: ReadonlySet<S3ErrorKind> = new Set([
  'AccessDenied',
  'Credentials',
  'InvalidRequest',
  'NotFound',
  'NoSuchBucket',
  'NotImplemented',
]);

export class EarlyUpload implements BegunUpload {
  readonly uploadId: string;
  /** Completed, aborted, or given up by who took it over: the store has nothing of it that could still be used. */
  isOver = false;
  /** Why a part could not be sent. */
  failure: unknown;
  readonly #input: EarlyUploadInput;
  readonly #client: ObjectClient;
  readonly #budget: ByteBudget;
  /** One after the other from the beginning of the file; their place is their number less 1. */
  readonly #parts: Part[] = [];
  readonly #abort = new AbortController();
  #stale = 0;
  #underWay = 0;

  private constructor(uploadId: string, input: EarlyUploadInput, client: ObjectClient, budget: ByteBudget) {
    this.uploadId = uploadId;
    this.#input = input;
    this.#client = client;
    this.#budget = budget;
  }

  static async begin(input: EarlyUploadInput, client: ObjectClient, budget: ByteBudget): Promise<EarlyUpload> {
    const { key, attributes, account } = input;
    account?.begin();
    let uploadId: string;
    try {
      uploadId = await client.createUpload(key, attributes);
    } catch (error) {
      // Otherwise it may have been begun all the same: the next start looks for it.
      if (isS3Error(error) && refusals.has(error.kind)) account?.ended();
      throw error;
    }
    crashPoint('stream-begun');
    account?.begun(uploadId);
    return new EarlyUpload(uploadId, input, client, budget);
  }

  get key(): string {
    return this.#input.key;
  }

  get account(): UploadAccount | undefined {
    return this.#input.account;
  }

  /** How the beginning of the file is cut. */
  get extents(): readonly Extent[] {
    return this.#parts;
  }

  /** Up to where parts have been begun (bytes). */
  get end(): number {
    return this.#parts.at(-1)?.end ?? 0;
  }

  get isSending(): boolean {
    return this.#underWay > 0;
  }

  /** Whether the next part is to be sent, of a file that is written up to there. */
  canSend(writtenTo: number): boolean {
    if (this.isOver || this.failure !== undefined || this.#stale >= MAX_STALE_PARTS) return false;
    return this.#parts.length < MAX_EARLY_PARTS && this.#next.end <= writtenTo;
  }

  get #next(): Extent {
    const start = this.end;
    const doublings = Math.floor(this.#parts.length / EARLY_PARTS_OF_ONE_SIZE);
    const factor = Math.min(MAX_EARLY_PART_FACTOR, 2 ** doublings);
    return { start, end: start + Math.min(MAX_PART_BYTES, this.#input.partBytes * factor) };
  }

  /** Begins to send the next part. Resolves when it is sent or has failed. */
  sendNext(): Promise<void> {
    const part: Part = { ...this.#next, isStale: false, sent: undefined, done: Promise.resolve() };
    this.#parts.push(part);
    part.done = this.#send(part, this.#parts.length);
    return part.done;
  }

  async #send(part: Part, number: number): Promise<void> {
    const { start, end } = part;
    const { signal } = this.#abort;
    this.#underWay++;
    try {
      await this.#budget.reserve(end - start, signal);
      try {
        if (part.isStale) this.#stale--;
        part.isStale = false;
        const body = await this.#input.read(start, end);
        part.sent = await this.#client.uploadPart(this.key, this.uploadId, number, body, { signal });
        crashPoint('stream-part-sent');
      } finally {
        this.#budget.release(end - start);
      }
    } catch (error) {
      this.failure ??= error;
    } finally {
      this.#underWay--;
    }
  }

  /** Bytes [start, end) of the file changed, or are about to. */
  changed(start: number, end: number): void {
    for (let i = this.#parts.length - 1; i >= 0 && this.#parts[i].end > start; i--) {
      const part = this.#parts[i];
      if (part.start >= end || part.isStale) continue;
      part.isStale = true;
      this.#stale++;
    }
  }

  async partOf(index: number, { start, end }: Extent): Promise<UploadedPart | undefined> {
    const part = this.#parts[index];
    if (part === undefined) return undefined;
    await part.done;
    return part.start === start && part.end === end && !part.isStale ? part.sent : undefined;
  }

  /** Never rejects: what could not be aborted is in the journal, and the next start does it. */
  async abort(signal?: AbortSignal): Promise<void> {
    if (this.isOver) return;
    this.isOver = true;
    this.#abort.abort();
    await Promise.all(this.#parts.map(({ done }) => done));
    try {
      await this.#client.abortUpload(this.key, this.uploadId, { signal });
      this.account?.ended();
    } catch {
      // As it says above.
    }
  }
}
