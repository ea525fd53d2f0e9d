/**
 * fsx on a mount: it writes, maps, truncates, punches holes and so on at random in one file, and knows at each read what has
 * to be there. The same is done to a file in this machine's memory, and in the end the two are compared, as the mount shows
 * the file then and as a mount without a cache gets it from the store.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type RunResult, run } from '../mount/harness.js';
import type { Ground } from './ground.js';
import type { Outcome } from './outcome.js';

export interface FsxPlan {
  readonly seed: number;
  /** Of each small file. */
  readonly operations: number;
  readonly isShort: boolean;
}

/** A small part size, so that the large file has several: what is unchanged of it is copied inside the store. */
export const fsxArguments: readonly string[] = ['--part-size', '5MiB'];

const KiB = 1024;
const MiB = 1024 * KiB;
/** An operation on the large file moves up to 1 MiB, and an fsync up to 14. */
const LARGE_SHARE = 0.02;
const COMPARE_MS = 60_000;
const LIMIT_MS = 3_600_000;

interface Kind {
  readonly name: string;
  readonly flen: number;
  readonly opsize: number;
  readonly fsync: number;
}

const small: Kind = { name: 'small', flen: 256 * KiB, opsize: 64 * KiB, fsync: 0.5 };
const large: Kind = { name: 'large', flen: 14 * MiB, opsize: MiB, fsync: 0.5 };

const configOf = ({ flen, opsize, fsync }: Kind): string => `
flen = ${flen}
[opsize]
max = ${opsize}
[weights]
close_open = 3
read = 10
write = 10
mapread = 10
mapwrite = 10
invalidate = 2
truncate = 4
fsync = ${fsync}
fdatasync = ${fsync}
posix_fallocate = 3
punch_hole = 4
sendfile = 5
posix_fadvise = 3
copy_file_range = 5
`;

interface Run {
  readonly kind: Kind;
  readonly seed: number;
  readonly operations: number;
}

function runsOf({ seed, operations, isShort }: FsxPlan): Run[] {
  const seeds = isShort ? [seed] : [seed, seed + 1, seed + 2];
  const runs = seeds.map((one) => ({ kind: small, seed: one, operations }));
  const few = Math.ceil(operations * LARGE_SHARE);
  return [...runs, { kind: large, seed: seed + 3, operations: few }];
}

class FsxRun {
  readonly #config: string;
  readonly #directories: { readonly mount: string; readonly local: string };

  constructor(
    readonly ground: Ground,
    readonly program: string,
    readonly plan: Run,
  ) {
    const name = `${plan.kind.name}-${plan.seed}`;
    this.#config = join(ground.local, `${name}.toml`);
    writeFileSync(this.#config, configOf(plan.kind));
    this.#directories = { mount: join(ground.mountpoint, name), local: join(ground.memory, name) };
    mkdirSync(this.#directories.local);
  }

  /** On the mount or in memory; undefined, or what is wrong. */
  async #go(where: 'mount' | 'local'): Promise<string | undefined> {
    const { operations, seed } = this.plan;
    // Where it leaves what it expected.
    const artifacts = this.#directories.local;
    const file = join(this.#directories[where], 'file');
    const args = ['-q', '-f', this.#config, '-P', artifacts, '-N', String(operations), '-S', String(seed), file];
    const { code, signal, stdout, stderr, timedOut } = await run(this.program, args, { timeout: LIMIT_MS });
    if (code === 0 && stdout.includes('All operations completed A-OK!')) return undefined;
    return `fsx ${args.join(' ')}: ${timedOut ? 'did not end' : (code ?? signal)}\n${(stdout + stderr).slice(-6_000)}`;
  }

  async #compare(when: string): Promise<string | undefined> {
    const [a, b] = [this.#directories.mount, this.#directories.local].map((directory) => join(directory, 'file'));
    const { code, stdout, stderr } = await run('cmp', [a, b], { timeout: COMPARE_MS });
    return code === 0 ? undefined : `${when}: ${stdout}${stderr}`;
  }

  /** How many checks passed, and the first that did not. */
  async run(): Promise<Outcome> {
    const checks: ReadonlyArray<() => Promise<string | undefined>> = [
      () => this.#go('local'),
      () => this.#go('mount'),
      () => this.#compare('as the mount shows it'),
      async () => {
        await this.ground.remountCold();
        return this.#compare('as the store has it');
      },
    ];
    await must('mkdir', run('mkdir', [this.#directories.mount]));
    for (const [passed, check] of checks.entries()) {
      const problem = await check();
      if (problem !== undefined) return { passed, problems: [`${this.name}: ${problem}`] };
    }
    return { passed: checks.length, problems: [] };
  }

  get name(): string {
    return `fsx, a ${this.plan.kind.name} file, seed ${this.plan.seed}`;
  }
}

async function must(what: string, done: Promise<RunResult>): Promise<void> {
  const { code, stderr } = await done;
  if (code !== 0) throw new Error(`${what}: ${stderr}`);
}

export async function fsx(ground: Ground, program: string, plan: FsxPlan): Promise<Outcome> {
  console.log(`fsx --seed ${plan.seed} --operations ${plan.operations}`);
  await ground.mount();
  const problems: string[] = [];
  let passed = 0;
  for (const one of runsOf(plan)) {
    const fsxRun = new FsxRun(ground, program, one);
    const begun = Date.now();
    const outcome = await fsxRun.run();
    passed += outcome.passed;
    problems.push(...outcome.problems);
    const how = outcome.problems.length === 0 ? 'ok    ' : 'FAILED';
    console.log(`${how} ${fsxRun.name}: ${one.operations} operations (${((Date.now() - begun) / 1000).toFixed(1)} s)`);
  }
  await ground.umount();
  return { passed, problems };
}
