/**
 * Between the command line and settings: what yargs is told of the options, and what it found. Names are made uniform
 * before it sees them (`_` is `-`, `-oWORDS` is `-o WORDS`), and flags with a value are read here, because it takes any
 * word but "true" for false.
 */
import type { Options } from 'yargs';
import { readMountWords } from '../config/mount-words.js';
import { findOption } from '../config/option-name.js';
import { type OptionName, optionNames, specOf } from '../config/table.js';
import { parseFlag, UsageError } from '../config/value.js';
import { resolveSettings, type Settings } from '../config.js';

export type Parsed = Readonly<Record<string, unknown>>;

function flagValue(written: string, value: string): string {
  try {
    return String(parseFlag(value));
  } catch (error) {
    throw new UsageError(`${written}: ${(error as Error).message}`);
  }
}

function normalizedOption(argument: string): string[] {
  if (/^-o./.test(argument)) return ['-o', argument.slice(2)];
  if (!argument.startsWith('--')) return [argument];
  const at = argument.indexOf('=');
  const written = at < 0 ? argument : argument.slice(0, at);
  const name = `--${written.slice(2).replaceAll('_', '-')}`;
  if (at < 0) return [name];
  const option = findOption(name.slice(2));
  const value = argument.slice(at + 1);
  const flag = option !== undefined && specOf(option).type === 'flag';
  return [`${name}=${flag ? flagValue(written, value) : value}`];
}

/** Up to `--`, behind which everything is a word. */
export function normalizeArguments(given: readonly string[]): string[] {
  const end = given.indexOf('--');
  const options = end < 0 ? given : given.slice(0, end);
  return [...options.flatMap(normalizedOption), ...(end < 0 ? [] : given.slice(end))];
}

function describe(name: OptionName): string {
  const { describe, default: standard, computed } = specOf(name);
  const value = computed ?? (standard === 'false' ? undefined : standard);
  return value === undefined ? describe : `${describe} (${value})`;
}

/** What yargs is told of these options. */
export function yargsOptions(names: readonly OptionName[] = optionNames): Record<string, Options> {
  const made = names.map((name): [string, Options] => {
    const { type, group, alias } = specOf(name);
    const flag = type === 'flag';
    const shown = { group: `${group}:`, describe: describe(name), alias };
    return [name, flag ? { ...shown, type: 'boolean' } : { ...shown, type: 'string', requiresArg: true }];
  });
  return Object.fromEntries(made);
}

/** Options that are no settings, of the commands that take settings. */
export const settingSources: Record<string, Options> = {
  o: { type: 'string', requiresArg: true, group: 'Daemon:', describe: 'options as in fstab: -o NAME=VALUE,NAME' },
  config: { type: 'string', requiresArg: true, group: 'Daemon:', describe: 'file of NAME = VALUE lines' },
};

function last(value: unknown): string {
  return String(Array.isArray(value) ? value.at(-1) : value);
}

export interface Surroundings {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  /** mount -s: words that are not known are left out. */
  readonly sloppy?: boolean;
}

export function settingsOf(parsed: Parsed, { env, cwd, sloppy }: Surroundings): Settings {
  const given = optionNames.filter((name) => parsed[name] !== undefined);
  const words = parsed.o === undefined ? [] : [parsed.o].flat().map(String);
  return resolveSettings({
    commandLine: new Map(given.map((name) => [name, last(parsed[name])])),
    mountWords: readMountWords(words, sloppy),
    env,
    configFile: parsed.config === undefined ? undefined : last(parsed.config),
    cwd,
  });
}
