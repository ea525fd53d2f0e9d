/**
 * The words of -o, as mount(8), fstab and automounters write them: options of pailfs by name, the opposites that mount(8)
 * knows, and what is meant for mount(8) or systemd and says nothing to a filesystem.
 */
import { findOption, unknownOption } from './option-name.js';
import { type OptionName, optionNames, specOf } from './table.js';
import { UsageError } from './value.js';

/** For mount(8), systemd or the kernel: no concern of ours. */
const ignored = new Set([
  ...['_netdev', 'nofail', 'fail', 'auto', 'noauto', 'user', 'nouser', 'users', 'owner', 'group', 'defaults'],
  ...['atime', 'noatime', 'relatime', 'norelatime', 'strictatime', 'nostrictatime', 'lazytime', 'nolazytime'],
  ...['diratime', 'nodiratime', 'async', 'loud', 'silent', 'nodefaults'],
]);

/** Words that set a flag of another name. */
const words: Readonly<Record<string, readonly [OptionName, 'true' | 'false']>> = {
  rw: ['ro', 'false'],
  nosuid: ['suid', 'false'],
  nodev: ['dev', 'false'],
  exec: ['noexec', 'false'],
};

/** Cuts at commas; a comma or backslash inside a value stands behind a backslash. */
export function splitWords(text: string): string[] {
  const found: string[] = [];
  let word = '';
  for (let i = 0; i < text.length; i++) {
    if (text[i] === '\\' && (text[i + 1] === ',' || text[i + 1] === '\\')) word += text[++i];
    else if (text[i] === ',') {
      found.push(word);
      word = '';
    } else word += text[i];
  }
  found.push(word);
  return found.filter((one) => one !== '');
}

function isIgnored(word: string): boolean {
  return ignored.has(word) || /^(x-|X-)/.test(word) || word.startsWith('comment=');
}

function oneWord(word: string): readonly [OptionName, string] {
  const at = word.indexOf('=');
  const written = at < 0 ? word : word.slice(0, at);
  const name = findOption(written);
  if (name === undefined) throw new UsageError(unknownOption(written, `-o ${written}`, optionNames));
  if (at >= 0) return [name, word.slice(at + 1)];
  if (specOf(name).type !== 'flag') throw new UsageError(`-o ${written} needs a value: -o ${written}=VALUE`);
  return [name, 'true'];
}

/** What all -o arguments together set; of a word given twice the last counts. `sloppy`: unknown words are left out. */
export function readMountWords(given: readonly string[], sloppy = false): Map<OptionName, string> {
  const set = new Map<OptionName, string>();
  for (const word of given.flatMap(splitWords)) {
    if (isIgnored(word)) continue;
    if (word === 'remount') {
      throw new UsageError('-o remount: a mounted bucket cannot change its options; unmount it and mount it again');
    }
    const known = findOption(word.split('=')[0]) !== undefined;
    if (sloppy && !known && !(word in words)) continue;
    const [name, value] = words[word] ?? oneWord(word);
    set.set(name, value);
  }
  return set;
}
