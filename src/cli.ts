/**
 * The command: finds out what is asked for, and loads only what that needs. Every failure ends here, as one line on
 * standard error and an exit code.
 */
import { basename } from 'node:path';
import yargs, { type Argv } from 'yargs';
import { normalizeArguments, type Parsed, settingSources, settingsOf, yargsOptions } from './cli/arguments.js';
import { parseHelperCall } from './cli/mount-fuse.js';
import { say } from './cli/say.js';
import { nearest, unknownOption } from './config/option-name.js';
import { optionNames } from './config/table.js';
import { parseCount, parseDuration, UsageError } from './config/value.js';
import { type ExitCode, exitCode } from './exit-code.js';
import { packageVersion } from './package.js';
import { startupFailure } from './startup-failure.js';

type Handler = (parsed: Parsed) => Promise<ExitCode>;

const commandNames = ['mount', 'umount', 'sync', 'status', 'demo'] as const;
type CommandName = (typeof commandNames)[number];

function surroundings() {
  return { env: process.env, cwd: process.cwd() };
}

const handlers: Readonly<Record<CommandName, Handler>> = {
  async mount(parsed) {
    const settings = settingsOf(parsed, surroundings());
    const { runMount } = await import('./cli/mount.js');
    return runMount({ source: String(parsed.source), mountpoint: String(parsed.mountpoint), settings });
  },
  async umount(parsed) {
    const timeoutMs = parsed.timeout === undefined ? undefined : namedDuration('--timeout', String(parsed.timeout));
    const settings = settingsOf(parsed, surroundings());
    const { runUmount } = await import('./cli/umount.js');
    return runUmount({ mountpoint: String(parsed.mountpoint), lazy: parsed.lazy === true, timeoutMs, settings });
  },
  async sync(parsed) {
    const settings = settingsOf(parsed, surroundings());
    const { runSync } = await import('./cli/sync.js');
    return runSync({ path: String(parsed.path), settings });
  },
  async status(parsed) {
    const settings = settingsOf(parsed, surroundings());
    const mountpoint = parsed.mountpoint === undefined ? undefined : String(parsed.mountpoint);
    const { runStatus } = await import('./cli/status.js');
    return runStatus({ mountpoint, json: parsed.json === true, settings });
  },
  async demo(parsed) {
    const mountpoint = parsed.mountpoint === undefined ? undefined : String(parsed.mountpoint);
    const { runDemo } = await import('./cli/demo.js');
    return runDemo({ mountpoint, port: parseCount(String(parsed.port ?? 0)) });
  },
};

function namedDuration(name: string, text: string): number {
  try {
    return parseDuration(text);
  } catch (error) {
    throw new UsageError(`${name}: ${(error as Error).message}`);
  }
}

/** One line for whatever yargs does not like. */
function complaint(message: string, parser: Argv): UsageError {
  const unknown = /^Unknown arguments?: (\S+?)(,|$)/.exec(message)?.[1];
  if (unknown !== undefined) {
    const { boolean, string } = (parser as unknown as { getOptions(): Record<string, string[]> }).getOptions();
    const names = [...new Set([...optionNames, ...boolean, ...string])].filter((name) => name.length > 1);
    return new UsageError(unknownOption(unknown, unknown.length === 1 ? `-${unknown}` : `--${unknown}`, names));
  }
  if (/^(Not enough|Too many) non-option/.test(message)) {
    return new UsageError(
      'a bucket and a mount point are needed, or the words of another command: see "pailfs --help"',
    );
  }
  return new UsageError(`${message.replace(/^Not enough arguments following: (.*)$/, '--$1 needs a value')}`);
}

const places = { runtime: ['runtime-dir', 'state-dir'] } as const;

