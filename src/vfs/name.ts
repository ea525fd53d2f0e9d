/**
 * Names of the tree and keys of the bucket. A file is the key of its path below the mount's prefix; a directory is the
 * prefix of its path with a trailing slash. Pure.
 *
 * A component that POSIX cannot name (empty, ".", "..", longer than 255 bytes, with NUL or not Unicode) has no path
 * here; the listing counts such keys and says so.
 */
import { Buffer } from 'node:buffer';
import { MAX_KEY_BYTES, MAX_NAME_BYTES } from '../constants.js';

/** Longest UTF-8 of one UTF-16 unit is 3 bytes: a short string needs no counting. */
function bytesWithin(text: string, limit: number): boolean {
  if (text.length * 3 <= limit) return true;
  return text.length <= limit && Buffer.byteLength(text) <= limit;
}

/** Whether one component of a key can be a name in a directory. */
export function isNameable(component: string): boolean {
  if (component === '' || component === '.' || component === '..') return false;
  if (!bytesWithin(component, MAX_NAME_BYTES)) return false;
  return !component.includes('\0') && isWellFormed(component);
}

/** Whether a string is Unicode; the surrogates that stand for stray bytes of a name are not. */
export function isWellFormed(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit < 0xd800 || unit > 0xdfff) continue;
    const next = text.charCodeAt(i + 1);
    if (unit > 0xdbff || !(next >= 0xdc00 && next <= 0xdfff)) return false;
    i++;
  }
  return true;
}

export function keyFits(key: string): boolean {
  return bytesWithin(key, MAX_KEY_BYTES);
}

/** `s3://bucket/a/b` and `s3://bucket/a/b/` mean the same prefix `a/b/`; none is ''. */
export function normalisePrefix(prefix: string): string {
  return prefix === '' || prefix.endsWith('/') ? prefix : `${prefix}/`;
}

export function childPrefix(directoryPrefix: string, name: string): string {
  return `${directoryPrefix}${name}/`;
}
