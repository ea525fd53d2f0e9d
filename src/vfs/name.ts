/**
 * Names of the tree and keys of the bucket: one function each way, pure, and frozen (docs/semantics.md has the table).
 *
 * A component of a key (what lies between two slashes) is its own name wherever POSIX can have it. The rest appears
 * under one of three reserved beginnings, with `%` and NUL written as %25 and %00:
 *
 *   =pailfs=TEXT          the component TEXT: empty, ".", "..", with NUL, too long, or one that begins like these three
 *   =pailfs-object=TEXT   the object TEXT where a prefix TEXT/ has that name, or, with no TEXT, the content of a marker
 *   =pailfs-long=TEXT     a directory that stands for the beginning TEXT of components that are too long; the rest is inside
 *
 * In the other direction a program's name that is not UTF-8, which a key must be, is stored as =pailfs= and its bytes,
 * those from 0x80 on and `%` written as %XX. What does not come back to itself is no name: it cannot be found or made.
 */
import { Buffer } from 'node:buffer';
import { MAX_KEY_BYTES, MAX_NAME_BYTES } from '../constants.js';
import { decodeName, encodeName } from '../fuse/name.js';

const COMPONENT = '=pailfs=';
const OBJECT = '=pailfs-object=';
const LONG = '=pailfs-long=';

/** Bytes of escaped text in one name: the same behind each beginning, so that where a component is cut hangs on it alone. */
const MAX_TEXT_BYTES = MAX_NAME_BYTES - OBJECT.length;
/** Longest escape of one character (bytes): a cut that leaves less room than this is as far right as it can be. */
const WIDEST = 4;

/** What a name stands for in the keys of its directory. */
export interface Part {
  /**
   * component: an object or a prefix of this text; object: an object only; long: the beginning of longer components.
   */
  readonly kind: 'component' | 'object' | 'long';
  /** Text that the name adds to the prefix of its directory (a directory's slash comes behind it). */
  readonly text: string;
}

/** How a component, or what is left of it, is shown in a directory. */
export interface ShownName {
  readonly name: string;
  /** The text is only the beginning of the component, and the name that of a directory that stands for it. */
  readonly isLong: boolean;
  /** What of the component the name stands for. */
  readonly text: string;
}

/** Longest UTF-8 of one UTF-16 unit is 3 bytes: a short string needs no counting. */
function bytesWithin(text: string, limit: number): boolean {
  if (text.length * 3 <= limit) return true;
  return text.length <= limit && Buffer.byteLength(text) <= limit;
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

/** Whether a name has at most 255 bytes. */
export function nameFits(name: string): boolean {
  return bytesWithin(name, MAX_NAME_BYTES) || encodeName(name).length <= MAX_NAME_BYTES;
}

export function keyFits(key: string): boolean {
  return bytesWithin(key, MAX_KEY_BYTES);
}

/** `s3://bucket/a/b` and `s3://bucket/a/b/` mean the same prefix `a/b/`; none is ''. */
export function normalisePrefix(prefix: string): string {
  return prefix === '' || prefix.endsWith('/') ? prefix : `${prefix}/`;
}

function isReserved(text: string): boolean {
  return (
    text.charCodeAt(0) === 0x3d && (text.startsWith(COMPONENT) || text.startsWith(OBJECT) || text.startsWith(LONG))
  );
}

/** Whether a component is a name as it is. */
function isPlain(component: string): boolean {
  if (component === '' || component === '.' || component === '..' || isReserved(component)) return false;
  return bytesWithin(component, MAX_NAME_BYTES) && !component.includes('\0');
}

const escaped = (text: string): string => text.replaceAll('%', '%25').replaceAll('\0', '%00');

function unescaped(text: string): string | undefined {
  if (!text.includes('%')) return text;
  return /%(?!25|00)/.test(text) ? undefined : text.replaceAll('%00', '\0').replaceAll('%25', '%');
}

/** The component under which a name that is not UTF-8 is stored. */
function storedBytes(name: string): string {
  let text = COMPONENT;
  for (const byte of encodeName(name)) {
    text += byte >= 0x80 || byte === 0x25 ? `%${byte.toString(16).toUpperCase()}` : String.fromCharCode(byte);
  }
  return text;
}

/** The name that is not UTF-8 which a component stores, if it does. */
function nameOfBytes(component: string): string | undefined {
  if (!component.startsWith(COMPONENT) || !component.includes('%')) return undefined;
  const text = component.slice(COMPONENT.length);
  if (!/^(?:[^%]|%[0-9A-F]{2})+$/.test(text) || text.includes('\0')) return undefined;
  const bytes = text.replace(/%(..)/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  const name = decodeName(Buffer.from(bytes, 'latin1'));
  return !isWellFormed(name) && nameFits(name) && storedBytes(name) === component ? name : undefined;
}

/** The longest beginning of a text whose escape fits in one name. */
function firstPiece(text: string): string {
  let bytes = 0;
  let piece = '';
  for (const character of text) {
    bytes += Buffer.byteLength(escaped(character));
    if (bytes > MAX_TEXT_BYTES) break;
    piece += character;
  }
  return piece;
}

/**
 * The name of a component in its directory, or in the directory that stands for its beginning `begun`.
 * @param asObject its plain name belongs to a prefix
 * @return undefined when it is not shown there
 */
export function nameIn(begun: string, component: string, asObject: boolean): ShownName | undefined {
  if (!asObject) {
    const name = nameOfBytes(component) ?? (isPlain(component) ? component : undefined);
    if (name !== undefined) return begun === '' ? { name, isLong: false, text: component } : undefined;
  }
  for (let at = 0; ; ) {
    const rest = component.slice(at);
    const piece = firstPiece(rest);
    const isLong = piece.length < rest.length;
    if (at === begun.length) {
      if (!component.startsWith(begun)) return undefined;
      return { name: (isLong ? LONG : asObject ? OBJECT : COMPONENT) + escaped(piece), isLong, text: piece };
    }
    if (!isLong || at > begun.length) return undefined;
    at += piece.length;
  }
}

/**
 * What a name stands for, in a directory, or in one that stands for the beginning `begun` of components.
 * @return undefined when no key can have this name
 */
export function partOf(name: string, begun = ''): Part | undefined {
  if (begun === '') {
    if (!isWellFormed(name)) return { kind: 'component', text: storedBytes(name) };
    if (isPlain(name)) return name.includes('/') ? undefined : { kind: 'component', text: name };
  }
  if (name.startsWith(LONG)) {
    const text = unescaped(name.slice(LONG.length));
    const bytes = Buffer.byteLength(name) - LONG.length;
    const isCut = bytes <= MAX_TEXT_BYTES && bytes > MAX_TEXT_BYTES - WIDEST;
    return isCut && text !== undefined && isInComponent(text) ? { kind: 'long', text } : undefined;
  }
  const kind = name.startsWith(OBJECT) ? 'object' : name.startsWith(COMPONENT) ? 'component' : undefined;
  if (kind === undefined) return undefined;
  const text = unescaped(name.slice(kind === 'object' ? OBJECT.length : COMPONENT.length));
  if (text === undefined || !isInComponent(text)) return undefined;
  return nameIn(begun, begun + text, kind === 'object')?.name === name ? { kind, text } : undefined;
}

function isInComponent(text: string): boolean {
  return !text.includes('/') && isWellFormed(text);
}
