/** Options: one table, four places to write them, and what is said of what cannot be meant. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import t from 'tap';
import { normalizeArguments, settingsOf } from '../../src/cli/arguments.js';
import { parseHelperCall } from '../../src/cli/mount-fuse.js';
import { camel } from '../../src/config/camel.js';
import { parseConfigFile } from '../../src/config/config-file.js';
import { readMountWords, splitWords } from '../../src/config/mount-words.js';
import { distance, findOption, nearest } from '../../src/config/option-name.js';
import { type OptionName, optionNames, parseOption, settingName, specOf } from '../../src/config/table.js';
import { parseDuration, parseFlag, parseMode, parseSize, UsageError } from '../../src/config/value.js';
import { resolveSettings, unknownVariables, variableOf } from '../../src/config.js';
import {
  DEFAULT_CACHE_BYTES,
  DEFAULT_IO_TIMEOUT_MS,
  DEFAULT_MAX_CONNECTIONS,
  DEFAULT_MEMORY_LIMIT_BYTES,
  DEFAULT_METADATA_TTL_MS,
  DEFAULT_NEGATIVE_TTL_MS,
  DEFAULT_OPEN_TTL_MS,
  DEFAULT_PART_BYTES,
} from '../../src/constants.js';
import { exitCode } from '../../src/exit-code.js';

const none = { commandLine: new Map(), mountWords: new Map(), env: {}, cwd: '/' };

t.test('the defaults are those of constants.ts', async (t) => {
  t.match(resolveSettings(none), {
    metadataTtl: DEFAULT_METADATA_TTL_MS,
    openTtl: DEFAULT_OPEN_TTL_MS,
    negativeTtl: DEFAULT_NEGATIVE_TTL_MS,
    memoryLimit: DEFAULT_MEMORY_LIMIT_BYTES,
    cacheSize: DEFAULT_CACHE_BYTES,
    partSize: DEFAULT_PART_BYTES,
    maxConnections: DEFAULT_MAX_CONNECTIONS,
    ioTimeout: DEFAULT_IO_TIMEOUT_MS,
    attributes: 'auto',
    writeBack: 'on',
    fsync: 's3',
    exclusive: 'host',
    passthrough: 'auto',
    fileMode: 0o644,
    dirMode: 0o755,
    ro: false,
    region: undefined,
  });
});

t.test('sizes, durations, modes, flags', async (t) => {
  const sizes = {
    '0': 0,
    '4096': 4096,
    '1k': 1024,
    '1KiB': 1024,
    '128MiB': 2 ** 27,
    '10G': 10 * 2 ** 30,
    '1.5m': 1572864,
  };
  for (const [text, bytes] of Object.entries(sizes)) t.equal(parseSize(text), bytes, text);
  const durations = { '60s': 60_000, '1m': 60_000, '500ms': 500, '5': 5_000, '0': 0, '1.5': 1_500, '2h': 7_200_000 };
  for (const [text, ms] of Object.entries(durations)) t.equal(parseDuration(text), ms, text);
  t.same(['644', '0644', '0o755', '0'].map(parseMode), [0o644, 0o644, 0o755, 0]);
  t.same(['yes', 'on', 'TRUE', '1', 'no', 'off', '0'].map(parseFlag), [true, true, true, true, false, false, false]);
  for (const wrong of ['', 'much', '1X', '-1', '1e9', '0x10', '9999999999T'])
    t.throws(() => parseSize(wrong), /is not a size such as/);
  for (const wrong of ['', 's', '1d', '-1', '1 2', 'Infinity'])
    t.throws(() => parseDuration(wrong), /is not a duration such as/);
  for (const wrong of ['', '8', '0999', '77777', 'rwx']) t.throws(() => parseMode(wrong), /is not a mode/);
  t.throws(() => parseFlag('maybe'), /"maybe" is not true or false/);
});

t.test('sizes and durations come back as they were written', async (t) => {
  const units = [
    ['', 1],
    ['k', 2 ** 10],
    ['MiB', 2 ** 20],
    ['gb', 2 ** 30],
  ] as const;
  fc.assert(
    fc.property(
      fc.nat(1_000_000),
      fc.constantFrom(...units),
      (n, [unit, factor]) => parseSize(`${n}${unit}`) === n * factor,
    ),
  );
  fc.assert(fc.property(fc.nat(), (ms) => parseDuration(`${ms}ms`) === ms));
  fc.assert(
    fc.property(fc.string(), (text) => {
      try {
        return Number.isSafeInteger(parseSize(text)) && Number.isSafeInteger(parseDuration(text));
      } catch (error) {
        return error instanceof UsageError && error.exitCode === exitCode.usage && !error.message.includes('\n');
      }
    }),
  );
  t.pass();
});

/** A text for an option, that is valid. */
function textFor(name: OptionName): fc.Arbitrary<string> {
  const { type, choices, min = 0, max = 2 ** 40 } = specOf(name);
  if (name === 'driver') return fc.constant('kernel');
  if (name === 'sse') return fc.constant('aws:kms');
  if (name === 'expected-bucket-owner') return fc.stringMatching(/^\d{12}$/);
  if (choices !== undefined) return fc.constantFrom(...choices);
  if (type === 'flag') return fc.constantFrom('true', 'false');
  if (type === 'duration') return fc.integer({ min, max: 10 ** 9 }).map((ms) => `${ms}ms`);
  if (type === 'mode') return fc.integer({ min: 0, max }).map((mode) => `0${mode.toString(8)}`);
  if (type === 'size' || type === 'count') return fc.integer({ min, max }).map(String);
  return fc.stringMatching(/^\/?[a-z,\\=0-9. _-]{1,20}[a-z]$/);
}

