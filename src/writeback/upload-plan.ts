/**
 * How the bytes of a file become one object: a single PUT, or the parts of a multipart upload. Parts that lie wholly in
 * unchanged bytes of the object's present version are copied inside the store (UploadPartCopy), the others are sent.
 * Pure. Source of the rules: S3 User Guide, "Multipart upload limits": parts of 5 MiB to 5 GiB, the last may be smaller,
 * at most 10,000; a range of a source of at most 5 MiB cannot be copied.
 */
import {
  COPY_PART_BYTES,
  MAX_OBJECT_BYTES,
  MAX_PART_BYTES,
  MAX_PARTS,
  MIN_PART_BYTES,
  MIN_RANGE_COPY_SOURCE_BYTES,
  MiB,
} from '../constants.js';
import type { Extent, ExtentMap } from './extent-map.js';

export interface PlannedPart {
  readonly kind: 'send' | 'copy';
  /** Bytes [start, end) of the file; the same range of the source for `copy`. */
  readonly start: number;
  readonly end: number;
}

export type UploadPlan =
  | { readonly kind: 'put'; readonly size: number }
  | { readonly kind: 'multipart'; readonly size: number; readonly parts: readonly PlannedPart[] };

export interface PlanInput {
  /** Bytes of the file. */
  readonly size: number;
  /** Bytes that were written here. */
  readonly written: ExtentMap;
  /** Bytes at the start of the base version that are still part of the file (0: there is no base). */
  readonly baseBytes: number;
  /** Bytes of the whole base object. */
  readonly baseObjectBytes: number;
  /** Wanted part size (bytes); grows where 10,000 parts would not reach. */
  readonly partBytes: number;
}

/**
 * The part size that reaches `size` with at most half of MAX_PARTS, so that ranges which are cut at odd places still fit.
 * undefined: no part size does.
 */
export function partBytesFor(size: number, wanted: number): number | undefined {
  if (size > MAX_OBJECT_BYTES) return undefined;
  const needed = Math.ceil(size / (MAX_PARTS / 2) / MiB) * MiB;
  return Math.min(MAX_PART_BYTES, Math.max(wanted, needed, MIN_PART_BYTES));
}

/** undefined: the file is larger than any object can be (EFBIG). */
export function planUpload(input: PlanInput): UploadPlan | undefined {
  const { size } = input;
  const partBytes = partBytesFor(size, input.partBytes);
  if (partBytes === undefined) return undefined;
  if (size <= partBytes) return { kind: 'put', size };
  const parts: PlannedPart[] = [];
  let at = 0;
  for (const run of copyableRuns(input)) {
    split(parts, 'send', at, run.start, partBytes);
    split(parts, 'copy', run.start, run.end, Math.max(COPY_PART_BYTES, partBytes));
    at = run.end;
  }
  split(parts, 'send', at, size, partBytes);
  return { kind: 'multipart', size, parts };
}

/**
 * Unchanged runs worth copying, cut back so that what is sent before and between them is at least one smallest part
 * (only the last part of an object may be smaller).
 */
function copyableRuns(input: PlanInput): Extent[] {
  if (input.baseObjectBytes <= MIN_RANGE_COPY_SOURCE_BYTES) return [];
  const smallest = Math.max(MIN_PART_BYTES, Math.ceil(input.size / (MAX_PARTS / 2)));
  const runs: Extent[] = [];
  let sendFrom = 0;
  for (const run of input.written.runs(0, Math.min(input.baseBytes, input.size))) {
    if (run.present) continue;
    const start = run.start > sendFrom ? Math.max(run.start, sendFrom + smallest) : run.start;
    if (run.end - start < smallest) continue;
    runs.push({ start, end: run.end });
    sendFrom = run.end;
  }
  return runs;
}

/** Equal shares, none below the smallest size unless the whole is; so a share may be larger than `partBytes`. */
function split(parts: PlannedPart[], kind: PlannedPart['kind'], start: number, end: number, partBytes: number): void {
  const bytes = end - start;
  const count = Math.min(Math.ceil(bytes / partBytes), Math.max(1, Math.floor(bytes / MIN_PART_BYTES)));
  const share = Math.floor(bytes / count);
  // Not bytes * i / count, which is no exact number for the largest objects.
  const edge = (i: number): number => start + share * i + Math.min(i, bytes % count);
  for (let i = 0; i < count; i++) parts.push({ kind, start: edge(i), end: edge(i + 1) });
}
