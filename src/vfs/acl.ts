/**
 * POSIX access control lists, in the form in which the kernel hands them to a filesystem and asks for them
 * (include/uapi/linux/posix_acl_xattr.h): version 2 (u32), then an entry of tag (u16), permissions (u16) and id (u32)
 * each, little-endian. The object's metadata has the same bytes among its xattrs, as with s3fs.
 *
 * Three entries say what the mode says: its owner, its group class (the mask, or the group where there is no mask) and the
 * others. The mode is what counts, because other tools change it and leave the list as it was: wherever a list is shown,
 * these entries are the mode's. A list that says nothing else is not kept.
 */
import { errno } from '../errno.js';
import { S_IFDIR, S_IFLNK, S_IFMT } from './attribute.js';
import type { InodeAttributes } from './inode.js';

export const ACL_ACCESS = 'system.posix_acl_access';
/** Of a directory: what is made in it begins with that. */
export const ACL_DEFAULT = 'system.posix_acl_default';

export type AclName = typeof ACL_ACCESS | typeof ACL_DEFAULT;

/** include/uapi/linux/posix_acl.h */
export const tag = { USER_OBJ: 1, USER: 2, GROUP_OBJ: 4, GROUP: 8, MASK: 16, OTHER: 32 } as const;

export interface AclEntry {
  readonly tag: number;
  /** rwx, as in a mode. */
  readonly perm: number;
  /** User or group, where the tag names one; otherwise UNDEFINED_ID. */
  readonly id: number;
}

/** In the order that a list has: see isInOrder. */
export type Acl = readonly AclEntry[];

export const UNDEFINED_ID = 0xffff_ffff;
const VERSION = 2;
const HEADER_BYTES = 4;
const ENTRY_BYTES = 8;

type Xattrs = InodeAttributes['xattrs'];

export function isAclName(name: string): name is AclName {
  return name === ACL_ACCESS || name === ACL_DEFAULT;
}

const isNamed = (entry: AclEntry): boolean => entry.tag === tag.USER || entry.tag === tag.GROUP;

/** The owner, users, the group, groups, the mask (which users and groups need), the others: as posix_acl_valid() has it. */
function isInOrder(acl: Acl): boolean {
  let order = '';
  for (const entry of acl) {
    if (entry.perm > 7 || (isNamed(entry) && entry.id === UNDEFINED_ID)) return false;
    const at = Object.values(tag).indexOf(entry.tag as (typeof tag)[keyof typeof tag]);
    if (at < 0) return false;
    order += at;
  }
  return /^01*23*45$/.test(order) || order === '025';
}

/** undefined: no list. Without entries it is one that is to be removed. */
export function parseAcl(bytes: Uint8Array): Acl | undefined {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const rest = view.length - HEADER_BYTES;
  if (rest < 0 || rest % ENTRY_BYTES !== 0 || view.readUInt32LE(0) !== VERSION) return undefined;
  const acl: AclEntry[] = [];
  for (let at = HEADER_BYTES; at < view.length; at += ENTRY_BYTES) {
    const entry = { tag: view.readUInt16LE(at), perm: view.readUInt16LE(at + 2), id: view.readUInt32LE(at + 4) };
    // Of the others the kernel says nothing about the id.
    acl.push(isNamed(entry) ? entry : { ...entry, id: UNDEFINED_ID });
  }
  return acl.length === 0 || isInOrder(acl) ? acl : undefined;
}

export function formatAcl(acl: Acl): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES + acl.length * ENTRY_BYTES);
  bytes.writeUInt32LE(VERSION, 0);
  for (const [index, entry] of acl.entries()) {
    const at = HEADER_BYTES + index * ENTRY_BYTES;
    bytes.writeUInt16LE(entry.tag, at);
    bytes.writeUInt16LE(entry.perm, at + 2);
    bytes.writeUInt32LE(entry.id, at + 4);
  }
  return bytes;
}

/** Where in a mode an entry's permissions stand; undefined: the mode does not tell them. */
function shiftOf(acl: Acl, entry: AclEntry): number | undefined {
  if (entry.tag === tag.USER_OBJ) return 6;
  if (entry.tag === tag.OTHER) return 0;
  const groupClass = acl.some((other) => other.tag === tag.MASK) ? tag.MASK : tag.GROUP_OBJ;
  return entry.tag === groupClass ? 3 : undefined;
}

