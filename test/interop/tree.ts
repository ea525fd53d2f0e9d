/** The tree that is written through one tool and looked at through another; tree.py makes and shows it. */
import { fileURLToPath } from 'node:url';
import { packageRoot } from '../../src/package.js';
import { run } from '../mount/harness.js';

export interface Entry {
  readonly path: string;
  readonly kind: 'file' | 'dir' | 'link' | 'fifo';
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  /** Nanoseconds since 1970. */
  readonly mtime?: string;
  readonly content?: string;
  readonly target?: string;
  readonly xattr?: string;
}

/** What is seen of one; `error`: what a program got. */
export type Shown = Partial<Omit<Entry, 'path' | 'kind'>> & {
  readonly kind?: string;
  readonly size?: number;
  readonly error?: string;
};
export type Tree = Record<string, Shown>;

const script = fileURLToPath(new URL('test/interop/tree.py', packageRoot));
const LIMIT_MS = 120_000;

async function python(args: readonly string[], input = ''): Promise<unknown> {
  const { code, stdout, stderr, timedOut } = await run('python3', [script, ...args], { input, timeout: LIMIT_MS });
  if (code !== 0) throw new Error(`${args.join(' ')}: ${timedOut ? 'did not end' : stderr}`);
  return JSON.parse(stdout);
}

/** Answers what failed, by path. */
export const makeTree = (root: string, entries: readonly Entry[]): Promise<Record<string, string>> =>
  python(['make', root], JSON.stringify(entries)) as Promise<Record<string, string>>;

export const showTree = (root: string): Promise<Tree> => python(['show', root]) as Promise<Tree>;

/** More than two parts of most tools. */
const BIG = '0123456789abcdef'.repeat(1_200_000);
const MTIME = '1580702706123456789';

/** On MinIO s3fs loses the mode of a file with a name of 255 bytes. */
const LONGEST = 'n'.repeat(process.env.PAILFS_TEST_SERVER === 'minio' ? 240 : 255);

/** Names that are odd to somebody, each of a file of its own. */
export const oddNames: readonly string[] = [
  ...['sp ace', ' leading', 'trailing ', 'ünï', 'e\u0301', 'emoji 🪣', '.dot', '..dots', '...', '-dash', '~', '#hash'],
  ...[
    '100%',
    'a%20b',
    '%2F',
    '%',
    'plus+plus',
    'a&b',
    'a"b',
    "a'b",
    'back\\slash',
    'star*?',
    'a:b|c<d>',
    '$HOME',
    'a=b',
  ],
  ...['new\nline', 'tab\there', LONGEST, '=pailfs=x', '=pailfs-object=y', 'x.rclonelink'],
];

export const entries: readonly Entry[] = [
  { path: 'dir', kind: 'dir', mode: 0o750, uid: 1000, gid: 1001, mtime: MTIME },
  {
    path: 'dir/file',
    kind: 'file',
    content: 'hello\n',
    mode: 0o640,
    uid: 1000,
    gid: 1001,
    mtime: MTIME,
    xattr: 'green',
  },
  { path: 'dir/empty', kind: 'file', content: '', mode: 0o600, mtime: '1580702706000000000' },
  { path: 'dir/run', kind: 'file', content: '#!/bin/sh\n', mode: 0o4755, mtime: '1580702706500000000' },
  { path: 'dir/early', kind: 'file', content: 'x', mode: 0o644, mtime: '1000000000' },
  { path: 'dir/below', kind: 'dir', mode: 0o2775, mtime: MTIME },
  { path: 'dir/below/deep', kind: 'file', content: 'deep', mode: 0o444, mtime: MTIME },
  { path: 'empty', kind: 'dir', mode: 0o1777, uid: 7, gid: 8, mtime: MTIME },
  { path: 'link', kind: 'link', target: 'dir/file' },
  { path: 'dangling', kind: 'link', target: '../nowhere/ünï %41' },
  { path: 'fifo', kind: 'fifo', mode: 0o620, mtime: MTIME },
  { path: 'big', kind: 'file', content: BIG, mode: 0o644, mtime: MTIME },
  { path: 'odd', kind: 'dir', mode: 0o755 },
  ...oddNames.map((name): Entry => ({ path: `odd/${name}`, kind: 'file', content: name.slice(0, 20), mtime: MTIME })),
];
