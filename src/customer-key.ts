/**
 * The key of SSE-C comes from a file: on a command line or in a variable others could see it. S3 keeps no copy of it;
 * whoever loses it loses what was written with it.
 */
import { readFileSync, statSync } from 'node:fs';
import { UsageError } from './config/value.js';

const KEY_BYTES = 32;
const OTHERS = 0o077;

/** 32 bytes, from a file that holds them as they are, or in base64. Throws UsageError. */
export function readCustomerKey(path: string): Uint8Array {
  let bytes: Buffer;
  try {
    if ((statSync(path).mode & OTHERS) !== 0) {
      throw new UsageError(`sse-c-key: others may read ${path}: run "chmod 600 ${path}"`);
    }
    bytes = readFileSync(path);
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new UsageError(`sse-c-key: ${path} cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
  if (bytes.length === KEY_BYTES) return bytes;
  const text = bytes.toString('latin1').trim();
  const decoded = /^[A-Za-z0-9+/]{43}=$/.test(text) ? Buffer.from(text, 'base64') : undefined;
  if (decoded?.length === KEY_BYTES) return decoded;
  throw new UsageError(`sse-c-key: ${path} holds no key: it must be 32 bytes, or these in base64`);
}
