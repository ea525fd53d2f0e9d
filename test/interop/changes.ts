/**
 * What one tool does to files that another wrote, each as a script, and what it makes of the tree in the bucket. Scripts run
 * in the mount.
 */
import type { PeerName } from './peer.js';
import type { Shown, Tree } from './tree.js';

export interface Change {
  readonly what: string;
  readonly script: string;
  readonly apply: (tree: Tree, changer: PeerName | 'pailfs') => void;
  /** Who cannot do it, and says so. */
  readonly refusedBy?: PeerName;
  /** Who says that it did it, and has not. */
  readonly notBy?: PeerName;
}

const change = (tree: Tree, path: string, news: Shown): void => {
  tree[path] = { ...tree[path], ...news };
};

/** Where rclone writes a file anew, it has no attributes but its time. */
const rewrite = (tree: Tree, path: string, changer: string, content: string): void => {
  const plain = changer === 'rclone' ? { mode: 0o644, uid: 0, gid: 0, xattr: undefined } : {};
  change(tree, path, { content, size: Buffer.byteLength(content), mtime: undefined, ...plain });
};

/** With everything below it. */
const rename = (tree: Tree, from: string, to: string): void => {
  for (const path of Object.keys(tree)) {
    if (path !== from && !path.startsWith(`${from}/`)) continue;
    tree[to + path.slice(from.length)] = tree[path];
    delete tree[path];
  }
};

const hasModes = (changer: string): boolean => changer !== 'rclone';

export const changes: readonly Change[] = [
  {
    what: 'chmod',
    script: 'chmod 604 dir/run',
    apply: (tree, changer) => hasModes(changer) && change(tree, 'dir/run', { mode: 0o604 }),
  },
  {
    what: 'chown',
    script: 'chown 3:4 dir/early',
    apply: (tree, changer) => hasModes(changer) && change(tree, 'dir/early', { uid: 3, gid: 4 }),
  },
  {
    what: 'touch',
    script: 'touch -d @1500000000.25 dir/early',
    apply: (tree) => change(tree, 'dir/early', { mtime: '1500000000250000000' }),
  },
  {
    what: 'append',
    script: "printf ' more' >> dir/file",
    apply: (tree, changer) => rewrite(tree, 'dir/file', changer, 'hello\n more'),
  },
  {
    what: 'setfattr',
    script: 'setfattr -n user.colour -v red dir/file',
    refusedBy: 'rclone',
    apply: (tree) => change(tree, 'dir/file', { xattr: 'red' }),
  },
  {
    what: 'rewrite',
    script: "printf rewritten > 'odd/100%'",
    apply: (tree, changer) => rewrite(tree, 'odd/100%', changer, 'rewritten'),
  },
  {
    what: 'truncate',
    script: "truncate -s 2 'odd/sp ace'",
    notBy: 'rclone',
    apply: (tree, changer) => rewrite(tree, 'odd/sp ace', changer, 'sp'),
  },
  { what: 'rename', script: 'mv odd/ünï dir/renamed', apply: (tree) => rename(tree, 'odd/ünï', 'dir/renamed') },
  {
    what: 'rename over another',
    script: 'mv -f dir/empty odd/~',
    apply: (tree) => rename(tree, 'dir/empty', 'odd/~'),
  },
  {
    what: 'rename of a directory',
    script: 'mv dir/below moved',
    apply: (tree, changer) => {
      const before = tree['dir/below'];
      rename(tree, 'dir/below', 'moved');
      if (changer !== 'rclone') return;
      // It moves the files, and leaves the marker.
      Object.assign(tree, { moved: { kind: 'dir', mode: 0o755, uid: 0, gid: 0 }, 'dir/below': before });
    },
  },
  {
    what: 'mkdir',
    script: 'mkdir -m 700 new; printf new > new/file; chmod 640 new/file',
    apply: (tree, changer) => {
      const [directory, file] = hasModes(changer) ? [0o700, 0o640] : [0o755, 0o644];
      tree.new = { kind: 'dir', mode: directory, uid: 0, gid: 0 };
      tree['new/file'] = { kind: 'file', mode: file, uid: 0, gid: 0, content: 'new', size: 3 };
    },
  },
  {
    what: 'symlink',
    script: 'ln -s file new/link',
    refusedBy: 'rclone',
    apply: (tree) => change(tree, 'new/link', { kind: 'link', target: 'file' }),
  },
  { what: 'rm', script: 'rm big', apply: (tree) => delete tree.big },
];

/** What is in the bucket once a tool has done all that it can. Times of directories are not what was written any more. */
export function changed(tree: Tree, changer: PeerName | 'pailfs'): Tree {
  const copy: Tree = { ...tree };
  for (const { apply, refusedBy, notBy } of changes)
    if (refusedBy !== changer && notBy !== changer) apply(copy, changer);
  for (const [path, shown] of Object.entries(copy))
    if (shown.kind === 'dir') copy[path] = { ...shown, mtime: undefined };
  return copy;
}
