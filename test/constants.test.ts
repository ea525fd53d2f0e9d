/** The relations between the limits that the code relies on. */
import t from 'tap';
import * as c from '../src/constants.js';

t.test('memory', async (t) => {
  const { MEMORY_SHARE_TRANSFERS, MEMORY_SHARE_BLOCKS, MEMORY_SHARE_LISTINGS, MEMORY_SHARE_REQUESTS } = c;
  const shares = [
    MEMORY_SHARE_TRANSFERS,
    MEMORY_SHARE_BLOCKS,
    MEMORY_SHARE_LISTINGS,
    MEMORY_SHARE_REQUESTS,
    c.MEMORY_SHARE_GARBAGE,
  ];
  t.equal(
    shares.reduce((sum, share) => sum + share),
    1,
  );
  const transfers = c.DEFAULT_MEMORY_LIMIT_BYTES * c.MEMORY_SHARE_TRANSFERS;
  t.ok(c.READAHEAD_SHARE * c.MEMORY_SHARE_TRANSFERS <= c.MEMORY_SHARE_BLOCKS, 'what was read ahead waits in memory');
  t.ok(c.READAHEAD_FIRST_BYTES <= c.READAHEAD_SHARE * transfers);
  t.ok(c.MAX_FETCH_BYTES <= transfers * c.MEMORY_SHARE_DOWNLOADS, 'a download is never larger than what is left to it');
  t.ok(
    c.PARALLEL_PARTS * c.DEFAULT_PART_BYTES <= transfers * (1 - c.MEMORY_SHARE_DOWNLOADS),
    'parts of one upload fit',
  );
  const requests = c.DEFAULT_MEMORY_LIMIT_BYTES * c.MEMORY_SHARE_REQUESTS;
  t.ok(c.MAX_IO_BYTES * 16 <= requests);
});

t.test('blocks and pages', async (t) => {
  t.equal(c.BLOCK_BYTES % (32 * c.PAGE_BYTES), 0, 'whole words of the bitmap');
  t.equal(c.MAX_FETCH_BYTES % c.BLOCK_BYTES, 0);
  t.equal(c.FIRST_FETCH_BYTES % c.PAGE_BYTES, 0);
  t.ok(c.FIRST_FETCH_BYTES <= c.BLOCK_BYTES);
  t.ok(c.READAHEAD_FIRST_BYTES >= c.FIRST_FETCH_BYTES && c.READAHEAD_FIRST_BYTES <= c.MAX_FETCH_BYTES);
  t.ok(c.BLKSIZE_BYTES <= c.MAX_IO_BYTES && c.STAGED_SYNC_WRITE_BYTES <= c.MAX_IO_BYTES);
  t.ok(c.CACHE_FREE_SPACE_FLOOR > 0 && c.CACHE_FREE_SPACE_FLOOR < 1);
});

t.test('uploads, as S3 allows them', async (t) => {
  t.ok(c.MIN_PART_BYTES <= c.DEFAULT_PART_BYTES && c.DEFAULT_PART_BYTES <= c.MAX_PART_BYTES);
  t.ok(c.COPY_PART_BYTES >= c.MIN_PART_BYTES && c.COPY_PART_BYTES <= c.MAX_COPY_BYTES);
  t.equal(c.MAX_OBJECT_BYTES, c.MAX_PARTS * c.MAX_PART_BYTES);
  t.ok(c.MAX_OBJECT_BYTES <= Number.MAX_SAFE_INTEGER);
  t.ok(c.MIN_RANGE_COPY_SOURCE_BYTES >= c.MIN_PART_BYTES);
});

t.test('files that are uploaded while they are written', async (t) => {
  const uploads = c.DEFAULT_MEMORY_LIMIT_BYTES * c.MEMORY_SHARE_TRANSFERS * (1 - c.MEMORY_SHARE_DOWNLOADS);
  t.ok((c.PARALLEL_STREAMED_PARTS + 2) * c.DEFAULT_PART_BYTES <= uploads, 'parts of other uploads fit beside them');
  t.ok(c.MAX_EARLY_PART_FACTOR * c.DEFAULT_PART_BYTES <= uploads, 'the largest part fits');
  t.ok(c.MAX_EARLY_PARTS <= c.MAX_PARTS / 2, 'as many are left for the rest of the file');
  t.ok(c.STREAM_LOOK_MS < c.STREAM_AFTER_MS && c.STREAM_AFTER_MS < c.STREAM_IDLE_MS);
});

t.test('requests', async (t) => {
  t.ok(c.CONGESTION_THRESHOLD < c.MAX_BACKGROUND);
  t.ok(c.PARALLEL_HEADS < c.DEFAULT_MAX_CONNECTIONS && c.PARALLEL_COPIES < c.DEFAULT_MAX_CONNECTIONS);
  t.ok(c.PARALLEL_PARTS < c.DEFAULT_MAX_CONNECTIONS);
  t.ok(c.LIST_PAGE_KEYS <= 1_000 && c.DELETE_BATCH_KEYS <= 1_000);
});

t.test('names and listings', async (t) => {
  t.ok(c.MAX_NAME_BYTES < c.MAX_KEY_BYTES);
  t.ok(c.LIST_PAGE_KEYS * 5 <= c.MAX_INDEXED_ENTRIES && c.MAX_INDEXED_ENTRIES <= c.MAX_LISTED_ENTRIES);
  const walks = c.DEFAULT_MEMORY_LIMIT_BYTES * c.MEMORY_SHARE_LISTINGS * c.WALK_SHARE;
  t.ok(walks >= 12 * c.LIST_PAGE_KEYS * 250, 'the pages that are read for one directory, and more');
  t.ok(c.WALK_BEGUN_DIRECTORIES >= 2 && c.WALK_SERIES_MS < c.DEFAULT_METADATA_TTL_MS);
});

t.test('times', async (t) => {
  t.ok(c.DEFAULT_OPEN_TTL_MS <= c.DEFAULT_METADATA_TTL_MS && c.DEFAULT_NEGATIVE_TTL_MS <= c.DEFAULT_METADATA_TTL_MS);
  t.ok(c.RACY_WINDOW_MS > 1_000, 'dates have whole seconds');
});
