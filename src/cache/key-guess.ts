/**
 * Where the next page of a listing is likely to begin, from the names on one page: they are read as numbers whose digits
 * are the characters seen (decimal, hexadecimal, letters), and the distance between first and last is gone once more. Good
 * for counters, dates, hashes and the like; where it is not, whoever asks with the guess notices by the keys. Pure.
 */

/** What the names of a page say of how far it is to the next. */
export interface Stride {
  /** Position of the first character that counts, and the characters before it. */
  readonly head: string;
  /** Of each position the characters that may stand there, in order. */
  readonly alphabets: readonly string[];
  /** How far a page reaches, as a number. */
  readonly width: number;
}

/** Characters left of the first that differs which may have to be counted up, and characters that count in all. */
const CARRY = 4;
const MAX_POSITIONS = 10;

const DIGITS = '0123456789';
const LOWER = 'abcdefghijklmnopqrstuvwxyz';
const UPPER = LOWER.toUpperCase();

/** The characters that are likely where these were seen. */
function widened(seen: ReadonlySet<string>, isHexadecimal: boolean): string {
  const all = new Set(seen);
  for (const character of seen) {
    const family = [DIGITS, LOWER, UPPER].find((one) => one.includes(character));
    if (family === undefined) continue;
    const end = family !== DIGITS && isHexadecimal ? 6 : family.length;
    for (const other of family.slice(0, end)) all.add(other);
    if (isHexadecimal && family !== DIGITS) for (const digit of DIGITS) all.add(digit);
  }
  all.delete('/');
  return [...all].sort().join('');
}

/** Digits together with a to f, and no other letters. */
function isHexadecimal(seen: readonly ReadonlySet<string>[]): boolean {
  const letters = seen.flatMap((set) => [...set]).filter((character) => /[A-Za-z]/.test(character));
  const hasDigits = seen.some((set) => [...set].some((character) => DIGITS.includes(character)));
  return hasDigits && letters.length > 0 && letters.every((letter) => /[A-Fa-f]/.test(letter));
}

/**
 * @param names those of one page, in order
 * @param pageKeys how many a whole page has
 * @return undefined where nothing can be said
 */
export function strideOf(names: readonly string[], pageKeys: number): Stride | undefined {
  const first = names[0];
  const last = names[names.length - 1];
  if (names.length < 2 || first === last) return undefined;
  let differs = 0;
  while (differs < first.length && first[differs] === last[differs]) differs++;
  const from = Math.max(0, differs - CARRY);
  const seen = Array.from({ length: MAX_POSITIONS }, (_, i) => {
    const set = new Set<string>();
    for (const name of names) if (from + i < name.length) set.add(name[from + i]);
    return set;
  }).filter((set) => set.size > 0);
  if (seen.some((set) => [...set].some((character) => character > '~'))) return undefined;
  const isHex = isHexadecimal(seen.slice(differs - from));
  // Right of a character that went through more than two, all was seen that ever stands there: the sixties of clocks,
  // separators, endings.
  const full = (seen[differs - from]?.size ?? 0) > 2 ? differs : differs + 1;
  const alphabets = seen.map((set, i) =>
    from + i > full || (set.size === 1 && from + i > differs)
      ? [...set].sort().join('').replace('/', '')
      : widened(set, isHex),
  );
  if (alphabets.some((alphabet) => alphabet === '')) return undefined;
  const unit: Stride = { head: first.slice(0, from), alphabets, width: 0 };
  const width = ((numberOf(last, unit) - numberOf(first, unit)) * pageKeys) / names.length;
  return width > 0 ? { ...unit, width } : undefined;
}

/** A name as a number from 0 to 1. */
function numberOf(name: string, { head, alphabets }: Stride): number {
  let value = 0;
  let weight = 1;
  for (const [i, alphabet] of alphabets.entries()) {
    weight /= alphabet.length;
    const character = name[head.length + i];
    value += weight * Math.max(0, character === undefined ? 0 : alphabet.indexOf(character));
  }
  return value;
}

/** A name about so many pages behind another; undefined where the numbers end. */
export function guessBehind(name: string, stride: Stride, pages: number): string | undefined {
  const { head, alphabets, width } = stride;
  if (!name.startsWith(head)) return undefined;
  let value = numberOf(name, stride) + width * pages;
  if (value >= 1) return undefined;
  let guess = head;
  for (const alphabet of alphabets) {
    value *= alphabet.length;
    const digit = Math.min(alphabet.length - 1, Math.floor(value + 1e-9));
    guess += alphabet[digit];
    value = Math.max(0, value - digit);
  }
  return guess > name ? guess : undefined;
}
