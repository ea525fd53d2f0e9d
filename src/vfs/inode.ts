/**
 * One node of the tree as this mount knows it. An inode stands for one version of an object as long as anybody has it
 * open: the kernel's page cache and size belong to the inode, so a version that another client wrote meanwhile gets a new
 * inode (vfs/versions.ts).
 */

import type { KnownObject, ListedVersion } from '../cache/attribute-store.js';
import type { CachedFile } from '../cache/block-cache.js';
import type { Timespec } from '../clock.js';
import { Overlay } from '../writeback/overlay.js';
import type { StagedFile } from '../writeback/staged-file.js';
import { S_IFDIR, S_IFLNK, S_IFMT, S_IFREG } from './attribute.js';
import type { BackingFile } from './backing-file.js';
import type { CopiedContent } from './copied-content.js';
import { Mutex } from './mutex.js';
import { type Part, partOf } from './name.js';
import type { Sent } from './sent.js';

export interface InodeAttributes {
  /** Type and permission bits. */
  mode: number;
  uid: number;
  gid: number;
  rdev: number;
  mtime: Timespec;
  ctime: Timespec;
  atime: Timespec;
  xattrs: ReadonlyMap<string, Uint8Array>;
}

/** A name that is gone, and the change of its directory's overlay that says so. */
export interface LeftName {
  readonly directory: Inode;
  readonly name: string;
  readonly sequence: number;
}

/** What only a directory has. */
export class DirectoryState {
  /** Where its keys lie, when that is not where the name says (a rename not done in the store yet). */
  storedPrefix: string | undefined;
  /** Where its keys are being copied; a daemon that was killed meanwhile may have left some there. */
  movingTo: string | undefined;
  /** Its marker is to be written. */
  needsMarker = false;
  /** False: made by this mount, and nothing of it is in the store yet. */
  isStored = true;
  /** Inodes of children that are in the table, by name. */
  readonly children = new Map<string, Inode>();
  readonly overlay = new Overlay<Inode>();
  /** Whether a marker object exists; undefined: not known. */
  marker: boolean | undefined;
  /** An object has the same name, and is shown under another as long as this directory is there. */
  shadows = false;
  /** Whether a zero-byte `NAME_$folder$` beside it says that it exists; undefined: not known. */
  folderMarker: boolean | undefined;
  /** Monotonic time until which this mount counts as the one that fills it: absence from a listing is then believed. */
  filledUntil = 0;
  /** Look-ups that had to ask the store, and when the last was (monotonic, ms): a series is answered by a LIST. */
  asked = 0;
  /** Opens that had to ask whether a version still stands, and when the last was: a series is answered by a LIST too. */
  opened = 0;
  openedAt = Number.NEGATIVE_INFINITY;
  /** Names that the store was just asked for and did not have, and when (monotonic, ms). */
  readonly absent = new Map<string, number>();
  /** A name that was seen and not removed since: while it is there the directory is not empty. */
  witness: string | undefined;
  askedAt = Number.NEGATIVE_INFINITY;
  /** Operations that change something at or below it, and the rename that waits for them to end. */
  changing = 0;
  frozen: Promise<void> | undefined;
  onIdle: (() => void) | undefined;
}