/** The nine bits of a mode that a list stands for. */
export function permissionsOf(acl: Acl): number {
  let bits = 0;
  for (const entry of acl) {
    const shift = shiftOf(acl, entry);
    if (shift !== undefined) bits |= entry.perm << shift;
  }
  return bits;
}

function withPermissions(acl: Acl, permissions: (present: number, shift: number) => number): Acl {
  return acl.map((entry) => {
    const shift = shiftOf(acl, entry);
    return shift === undefined ? entry : { ...entry, perm: permissions(entry.perm, shift) & 7 };
  });
}

/** A list after chmod(2). */
export function withMode(acl: Acl, mode: number): Acl {
  return withPermissions(acl, (_present, shift) => mode >> shift);
}

/** What a new file or directory has by a default list: no more than the program that makes it asks for. */
export function inheritedBy(acl: Acl, mode: number): Acl {
  return withPermissions(acl, (present, shift) => present & (mode >> shift));
}

/** The mode says it all. */
export function isMinimal(acl: Acl): boolean {
  return acl.length === 3;
}

function replaced(xattrs: Xattrs, name: AclName, acl: Acl | undefined): Xattrs {
  const changed = new Map(xattrs);
  if (acl === undefined) changed.delete(name);
  else changed.set(name, formatAcl(acl));
  return changed;
}

/** What getxattr answers: undefined where there is none, 'damaged' where what the object carries is no list. */
export function shownAcl({ mode, xattrs }: InodeAttributes, name: AclName): Buffer | 'damaged' | undefined {
  const value = xattrs.get(name);
  if (value === undefined) return undefined;
  const acl = parseAcl(value);
  if (acl === undefined) return 'damaged';
  if (acl.length === 0) return undefined;
  return formatAcl(name === ACL_ACCESS ? withMode(acl, mode) : acl);
}

/** The xattrs of something whose mode has been changed. */
export function xattrsAfterChmod(xattrs: Xattrs, mode: number): Xattrs {
  const value = xattrs.get(ACL_ACCESS);
  const acl = value === undefined ? undefined : parseAcl(value);
  return acl === undefined || acl.length === 0 ? xattrs : replaced(xattrs, ACL_ACCESS, withMode(acl, mode));
}

/**
 * The attributes with another list, or a negative errno.
 * @param value empty: the list is to be removed, which leaves the mode as it is
 */
export function withAcl(attributes: InodeAttributes, name: AclName, value: Uint8Array): InodeAttributes | number {
  const { mode, xattrs } = attributes;
  if ((mode & S_IFMT) === S_IFLNK) return -errno.EOPNOTSUPP;
  const acl = value.length === 0 ? [] : parseAcl(value);
  if (acl === undefined) return -errno.EINVAL;
  if (acl.length === 0) {
    return xattrs.has(name) ? { ...attributes, xattrs: replaced(xattrs, name, undefined) } : attributes;
  }
  if (name === ACL_ACCESS) {
    const kept = isMinimal(acl) ? undefined : acl;
    return { ...attributes, mode: (mode & ~0o777) | permissionsOf(acl), xattrs: replaced(xattrs, name, kept) };
  }
  if ((mode & S_IFMT) !== S_IFDIR) return -errno.EACCES;
  return { ...attributes, xattrs: replaced(xattrs, name, acl) };
}

/**
 * What a directory's default list makes of the mode of something new in it, and which lists that has itself; undefined: it
 * has no default list. A negative errno where what it has is none: nothing is made with more permissions than were meant.
 */
export function inherited(
  directory: InodeAttributes,
  mode: number,
): Pick<InodeAttributes, 'mode' | 'xattrs'> | number | undefined {
  const value = directory.xattrs.get(ACL_DEFAULT);
  if (value === undefined || (mode & S_IFMT) === S_IFLNK) return undefined;
  const acl = parseAcl(value);
  if (acl === undefined) return -errno.EIO;
  if (acl.length === 0) return undefined;
  const own = inheritedBy(acl, mode);
  const xattrs = new Map<string, Uint8Array>();
  if (!isMinimal(own)) xattrs.set(ACL_ACCESS, formatAcl(own));
  if ((mode & S_IFMT) === S_IFDIR) xattrs.set(ACL_DEFAULT, value);
  return { mode: (mode & ~0o777) | permissionsOf(own), xattrs };
}
