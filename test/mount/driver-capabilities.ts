/**
 * What the drivers do differently: the rows of the table in docs/drivers.md. drivers.test.ts finds every row out on both
 * drivers, and holds the page to this list.
 */
import type { TestDriver } from './driver-choice.js';

export interface Capability {
  /** What a program does. */
  readonly what: string;
  /** What comes of it, by driver, in the words of the page. */
  readonly comesOf: Readonly<Record<TestDriver, string>>;
}

export const capabilities = {
  mtime: {
    what: 'set the time of modification (`touch -d`, `cp -p`, `tar x`, `rsync -t`)',
    comesOf: {
      kernel: 'kept to the nanosecond',
      'fuse-native':
        'answered with success, and lost: it stays as it is, or becomes now where the access time is set to now (`touch`)',
    },
  },
  oneTime: {
    what: 'set only one of the two times (`touch -a`, `touch -m`)',
    comesOf: { kernel: 'done', 'fuse-native': 'answered with success, and nothing changes' },
  },
  resolution: {
    what: 'look at times',
    comesOf: { kernel: 'nanoseconds', 'fuse-native': 'milliseconds; before 1970 shows as 1970' },
  },
  owner: {
    what: 'another user makes a file (`--allow-other`)',
    comesOf: {
      kernel: 'it is theirs',
      'fuse-native': 'it belongs to the user of the mount, without setuid and setgid bits',
    },
  },
  replaced: {
    what: 'open a file that another client replaced, while the old version is open here',
    comesOf: {
      kernel: 'the new version; the old handle keeps its own',
      'fuse-native': 'ESTALE until the last handle is closed; stat shows the version that is open',
    },
  },
  hidden: {
    what: 'remove a directory in which a file was removed that is still open',
    comesOf: { kernel: 'done', 'fuse-native': 'ENOTEMPTY until it is closed' },
  },
  renameOver: {
    what: 'rename over a file that is open here',
    comesOf: {
      kernel: 'replaced in one step',
      'fuse-native': 'the old object is deleted first: others see neither for a moment',
    },
  },
  reserved: {
    what: 'make a name of `.fuse_hidden` and 16 hexadecimal digits',
    comesOf: { kernel: 'done', 'fuse-native': "EPERM: such names are libfuse's own, and never reach S3" },
  },
  replacement: {
    what: 'use a name with U+FFFD in it',
    comesOf: { kernel: 'done', 'fuse-native': 'EILSEQ: it cannot be told from bytes that are not UTF-8' },
  },
  notUtf8: {
    what: 'use a name that is not UTF-8',
    comesOf: { kernel: 'kept byte for byte', 'fuse-native': 'EILSEQ; it is listed with U+FFFD in it' },
  },
  noReplace: {
    what: '`renameat2` with RENAME_NOREPLACE',
    comesOf: { kernel: 'done', 'fuse-native': 'EINVAL' },
  },
  interrupt: {
    what: 'kill a program that waits for the store',
    comesOf: {
      kernel: 'it ends at once',
      'fuse-native': 'it ends when the operation does, at most `--io-timeout` later',
    },
  },
  requestSize: {
    what: 'read or write at a stretch',
    comesOf: { kernel: 'up to 1 MiB a request', 'fuse-native': 'up to 128 KiB a request' },
  },
  inodes: {
    what: '`ls -l`, and again (requests about inodes: READDIRPLUS, attributes that the kernel keeps)',
    comesOf: {
      kernel: 'one request for many names, and then none',
      'fuse-native': 'at least two requests for every name, every time',
    },
  },
  ino: {
    what: 'look at `st_ino`',
    comesOf: { kernel: '52 bits', 'fuse-native': '32 bits: two files may have the same' },
  },
  overMount: {
    what: 'mount on a place that is a mount already (a tmpfs)',
    comesOf: { kernel: 'done', 'fuse-native': 'EBUSY' },
  },
  passthrough: {
    what: 'read a cached file past the daemon (FUSE passthrough)',
    comesOf: { kernel: 'where Linux is 6.9 or later and root mounted it', 'fuse-native': 'never' },
  },
} as const satisfies Readonly<Record<string, Capability>>;

export type CapabilityName = keyof typeof capabilities;
