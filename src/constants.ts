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

/** Of a file that is changed in part, at most so much of the rest is carried over in the cache to the new version (bytes). */
export const CARRIED_BYTES = 16 * MiB;

/** What an open brings along of the file (bytes): small files need no second request. */
export const FIRST_FETCH_BYTES = 128 * KiB;
/**
 * Readahead begins with this (bytes), doubles, and ends at this share of the memory for transfers. What was read ahead
 * must fit the memory for blocks, where it waits for its reader when the disk does not take it.
 */
export const READAHEAD_FIRST_BYTES = 1 * MiB;
export const READAHEAD_SHARE = 0.5;
/** Largest range of one GET (bytes). */
export const MAX_FETCH_BYTES = 8 * MiB;

/** Writes up to this go to the staged file without a thread (bytes). */
export const STAGED_SYNC_WRITE_BYTES = 64 * KiB;
/** A write is answered before it is done only while its disk has so much more room (bytes) ... */
export const DISK_ROOM_MARGIN_BYTES = 256 * MiB;
/** ... which is asked anew after so many bytes, or so long (ms). */
export const DISK_ROOM_STEP_BYTES = 64 * MiB;
export const DISK_ROOM_STEP_MS = 200;
/**
 * A file is uploaded while it is written when that takes long: for at least so many ms, at no more than so many bytes a
 * second, and so many full parts are there. What is written faster is all there before the store could have had much of
 * it, and a stream costs a copy inside the store at its end (vfs/streams.ts).
 */
export const STREAM_AFTER_MS = 5_000;
export const STREAM_MAX_RATE = 64 * MiB;
export const STREAM_FIRST_PARTS = 2;
/** Files streamed at one time, and parts of them under way: two of these leave room for parts of other uploads. */
export const MAX_STREAMS = 8;
export const PARALLEL_STREAMED_PARTS = 2;
/** Parts that leave early, of one file. After every so many the size doubles, to at most so many times --part-size. */
export const MAX_EARLY_PARTS = 5_000;
export const EARLY_PARTS_OF_ONE_SIZE = 1_250;
export const MAX_EARLY_PART_FACTOR = 4;
/** So many parts of a file that changed after they were sent, and the rest of it waits for its end. */
export const MAX_STALE_PARTS = 8;
/** A stream that gets no new part for so long ends (ms), and of one file so many are begun. */
export const STREAM_IDLE_MS = 60_000;
export const STREAM_TRIES = 3;
/** How often it is looked whether a streamed file has its name still (ms). */
export const STREAM_LOOK_MS = 1_000;
/** Parts of one upload under way, and keys of one directory rename being copied, at one time. */
export const PARALLEL_PARTS = 4;
export const PARALLEL_COPIES = 32;
/** HEADs under way to hydrate one page of a listing. */
export const PARALLEL_HEADS = 48;

/** The cache's index is saved this long after a change (ms). */
export const CACHE_SAVE_DELAY_MS = 2_000;

/** How --memory-limit is divided. Sums to 1 (test/constants.test.ts). */
export const MEMORY_SHARE_TRANSFERS = 0.375;
export const MEMORY_SHARE_BLOCKS = 0.1875;
/** Buffers that were let go and that the collector has not taken yet. */
export const MEMORY_SHARE_GARBAGE = 0.1875;
export const MEMORY_SHARE_LISTINGS = 0.125;
export const MEMORY_SHARE_REQUESTS = 0.125;
/** Of the memory for transfers, what uploads leave to downloads: an upload may wait for the base of its file. */
export const MEMORY_SHARE_DOWNLOADS = 0.25;

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

/** Contents that nobody uses of which it is remembered that they were checked since the start. */
export const MAX_SOUND_CONTENTS = 50_000;

/** Smaller files are not worth a backing file: a READ or two, and the kernel has them in its own page cache (bytes). */
export const PASSTHROUGH_MIN_BYTES = 128 * KiB;

/** st_blksize: makes cp write in pieces of this (bytes). */
export const BLKSIZE_BYTES = MAX_IO_BYTES;

/** A time of last access that is older (ms) is set anew by a read, as with relatime. */
export const ATIME_AGE_MS = 86_400_000;

/** So many look-ups of one directory that had to ask the store, each within this time of the last (ms), are a series. */
export const LOOKUP_SERIES = 3;
export const LOOKUP_SERIES_MS = 500;

/** Absences remembered in one directory. */
export const MAX_REMEMBERED_ABSENCES = 1_000;

/** A directory of more entries than this is not kept whole in memory. */
export const MAX_INDEXED_ENTRIES = 50_000;
/** Entries of all cached listings together. */
export const MAX_LISTED_ENTRIES = 75_000;

/** A listing that is used in the last part of its time is asked anew meanwhile, unless it is larger than this. */
export const RENEW_SHARE = 0.8;
export const MAX_RENEWED_ENTRIES = 10_000;

/** Keys of subtrees that are listed flat take this share of the memory for listings. */
export const WALK_SHARE = 0.25;
/** So many directories listed one after another below one that was listed too, each within this time of the last (ms), are a walk. */
export const WALK_BEGUN_DIRECTORIES = 2;
export const WALK_SERIES_MS = 10_000;
/** Pages of a subtree that are read ahead of the walk. */
export const WALK_AHEAD_PAGES = 2;
/** Directories of which it is remembered when this mount changed something below them. */
export const MAX_CHANGED_PREFIXES = 10_000;

/** Pages of one directory, and of all, that are asked before the one in front of them is there; only after so many of the directory. */
export const MAX_PAGES_AHEAD = 8;
export const MAX_PAGES_AHEAD_IN_ALL = 16;
export const PAGES_BEFORE_AHEAD = 12;

/** Renamed files and directories whose st_ino is remembered. */
export const MAX_INODE_ORIGINS = 100_000;

/** Keys of one ListObjectsV2 page and of one DeleteObjects request. */
export const LIST_PAGE_KEYS = 1000;
export const DELETE_BATCH_KEYS = 1000;
/** A file up to this that waits for its upload is in memory and in the journal, and so many bytes of such files. */
export const INLINE_FILE_BYTES = 16 * KiB;
export const INLINE_TOTAL_BYTES = 8 * MiB;
/** What was closed rests so long before its upload, what was removed before its deletion (ms). */
export const UPLOAD_LINGER_MS = 1_000;
export const REMOVAL_LINGER_MS = 1_000;
/** Things brought to the store side by side. */
export const PARALLEL_FLUSHES = 32;
export const PARALLEL_FLUSHES_WHILE_BUSY = 4;
/** Past so many that wait, who makes more waits too. */
export const MAX_PENDING = 10_000;
/** What waits is synced to this machine's disk so often (ms). */
export const STATE_SYNC_MS = 5_000;
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
