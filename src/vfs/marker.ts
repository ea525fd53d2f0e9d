/**
 * Directory markers: zero-byte objects named like the directory's prefix. mkdir writes one, with the attributes of the
 * directory in its metadata; a directory that loses its last child gets one, so that it stays until rmdir.
 */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isComplete } from '../cache/attribute-store.js';
import { folderMarkerOf, folderOf } from '../cache/listing-entries.js';
import { LIST_PAGE_KEYS } from '../constants.js';
import type { WriteCondition } from '../s3/object-client.js';
import { isS3Error } from '../s3/s3-error.js';
import { decodeAttributes, encodeAttributes, S_IFDIR } from './attribute.js';
import { DIRECTORY_CONTENT_TYPE } from './content-type.js';
import { keptEncryption } from './encryption.js';
import { hasFolderMarker, headIfPresent } from './find-key.js';
import type { Inode } from './inode.js';
import { nameIn, type ShownName } from './name.js';
import { setNameConfirmed } from './resolve.js';
import { directoryAttributes } from './versions.js';
import { learnWritten, prefixOf, type Volume } from './volume.js';

const nothing = new Uint8Array(0);

/** Writes the marker of a directory with its present attributes. */
export async function writeMarker(volume: Volume, directory: Inode, condition: WriteCondition = {}): Promise<void> {
  const key = prefixOf(volume, directory);
  const state = directory.directory;
  if (state === undefined || key === '' || directory.isBeginning) return;
  const none = state.marker === false || condition.ifAbsent;
  const existing = isComplete(directory.info) ? directory.info : none ? undefined : await headIfPresent(volume, key);
  const headers = { contentType: DIRECTORY_CONTENT_TYPE, ...existing?.headers };
  const metadata = encodeAttributes(directory.attributes, existing?.metadata);
  const encryption = keptEncryption(existing);
  const reply = await volume.client.put(key, nothing, { ...condition, headers, metadata, encryption });
  const info = {
    etag: reply.etag,
    size: 0,
    lastModified: reply.date,
    headers,
    metadata,
    tagCount: 0,
    archived: false,
    date: reply.date,
  };
  directory.info = info;
  state.marker = true;
  learnWritten(volume, key, info);
}

/**
 * Before the last child of a directory goes: the directory must not go with it. `name`, `key`: of that child; `isGoing`:
 * other keys that go with it.
 */
export async function keepDirectory(
  volume: Volume,
  directory: Inode,
  name: string,
  key: string,
  isGoing: (key: string) => boolean = () => false,
): Promise<void> {
  if (directory.isBeginning && directory.parent !== undefined)
    return keepDirectory(volume, directory.parent, directory.name, key, isGoing);
  const state = directory.directory;
  if (state === undefined || directory === volume.inodes.root || directory.orphanKey !== undefined) return;
  if (state.marker || hasOtherChild(volume, directory, name)) return;
  const prefix = prefixOf(volume, directory);
  if (volume.options.canList) {
    const maxKeys = Math.min(LIST_PAGE_KEYS, 4 + (volume.writeBack?.removals.size ?? 0));
    const page = await volume.client.list({ prefix, maxKeys, delimiter: '/' });
    state.marker = page.objects.some((object) => object.key === prefix);
    // A directory's folder marker goes with it.
    const folderMarker = key.endsWith('/') ? folderMarkerOf(key.slice(0, -1)) : undefined;
    const others = [...page.objects.map((object) => object.key), ...page.prefixes].filter(
      (other) => other !== prefix && other !== key && other !== folderMarker && !isGoing(other),
    );
    if (state.marker || others.length > 0) return;
    // Removed meanwhile: it has no key any more that a marker could have.
    if (directory.orphanKey !== undefined) return;
  }
  try {
    await writeMarker(volume, directory, { ifAbsent: true });
  } catch (error) {
    if (!isS3Error(error, 'PreconditionFailed')) throw error;
    state.marker = true;
  }
}

/** Whether something besides `name` is surely in the directory, as far as is known without asking. */
function hasOtherChild(volume: Volume, directory: Inode, name: string): boolean {
  const state = directory.directory;
  if (state === undefined) return false;
  const isThere = (other: string): boolean => {
    const record = state.overlay.get(other);
    return (
      other !== name && (record === undefined || (record.present !== undefined && record.confirmedAt !== undefined))
    );
  };
  if (state.witness !== undefined && state.witness !== name && isThere(state.witness)) return true;
  state.witness = undefined;
  // The last one found: removing a directory in order leaves it to the end, so that it is searched for only once.
  for (const [other, record] of state.overlay.entries()) {
    if (record.present !== undefined && isThere(other)) state.witness = other;
  }
  const listing = volume.listings.fresh(directory.nodeid, volume.options.metadataTtlMs);
  if (state.witness === undefined)
    for (const [other, entry] of listing?.names ?? [])
      if (!(!entry.directory && entry.isFolderMarker) && isThere(other)) state.witness = other;
  return state.witness !== undefined;
}