export class Inode {
  readonly nodeid: number;
  readonly ino: number;
  readonly directory: DirectoryState | undefined;
  /** undefined: the root, or removed from its name. */
  parent: Inode | undefined;
  #name = '';
  #part: Part = { kind: 'component', text: '' };
  attributes: InodeAttributes;
  /** Of the present version (bytes); a staged file has its own. */
  size = 0;
  /** The version this inode stands for; undefined: nothing in the store yet, or a directory without marker. */
  version: ListedVersion | undefined;
  /** All that HEAD says of `version`; undefined: only what a LIST says. */
  info: KnownObject | undefined;
  /** Monotonic time of the last answer of the store about it (ms). */
  checkedAt: number;
  /** References that the kernel holds. */
  nlookup = 0;
  /** Open handles, and those of them that may write. */
  handles = 0;
  writers = 0;
  /** Its name is gone or belongs to another inode. The key it had serves its open handles. */
  orphanKey: string | undefined;
  /** Made without a name (O_TMPFILE), and may still get its first: what its st_ino follows from. */
  unnamedOrigin: string | undefined;
  /** The directory that the name was in. */
  orphanOf: Inode | undefined;
  /** The object must be deleted with the last close. */
  deleteAtClose = false;
  /** The deletion of that object, from when it was sent: who takes the key waits for its end. */
  deletion: Promise<void> | undefined;
  staged: StagedFile | undefined;
  /** Files being written that have ranges copied from the present version of this one. */
  copies: Set<CopiedContent> | undefined;
  /** Something the store does not have: bytes, attributes that go with the next upload, or its name. */
  dirty = false;
  /** Attributes are not those of `version`. */
  attributesChanged = false;
  /** Attributes that a streamed file had at its end, while nothing else of them is missing in the store than that. */
  lateAttributes: InodeAttributes | undefined;
  /** Where the object of `version` lies, when that is not where the name says (a rename not done in the store yet). */
  storedKey: string | undefined;
  /** Names it had since the store knew it: a listing may still show them. */
  leftNames: LeftName[] = [];
  /** Its entry in the journal. */
  journalId: number | undefined;
  /** The generation of the staged file that the journal has. */
  notedGeneration = -1;
  /** Since when it has had something for the store (ms since 1970). */
  waitsSince: number | undefined;
  /** Uploads in a row that were given up because it was written meanwhile. */
  restless = 0;
  /** Sent to the store, and the answer is not known. */
  sent: readonly Sent[] = [];
  /** It is being made, or renamed, where nothing must stand in the store: somebody else's object there is refused. */
  mustBeNew = false;
  /** Its bytes may have been lost with the machine's power: they must not replace anything. */
  isDoubtful = false;
  /** The kernel reads this instead of asking. */
  backing: BackingFile | undefined;
  /** Held while there are handles or staged bytes over it. */
  cached: CachedFile | undefined;
  /** Content id whose pages the kernel may hold. */
  kernelPages: string | undefined;
  linkTarget: Uint8Array | undefined;
  /** The failure of the last upload (negative errno), told to the next flush or fsync. */
  uploadFailure = 0;
  /** An open that asks the store which version stands; others that come meanwhile share it. Monotonic time (ms). */
  revalidation: { readonly begunAt: number; readonly done: Promise<void> } | undefined;
  /** It is about to lose its name (unlink, or a rename over it): whoever opens it waits, and looks the name up again. */
  leaving: Promise<void> | undefined;
  readonly mutex = new Mutex();

  constructor(
    nodeid: number,
    ino: number,
    parent: Inode | undefined,
    name: string,
    attributes: InodeAttributes,
    checkedAt: number,
  ) {
    this.nodeid = nodeid;
    this.ino = ino;
    this.parent = parent;
    if (parent !== undefined) this.name = name;
    this.attributes = attributes;
    this.checkedAt = checkedAt;
    this.directory = (attributes.mode & S_IFMT) === S_IFDIR ? new DirectoryState() : undefined;
  }

  get name(): string {
    return this.#name;
  }

  /** Who names an inode has made sure that a key can have the name. Its directory must be set before. */
  set name(name: string) {
    const part = partOf(name, this.parent?.begun);
    if (part === undefined) throw new RangeError(`no key has the name ${JSON.stringify(name)}`);
    this.#name = name;
    this.#part = part;
  }

  /** What its name stands for in the keys of its directory. */
  get part(): Part {
    return this.#part;
  }

  /** Not a directory of the bucket: it stands for the beginning of components that are too long for one name. */
  get isBeginning(): boolean {
    return this.#part.kind === 'long';
  }

  /** The beginning of the components in it; '' in a directory proper. */
  get begun(): string {
    return this.isBeginning ? (this.parent?.begun ?? '') + this.#part.text : '';
  }

  /** Where it comes in the order of the keys of its directory, and what they add to that directory's prefix. */
  get keyPart(): string {
    return this.directory === undefined || this.isBeginning ? this.#part.text : `${this.#part.text}/`;
  }

  get type(): number {
    return this.attributes.mode & S_IFMT;
  }

  get isRegular(): boolean {
    return this.type === S_IFREG;
  }

  get isSymlink(): boolean {
    return this.type === S_IFLNK;
  }

  get currentSize(): number {
    return this.staged?.size ?? this.linkTarget?.length ?? this.size;
  }

  /** Path from the root of the mount, for logs and status. */
  get path(): string {
    if (this.parent === undefined) return this.orphanKey === undefined ? '/' : `(removed) ${this.orphanKey}`;
    return this.parent.parent === undefined ? `/${this.name}` : `${this.parent.path}/${this.name}`;
  }
}
