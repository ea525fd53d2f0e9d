/**
 * From what was given to settings: the command line goes before PAILFS_ variables, these before the configuration file,
 * and that before the defaults. Whatever is wrong is said with the place where it was written.
 */
import { resolve } from 'node:path';
import { readConfigFile } from './config/config-file.js';
import { findOption } from './config/option-name.js';
import { type OptionName, optionNames, parseOption, type Settings, settingName, specOf } from './config/table.js';
import { UsageError } from './config/value.js';

export type { Settings } from './config/table.js';

export interface Given {
  /** From the command line, in which a long option goes before a word of -o. */
  readonly commandLine: ReadonlyMap<OptionName, string>;
  readonly mountWords: ReadonlyMap<OptionName, string>;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** --config, or PAILFS_CONFIG. */
  readonly configFile?: string;
  /** Relative paths are taken from here. */
  readonly cwd: string;
}

/** Variables that begin like options and are not. */
const otherVariables = /^PAILFS_(CONFIG$|CRASH_|TEST_|WORKER$)/;

export function variableOf(name: OptionName): string {
  return `PAILFS_${name.toUpperCase().replaceAll('-', '_')}`;
}

/** PAILFS_ variables that are no option, for a warning. */
export function unknownVariables(env: Given['env']): string[] {
  return Object.keys(env).filter(
    (variable) =>
      variable.startsWith('PAILFS_') &&
      !otherVariables.test(variable) &&
      findOption(variable.slice('PAILFS_'.length).toLowerCase()) === undefined,
  );
}

function fromEnvironment(env: Given['env']): Map<OptionName, string> {
  const set = new Map<OptionName, string>();
  for (const name of optionNames) {
    const value = env[variableOf(name)];
    if (value !== undefined && value !== '') set.set(name, value);
  }
  return set;
}

interface Source {
  readonly values: ReadonlyMap<OptionName, string>;
  /** How a value of it is called in a message. */
  readonly shown: (name: OptionName) => string;
}

function chosen(name: OptionName, sources: readonly Source[], cwd: string): string | number | boolean | undefined {
  const source = sources.find(({ values }) => values.has(name));
  const { type, default: standard } = specOf(name);
  if (source === undefined) return standard === undefined ? undefined : parseOption(name, standard);
  try {
    const value = parseOption(name, source.values.get(name)!);
    return type === 'path' ? resolve(cwd, value as string) : value;
  } catch (error) {
    throw new UsageError(`${source.shown(name)}: ${(error as Error).message}`);
  }
}

const unreadableClasses: ReadonlySet<string> = new Set(['GLACIER', 'DEEP_ARCHIVE']);

function refuseWhatIsNotThere(settings: Settings): void {
  if (settings.sseC !== undefined && settings.sseCKey === undefined) throw new UsageError('sse-c needs sse-c-key');
  if (settings.sseCKey !== undefined && settings.sse !== undefined) {
    throw new UsageError('sse and sse-c-key exclude each other: an object has one encryption');
  }
  if (settings.storageClass !== undefined && unreadableClasses.has(settings.storageClass)) {
    throw new UsageError(
      `storage-class=${settings.storageClass}: what is written there cannot be read without a restore; use a lifecycle rule`,
    );
  }
  if (settings.expectedBucketOwner !== undefined && !/^\d{12}$/.test(settings.expectedBucketOwner)) {
    throw new UsageError('expected-bucket-owner is the 12 digits of an AWS account');
  }
  if (settings.sseKmsKeyId !== undefined && !settings.sse?.startsWith('aws:kms')) {
    throw new UsageError('sse-kms-key-id needs sse=aws:kms or sse=aws:kms:dsse');
  }
}

/** Throws UsageError. */
export function resolveSettings(given: Given): Settings {
  const path = given.configFile ?? (given.env.PAILFS_CONFIG || undefined);
  const sources: Source[] = [
    { values: given.commandLine, shown: (name) => `--${name}` },
    { values: given.mountWords, shown: (name) => `-o ${name}` },
    { values: fromEnvironment(given.env), shown: variableOf },
  ];
  if (path !== undefined) {
    sources.push({ values: readConfigFile(resolve(given.cwd, path)), shown: (name) => `${path}: ${name}` });
  }
  const entries = optionNames.map((name) => [settingName(name), chosen(name, sources, given.cwd)]);
  const settings = Object.fromEntries(entries) as Settings;
  refuseWhatIsNotThere(settings);
  return settings;
}
