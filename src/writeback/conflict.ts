/**
 * Conflict copies: when somebody else's object stands where a file was to be written, theirs stays and ours is kept
 * beside it as `NAME.conflict-HOST-TIME`. Pure.
 */
import { Buffer } from 'node:buffer';
import { MAX_NAME_BYTES } from '../constants.js';

/** One conflict, as `status` shows it. */
export interface Conflict {
  readonly path: string;
  /** Path of our copy. */
  readonly copy: string;
  /** Milliseconds since 1970. */
  readonly at: number;
}

/** @param now milliseconds since 1970 @param attempt counts up while the name is taken */
export function conflictName(name: string, host: string, now: number, attempt = 0): string {
  const time = new Date(now).toISOString().replace(/[-:]/g, '').slice(0, 15);
  const suffix = `.conflict-${host.replace(/[^A-Za-z0-9.-]/g, '_').slice(0, 64)}-${time}Z${attempt === 0 ? '' : `-${attempt}`}`;
  let stem = name;
  while (Buffer.byteLength(stem) + Buffer.byteLength(suffix) > MAX_NAME_BYTES) stem = [...stem].slice(0, -1).join('');
  return stem + suffix;
}
