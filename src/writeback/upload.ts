/**
 * One upload of a staged file, from its plan to the answer of the store. Parts run in parallel as far as memory and
 * connections allow; a multipart upload that fails is aborted. Conditions make sure that only the version the file
 * started from is replaced.
 */
import { crashPoint } from '../crash-point.js';
import type { ObjectClient, UploadedPart, WriteAttributes, WriteCondition, WriteReply } from '../s3/object-client.js';
import { isS3Error } from '../s3/s3-error.js';
import type { CopySource } from './copy-source.js';
import type { Extent } from './extent-map.js';
import type { PlannedPart, UploadPlan } from './upload-plan.js';

/** Bytes that the bodies of uploads may hold together. */
export interface ByteBudget {
  reserve(bytes: number, signal?: AbortSignal): Promise<void>;
  release(bytes: number): void;
}

export interface UploadInput {
  readonly key: string;
  readonly plan: UploadPlan<CopySource>;
  readonly condition: WriteCondition;
  readonly attributes: WriteAttributes;
  /** The base version, where `copy` parts without a source of their own come from; wanted when the plan has any. */
  readonly source?: { readonly key: string; readonly etag: string };
  /** Bytes [start, end) of the file. */
  readonly read: (start: number, end: number) => Promise<Uint8Array>;
  /** False: the file changed or lost its name meanwhile, and must not be completed. */
  readonly stillWanted: () => boolean;
  /** A multipart upload that was begun before, of which the plan's first parts are. */
  readonly begun?: BegunUpload;
  /** Keeps account of a multipart upload, so that none stays behind whatever happens to this process. */
  readonly account?: UploadAccount;
}

export interface UploadAccount {
  /** One is about to be begun under the key. */
  begin(): void;
  /** The store has begun it. */
  begun(uploadId: string): void;
  /** It is completed or aborted. */
  ended(): void;
}

/** A multipart upload of a file that was not whole when it began (early-upload.ts). */
export interface BegunUpload {
  readonly uploadId: string;
  /** What the store has of a part of the plan (from 0); undefined: it has to be sent, and nothing of its number is under way. */
  partOf(index: number, part: Extent): Promise<UploadedPart | undefined>;
}

export interface UploadOptions {
  readonly client: ObjectClient;
  readonly budget: ByteBudget;
  /** Parts under way at one time. */
  readonly parallel: number;
}

/** The upload was given up because the file changed under it. */
export class UploadSuperseded extends Error {
  override readonly name = 'UploadSuperseded';
}

export async function upload(input: UploadInput, options: UploadOptions): Promise<WriteReply> {
  const { plan } = input;
  crashPoint('upload-begun');
  if (plan.kind === 'put') return putWhole(input, plan.size, options);
  if (plan.kind === 'copy') return copyWhole(input, plan.source, options);
  return uploadParts(input, plan.parts, plan.size, options);
}

async function copyWhole(input: UploadInput, source: CopySource, options: UploadOptions): Promise<WriteReply> {
  if (!input.stillWanted()) throw new UploadSuperseded(input.key);
  // Without tags of its own the copy would get those of its source.
  const replace = { ...input.attributes, tags: input.attributes.tags ?? [] };
  return options.client.copy(source.key, input.key, { ...input.condition, sourceIfMatch: source.etag, replace });
}

async function putWhole(input: UploadInput, size: number, options: UploadOptions): Promise<WriteReply> {
  await options.budget.reserve(size);
  try {
    const body = await input.read(0, size);
    if (!input.stillWanted()) throw new UploadSuperseded(input.key);
    return await options.client.put(input.key, body, { ...input.condition, ...input.attributes });
  } finally {
    options.budget.release(size);
  }
}

async function uploadParts(
  input: UploadInput,
  planned: readonly PlannedPart<CopySource>[],
  size: number,
  options: UploadOptions,
): Promise<WriteReply> {
  const { client } = options;
  const uploadId = input.begun?.uploadId ?? (await beginUpload(input, planned, client));
  try {
    const parts = await sendParts(input, uploadId, planned, options);
    crashPoint('parts-sent');
    if (!input.stillWanted()) throw new UploadSuperseded(input.key);
    const { tags } = input.attributes;
    const reply = await client.completeUpload(input.key, uploadId, parts, { ...input.condition, size, tags });
    input.account?.ended();
    return reply;
  } catch (error) {
    // Whoever began it before the file was whole may go on with it.
    if (input.begun !== undefined && error instanceof UploadSuperseded) throw error;
    // The abort of an upload that the store does not know (any more) succeeds; another failure must not hide the first.
    await client.abortUpload(input.key, uploadId).then(
      () => input.account?.ended(),
      () => undefined,
    );
    throw error;
  }
}

async function beginUpload(
  input: UploadInput,
  planned: readonly PlannedPart<CopySource>[],
  client: ObjectClient,
): Promise<string> {
  const copies = planned.some((part) => part.kind === 'copy');
  input.account?.begin();
  const uploadId = await client.createUpload(input.key, { ...input.attributes, copies });
  crashPoint('upload-created');
  input.account?.begun(uploadId);
  return uploadId;
}

async function sendParts(
  input: UploadInput,
  uploadId: string,
  planned: readonly PlannedPart<CopySource>[],
  options: UploadOptions,
): Promise<UploadedPart[]> {
  const done: UploadedPart[] = new Array(planned.length);
  let next = 0;
  let failure: unknown;
  let hasFailed = false;
  // The first failure ends the other parts: their bytes would be thrown away.
  const abort = new AbortController();
  const fail = (error: unknown): void => {
    failure = error;
    hasFailed = true;
    // Who goes on with the upload sends parts under the same numbers: none that was given up must come in after them.
    if (input.begun === undefined || !(error instanceof UploadSuperseded)) abort.abort();
  };
  const worker = async (): Promise<void> => {
    while (next < planned.length && !hasFailed) {
      const index = next++;
      try {
        if (!input.stillWanted()) throw new UploadSuperseded(input.key);
        const part = planned[index];
        done[index] =
          (await input.begun?.partOf(index, part)) ??
          (await sendPart(input, uploadId, index + 1, part, options, abort.signal));
      } catch (error) {
        if (!hasFailed) fail(error);
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(options.parallel, planned.length) }, worker));
  if (hasFailed) throw failure;
  return done;
}

async function sendPart(
  input: UploadInput,
  uploadId: string,
  number: number,
  part: PlannedPart<CopySource>,
  options: UploadOptions,
  signal: AbortSignal,
): Promise<UploadedPart> {
  const { client, budget } = options;
  const bytes = part.end - part.start;
  if (part.kind === 'copy') {
    const source = part.source ?? input.source;
    if (source === undefined) throw new Error('a plan with copied parts needs their source');
    const { key, etag } = source;
    return client.uploadPartCopy(input.key, uploadId, number, key, {
      start: part.sourceStart,
      end: part.sourceStart + bytes,
      sourceIfMatch: etag,
      signal,
    });
  }
  await budget.reserve(bytes, signal);
  try {
    return await client.uploadPart(input.key, uploadId, number, await input.read(part.start, part.end), { signal });
  } finally {
    budget.release(bytes);
  }
}

/** Whether an upload failed because something else stands under its key than what the file started from. */
export function isConflict(error: unknown): boolean {
  return isS3Error(error, 'PreconditionFailed') || isS3Error(error, 'ConditionalConflict');
}
