/**
 * pjdfstest on a mount, compared with the committed list of what cannot pass on S3. Every test counts: one that fails and is
 * not expected to, one that passes and is, one that is left out, and one that is not there.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { run } from '../mount/harness.js';
import { expectedFailures } from './expected-failures.js';
import type { Ground } from './ground.js';
import type { Outcome } from './outcome.js';

/** Of version 0.2.2: a version with others needs a look at the list. */
const TESTS = 398;
const LIMIT_MS = 300_000;
/** Asks for a file with as many links as there can be, of which pathconf(3) tells nothing here. */
const leftOut: ReadonlySet<string> = new Set(['link::link_count_max']);

const configOf = (mayRemount: boolean): string => `
[features]
posix_fallocate = {}
rename_ctime = {}
utime_now = {}
utimensat = {}
[settings]
naptime = 0.01
allow_remount = ${mayRemount}
[dummy_auth]
entries = [["nobody", "nogroup"], ["daemon", "daemon"]]
`;

export type Answer = 'ok' | 'FAILED' | 'skipped';

/** What each test came to, by its name. */
export function parseAnswers(output: string): Map<string, Answer> {
  const lines = output.matchAll(/^([a-z][\w:]*) +(ok|FAILED|skipped)$/gm);
  return new Map([...lines].map(([, name, answer]) => [name, answer as Answer]));
}

export interface Comparison {
  readonly passed: number;
  readonly expected: number;
  readonly skipped: number;
  /** What is not as the list says, one line each. */
  readonly problems: readonly string[];
}

export function compare(
  answers: ReadonlyMap<string, Answer>,
  list: readonly string[],
  total: number,
  mayBeLeftOut: ReadonlySet<string>,
): Comparison {
  const expected = new Set(list);
  const names = (answer: Answer): string[] => [...answers].filter(([, one]) => one === answer).map(([name]) => name);
  const [ok, failed, skipped] = [names('ok'), names('FAILED'), names('skipped')];
  const problems = [
    ...failed.filter((name) => !expected.has(name)).map((name) => `${name} failed`),
    ...ok.filter((name) => expected.has(name)).map((name) => `${name} passed unexpectedly: take it off the list`),
    ...skipped.filter((name) => !mayBeLeftOut.has(name)).map((name) => `${name} was left out`),
    ...list.filter((name) => !answers.has(name)).map((name) => `${name} is on the list, and there is no such test`),
  ];
  if (answers.size !== total) problems.push(`${answers.size} tests, there should be ${total}`);
  return {
    passed: ok.filter((name) => !expected.has(name)).length,
    expected: failed.filter((name) => expected.has(name)).length,
    skipped: skipped.length,
    problems,
  };
}

/** It remounts with mount(8), which would hand that to the mount helper of FUSE: the kernel is to be asked itself. */
const mountProgram = ['#!/bin/sh', `PATH=\${PATH#*:}`, 'exec mount -i "$@"', ''].join('\n');

class Pjdfstest {
  readonly #bin: string;

  constructor(
    readonly ground: Ground,
    readonly program: string,
  ) {
    this.#bin = join(ground.local, 'bin');
    mkdirSync(this.#bin);
    writeFileSync(join(this.#bin, 'mount'), mountProgram, { mode: 0o755 });
  }

  /** What it says of the tests that have one of `patterns` in their names. */
  async run(mayRemount: boolean, ...patterns: string[]): Promise<string> {
    const config = join(this.ground.local, 'pjdfstest.toml');
    writeFileSync(config, configOf(mayRemount));
    const env = { ...process.env, PATH: `${this.#bin}:${process.env.PATH}`, RUST_BACKTRACE: '0' };
    const args = ['-c', config, '-p', this.ground.mountpoint, '-s', this.ground.memory, ...patterns];
    const { code, signal, stdout, stderr, timedOut } = await run(this.program, args, { env, timeout: LIMIT_MS });
    if (timedOut) throw new Error(`pjdfstest did not end in ${LIMIT_MS / 1000} s`);
    if (code !== 0 && code !== 1) throw new Error(`pjdfstest ended with ${code ?? signal}: ${stderr.slice(-2_000)}`);
    // Without its colours.
    return stripVTControlCharacters(stdout);
  }
}

/** The lines of a test, with what it says of itself. */
function linesOf(output: string, name: string): string {
  const lines = output.split('\n');
  const first = lines.findIndex((line) => line.startsWith(`${name} `));
  const rest = lines.slice(first + 1);
  return rest
    .slice(
      0,
      Math.max(
        0,
        rest.findIndex((line) => !line.startsWith('\t')),
      ),
    )
    .join('\n');
}

export async function pjdfstest(ground: Ground, program: string): Promise<Outcome> {
  const suite = new Pjdfstest(ground, program);
  await ground.mount();
  // It leaves files open, and what is open for writing cannot become read-only: that part has a process of its own.
  const outputs = [await suite.run(false), await suite.run(true, 'erofs')];
  const answers = new Map(outputs.flatMap((output) => [...parseAnswers(output)]));
  const list = expectedFailures.flatMap(({ tests }) => tests);
  const { passed, expected, skipped, problems } = compare(answers, list, TESTS, leftOut);
  console.log(`${answers.size} tests: ${passed} passed, ${expected} failed as expected, ${skipped} left out`);
  for (const { tests, limit } of expectedFailures) console.log(`  expected: ${tests.length} (${limit})`);
  await ground.umount();
  const say = (name: string): string => outputs.map((output) => linesOf(output, name)).join('');
  return { passed, problems: problems.map((line) => `${line}\n${say(line.split(' ')[0])}`) };
}