/** Whether a file is the content of its directory's marker. */
export function isMarkerContent(inode: Inode): boolean {
  return inode.directory === undefined && inode.part.kind === 'object' && inode.part.text === '';
}

/** Deletes the object of a file. Of a marker only the content goes: the directory stays. */
export async function deleteObjectOf(volume: Volume, parent: Inode, inode: Inode, key: string): Promise<void> {
  if (isMarkerContent(inode)) await writeMarker(volume, parent);
  else await volume.client.delete(key);
}

/** A zero-byte `NAME_$folder$` goes with the directory NAME. `text`: what the directory was called, if it has another name by now. */
export async function deleteFolderMarker(
  volume: Volume,
  parent: Inode,
  directory: Inode,
  text = directory.part.text,
): Promise<void> {
  const marker = await findFolderMarker(volume, parent, directory, text);
  if (marker === undefined) return;
  const { key, name } = marker;
  const known = parent.directory?.children.get(name);
  await volume.client.delete(key);
  volume.attributes.remove(key);
  if (known !== undefined) volume.inodes.detach(known, key);
  setNameConfirmed(volume, parent, name, undefined);
}

/** The key of the zero-byte `NAME_$folder$` of a directory and the name that stands for it, where there is one. */
export async function findFolderMarker(
  volume: Volume,
  parent: Inode,
  directory: Inode,
  text = directory.part.text,
): Promise<{ readonly key: string; readonly name: string } | undefined> {
  const shown = nameIn('', folderMarkerOf(text), false);
  if (shown === undefined || shown.isLong || parent.isBeginning || directory.isBeginning) return undefined;
  if (!(await isFolderMarked(volume, parent, directory, shown))) return undefined;
  return { key: prefixOf(volume, parent) + shown.text, name: shown.name };
}

async function isFolderMarked(
  volume: Volume,
  parent: Inode,
  directory: Inode,
  { name, text }: ShownName,
): Promise<boolean> {
  const known = directory.directory?.folderMarker;
  if (known !== undefined) return known;
  const record = parent.directory?.overlay.get(name);
  if (record !== undefined) return record.present !== undefined && record.present.currentSize === 0;
  const listing = volume.listings.fresh(parent.nodeid, volume.options.metadataTtlMs);
  if (listing?.isComplete) {
    const entry = listing.find(name);
    return entry !== undefined && !entry.directory && entry.isFolderMarker === true;
  }
  return hasFolderMarker(volume, prefixOf(volume, parent) + (folderOf(text) ?? text));
}

function rootFile(volume: Volume): string {
  return join(volume.options.stateDirectory, 'root.json');
}

/**
 * The root of a whole bucket has no key that could hold its attributes: they are kept on this machine. Under a prefix it
 * has a marker like every directory.
 */
export async function saveRootAttributes(volume: Volume): Promise<void> {
  if (volume.options.prefix !== '') return writeMarker(volume, volume.inodes.root);
  const path = rootFile(volume);
  mkdirSync(volume.options.stateDirectory, { recursive: true, mode: 0o700 });
  writeFileSync(`${path}.new`, JSON.stringify(encodeAttributes(volume.inodes.root.attributes)), { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

/** The attributes of the root at mount. */
export async function loadRootAttributes(volume: Volume): Promise<void> {
  const { root } = volume.inodes;
  if (volume.options.prefix !== '') {
    const info = await headIfPresent(volume, volume.options.prefix);
    if (info === undefined) return;
    root.attributes = directoryAttributes(volume, info);
    root.info = info;
    return;
  }
  let text: string;
  try {
    text = readFileSync(rootFile(volume), 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  const { mode, uid, gid, mtime, ctime, atime, xattrs } = decodeAttributes(JSON.parse(text));
  const present = root.attributes;
  root.attributes = {
    ...present,
    mode: mode === undefined ? present.mode : S_IFDIR | (mode & 0o7777),
    uid: uid ?? present.uid,
    gid: gid ?? present.gid,
    mtime: mtime ?? present.mtime,
    ctime: ctime ?? present.ctime,
    atime: atime ?? present.atime,
    xattrs: xattrs ?? present.xattrs,
  };
}
