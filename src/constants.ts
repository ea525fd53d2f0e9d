/** Every limit and default of pailfs, named, with its unit. Relations between them are asserted in test/constants.ts. */

export const KiB = 1024;
export const MiB = 1024 * KiB;
export const GiB = 1024 * MiB;
export const TiB = 1024 * GiB;

/** Largest READ or WRITE the kernel is allowed to send (bytes); MAX_PAGES is this over the page size. */
export const MAX_IO_BYTES = 1 * MiB;
/** Page size assumed by the protocol's limits and by the validity bitmap of the block cache. */
export const PAGE_BYTES = 4 * KiB;
/** Requests the kernel may have outstanding in the background (readahead), and where it starts to hold back. */
export const MAX_BACKGROUND = 64;
export const CONGESTION_THRESHOLD = 48;

/** One block of the content cache (bytes). */
export const BLOCK_BYTES = 1 * MiB;

/** Longest name of one path component (bytes), and longest S3 key (bytes). */
export const MAX_NAME_BYTES = 255;
export const MAX_KEY_BYTES = 1024;

/** Multipart rules of S3: part sizes (bytes; the last may be smaller), number of parts, range copies. */
export const MIN_PART_BYTES = 5 * MiB;
export const MAX_PART_BYTES = 5 * GiB;
export const MAX_PARTS = 10_000;
/** Ranges copied inside the store are cut into parts of this (bytes), so that they run in parallel. */
export const COPY_PART_BYTES = 1 * GiB;
export const MAX_COPY_BYTES = 5 * GiB;
/** UploadPartCopy with a range needs a source of more than this (bytes). */
export const MIN_RANGE_COPY_SOURCE_BYTES = 5 * MiB;
export const MAX_OBJECT_BYTES = MAX_PARTS * MAX_PART_BYTES;

/** Keys of one ListObjectsV2 page and of one DeleteObjects request. */
export const LIST_PAGE_KEYS = 1000;
export const DELETE_BATCH_KEYS = 1000;
/** User metadata of one object, names plus values (bytes). */
export const MAX_METADATA_BYTES = 2 * KiB;

/** Defaults of the options of the same name. */
export const DEFAULT_METADATA_TTL_MS = 60_000;
export const DEFAULT_OPEN_TTL_MS = 1_000;
export const DEFAULT_NEGATIVE_TTL_MS = 1_000;
export const DEFAULT_MEMORY_LIMIT_BYTES = 128 * MiB;
export const DEFAULT_CACHE_BYTES = 10 * GiB;
export const CACHE_FREE_SPACE_FLOOR = 0.05;
export const DEFAULT_PART_BYTES = 8 * MiB;
export const DEFAULT_MAX_CONNECTIONS = 64;
export const DEFAULT_IO_TIMEOUT_MS = 60_000;

/** auto attributes: one HEAD at most for so many LIST pages begun. */
export const PAGES_PER_SAMPLE = 10;
/** An object's attributes are final once its date is this much older than the answer's (ms): dates have whole seconds. */
export const RACY_WINDOW_MS = 2_000;
