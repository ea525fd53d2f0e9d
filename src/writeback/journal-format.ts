/**
 * The journal's bytes. The file `journal` in the state directory of a mount, all numbers little endian:
 *
 *   offset  bytes
 *        0      8  magic "PAILFSJ\n"
 *        8      4  version of the format, 1
 *       12      4  CRC32 of bytes 0 to 11
 *       16         frames, one behind the other; behind the last only zeros, or the end of the file
 *
 *   frame    0  4  magic 0x4d415246 ("FRAM")
 *            4  4  n, bytes of the payload; at most 64 MiB
 *            8  8  sequence, greater than that of the frame before
 *           16  4  CRC32 of bytes 0 to 15 of the frame and the payload
 *           20  n  payload: JSON, an array of [id, value, sequence?]; value null: the entry of this id is gone
 *
 * A frame is one change: all of its entries count, or none. The last value of an id is its state, so a journal is what
 * waits, not a history. `sequence` beside a value says which frame it came from first (a journal that was written anew).
 *
 * Valid is a frame with the right magic, length and CRC, and a greater sequence than the one before. Recovery reads frames
 * until one is not. If no valid frame lies anywhere behind, that was a torn end: it is cut, and kept beside the journal.
 * If one does, what is between is damaged: the whole is kept beside the journal, and the entries that were not set again
 * behind the damage are in doubt, because the damaged bytes may have changed them. A file of a newer version, or of
 * another mount, is refused and left alone.
 *
 * The bytes reach the kernel before append() answers, and the disk with sync() (every few seconds, at fsync(2), at the end).
 * Zeros are written ahead of the frames, so that a full disk is found before a change is made and not at its record.
 *
 * This file turns bytes into frames and back, and does no I/O.
 */
import { crc32 } from 'node:zlib';
import { MiB } from '../constants.js';

export const JOURNAL_VERSION = 1;
export const FILE_HEADER_BYTES = 16;
export const FRAME_HEADER_BYTES = 20;
export const MAX_PAYLOAD_BYTES = 64 * MiB;
const MAGIC = Buffer.from('PAILFSJ\n', 'latin1');
const FRAME_MAGIC = 0x4d415246;

/** value null: gone. */
export type JournalItem = readonly [id: number, value: unknown, sequence?: number];

/** Its value as JSON. */
export type EncodedItem = readonly [id: number, json: string, sequence?: number];

export interface Frame {
  readonly sequence: number;
  readonly items: readonly JournalItem[];
  /** Where it begins and where the next one does (bytes). */
  readonly start: number;
  readonly end: number;
}

/** Bytes [start, end) that are no valid frames although valid ones follow. */
export interface Damage {
  readonly start: number;
  readonly end: number;
  /** Of the first valid frame behind it. */
  readonly nextSequence: number;
}

export interface Parsed {
  readonly frames: readonly Frame[];
  readonly damages: readonly Damage[];
  /** End of the last valid frame (bytes). */
  readonly end: number;
  /** Something that is no frame followed it, and was not zeros. */
  readonly isTorn: boolean;
}

/** The file cannot be read by this program; it is left alone. */
export class JournalRefused extends Error {
  override readonly name = 'JournalRefused';
}

export function encodeFileHeader(): Buffer {
  const bytes = Buffer.alloc(FILE_HEADER_BYTES);
  MAGIC.copy(bytes);
  bytes.writeUInt32LE(JOURNAL_VERSION, 8);
  bytes.writeUInt32LE(crc32(bytes.subarray(0, 12)) >>> 0, 12);
  return bytes;
}