const given = fc.constantFrom(...optionNames).chain((name) => textFor(name).map((text) => [name, text] as const));
const gap = fc.constantFrom('-', '_');

t.test('whichever way an option is written, it is the same setting', async (t) => {
  fc.assert(
    fc.property(given, gap, ([name, text], mark) => {
      const needs: Partial<Record<OptionName, [OptionName, string]>> = {
        'sse-kms-key-id': ['sse', 'aws:kms'],
        'sse-c': ['sse-c-key', '/key'],
      };
      const extra = needs[name] === undefined ? [] : [needs[name]];
      const written = name.replaceAll('-', mark);
      const base = new Map<OptionName, string>(extra);
      const read = (more: object) => resolveSettings({ ...none, ...more })[settingName(name)];
      const escaped = text.replace(/[\\,]/g, '\\$&');
      const byLine = read({ commandLine: new Map([...base, [name, text]]) });
      const byWord = read({ commandLine: base, mountWords: readMountWords([`${written}=${escaped}`]) });
      const byVariable = read({ commandLine: base, env: { [variableOf(name)]: text } });
      const byFile = parseConfigFile(`# comment\n\n ${written} = ${text}\n`, 'file').get(name);
      return byLine === byWord && byLine === byVariable && byFile === text.trim() && byLine !== undefined;
    }),
  );
  t.pass();
});

t.test('command line > variable > file > default; a long option > a word of -o', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'pailfs-config-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  writeFileSync(join(directory, 'file.conf'), 'metadata_ttl = 4s\nro\nregion=r4\nopen-ttl=4s\nnegative-ttl = 4s\n');
  const env = {
    PAILFS_METADATA_TTL: '3s',
    PAILFS_REGION: 'r3',
    PAILFS_OPEN_TTL: '3s',
    PAILFS_CONFIG: 'file.conf',
    PAILFS_UID: '',
  };
  const parsed = { 'metadata-ttl': ['9s', '1s'], o: ['metadata_ttl=2s,region=r2', 'region=r22'] };
  const settings = settingsOf(parsed, { env, cwd: directory });
  t.match(settings, {
    metadataTtl: 1000,
    region: 'r22',
    openTtl: 3000,
    negativeTtl: 4000,
    ro: true,
    cacheSize: 10 * 2 ** 30,
    uid: undefined,
  });
  t.equal(
    settingsOf({ config: 'file.conf', 'cache-dir': 'sub' }, { env: {}, cwd: directory }).cacheDir,
    join(directory, 'sub'),
  );
});

