/**
 * What a file has besides its content, and how the tools of the field write it into user metadata. Every dialect is
 * read here and nowhere else; pailfs writes s3fs's, so that a bucket moves between the two, and rewrites what the object
 * already carried of the others, so that their tools do not see an old mode.
 *
 *   s3fs         mode (decimal, with type), uid, gid, mtime, ctime, atime (seconds.nanoseconds),
 *                xattr (URL-encoded JSON of base64); link target in the body
 *   geesefs      the same names; mode with leading 0 is octal; rdev; link target in --symlink-target (%XX)
 *   rclone       mtime (seconds with a fraction, zeros trimmed); with --metadata also uid, gid, atime (RFC 3339), and
 *                mode in octal without a leading 0 (100644, which no decimal mode can be)
 *   AWS FSx, DataSync, File Gateway, S3 Files   file-permissions (octal, with type), file-owner, file-group,
 *                file-mtime and file-atime (…ns, otherwise milliseconds)
 *   gcsfuse      gcsfuse_mtime (RFC 3339), gcsfuse_symlink_target, or goog-reserved-file-is-symlink and the target in
 *                the body
 */
import type { Timespec } from '../clock.js';

export const S_IFMT = 0o170000;
export const S_IFDIR = 0o040000;
export const S_IFREG = 0o100000;
export const S_IFLNK = 0o120000;
export const S_IFIFO = 0o010000;
export const S_IFCHR = 0o020000;
export const S_IFBLK = 0o060000;
export const S_IFSOCK = 0o140000;

export interface PosixAttributes {
  /** Type and permission bits. */
  mode?: number;
  uid?: number;
  gid?: number;
  rdev?: number;
  mtime?: Timespec;
  ctime?: Timespec;
  atime?: Timespec;
  xattrs?: ReadonlyMap<string, Uint8Array>;
  /** Where the dialect keeps it in metadata; others keep it in the body. */
  symlinkTarget?: string;
}

export type Metadata = Readonly<Record<string, string>>;

const s3fsNames = ['mode', 'uid', 'gid', 'rdev', 'mtime', 'ctime', 'atime', 'xattr'] as const;

/** Decimal seconds with an optional fraction; nanoseconds beyond nine digits are cut. */
export function parseSeconds(text: string | undefined): Timespec | undefined {
  const match = /^(-?\d{1,15})(?:\.(\d*))?$/.exec(text?.trim() ?? '');
  if (match === null) return undefined;
  return { sec: Number(match[1]), nsec: Number((match[2] ?? '').padEnd(9, '0').slice(0, 9)) };
}

export function formatSeconds(time: Timespec): string {
  return `${time.sec}.${String(time.nsec).padStart(9, '0')}`;
}

function parseFsxTime(text: string | undefined): Timespec | undefined {
  const match = /^(-?\d{1,22})(ns)?$/.exec(text?.trim() ?? '');
  if (match === null) return undefined;
  const ns = match[2] === undefined ? BigInt(match[1]) * 1_000_000n : BigInt(match[1]);
  const sec = ns / 1_000_000_000n - (ns % 1_000_000_000n < 0n ? 1n : 0n);
  return { sec: Number(sec), nsec: Number(ns - sec * 1_000_000_000n) };
}

function formatFsxTime(time: Timespec): string {
  return `${BigInt(time.sec) * 1_000_000_000n + BigInt(time.nsec)}ns`;
}

function parseRfc3339(text: string | undefined): Timespec | undefined {
  const match = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)$/.exec(text ?? '');
  if (match === null) return undefined;
  const ms = Date.parse(`${match[1]}${match[3]}`);
  if (Number.isNaN(ms)) return undefined;
  return { sec: ms / 1000, nsec: Number((match[2] ?? '').padEnd(9, '0').slice(0, 9)) };
}

function parseNumber(text: string | undefined, limit: number): number | undefined {
  if (text === undefined || !/^\d{1,10}$/.test(text)) return undefined;
  const value = text.startsWith('0') && text.length > 1 ? Number.parseInt(text, 8) : Number(text);
  return Number.isInteger(value) && value <= limit ? value : undefined;
}

const MAX_MODE = 0o177777;

function parseMode(text: string | undefined): number | undefined {
  return parseNumber(text, MAX_MODE) ?? (/^1[02][0-7]{4}$/.test(text ?? '') ? parseOctal(text) : undefined);
}

function parseOctal(text: string | undefined): number | undefined {
  return text !== undefined && /^[0-7]{1,7}$/.test(text) ? Number.parseInt(text, 8) : undefined;
}

/** Most files have none: one map for all of them. */
export const NO_XATTRS: ReadonlyMap<string, Uint8Array> = new Map();

