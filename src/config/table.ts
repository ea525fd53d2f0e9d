/**
 * Every option, once. The command line, -o words, the configuration file, PAILFS_ variables, the help and the check of
 * docs/options.md are all made from this table; defaults are written as a user would write them.
 */
import { type Camel, camel } from './camel.js';
import { parseChoice, parseCount, parseDuration, parseFlag, parseMode, parseSize, parseText } from './value.js';

export type OptionType = 'text' | 'path' | 'flag' | 'size' | 'duration' | 'count' | 'mode' | 'choice';

export interface OptionSpec {
  readonly type: OptionType;
  readonly group: 'Bucket' | 'Mount' | 'Files' | 'Cache' | 'Transfer' | 'Daemon';
  readonly describe: string;
  /** As a user would write it. Absent: no value, unless `computed` says where one comes from. */
  readonly default?: string;
  /** In words: what holds where nothing was given. */
  readonly computed?: string;
  readonly choices?: readonly string[];
  readonly alias?: string;
  /** Smallest and largest value. */
  readonly min?: number;
  readonly max?: number;
}

const MiB = 1024 * 1024;

export const optionTable = {
  'endpoint-url': {
    type: 'text',
    group: 'Bucket',
    describe: 'URL of another S3 server',
    computed: 'AWS, or the profile',
  },
  region: { type: 'text', group: 'Bucket', describe: 'region of the bucket', computed: 'AWS_REGION, or the profile' },
  profile: { type: 'text', group: 'Bucket', describe: 'profile of the AWS configuration', computed: 'AWS_PROFILE' },
  'no-sign-request': { type: 'flag', group: 'Bucket', default: 'false', describe: 'send no credentials' },
  'request-payer': { type: 'flag', group: 'Bucket', default: 'false', describe: 'pay for a requester-pays bucket' },
  sse: {
    type: 'choice',
    group: 'Bucket',
    choices: ['AES256', 'aws:kms', 'aws:kms:dsse'],
    describe: 'encryption of what is written',
    computed: "the bucket's own",
  },
  'sse-kms-key-id': { type: 'text', group: 'Bucket', describe: 'key for aws:kms', computed: "the bucket's own" },
  'sse-c': {
    type: 'choice',
    group: 'Bucket',
    choices: ['AES256'],
    describe: 'encryption with your own key, which sse-c-key names',
    computed: 'none; AES256 where a key is given',
  },
  'sse-c-key': {
    type: 'path',
    group: 'Bucket',
    describe: 'file with that key: 32 bytes, or these in base64',
    computed: 'none',
  },
  'storage-class': {
    type: 'text',
    group: 'Bucket',
    describe: 'storage class of the files that are written',
    computed: 'what a file has; STANDARD for new ones',
  },
  'canned-acl': {
    type: 'choice',
    group: 'Bucket',
    choices: [
      ...['private', 'public-read', 'public-read-write', 'authenticated-read', 'aws-exec-read'],
      ...['bucket-owner-read', 'bucket-owner-full-control'],
    ],
    describe: 'ACL of what is written',
    computed: "the bucket's own",
  },
  'expected-bucket-owner': {
    type: 'text',
    group: 'Bucket',
    describe: 'account that must own the bucket',
    computed: 'any',
  },

  ro: { type: 'flag', group: 'Mount', default: 'false', alias: 'r', describe: 'read only' },
  'allow-other': { type: 'flag', group: 'Mount', default: 'false', describe: 'let other users in' },
  suid: { type: 'flag', group: 'Mount', default: 'false', describe: 'honour setuid bits (root)' },
  dev: { type: 'flag', group: 'Mount', default: 'false', describe: 'honour device files (root)' },
  noexec: { type: 'flag', group: 'Mount', default: 'false', describe: 'run no programs' },
  driver: {
    type: 'choice',
    group: 'Mount',
    choices: ['kernel', 'fuse-native'],
    default: 'kernel',
    describe: 'how to reach the kernel',
  },
  passthrough: {
    type: 'choice',
    group: 'Mount',
    choices: ['auto', 'off'],
    default: 'auto',
    describe: 'auto: the kernel reads cached files by itself, where it can',
  },

  uid: {
    type: 'count',
    group: 'Files',
    max: 2 ** 32 - 2,
    describe: 'owner of files that name none',
    computed: 'yours',
  },
  gid: {
    type: 'count',
    group: 'Files',
    max: 2 ** 32 - 2,
    describe: 'group of files that name none',
    computed: 'yours',
  },
  umask: { type: 'mode', group: 'Files', default: '0', max: 0o777, describe: 'bits taken from the two modes below' },
  'file-mode': { type: 'mode', group: 'Files', default: '0644', max: 0o7777, describe: 'mode of files that name none' },
  'dir-mode': {
    type: 'mode',
    group: 'Files',
    default: '0755',
    max: 0o7777,
    describe: 'mode of directories that name none',
  },
  attributes: {
    type: 'choice',
    group: 'Files',
    choices: ['auto', 'listing', 'full'],
    default: 'auto',
    describe: 'when listings ask for owners and modes',
  },
  acl: { type: 'flag', group: 'Files', default: 'false', describe: 'POSIX ACLs, checked by the kernel' },

  'metadata-ttl': { type: 'duration', group: 'Cache', default: '60s', describe: 'how old stat and ls may be' },
  'open-ttl': { type: 'duration', group: 'Cache', default: '1s', describe: 'how old what an open sees may be' },
  'negative-ttl': { type: 'duration', group: 'Cache', default: '1s', describe: 'how old an absence may be' },
  'cache-dir': {
    type: 'path',
    group: 'Cache',
    describe: 'where the cache of each mount lies',
    computed: '/var/cache/pailfs, or ~/.cache/pailfs',
  },
  'cache-size': { type: 'size', group: 'Cache', default: '10GiB', min: 16 * MiB, describe: 'bytes cached on the disk' },
  'memory-limit': {
    type: 'size',
    group: 'Cache',
    default: '128MiB',
    min: 64 * MiB,
    describe: 'bytes buffered in memory',
  },

  'write-back': {
    type: 'choice',
    group: 'Transfer',
    choices: ['on', 'off'],
    default: 'on',
    describe: 'on: close() answers when the journal has the file, off: when S3 has it',
  },
  fsync: {
    type: 'choice',
    group: 'Transfer',
    choices: ['s3', 'disk'],
    default: 's3',
    describe: 'what fsync() waits for',
  },
  exclusive: {
    type: 'choice',
    group: 'Transfer',
    choices: ['host', 's3'],
    default: 'host',
    describe: 'where O_EXCL, mkdir and the like make sure that a name is new',
  },
  'staging-size': {
    type: 'size',
    group: 'Transfer',
    min: MiB,
    describe: 'bytes that may wait for their upload, before ENOSPC',
    computed: 'half of what is free at mount',
  },
  'part-size': {
    type: 'size',
    group: 'Transfer',
    default: '8MiB',
    min: 5 * MiB,
    max: 5 * 1024 * MiB,
    describe: 'part of a multipart upload',
  },
  'max-connections': {
    type: 'count',
    group: 'Transfer',
    default: '64',
    min: 1,
    max: 1024,
    describe: 'requests at one time',
  },
  'io-timeout': { type: 'duration', group: 'Transfer', default: '60s', min: 1000, describe: 'a request, before EIO' },

  'state-dir': {
    type: 'path',
    group: 'Daemon',
    describe: 'where what only this machine has lies',
    computed: '/var/lib/pailfs, or ~/.local/state/pailfs',
  },
  'runtime-dir': {
    type: 'path',
    group: 'Daemon',
    describe: 'where the control sockets lie',
    computed: '/run/pailfs, or $XDG_RUNTIME_DIR/pailfs',
  },
  foreground: {
    type: 'flag',
    group: 'Daemon',
    default: 'false',
    alias: 'f',
    describe: 'stay, and log to standard error',
  },
  'log-level': {
    type: 'choice',
    group: 'Daemon',
    choices: ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'],
    default: 'info',
    describe: 'least important line that is logged',
  },
  'log-file': {
    type: 'path',
    group: 'Daemon',
    describe: 'where to log',
    computed: 'pailfs.log in the state directory; with --foreground standard error',
  },
} as const satisfies Record<string, OptionSpec>;