export function encodeFrame(sequence: number, items: readonly EncodedItem[]): Buffer {
  const texts = items.map(([id, json, from]) => `[${id},${json}${from === undefined ? '' : `,${from}`}]`);
  const payload = `[${texts.join(',')}]`;
  const length = Buffer.byteLength(payload);
  if (length > MAX_PAYLOAD_BYTES) throw new RangeError(`a frame of ${length} bytes is too large`);
  // In place: every close() of a small file is one frame.
  const frame = Buffer.allocUnsafe(FRAME_HEADER_BYTES + length);
  frame.writeUInt32LE(FRAME_MAGIC, 0);
  frame.writeUInt32LE(length, 4);
  frame.writeUInt32LE(sequence % 2 ** 32, 8);
  frame.writeUInt32LE(Math.floor(sequence / 2 ** 32), 12);
  frame.write(payload, FRAME_HEADER_BYTES);
  const sum = crc32(frame.subarray(FRAME_HEADER_BYTES), crc32(frame.subarray(0, 16)));
  frame.writeUInt32LE(sum >>> 0, 16);
  return frame;
}

/**
 * Whether the file has a header of this format. 'damaged': it has the length of one and is none; frames may still follow.
 * Throws JournalRefused where a newer program wrote it.
 */
export function checkFileHeader(bytes: Buffer): 'good' | 'damaged' {
  if (bytes.length < FILE_HEADER_BYTES) return 'damaged';
  const isWhole = crc32(bytes.subarray(0, 12)) >>> 0 === bytes.readUInt32LE(12);
  if (!isWhole || !bytes.subarray(0, 8).equals(MAGIC)) return 'damaged';
  const version = bytes.readUInt32LE(8);
  if (version > JOURNAL_VERSION)
    throw new JournalRefused(
      `the journal has format ${version}, and this pailfs reads ${JOURNAL_VERSION}: use a newer one`,
    );
  return 'good';
}

/** The frame that begins at `start`, whatever its sequence; undefined: there is no valid one. */
function frameAt(bytes: Buffer, start: number): Frame | undefined {
  if (start + FRAME_HEADER_BYTES > bytes.length || bytes.readUInt32LE(start) !== FRAME_MAGIC) return undefined;
  const length = bytes.readUInt32LE(start + 4);
  const end = start + FRAME_HEADER_BYTES + length;
  if (length > MAX_PAYLOAD_BYTES || end > bytes.length) return undefined;
  const payload = bytes.subarray(start + FRAME_HEADER_BYTES, end);
  const sum = crc32(payload, crc32(bytes.subarray(start, start + 16))) >>> 0;
  if (sum !== bytes.readUInt32LE(start + 16)) return undefined;
  const sequence = bytes.readUInt32LE(start + 8) + bytes.readUInt32LE(start + 12) * 2 ** 32;
  return { sequence, items: JSON.parse(payload.toString('utf8')), start, end };
}

/** The first valid frame behind `start` with a greater sequence. */
function frameBehind(bytes: Buffer, start: number, sequence: number): Frame | undefined {
  const magic = Buffer.alloc(4);
  magic.writeUInt32LE(FRAME_MAGIC);
  for (let at = bytes.indexOf(magic, start); at >= 0; at = bytes.indexOf(magic, at + 1)) {
    const frame = frameAt(bytes, at);
    if (frame !== undefined && frame.sequence > sequence) return frame;
  }
  return undefined;
}

/** Reads a whole journal. */
export function parseJournal(bytes: Buffer): Parsed {
  const frames: Frame[] = [];
  const damages: Damage[] = [];
  const isHeaded = checkFileHeader(bytes) === 'good';
  let end = isHeaded ? FILE_HEADER_BYTES : 0;
  let sequence = -1;
  for (;;) {
    let frame = frameAt(bytes, end);
    if (frame === undefined || frame.sequence <= sequence) {
      frame = frameBehind(bytes, end, sequence);
      if (frame === undefined) break;
      damages.push({ start: end, end: frame.start, nextSequence: frame.sequence });
    }
    frames.push(frame);
    ({ end, sequence } = frame);
  }
  const isTorn = bytes.subarray(end).some((byte) => byte !== 0);
  return { frames, damages, end, isTorn };
}