function makeParser(run: (handler: Handler) => (parsed: Parsed) => Promise<void>): Argv {
  const parser = yargs().scriptName('pailfs').locale('en').version(packageVersion()).help().alias('help', 'h');
  return parser
    .usage('pailfs mounts an S3 bucket as a directory.\n\nAlso: pailfs BUCKET MOUNTPOINT [options]')
    .parserConfiguration({ 'boolean-negation': false, 'camel-case-expansion': false, 'dot-notation': false })
    .command(
      'mount <source> <mountpoint>',
      'mount s3://BUCKET[/PREFIX], and return once it answers',
      (command) =>
        command.usage('pailfs mount s3://BUCKET[/PREFIX] MOUNTPOINT').options({ ...yargsOptions(), ...settingSources }),
      run(handlers.mount),
    )
    .command(
      'umount <mountpoint>',
      'upload what is left, and unmount',
      (command) =>
        command
          .option('timeout', {
            type: 'string',
            requiresArg: true,
            describe: 'no longer wait after this (10s, 5m)',
          })
          .option('lazy', { type: 'boolean', alias: 'l', describe: 'detach at once; the daemon uploads behind' })
          .options(yargsOptions(places.runtime)),
      run(handlers.umount),
    )
    .command(
      'sync <path>',
      'wait until everything at or below a path is in S3',
      (command) => command.options(yargsOptions(places.runtime)),
      run(handlers.sync),
    )
    .command(
      'status [mountpoint]',
      'tell of one mount, or of all',
      (command) =>
        command.option('json', { type: 'boolean', describe: 'for programs' }).options(yargsOptions(places.runtime)),
      run(handlers.status),
    )
    .command(
      'demo [mountpoint]',
      'mount a sample bucket of a built-in S3 server',
      (command) => command.option('port', { type: 'string', requiresArg: true, describe: 'of the server (any free)' }),
      run(handlers.demo),
    )
    .demandCommand(1)
    .strict()
    .wrap(Math.min(110, process.stdout.columns ?? 100))
    .epilogue('Exit codes and all options: docs/options.md')
    .exitProcess(false)
    .showHelpOnFail(false);
}

/** `pailfs BUCKET MOUNTPOINT` is `pailfs mount BUCKET MOUNTPOINT`. */
function withCommand(given: readonly string[]): readonly string[] {
  const first = given[0];
  if (first === undefined) return ['--help'];
  if (commandNames.some((name) => name === first) || /^(-h|--help|--version)$/.test(first)) return given;
  const words = given.filter((one) => !one.startsWith('-'));
  if (words.length >= 2 || first.startsWith('-')) return ['mount', ...given];
  const near = nearest(first, commandNames);
  const meant = near === undefined ? 'see "pailfs --help"' : `did you mean ${near}?`;
  throw new UsageError(`${first} is no command, and no bucket with a mount point: ${meant}`);
}

async function runCommand(given: readonly string[]): Promise<ExitCode> {
  let code: ExitCode = exitCode.ok;
  const parser = makeParser((handler) => async (parsed) => {
    code = await handler(parsed);
  });
  parser.fail((message, error) => {
    throw error ?? complaint(message, parser);
  });
  await parser.parseAsync(normalizeArguments(withCommand(given)));
  return code;
}

async function runHelper(given: readonly string[]): Promise<ExitCode> {
  const { source, mountpoint, words, sloppy, fake } = parseHelperCall(given);
  const settings = settingsOf({ o: words }, { ...surroundings(), sloppy });
  if (fake) return exitCode.ok;
  const { runMount } = await import('./cli/mount.js');
  return runMount({ source, mountpoint, settings });
}

/** A pipe takes long text piece by piece: the end of the process would cut it. */
function printed(stream: NodeJS.WriteStream): Promise<void> {
  return new Promise((resolve) => {
    // Whoever reads has gone: there is nothing to wait for.
    stream.once('error', () => resolve());
    stream.write('', () => resolve());
  });
}

export async function main(): Promise<void> {
  const given = process.argv.slice(2);
  const asHelper = basename(process.argv[1]).startsWith('mount.');
  let code: ExitCode;
  try {
    code = await (asHelper ? runHelper(given) : runCommand(given));
  } catch (error) {
    const failure = startupFailure(error);
    say(failure.message);
    if (failure.exitCode === exitCode.unexpected && process.env.PAILFS_TEST_TRACE) console.error(error);
    code = failure.exitCode;
  }
  await Promise.all([printed(process.stdout), printed(process.stderr)]);
  // Whatever is still open (a detached child, idle connections) must not keep the command.
  process.exit(code);
}