t.test('what cannot be meant is named where it was written', async (t) => {
  const fails = (more: object, line: RegExp) =>
    t.throws(() => resolveSettings({ ...none, ...more }), { message: line, exitCode: exitCode.usage });
  fails({ commandLine: new Map([['part-size', '1M']]) }, /^--part-size: "1M" is less than the least/);
  fails({ mountWords: new Map([['file-mode', '9']]) }, /^-o file-mode: "9" is not a mode/);
  fails({ env: { PAILFS_ATTRIBUTES: 'some' } }, /^PAILFS_ATTRIBUTES: "some" is not one of auto, listing, full/);
  fails({ configFile: '/absent' }, /\/absent cannot be read \(ENOENT\): check --config/);
  fails({ commandLine: new Map([['sse-kms-key-id', 'k']]) }, /needs sse=aws:kms/);
  const refused = (given: Partial<Record<OptionName, string>>, line: RegExp) =>
    fails({ commandLine: new Map(Object.entries(given)) }, line);
  refused({ 'sse-c': 'AES256' }, /sse-c needs sse-c-key/);
  refused({ 'sse-c-key': '/key', sse: 'AES256' }, /exclude each other/);
  refused({ 'storage-class': 'DEEP_ARCHIVE' }, /cannot be read without a restore/);
  refused({ 'expected-bucket-owner': 'me' }, /12 digits/);
  refused({ 'canned-acl': 'everyone' }, /"everyone" is not one of private, public-read/);
  t.throws(() => parseConfigFile('\nregoin = x', 'f.conf'), {
    message: 'f.conf:2: unknown option regoin: did you mean region?',
  });
  t.throws(() => parseConfigFile('region', 'f.conf'), /f.conf:1: region needs a value/);
  t.throws(() => readMountWords(['region']), /-o region needs a value/);
  t.throws(() => readMountWords(['remount,rw']), /unmount it and mount it again/);
  t.same(unknownVariables({ PAILFS_REGOIN: 'x', PAILFS_REGION: 'y', PAILFS_TEST_ENDPOINT: 'z', OTHER: '' }), [
    'PAILFS_REGOIN',
  ]);
});

t.test('words of mount(8)', async (t) => {
  const words = 'rw,nosuid,nodev,relatime,_netdev,nofail,user,defaults,x-systemd.automount,X-foo=1,comment=hello,exec';
  t.same(Object.fromEntries(readMountWords([words])), { ro: 'false', suid: 'false', dev: 'false', noexec: 'false' });
  t.same(Object.fromEntries(readMountWords(['ro,rw', 'ro'])), { ro: 'true' });
  t.same(Object.fromEntries(readMountWords(['unheard=of,ro'], true)), { ro: 'true' });
  t.throws(() => readMountWords(['unheard=of,ro']), /unknown option -o unheard/);
  fc.assert(
    fc.property(fc.array(fc.stringMatching(/^[a-z,\\=]+$/)), (parts) => {
      const text = parts.map((part) => part.replace(/[\\,]/g, '\\$&')).join(',');
      return JSON.stringify(splitWords(text)) === JSON.stringify(parts);
    }),
  );
});

t.test('names', async (t) => {
  t.equal(findOption('metadata_ttl'), 'metadata-ttl');
  t.equal(findOption('metadataTtl'), undefined);
  t.equal(camel('sse-kms-key-id'), 'sseKmsKeyId');
  t.equal(nearest('cahce_size', optionNames), 'cache-size');
  t.equal(nearest('frobnicate', optionNames), undefined);
  const word = fc.stringMatching(/^[a-z-]{0,8}$/);
  fc.assert(
    fc.property(word, word, (a, b) => distance(a, b) === distance(b, a) && (distance(a, b) === 0) === (a === b)),
  );
  for (const name of optionNames) {
    const { default: standard } = specOf(name);
    if (standard !== undefined) t.doesNotThrow(() => parseOption(name, standard), name);
  }
});

t.test('the command line before yargs', async (t) => {
  const given = ['--cache_size=1G', '--ro=no', '-oro,uid=1', '--no_sign_request', 's3://a_b', '--', '--left_alone'];
  const wanted = [
    '--cache-size=1G',
    '--ro=false',
    '-o',
    'ro,uid=1',
    '--no-sign-request',
    's3://a_b',
    '--',
    '--left_alone',
  ];
  t.same(normalizeArguments(given), wanted);
  t.throws(() => normalizeArguments(['--ro=perhaps']), /--ro: "perhaps" is not true or false/);
});

t.test('as mount(8) calls its helpers', async (t) => {
  t.same(parseHelperCall(['s3://b', '/mnt', '-n', '-o', 'rw,uid=1', '-t', 'fuse.pailfs']), {
    source: 's3://b',
    mountpoint: '/mnt',
    words: ['rw,uid=1'],
    sloppy: false,
    fake: false,
  });
  t.match(parseHelperCall(['-sfnv', 's3://b', '/mnt', '-oro', '-r', '-N', '7']), {
    words: ['ro', 'ro'],
    sloppy: true,
    fake: true,
  });
  t.throws(() => parseHelperCall(['s3://b', '/mnt', '-x']), /unknown option -x/);
  t.throws(() => parseHelperCall(['s3://b']), /usage/);
  t.throws(() => parseHelperCall(['s3://b', '/mnt', '-o']), /-o needs a value/);
});