function parseXattrs(text: string | undefined): Map<string, Uint8Array> | undefined {
  if (text === undefined) return undefined;
  try {
    const json: unknown = JSON.parse(decodeURIComponent(text));
    if (typeof json !== 'object' || json === null) return undefined;
    const xattrs = new Map<string, Uint8Array>();
    for (const [name, value] of Object.entries(json)) {
      if (typeof value === 'string') xattrs.set(name, Buffer.from(value, 'base64'));
    }
    return xattrs;
  } catch {
    // Written by something else under the same name: it stays in the metadata untouched, and is no xattr.
    return undefined;
  }
}

export function formatXattrs(xattrs: ReadonlyMap<string, Uint8Array>): string {
  const json: Record<string, string> = {};
  for (const [name, value] of xattrs) json[name] = Buffer.from(value).toString('base64');
  // s3fs leaves slashes as they are too; an ACL is full of them.
  return encodeURIComponent(JSON.stringify(json)).replaceAll('%2F', '/');
}

/** Where metadata names the target of a link: the object is empty then. */
export function symlinkTarget(metadata: Metadata): string | undefined {
  const escaped = metadata['--symlink-target'];
  if (escaped === undefined) return metadata.gcsfuse_symlink_target;
  try {
    return decodeURIComponent(escaped);
  } catch {
    return escaped;
  }
}

/** Whether metadata holds anything that this codec reads. */
export function hasPosixMetadata(metadata: Metadata): boolean {
  const attributes = decodeAttributes(metadata);
  return Object.values(attributes).some((value) => value !== undefined);
}

export function decodeAttributes(metadata: Metadata): PosixAttributes {
  const max = 0xffffffff;
  const mode = parseMode(metadata.mode) ?? parseOctal(metadata['file-permissions']);
  const target = symlinkTarget(metadata);
  const isLink = target !== undefined || metadata['goog-reserved-file-is-symlink'] === 'true';
  return {
    mode: isLink && (mode === undefined || (mode & S_IFMT) === 0) ? S_IFLNK | 0o777 : mode,
    uid: parseNumber(metadata.uid, max) ?? parseNumber(metadata['file-owner'], max),
    gid: parseNumber(metadata.gid, max) ?? parseNumber(metadata['file-group'], max),
    rdev: parseNumber(metadata.rdev, max),
    mtime: parseSeconds(metadata.mtime) ?? parseFsxTime(metadata['file-mtime']) ?? parseRfc3339(metadata.gcsfuse_mtime),
    ctime: parseSeconds(metadata.ctime),
    atime: parseSeconds(metadata.atime) ?? parseFsxTime(metadata['file-atime']) ?? parseRfc3339(metadata.atime),
    xattrs: parseXattrs(metadata.xattr),
    symlinkTarget: target,
  };
}

/**
 * The metadata of an object with these attributes: what `existing` holds of unknown names stays, what it holds of other
 * dialects is brought up to date.
 */
export function encodeAttributes(attributes: PosixAttributes, existing: Metadata = {}): Record<string, string> {
  const metadata: Record<string, string> = { ...existing };
  const { mode, uid, gid, rdev, mtime, ctime, atime, xattrs } = attributes;
  const set = (name: string, value: string | undefined): void => {
    if (value !== undefined) metadata[name] = value;
  };
  for (const name of s3fsNames) {
    if (name !== 'xattr' || parseXattrs(existing.xattr) !== undefined) delete metadata[name];
  }
  set('mode', mode?.toString());
  set('uid', uid?.toString());
  set('gid', gid?.toString());
  set('rdev', rdev !== undefined && rdev !== 0 ? rdev.toString() : undefined);
  set('mtime', mtime && formatSeconds(mtime));
  set('ctime', ctime && formatSeconds(ctime));
  set('atime', atime && formatSeconds(atime));
  set('xattr', xattrs !== undefined && xattrs.size > 0 ? formatXattrs(xattrs) : undefined);
  updateOtherDialects(metadata, attributes);
  return metadata;
}

function updateOtherDialects(metadata: Record<string, string>, attributes: PosixAttributes): void {
  const update = (name: string, value: string | undefined): void => {
    if (name in metadata && value !== undefined) metadata[name] = value;
  };
  const { mode, uid, gid, mtime, atime } = attributes;
  update('file-permissions', mode === undefined ? undefined : `0${mode.toString(8)}`);
  update('file-owner', uid?.toString());
  update('file-group', gid?.toString());
  update('file-mtime', mtime && formatFsxTime(mtime));
  update('file-atime', atime && formatFsxTime(atime));
  update('gcsfuse_mtime', mtime && formatRfc3339(mtime));
}

function formatRfc3339(time: Timespec): string {
  return `${new Date(time.sec * 1000).toISOString().slice(0, 19)}.${String(time.nsec).padStart(9, '0')}Z`;
}

/** Bytes that S3 counts against its 2 KB: names plus values. */
export function metadataBytes(metadata: Metadata): number {
  let sum = 0;
  for (const [name, value] of Object.entries(metadata)) sum += Buffer.byteLength(name) + Buffer.byteLength(value);
  return sum;
}