export type OptionName = keyof typeof optionTable;
type Spec<N extends OptionName> = (typeof optionTable)[N];
type ValueOf<S extends OptionSpec> = S['type'] extends 'flag'
  ? boolean
  : S['type'] extends 'size' | 'duration' | 'count' | 'mode'
    ? number
    : S extends { readonly choices: readonly (infer C)[] }
      ? C
      : string;

/** Everything that can be set, parsed: bytes, milliseconds, numbers. */
export type Settings = {
  readonly [N in OptionName as Camel<N>]: Spec<N> extends { readonly default: string }
    ? ValueOf<Spec<N>>
    : ValueOf<Spec<N>> | undefined;
};

export const optionNames = Object.keys(optionTable) as readonly OptionName[];

export function specOf(name: OptionName): OptionSpec {
  return optionTable[name];
}

function parse(spec: OptionSpec, text: string): string | number | boolean {
  switch (spec.type) {
    case 'flag':
      return parseFlag(text);
    case 'size':
      return parseSize(text);
    case 'duration':
      return parseDuration(text);
    case 'count':
      return parseCount(text);
    case 'mode':
      return parseMode(text);
    case 'choice':
      return parseChoice(text, spec.choices!);
    default:
      return parseText(text);
  }
}

/** The value of an option, checked. The message of what it throws does not name the option. */
export function parseOption(name: OptionName, text: string): string | number | boolean {
  const spec = specOf(name);
  const value = parse(spec, text);
  const { min = 0, max = Number.MAX_SAFE_INTEGER } = spec;
  if (typeof value === 'number' && (value < min || value > max)) {
    throw new RangeError(`"${text}" is ${value < min ? 'less than the least' : 'more than the most'} that is allowed`);
  }
  return value;
}

export function settingName(name: OptionName): keyof Settings {
  return camel(name) as keyof Settings;
}
