/**
 * `scripts/conformance.sh pjdfstest|fsx`: a suite of others on a mount of the real binary. Arguments: which, its program,
 * and options.
 */
import { parseArgs } from 'node:util';
import { onInterrupt } from '../mount/harness.js';
import { type FsxPlan, fsx, fsxArguments } from './fsx.js';
import { Ground } from './ground.js';
import type { Outcome } from './outcome.js';
import { pjdfstest } from './pjdfstest.js';

const LONG_OPERATIONS = 100_000;
const SHORT_OPERATIONS = 4_000;

interface Options extends FsxPlan {
  readonly writeBack: string;
}

function readOptions(args: string[]): Options {
  const { values } = parseArgs({
    args,
    options: {
      seed: { type: 'string', default: String(Date.now() % 1_000_000) },
      operations: { type: 'string' },
      'write-back': { type: 'string', default: 'on' },
      short: { type: 'boolean', default: false },
    },
  });
  const seed = Number(values.seed);
  const operations = Number(values.operations ?? (values.short ? SHORT_OPERATIONS : LONG_OPERATIONS));
  const writeBack = values['write-back'];
  if (!Number.isInteger(seed) || !Number.isInteger(operations) || operations < 1)
    throw new Error('--seed and --operations are numbers');
  if (writeBack !== 'on' && writeBack !== 'off') throw new Error('--write-back is on or off');
  return { seed, operations, writeBack, isShort: values.short };
}

async function suite(name: string, program: string, options: Options): Promise<Outcome> {
  const args = ['--write-back', options.writeBack, ...(name === 'fsx' ? fsxArguments : ['--suid', '--dev'])];
  const ground = await Ground.open(args);
  const leave = onInterrupt(() => ground.close());
  try {
    return await (name === 'fsx' ? fsx(ground, program, options) : pjdfstest(ground, program));
  } catch (error) {
    return { passed: 0, problems: [`${(error as Error).stack}\n${ground.lastLines()}`] };
  } finally {
    leave();
    await ground.close();
  }
}

const [name, program, ...rest] = process.argv.slice(2);
if ((name !== 'pjdfstest' && name !== 'fsx') || program === undefined)
  throw new Error('which suite, and its program, are wanted');
const { passed, problems } = await suite(name, program, readOptions(rest));
for (const problem of problems) console.log(`not ok: ${problem}`);
console.log(`\n${passed} passed, ${problems.length} failed`);
process.exitCode = problems.length === 0 ? 0 : 1;
