/**
 * Directory entries for READDIR and READDIRPLUS. A sink packs entries into the reply until the size that the kernel
 * asked for is reached, and remembers the nodes whose lookup count they raise, so that a reply that never reaches the
 * kernel can be taken back.
 */
import { MAX_NAME_BYTES } from '../constants.js';
import { DIRENT_BYTES, ENTRY_OUT_BYTES, OUT_HEADER_BYTES } from './abi.js';
import { Frame } from './frame.js';
import { encodeName, writeAsciiName } from './name.js';
import type { DirentSink, EntryReply } from './operations.js';
import { putEntry } from './reply.js';

function aligned(length: number): number {
  return (length + 7) & ~7;
}

/** Lookups are not counted for these two, nor may they carry an entry. */
function isDots(name: string): boolean {
  return name === '.' || name === '..';
}

export class DirentBuffer implements DirentSink {
  readonly plus: boolean;
  /** The reply, header included (which is left free). */
  readonly frame: Frame;
  /** Nodes that gained a lookup, in order; a node may come twice. */
  readonly lookups: number[] = [];
  readonly #limit: number;
  #full = false;

  /** @param size the most bytes of entries the kernel takes */
  constructor(size: number, plus: boolean) {
    this.plus = plus;
    this.#limit = OUT_HEADER_BYTES + size;
    this.frame = new Frame(Buffer.allocUnsafe(this.#limit), OUT_HEADER_BYTES);
  }

  /** The bytes of entries so far. */
  get used(): number {
    return this.frame.length - OUT_HEADER_BYTES;
  }

  add(name: string, offset: number, ino: number, type: number, entry?: EntryReply): boolean {
    // Once full, always full: a shorter name behind the first that did not fit would be listed in its place.
    if (this.#full) return false;
    const start = this.frame.length;
    const dirent = this.plus ? start + ENTRY_OUT_BYTES : start;
    const nameAt = dirent + DIRENT_BYTES;
    const nameLength = this.#putName(name, nameAt);
    if (nameLength < 0) {
      this.#full = true;
      return false;
    }
    if (this.plus) this.#putEntry(start, isDots(name) ? undefined : entry);
    this.frame.put64(dirent, ino);
    this.frame.put64(dirent + 8, offset);
    this.frame.putU32(dirent + 16, nameLength);
    // enum of d_type: the S_IFMT bits, shifted
    this.frame.putU32(dirent + 20, (type >>> 12) & 0xf);
    const end = aligned(nameAt + nameLength);
    this.frame.bytes.fill(0, nameAt + nameLength, end);
    this.frame.length = end;
    return true;
  }

  /** The name's length, or -1 when the record does not fit. */
  #putName(name: string, at: number): number {
    const room = this.#limit - at;
    if (aligned(name.length) <= room) {
      const length = writeAsciiName(name, this.frame.bytes, at);
      if (length > 0 && length <= MAX_NAME_BYTES) return length;
    }
    const bytes = encodeName(name);
    // The kernel fails the whole directory for one such name; the filesystem must never list it.
    if (bytes.length === 0 || bytes.length > MAX_NAME_BYTES) {
      throw new RangeError(`a directory entry of ${bytes.length} bytes`);
    }
    if (aligned(bytes.length) > room) return -1;
    bytes.copy(this.frame.bytes, at);
    return bytes.length;
  }

  #putEntry(at: number, entry: EntryReply | undefined): void {
    if (entry === undefined || entry.nodeid === 0) {
      this.frame.bytes.fill(0, at, at + ENTRY_OUT_BYTES);
      return;
    }
    putEntry(this.frame, at, entry);
    this.lookups.push(entry.nodeid);
  }
}
