/**
 * `scripts/programs.sh --mount`: programs that people run on a disk, on a mount of the real binary. Each runs and checks what
 * it made; then everything is brought to the store, the bucket is mounted anew with nothing cached, and each looks again.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { onInterrupt } from '../mount/harness.js';
import { Ground } from '../posix/ground.js';

const script = fileURLToPath(new URL('../../../scripts/programs.sh', import.meta.url));
const COUNT = /^\d+ passed, \d+ failed$/;
/** Each program has a limit of its own; this one is for all of them. */
const LIMIT_MS = 1_800_000;

interface Options {
  readonly only: string;
  readonly isShort: boolean;
  /** Of `pailfs mount`. */
  readonly mount: readonly string[];
  readonly log: string | undefined;
}

function readOptions(args: string[]): Options {
  const { values } = parseArgs({
    args,
    options: {
      only: { type: 'string' },
      short: { type: 'boolean', default: false },
      'write-back': { type: 'string', default: 'on' },
      o: { type: 'string', short: 'o', multiple: true, default: [] },
      log: { type: 'string' },
    },
  });
  const { only, short: isShort, 'write-back': writeBack, o: words, log } = values;
  if (writeBack !== 'on' && writeBack !== 'off') throw new Error('--write-back is on or off');
  if (!only) throw new Error('--only: which programs');
  const mount = ['--write-back', writeBack, ...words.flatMap((one) => ['-o', one])];
  return { only, isShort, mount, log };
}

class ProgramsRun {
  readonly #beside: string;
  #child: ChildProcess | undefined;
  passed = 0;
  failed = 0;

  constructor(
    readonly ground: Ground,
    readonly options: Options,
  ) {
    this.#beside = join(ground.local, 'programs');
    mkdirSync(this.#beside);
  }

  /** Shows what is said, and answers which of them passed. */
  async #half(phase: 'work' | 'again', names: readonly string[]): Promise<string[]> {
    const args = [this.ground.mountpoint, '--phase', phase, '--beside', this.#beside, '--only', names.join()];
    if (this.options.isShort) args.push('--short');
    const child = spawn(script, args, { stdio: ['ignore', 'pipe', 'inherit'], timeout: LIMIT_MS });
    this.#child = child;
    const ended = once(child, 'exit');
    const passed: string[] = [];
    for await (const line of createInterface({ input: child.stdout })) {
      const [, name] = /^ok (\S+) /.exec(line) ?? [];
      if (name !== undefined) passed.push(name);
      if (!COUNT.test(line)) console.log(line);
    }
    await ended;
    this.passed += passed.length;
    this.failed += names.length - passed.length;
    return passed;
  }

  /** Whatever is under way, nothing stays behind. */
  async close(): Promise<void> {
    this.#child?.kill();
    await this.ground.close();
  }

  async run(): Promise<void> {
    const { ground } = this;
    await ground.mount();
    const names = await this.#half('work', this.options.only.split(','));
    const begun = Date.now();
    await ground.remountCold();
    console.log(`from the store, after ${((Date.now() - begun) / 1000).toFixed(1)} s:`);
    if (names.length > 0) await this.#half('again', names);
    await ground.umount();
  }
}

const options = readOptions(process.argv.slice(2));
const ground = await Ground.open(options.mount);
const programs = new ProgramsRun(ground, options);
const leave = onInterrupt(() => programs.close());
try {
  await programs.run();
} catch (error) {
  programs.failed++;
  console.log(`FAILED ${(error as Error).stack}`);
} finally {
  leave();
  if (programs.failed > 0) console.log(ground.lastLines());
  const log = join(ground.directory, 'daemon.log');
  if (options.log !== undefined && existsSync(log)) copyFileSync(log, options.log);
  await programs.close();
}
console.log(`${programs.passed} passed, ${programs.failed} failed`);
process.exitCode = programs.failed === 0 ? 0 : 1;
