/**
 * What has to be seen of a tree that was written through one tool and is looked at through another. What a tool does not
 * keep or show is here and nowhere else, as it was seen of Debian 12's packages; docs/interop.md says it in words.
 */
import { createHash } from 'node:crypto';
import type { PeerName } from './peer.js';
import type { Entry, Shown, Tree } from './tree.js';

export type Tool = PeerName | 'pailfs';

const isReserved = (path: string): boolean => /\/=pailfs[=-]/.test(path);

/** What making the tree through a tool fails with, by path. */
export const failures: Readonly<Record<Tool, Readonly<Record<string, string>>>> = {
  pailfs: { 'odd/=pailfs=x': 'EINVAL', 'odd/=pailfs-object=y': 'EINVAL' },
  s3fs: {},
  // Links, fifos (in whose place it leaves an empty file) and extended attributes.
  rclone: { link: 'EIO', dangling: 'EIO', fifo: 'EIO', 'dir/file': 'EIO' },
};

/** As tree.py shows it. */
function contentOf({ content = '' }: Entry): Shown {
  const size = Buffer.byteLength(content);
  const shown = size < 100 ? content : `sha256:${createHash('sha256').update(content).digest('hex')}`;
  return { kind: 'file', size, content: shown };
}

/** As it was written, through a tool that keeps everything. */
function written(entry: Entry): Shown {
  const { kind, mode, uid = 0, gid = 0, mtime, target, xattr } = entry;
  if (kind === 'link') return { kind, target, mtime };
  const owner = { mode: mode ?? 0o644, uid, gid, mtime };
  if (kind !== 'file') return { kind, ...owner };
  return { ...contentOf(entry), ...owner, xattr };
}

const plain = { mode: 0o644, uid: 0, gid: 0, xattr: undefined };
const plainDirectory: Shown = { kind: 'dir', mode: 0o755, uid: 0, gid: 0 };

const isBelow = (entries: readonly Entry[], directory: string): boolean =>
  entries.some(({ path }) => path.startsWith(`${directory}/`));

/** What a writer leaves in the bucket. */
const leaves: Readonly<Record<Tool, (entry: Entry, all: readonly Entry[]) => Shown | undefined>> = {
  pailfs: (entry) => (isReserved(entry.path) ? undefined : written(entry)),
  s3fs: written,
  rclone: (entry, all) => {
    if (entry.kind === 'dir') return isBelow(all, entry.path) ? plainDirectory : undefined;
    if (entry.kind === 'link') return undefined;
    return { ...contentOf(entry), ...plain, mtime: entry.kind === 'file' ? entry.mtime : undefined };
  },
};

/** What a viewer makes of a path and what lies there. */
const views: Readonly<Record<Tool, (path: string, shown: Shown) => readonly [string, Shown]>> = {
  pailfs: (path, shown) => [isReserved(path) ? path.replace('/=', '/=pailfs==') : path, shown],
  s3fs: (path, shown) => [path, shown],
  rclone: (path, shown) => {
    const name = path.replaceAll('\n', '␊').replaceAll('\t', '␉');
    if (shown.kind === 'dir') return [name, plainDirectory];
    const { content = shown.target ?? '', mtime } = shown;
    return [name, { kind: 'file', content, size: shown.size ?? Buffer.byteLength(content), mtime, ...plain }];
  },
};

/** What is in the bucket once a tool has written the entries. What is absent (or undefined) of one is not looked at. */
export function stored(entries: readonly Entry[], writer: Tool): Tree {
  const tree: Tree = {};
  for (const entry of entries) {
    const left = leaves[writer](entry, entries);
    if (left !== undefined) tree[entry.path] = left;
  }
  return tree;
}

/** What has to be seen of it. */
export const seen = (tree: Tree, viewer: Tool): Tree =>
  Object.fromEntries(Object.entries(tree).map(([path, shown]) => views[viewer](path, shown)));

const told = ({ mode, content, ...rest }: Shown): string =>
  JSON.stringify({ ...rest, mode: mode?.toString(8), content: content?.slice(0, 40) });

/** One line for each that differs. */
export function differences(wanted: Tree, found: Tree): string[] {
  const paths = [...new Set([...Object.keys(wanted), ...Object.keys(found)])].sort();
  return paths.flatMap((path) => {
    const [due, there] = [wanted[path], found[path]];
    if (due === undefined) return [`${JSON.stringify(path)} should not be there: ${told(there)}`];
    if (there === undefined) return [`${JSON.stringify(path)} is not there`];
    const isSame = (Object.keys(due) as Array<keyof Shown>).every(
      (name) => due[name] === undefined || due[name] === there[name],
    );
    return isSame ? [] : [`${JSON.stringify(path)} is ${told(there)}, not ${told(due)}`];
  });
}
