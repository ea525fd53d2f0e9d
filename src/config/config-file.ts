/**
 * The configuration file: one `name = value` a line, with the names of the options. Empty lines and lines that begin
 * with # say nothing; a flag may stand alone. Not JSON, so that it can carry comments and be written by hand.
 */
import { readFileSync } from 'node:fs';
import { findOption, unknownOption } from './option-name.js';
import { type OptionName, specOf } from './table.js';
import { UsageError } from './value.js';

export function parseConfigFile(text: string, path: string): Map<OptionName, string> {
  const set = new Map<OptionName, string>();
  for (const [index, raw] of text.split(/\r?\n/).entries()) {
    const line = raw.trim();
    if (line === '' || line.startsWith('#')) continue;
    const where = `${path}:${index + 1}`;
    const at = line.indexOf('=');
    const written = (at < 0 ? line : line.slice(0, at)).trim();
    const name = findOption(written);
    if (name === undefined) throw new UsageError(`${where}: ${unknownOption(written, written)}`);
    if (at < 0 && specOf(name).type !== 'flag') throw new UsageError(`${where}: ${written} needs a value`);
    set.set(name, at < 0 ? 'true' : line.slice(at + 1).trim());
  }
  return set;
}

export function readConfigFile(path: string): Map<OptionName, string> {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new UsageError(`the configuration file ${path} cannot be read (${code}): check --config`);
  }
  return parseConfigFile(text, path);
}
