/**
 * File names between the kernel's bytes and JavaScript's strings. Valid UTF-8 becomes itself; every byte that is not
 * part of valid UTF-8 becomes the lone surrogate U+DC00 + byte, so that each name has exactly one string and each string
 * made here goes back to its bytes. (UTF-8 for a surrogate is not valid UTF-8, so the two never meet.)
 */

const ESCAPE = 0xdc00;

/** True when `bytes[from..to)` are all below 0x80. */
function isAscii(bytes: Uint8Array, from: number, to: number): boolean {
  for (let at = from; at < to; at++) if (bytes[at] >= 0x80) return false;
  return true;
}

/** The length of the UTF-8 sequence at `at`, or 0 where the bytes are not valid (overlong, surrogate, cut short). */
function sequenceLength(bytes: Uint8Array, at: number, end: number): number {
  const lead = bytes[at];
  if (lead < 0x80) return 1;
  if (lead < 0xc2 || lead > 0xf4) return 0;
  const length = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  if (at + length > end) return 0;
  for (let i = 1; i < length; i++) if ((bytes[at + i] & 0xc0) !== 0x80) return 0;
  const second = bytes[at + 1];
  if (lead === 0xe0 && second < 0xa0) return 0;
  if (lead === 0xed && second > 0x9f) return 0;
  if (lead === 0xf0 && second < 0x90) return 0;
  if (lead === 0xf4 && second > 0x8f) return 0;
  return length;
}

function decodeEscaped(bytes: Buffer, from: number, to: number): string {
  let text = '';
  let valid = from;
  let at = from;
  while (at < to) {
    const length = sequenceLength(bytes, at, to);
    if (length > 0) {
      at += length;
      continue;
    }
    text += bytes.toString('utf8', valid, at) + String.fromCharCode(ESCAPE + bytes[at]);
    at += 1;
    valid = at;
  }
  return text + bytes.toString('utf8', valid, to);
}

export function decodeName(bytes: Buffer, from = 0, to = bytes.length): string {
  return isAscii(bytes, from, to) ? bytes.toString('latin1', from, to) : decodeEscaped(bytes, from, to);
}

/** True for the surrogates that stand for a byte: those of 0x80 to 0xff. */
function escapedByte(unit: number): boolean {
  return unit >= ESCAPE + 0x80 && unit <= ESCAPE + 0xff;
}

function isHighSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit < 0xdc00;
}

function encodeEscaped(name: string): Buffer {
  const pieces: Buffer[] = [];
  let plain = 0;
  for (let at = 0; at < name.length; at++) {
    const unit = name.charCodeAt(at);
    if (isHighSurrogate(unit) && (name.charCodeAt(at + 1) & 0xfc00) === 0xdc00) {
      at += 1;
      continue;
    }
    if (!escapedByte(unit)) continue;
    pieces.push(Buffer.from(name.slice(plain, at)), Buffer.of(unit - ESCAPE));
    plain = at + 1;
  }
  pieces.push(Buffer.from(name.slice(plain)));
  return Buffer.concat(pieces);
}

/** The inverse of decodeName. A lone surrogate that stands for no byte becomes U+FFFD, as everywhere in JavaScript. */
export function encodeName(name: string): Buffer {
  for (let at = 0; at < name.length; at++) {
    const unit = name.charCodeAt(at);
    if (unit >= 0xd800 && unit < 0xe000) return encodeEscaped(name);
  }
  return Buffer.from(name, 'utf8');
}

/** Writes the name's bytes into `target` at `at` when they are ASCII (the usual case, without an allocation); else -1. */
export function writeAsciiName(name: string, target: Uint8Array, at: number): number {
  for (let i = 0; i < name.length; i++) {
    const unit = name.charCodeAt(i);
    if (unit >= 0x80) return -1;
    target[at + i] = unit;
  }
  return name.length;
}
