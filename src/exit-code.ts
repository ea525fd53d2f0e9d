/**
 * The exit codes of the command, one for each way in which a start can fail, so that scripts and units can tell them
 * apart. docs/options.md has the same table; test/cli/exit-codes.test.ts holds the two together.
 */
export const exitCode = {
  ok: 0,
  /** An error that this table does not know; the line says what. */
  unexpected: 1,
  /** Arguments, -o words, variables or configuration file. */
  usage: 64,
  /** Directory bucket, Multi-Region Access Point, or something else that pailfs cannot mount. */
  unsupportedBucket: 65,
  noBucket: 66,
  denied: 67,
  wrongRegion: 68,
  unreachable: 69,
  credentials: 70,
  /** The store answers, but with an error that fits nothing above, or not in S3's language. */
  store: 71,
  mountpointMissing: 72,
  mountpointNotDirectory: 73,
  mountpointBusy: 74,
  /** The mount point cannot be used for another reason. */
  mountpointUnusable: 75,
  /** /dev/fuse is missing or cannot be opened. */
  noFuse: 76,
  noFusermount: 77,
  /** The kernel or fusermount3 refused the mount. */
  mountRefused: 78,
  /** The cache or state directory lies inside the mount point. */
  directoryInsideMount: 79,
  /** The cache, state or runtime directory cannot be used, or others could write to it. */
  directoryUnusable: 80,
  stateLocked: 81,
  /** umount, sync and status: nothing of pailfs is mounted there. */
  notMounted: 82,
  /** umount --timeout without a journal: not everything is in S3 yet; still mounted. */
  timedOut: 83,
  /** Something could not be uploaded; it stays in the state directory. */
  notSaved: 84,
  /** The package is not built, or its addon cannot be loaded. */
  notBuilt: 85,
  /** --driver=fuse-native: the package fuse-native or libfuse.so.2 is missing. */
  noLibfuse: 86,
  /** The daemon was told not to wait any longer: what S3 does not have is in the journal, for the next mount. */
  leftInJournal: 87,
  /** The journal in the state directory is another bucket's, or a newer pailfs wrote it. */
  journalRefused: 88,
  interrupted: 130,
} as const;

export type ExitCode = (typeof exitCode)[keyof typeof exitCode];
