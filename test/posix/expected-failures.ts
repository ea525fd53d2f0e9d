/**
 * The tests of pjdfstest that cannot pass on S3. Each group names what POSIX (IEEE Std 1003.1-2017) says, and the limit of
 * S3 that forbids it; docs/semantics.md tells users. A failure that is not here fails the run, and so does one that is here
 * and passes.
 */

export interface ExpectedFailures {
  readonly clause: string;
  readonly limit: string;
  readonly tests: readonly string[];
}

const kinds = ['regular', 'fifo', 'block', 'char', 'socket'];
const ofKinds = (...tests: string[]): string[] => tests.flatMap((test) => kinds.map((kind) => `${test}::${kind}`));
const calls = ['chmod', 'chown', 'chown::lchown', 'link', 'mkdir', 'mkfifo', 'mknod', 'mknod::privileged', 'open'];
const moreCalls = ['rename', 'rmdir', 'symlink', 'truncate', 'unlink'];

export const expectedFailures: readonly ExpectedFailures[] = [
  {
    clause:
      'XSH link(): "shall create a new link (directory entry) for the existing file" and increment its link count; ' +
      '[EPERM] is for implementations that do not support it. unlink() and rename() are asked here of files with two links',
    limit:
      'an object has one key, and S3 has neither a second name for the same bytes nor a write of two keys at once: ' +
      'link() fails with EPERM',
    tests: [
      ...ofKinds('link::changed_ctime_success', 'link::remove_link', 'link::share_metadata'),
      ...ofKinds('rename::preserve_metadata', 'rename::to_multiply_linked'),
      ...ofKinds('unlink::unchanged_ctime_failed', 'unlink::update_ctime_success'),
    ],
  },
  {
    clause:
      'XBD <limits.h> {PATH_MAX}: paths of up to 4,095 bytes are to be accepted. It may be less on a filesystem, which ' +
      'pathconf(_PC_PATH_MAX) should tell; the C library of Linux answers 4,096 for every one',
    limit: 'a key has at most 1,024 bytes, the prefix of the mount included: what is longer is ENAMETOOLONG',
    tests: [...calls, ...moreCalls].map((call) => `${call}::enametoolong_path`),
  },
  {
    clause:
      'XBD <sys/stat.h> st_nlink, "number of hard links to the file": whether the .. of subdirectories count is left open ' +
      '(XBD 4.13: dot-dot need not be a link), ext4 counts them, btrfs tells 1',
    limit:
      'what is in a directory is known from a LIST of all of it alone, and other clients add to it: a number that is too ' +
      'small makes find(1) pass over directories, 1 tells it that they are not counted',
    tests: ['rename::updates_link_parent'],
  },
];
