/**
 * How the values of options are written: sizes, durations, modes and the rest. Parsers take the text and answer the
 * value in its base unit (bytes, milliseconds), or throw UsageError with what was expected.
 */
import { exitCode } from '../exit-code.js';
import { StartupFailure } from '../startup-failure.js';

/** Something the user wrote cannot be meant that way. */
export class UsageError extends StartupFailure {
  constructor(message: string) {
    super(exitCode.usage, message);
  }
}

const sizeUnits: Readonly<Record<string, number>> = { '': 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30, t: 2 ** 40 };
const durationUnits: Readonly<Record<string, number>> = { ms: 1, '': 1000, s: 1000, m: 60_000, h: 3_600_000 };

function expected(what: string, text: string): UsageError {
  return new UsageError(`"${text}" is not ${what}`);
}

/** Bytes: 128MiB, 10G, 4096. Units are powers of 1024 whichever way they are written. */
export function parseSize(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([kmgt]?)(?:ib|b)?$/i.exec(text.trim());
  const bytes = match ? Math.round(Number(match[1]) * sizeUnits[match[2].toLowerCase()]) : Number.NaN;
  if (!Number.isSafeInteger(bytes)) throw expected('a size such as 128MiB, 10G or 4096', text);
  return bytes;
}

/** Milliseconds: 60s, 1m, 500ms; a bare number is seconds. */
export function parseDuration(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*(ms|s|m|h|)$/i.exec(text.trim());
  const ms = match ? Number(match[1]) * durationUnits[match[2].toLowerCase()] : Number.NaN;
  if (!Number.isFinite(ms) || ms > Number.MAX_SAFE_INTEGER) {
    throw expected('a duration such as 60s, 1m, 500ms or a number of seconds', text);
  }
  return Math.round(ms);
}

/** Permission bits in octal. */
export function parseMode(text: string): number {
  if (!/^0?o?[0-7]{1,4}$/.test(text.trim())) throw expected('a mode in octal such as 0644', text);
  return Number.parseInt(text.trim().replace('o', ''), 8);
}

export function parseCount(text: string): number {
  const value = /^\d+$/.test(text.trim()) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(value)) throw expected('a whole number', text);
  return value;
}

export function parseFlag(text: string): boolean {
  const word = text.trim().toLowerCase();
  if (['true', 'yes', 'on', '1'].includes(word)) return true;
  if (['false', 'no', 'off', '0'].includes(word)) return false;
  throw expected('true or false', text);
}

export function parseText(text: string): string {
  if (text.trim() === '') throw expected('a value', text);
  return text;
}

export function parseChoice(text: string, choices: readonly string[]): string {
  if (!choices.includes(text)) throw expected(`one of ${choices.join(', ')}`, text);
  return text;
}
