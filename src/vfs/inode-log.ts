/**
 * Which st_ino a key has. It follows from the key's origin: the key itself, or the one that the file had when it was
 * first seen, if it was renamed since. Origins of renamed keys, and of prefixes for all keys below them, are kept in a
 * log in the state directory, so that a file keeps its st_ino over rename and remount. Losing the log costs st_ino
 * values and nothing else, so it is never synced.
 *
 * Format of `inodes.log`, version 1: lines of text, each 8 hexadecimal digits (CRC-32 of the rest), a space, and a JSON
 * array, ended by a line feed:
 *
 *   ["pailfs-inodes",1]     the first line
 *   ["m",KEY,ORIGIN]        KEY (or what lies below it, if it ends in a slash) has this origin
 *   ["r",FROM,TO]           renamed
 *   ["d",KEY]               gone
 *
 * Valid are all lines before the first that is cut short or does not match its CRC; the file is cut there. A log that
 * is more than half history is written anew (to `inodes.log.new`, then renamed) when it is opened. A first line of
 * another version is left alone: then nothing is kept.
 */
import { appendFileSync, readFileSync, renameSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { MAX_INODE_ORIGINS } from '../constants.js';
import type { Logger } from '../log.js';
import { crc32 } from '../s3/crc32.js';

type Entry = readonly ['m', string, string] | readonly ['r', string, string] | readonly ['d', string];

const HEADER = ['pailfs-inodes', 1] as const;

function line(entry: readonly unknown[]): string {
  const text = JSON.stringify(entry);
  return `${(crc32(text) >>> 0).toString(16).padStart(8, '0')} ${text}\n`;
}

/** The entry of a line, without its line feed; undefined where it is not valid. */
function parseLine(text: string): readonly unknown[] | undefined {
  if (!/^[0-9a-f]{8} \[/.test(text)) return undefined;
  const json = text.slice(9);
  if (crc32(json) >>> 0 !== Number.parseInt(text.slice(0, 8), 16)) return undefined;
  return JSON.parse(json);
}

/** The prefixes of a key, the longest first: `a/b/c` -> `a/b/`, `a/`. */
function* prefixesOf(key: string): Generator<string> {
  for (let slash = key.lastIndexOf('/', key.length - 2); slash >= 0; slash = key.lastIndexOf('/', slash - 1)) {
    yield key.slice(0, slash + 1);
    if (slash === 0) return;
  }
}

/** The same in memory. Keys that end in a slash are prefixes and stand for all that lies below them. */
export class InodeOrigins {
  /** Origin by key. */
  readonly #origins = new Map<string, string>();
  /** Key by origin: no two keys have the same. */
  readonly #owners = new Map<string, string>();
  #salt = 0;

  get size(): number {
    return this.#origins.size;
  }

  entries(): IterableIterator<[string, string]> {
    return this.#origins.entries();
  }

  set(key: string, origin: string): void {
    this.remove(key);
    this.#origins.set(key, origin);
    this.#owners.set(origin, key);
    // The oldest go: their files get another st_ino.
    if (this.#origins.size > MAX_INODE_ORIGINS) this.remove(this.#origins.keys().next().value ?? '');
  }

  remove(key: string): boolean {
    const origin = this.#origins.get(key);
    if (origin === undefined) return false;
    this.#origins.delete(key);
    if (this.#owners.get(origin) === key) this.#owners.delete(origin);
    return true;
  }

  /** @return undefined: another file has the origin that would be this key's own */
  originOf(key: string): string | undefined {
    if (this.#origins.size === 0) return key;
    const own = this.#origins.get(key);
    if (own !== undefined) return own;
    let above = '';
    let rest = key;
    for (const prefix of prefixesOf(key)) {
      const origin = this.#origins.get(prefix);
      if (origin === undefined) continue;
      above = origin;
      rest = key.slice(prefix.length);
      break;
    }
    // Somebody else may have taken it away from below the same prefix.
    if (this.#owners.has(above + rest)) return undefined;
    for (const prefix of prefixesOf(rest)) if (this.#owners.has(above + prefix)) return undefined;
    return above + rest;
  }

  /** An origin that no key has. */
  fresh(key: string, now: number): string {
    return `${key}\0${now.toString(36)}.${this.#salt++}`;
  }

  rename(from: string, to: string): void {
    const origin = this.originOf(from) ?? from;
    this.remove(to);
    if (from.endsWith('/')) {
      const below = [...this.#origins].filter(([key]) => key !== from && key.startsWith(from));
      for (const key of [...this.#origins.keys()]) if (key.startsWith(to)) this.remove(key);
      for (const [key, one] of below) {
        this.remove(key);
        this.set(to + key.slice(from.length), one);
      }
    }
    this.remove(from);
    // Moved back to where it came from, it needs no entry, unless the prefix above has another origin by now.
    if (this.originOf(to) !== origin) this.set(to, origin);
  }
}

export class InodeLog {
  readonly #origins = new InodeOrigins();
  readonly #path: string | undefined;
  readonly #logger: Logger | undefined;
  readonly #now: () => number;
  #failed = false;

  /** @param now milliseconds since 1970 */
  private constructor(path: string | undefined, now: () => number, logger: Logger | undefined) {
    this.#path = path;
    this.#now = now;
    this.#logger = logger;
  }

  /** For tests: kept nowhere. */
  static inMemory(): InodeLog {
    return new InodeLog(undefined, () => 0, undefined);
  }

  static open(stateDirectory: string, now: () => number, logger: Logger): InodeLog {
    const path = join(stateDirectory, 'inodes.log');
    let text: string;
    try {
      text = readFileSync(path, 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      writeFileSync(path, line(HEADER), { mode: 0o600 });
      text = line(HEADER);
    }
    const [first] = text.split('\n', 1);
    const header = parseLine(first);
    if (header !== undefined && (header[0] !== HEADER[0] || header[1] !== HEADER[1])) {
      logger.warn({ path }, 'the log of inode numbers is of another version: it is left alone, and none is kept');
      return new InodeLog(undefined, now, logger);
    }
    const log = new InodeLog(path, now, logger);
    log.#replay(text, path);
    return log;
  }

  #replay(text: string, path: string): void {
    let at = 0;
    let count = 0;
    for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n', at)) {
      const entry = parseLine(text.slice(at, end));
      if (entry === undefined) break;
      if (at > 0) this.#apply(entry as Entry);
      count++;
      at = end + 1;
    }
    if (at < text.length) {
      this.#logger?.warn({ path }, 'the log of inode numbers ends in a damaged line: it is cut there');
      truncateSync(path, Buffer.byteLength(text.slice(0, at)));
    }
    if (at === 0 || count > 2 * this.#origins.size + 1000) this.#rewrite(path);
  }

  #rewrite(path: string): void {
    let text = line(HEADER);
    for (const [key, origin] of this.#origins.entries()) text += line(['m', key, origin]);
    writeFileSync(`${path}.new`, text, { mode: 0o600 });
    renameSync(`${path}.new`, path);
  }

  #apply(entry: Entry): void {
    if (entry[0] === 'm') this.#origins.set(entry[1], entry[2]);
    else if (entry[0] === 'r') this.#origins.rename(entry[1], entry[2]);
    else this.#origins.remove(entry[1]);
  }

  #note(entry: Entry): void {
    this.#apply(entry);
    if (this.#path === undefined || this.#failed) return;
    try {
      appendFileSync(this.#path, line(entry));
    } catch (error) {
      // st_ino is still right as long as this mount lives.
      this.#failed = true;
      this.#logger?.warn({ err: error }, 'the log of inode numbers cannot be written: they will change with a remount');
    }
  }

  /** What st_ino of a key (a prefix, of a directory) follows from. */
  originOf(key: string): string {
    const origin = this.#origins.originOf(key);
    if (origin !== undefined) return origin;
    const fresh = this.#origins.fresh(key, this.#now());
    this.#note(['m', key, fresh]);
    return fresh;
  }

  renamed(from: string, to: string): void {
    if (from !== to) this.#note(['r', from, to]);
  }

  /** @param isHeld something still has its st_ino: the next file of the name gets another */
  removed(key: string, isHeld: boolean): void {
    if (isHeld) this.#note(['m', key, this.#origins.fresh(key, this.#now())]);
    else if (this.#origins.remove(key)) this.#note(['d', key]);
  }
}
