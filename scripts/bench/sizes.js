/** How much of everything there is: in earnest, and in the few seconds of a test of the benchmark itself. */
const KiB = 1024;
const MiB = 1024 * KiB;

/**
 * big: one file. many: files of one directory. small: files that cat reads. trees: directories with a few files each.
 * created: files that are made. packed: files of the archive and of the repository. transactions: of SQLite.
 */
export const sizes = {
  full: {
    big: 1024 * MiB,
    many: { count: 10_000, bytes: 100 },
    small: { count: 100, bytes: 4 * KiB },
    trees: { count: 100, files: 10, bytes: 100 },
    created: { count: 1_000, bytes: KiB },
    packed: { count: 300, bytes: 8 * KiB },
    transactions: 10,
  },
  smoke: {
    big: 20 * MiB,
    many: { count: 60, bytes: 100 },
    small: { count: 5, bytes: 4 * KiB },
    trees: { count: 3, files: 2, bytes: 100 },
    created: { count: 12, bytes: KiB },
    packed: { count: 6, bytes: 2 * KiB },
    transactions: 2,
  },
};

export const PART_BYTES = 8 * MiB;

/** 1,000; 1 GiB. */
export const countText = (count) => count.toLocaleString('en-US');
export const bytesText = (bytes) => (bytes >= 1024 * MiB ? `${bytes / (1024 * MiB)} GiB` : `${bytes / MiB} MiB`);
