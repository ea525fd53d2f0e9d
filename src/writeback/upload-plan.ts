/**
 * How the bytes of a file become one object: a single PUT, the parts of a multipart upload, or a copy of another object.
 * Parts that lie wholly in unchanged bytes of the object's present version, or in a range that was copied from another
 * object, are copied inside the store (UploadPartCopy), the others are sent.
 * Pure. Source of the rules: S3 User Guide, "Multipart upload limits": parts of 5 MiB to 5 GiB, the last may be smaller,
 * at most 10,000; a range of a source of at most 5 MiB cannot be copied.
 */
import {
  COPY_PART_BYTES,
  MAX_COPY_BYTES,
  MAX_OBJECT_BYTES,
  MAX_PART_BYTES,
  MAX_PARTS,
  MIN_PART_BYTES,
  MIN_RANGE_COPY_SOURCE_BYTES,
  MiB,
} from '../constants.js';
import type { Extent } from './extent-map.js';
import type { Layout } from './layout.js';

/** What a plan has to know of an object that ranges were copied from. */
export interface PlanSource {
  /** Bytes of the whole object. */
  readonly size: number;
  /** The store does not have it any more: its bytes are sent. */
  readonly isLost: boolean;
}

/** Bytes [start, end) of the file. */
export type PlannedPart<S> = Extent &
  (
    | { readonly kind: 'send' }
    /** Without a source: of the base version. */
    | { readonly kind: 'copy'; readonly source: S | undefined; readonly sourceStart: number }
  );

export type UploadPlan<S> =
  | { readonly kind: 'put'; readonly size: number }
  /** The whole file is a copy of this whole object. */
  | { readonly kind: 'copy'; readonly size: number; readonly source: S }
  | { readonly kind: 'multipart'; readonly size: number; readonly parts: readonly PlannedPart<S>[] };

export interface PlanInput<S> {
  readonly layout: Layout<S>;
  /** Bytes of the whole base object (0: there is none to copy from). */
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
export function planUpload<S extends PlanSource>(input: PlanInput<S>): UploadPlan<S> | undefined {
  const { size } = input.layout;
  const whole = wholeSource(input.layout);
  if (whole !== undefined) return { kind: 'copy', size, source: whole };
  const partBytes = partBytesFor(size, input.partBytes);
  if (partBytes === undefined) return undefined;
  if (size <= partBytes) return { kind: 'put', size };
  const parts: PlannedPart<S>[] = [];
  const send = (start: number, end: number): void => {
    for (const share of shares(start, end, partBytes)) parts.push({ kind: 'send', ...share });
  };
  let at = 0;
  for (const run of copyableRuns(input)) {
    send(at, run.start);
    for (const share of shares(run.start, run.end, Math.max(COPY_PART_BYTES, partBytes))) {
      const sourceStart = run.sourceStart + share.start - run.start;
      parts.push({ kind: 'copy', ...share, source: run.source, sourceStart });
    }
    at = run.end;
  }
  send(at, size);
  return { kind: 'multipart', size, parts };
}

/**
 * The plan of a file whose first parts are cut like `begun`, in a multipart upload that was begun before it was whole.
 * undefined: that upload is of no use for the file as it is now.
 */
export function planBegun<S extends PlanSource>(
  layout: Layout<S>,
  begun: readonly Extent[],
  wanted: number,
): UploadPlan<S> | undefined {
  const { size } = layout;
  const kept = begun.filter(({ end }) => end <= size);
  const at = kept.at(-1)?.end ?? 0;
  const partBytes = partBytesFor(size - at, wanted);
  if (kept.length === 0 || partBytes === undefined || size > MAX_OBJECT_BYTES || !layout.isWhole) return undefined;
  const rest = at < size ? [...shares(at, size, partBytes)] : [];
  if (kept.length + rest.length > MAX_PARTS) return undefined;
  return { kind: 'multipart', size, parts: [...kept, ...rest].map(({ start, end }) => ({ kind: 'send', start, end })) };
}

/** The object that the file is a copy of, all of it and nothing else. */
function wholeSource<S extends PlanSource>({ size, copied }: Layout<S>): S | undefined {
  const [range] = copied.ranges;
  if (range === undefined || range.start !== 0 || range.end !== size || range.sourceStart !== 0) return undefined;
  return range.source.size === size && size <= MAX_COPY_BYTES && !range.source.isLost ? range.source : undefined;
}

interface CopyableRun<S> extends Extent {
  readonly source: S | undefined;
  readonly sourceStart: number;
}

/**
 * Unchanged and copied runs worth copying, cut back so that what is sent before and between them is at least one smallest part
 * (only the last part of an object may be smaller).
 */
function copyableRuns<S extends PlanSource>({ layout, baseObjectBytes }: PlanInput<S>): CopyableRun<S>[] {
  const smallest = Math.max(MIN_PART_BYTES, Math.ceil(layout.size / (MAX_PARTS / 2)));
  const runs: CopyableRun<S>[] = [];
  let sendFrom = 0;
  for (const run of layout.runs(0, layout.size)) {
    if (run.kind !== 'base' && run.kind !== 'copied') continue;
    const source = run.kind === 'base' ? undefined : run.source;
    if ((source?.size ?? baseObjectBytes) <= MIN_RANGE_COPY_SOURCE_BYTES || source?.isLost) continue;
    const start = run.start > sendFrom ? Math.max(run.start, sendFrom + smallest) : run.start;
    if (run.end - start < smallest) continue;
    const sourceStart = (run.kind === 'base' ? run.start : run.sourceStart) + start - run.start;
    runs.push({ start, end: run.end, source, sourceStart });
    sendFrom = run.end;
  }
  return runs;
}

/** Equal shares, none below the smallest size unless the whole is; so a share may be larger than `partBytes`. */
function* shares(start: number, end: number, partBytes: number): Generator<Extent> {
  const bytes = end - start;
  const count = Math.min(Math.ceil(bytes / partBytes), Math.max(1, Math.floor(bytes / MIN_PART_BYTES)));
  const share = Math.floor(bytes / count);
  // Not bytes * i / count, which is no exact number for the largest objects.
  const edge = (i: number): number => start + share * i + Math.min(i, bytes % count);
  for (let i = 0; i < count; i++) yield { start: edge(i), end: edge(i + 1) };
}
