/**
 * The words that libfuse 2 is given. fuse-native joins what it knows with commas and knows neither big_writes nor most
 * others, so the whole string is made here. Pure.
 */
import { KiB } from '../constants.js';
import { type MountOptions, SUBTYPE } from './mount.js';

/** libfuse 2 has no MAX_PAGES: 32 pages are the most in one request, either way. */
export const LIBFUSE_IO_BYTES = 128 * KiB;
/** fuse-native copies the string into char[1024], and cuts it there without a word. */
const MOST_BYTES = 1023;
/**
 * Requests of the page cache under way at once. libfuse 2 ends threads beyond ten idle ones, and for each thread that ever
 * served, fuse-native keeps a uv handle for good: fewer at once than that keep the threads the same.
 */
const MAX_BACKGROUND = 8;

function escaped(value: string): string {
  return value.replace(/[\\,]/g, '\\$&');
}

/** As much of the source as there is room for: it is only shown (df, mount), and must not push out what counts. */
function fitting(fsname: string, room: number): string {
  if (Buffer.byteLength(escaped(fsname)) <= room) return escaped(fsname);
  let kept = '';
  for (const character of fsname) {
    if (Buffer.byteLength(escaped(`${kept}${character}...`)) > room) break;
    kept += character;
  }
  return escaped(`${kept}...`);
}

/**
 * `-o` and the words.
 *
 * - No kernel_cache and no auto_cache: pages are dropped at every open, because the kernel's inode stays the same when the
 *   object's version changes, and size and mtime alone do not tell versions apart.
 * - attr_timeout=0: the size is asked again whenever it counts; one that is a second old would cut a new version short.
 *   Names may be kept for a second: whatever is done with them walks the path anew.
 * - use_ino: st_ino is the filesystem's, the same after a remount.
 * - nonempty: as with mount(2), what the mount point holds is covered.
 */
export function libfuseOptions(options: MountOptions, root: boolean): string {
  const maxRead = Math.min(options.maxRead ?? LIBFUSE_IO_BYTES, LIBFUSE_IO_BYTES);
  const words = [`subtype=${SUBTYPE}`, 'big_writes', 'atomic_o_trunc', 'use_ino', 'attr_timeout=0', 'entry_timeout=1'];
  words.push(`max_read=${maxRead}`, `max_readahead=${LIBFUSE_IO_BYTES}`);
  words.push(`max_background=${MAX_BACKGROUND}`, `congestion_threshold=${(MAX_BACKGROUND * 3) / 4}`);
  // fusermount3, which many systems have in fusermount's place, does not know the word, and asks for no emptiness.
  if (root) words.push('nonempty');
  if (options.readOnly) words.push('ro');
  if (options.noExec) words.push('noexec');
  if (options.allowOther) words.push('allow_other');
  if (options.defaultPermissions) words.push('default_permissions');
  if (options.suid) words.push('suid');
  if (options.dev) words.push('dev');
  const before = `-o${words.join(',')},fsname=`;
  return before + fitting(options.fsname, MOST_BYTES - Buffer.byteLength(before));
}
