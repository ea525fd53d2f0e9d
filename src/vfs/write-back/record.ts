/**
 * What the journal keeps of each thing that waits for the store, and back: enough to go on after the death of the daemon.
 * Names are paths from the root of the mount; who renames a directory notes anew what lies below it.
 */
import type { KnownObject, ListedVersion } from '../../cache/attribute-store.js';
import type { Timespec } from '../../clock.js';
import type { SavedLayout } from '../../writeback/layout.js';
import { NO_XATTRS } from '../attribute.js';
import type { Inode, InodeAttributes } from '../inode.js';
import type { Sent } from '../sent.js';

type SavedTime = readonly [sec: number, nsec: number];

export interface SavedAttributes {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly rdev: number;
  readonly mtime: SavedTime;
  readonly ctime: SavedTime;
  readonly atime: SavedTime;
  /** Name and base64 of the value. */
  readonly xattrs?: ReadonlyArray<readonly [string, string]>;
}

export interface FileRecord {
  readonly kind: 'file';
  readonly path: readonly string[];
  readonly attributes: SavedAttributes;
  readonly attributesChanged?: true;
  /** The version it started from, or is. */
  readonly version?: ListedVersion;
  /** Where that lies, if not under its name. */
  readonly storedKey?: string;
  /** Names it had that a listing may still show. */
  readonly left?: ReadonlyArray<readonly string[]>;
  /** `inline`: the bytes themselves (base64), of a small file. */
  readonly staged?: { readonly file: string; readonly layout: SavedLayout; readonly inline?: string };
  /** Target of a symbolic link (base64). */
  readonly target?: string;
  /** What of it may stand in the store. */
  readonly sent?: readonly Sent[];
  /** Since when it waits (ms since 1970). Absent: an earlier version wrote the record. */
  readonly since?: number;
}

export interface DirectoryRecord {
  readonly kind: 'directory';
  readonly path: readonly string[];
  readonly attributes: SavedAttributes;
  readonly needsMarker?: true;
  /** Nothing of it is in the store. */
  readonly isNew?: true;
  /** Where its keys lie, if not under its name. */
  readonly storedPrefix?: string;
  /** Where they are being copied. */
  readonly movingTo?: string;
  readonly left?: ReadonlyArray<readonly string[]>;
  readonly since?: number;
}

/** An object that is to be deleted. */
export interface RemovalRecord {
  readonly kind: 'removal';
  readonly key: string;
  /** Of the version that was removed; absent: whatever stands there. */
  readonly etag?: string;
  readonly lastModified?: number;
  /** Uploads of it that were under way: by what they are known. */
  readonly sent?: readonly Sent[];
  /** Names that it may still have in a listing. */
  readonly left: ReadonlyArray<readonly string[]>;
  /** The marker of a directory: it goes after what lay in it. */
  readonly isMarker?: true;
}

/** A multipart upload under way. */
export interface UploadRecord {
  readonly kind: 'upload';
  readonly key: string;
  /** Absent: it was about to begin. */
  readonly uploadId?: string;
  /** When that was noted (ms since 1970). */
  readonly at: number;
}

/** What this mount wrote, until the index of the cache has it. */
export interface WrittenRecord {
  readonly kind: 'written';
  readonly key: string;
  readonly info: KnownObject;
}

/** Up to which frame staged files are known to be on the disk, whatever happens to the machine. */
export interface SafeRecord {
  readonly kind: 'safe';
  readonly boot: string;
  readonly sequence: number;
}

export type PendingRecord = FileRecord | DirectoryRecord | RemovalRecord | UploadRecord | WrittenRecord | SafeRecord;

const time = ({ sec, nsec }: Timespec): SavedTime => [sec, nsec];
const timespec = ([sec, nsec]: SavedTime): Timespec => ({ sec, nsec });

export function saveAttributes({
  mode,
  uid,
  gid,
  rdev,
  mtime,
  ctime,
  atime,
  xattrs,
}: InodeAttributes): SavedAttributes {
  const saved = [...xattrs].map(([name, value]): [string, string] => [name, Buffer.from(value).toString('base64')]);
  return {
    mode,
    uid,
    gid,
    rdev,
    mtime: time(mtime),
    ctime: time(ctime),
    atime: time(atime),
    xattrs: saved.length === 0 ? undefined : saved,
  };
}

export function loadAttributes(saved: SavedAttributes): InodeAttributes {
  const { mode, uid, gid, rdev, mtime, ctime, atime, xattrs = [] } = saved;
  return {
    mode,
    uid,
    gid,
    rdev,
    mtime: timespec(mtime),
    ctime: timespec(ctime),
    atime: timespec(atime),
    xattrs:
      xattrs.length === 0 ? NO_XATTRS : new Map(xattrs.map(([name, value]) => [name, Buffer.from(value, 'base64')])),
  };
}

/** Names from the root to an inode; undefined: it, or a directory above it, has none any more. */
export function pathOf(inode: Inode): string[] | undefined {
  const names: string[] = [];
  let at = inode;
  for (; at.parent !== undefined; at = at.parent) names.push(at.name);
  return at.orphanKey === undefined ? names.reverse() : undefined;
}

export function leftPaths(inode: Pick<Inode, 'leftNames'>): string[][] {
  const paths: string[][] = [];
  for (const { directory, name } of inode.leftNames) {
    const above = pathOf(directory);
    if (above !== undefined) paths.push([...above, name]);
  }
  return paths;
}

/** False: the journal cannot keep what was written, because ranges of it are copies of other objects. */
export function canKeep({ staged }: Inode): boolean {
  return staged === undefined || staged.layout.copied.isEmpty;
}

/**
 * undefined: nothing of it can be kept, because it has no name. Of a file whose ranges are copies of other objects that
 * is what was kept of it before, `earlier`.
 */
export function recordOf(
  inode: Inode,
  earlier: () => unknown = () => undefined,
): FileRecord | DirectoryRecord | undefined {
  const path = pathOf(inode);
  if (path === undefined) return undefined;
  const { directory } = inode;
  const attributes = saveAttributes(inode.attributes);
  const left = inode.leftNames.length === 0 ? undefined : leftPaths(inode);
  if (directory !== undefined) {
    return {
      kind: 'directory',
      path,
      attributes,
      needsMarker: directory.needsMarker || undefined,
      isNew: !directory.isStored || undefined,
      storedPrefix: directory.storedPrefix,
      movingTo: directory.movingTo,
      left,
    };
  }
  const layout = inode.staged?.layout.save();
  const isKept = inode.staged === undefined || layout !== undefined;
  const kept = isKept ? undefined : (earlier() as PendingRecord | undefined);
  const before = kept?.kind === 'file' ? kept.staged : undefined;
  if (!isKept && before === undefined && inode.version === undefined) return undefined;
  return {
    kind: 'file',
    path,
    attributes,
    attributesChanged: inode.attributesChanged || undefined,
    version: inode.version,
    storedKey: inode.storedKey,
    left,
    staged:
      layout === undefined
        ? before
        : { file: inode.staged!.id, layout, inline: inode.staged!.inline?.toString('base64') },
    sent: inode.sent.length === 0 ? undefined : inode.sent,
    target: inode.linkTarget === undefined ? undefined : Buffer.from(inode.linkTarget).toString('base64'),
  };
}
