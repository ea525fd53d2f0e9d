/**
 * `npm run test:model`: random operations by several processes on the mount and on a plain directory, with another S3
 * client's changes, remounts and cold caches in between; what the two show must be the same. A failure is shrunk, and its
 * seed printed. scripts/test-model.js brings the server up and passes the options on.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { WriteBack } from '../crash/oracle.js';
import { memoryVerdict } from '../crash/resident-memory.js';
import { onInterrupt } from '../mount/harness.js';
import { openPlace, type S3Place } from '../mount/s3-place.js';
import { chooseProgram, countOperations, type Stage } from './operations.js';
import { type Failure, ModelRun } from './run.js';
import { shrink, tell } from './shrink.js';

/** Operations of one program; many programs find more than a long one, and are quicker to shrink. */
const OPERATIONS_IN_A_PROGRAM = 1_500;
const SHOWN_OPERATIONS = 200;

interface Options {
  readonly operations: number;
  readonly seed: number;
  readonly writeBack: WriteBack;
  readonly shrinkMs: number;
}

function readOptions(): Options {
  const { values } = parseArgs({
    options: {
      operations: { type: 'string', default: '3000' },
      seed: { type: 'string', default: String(Date.now() % 1_000_000) },
      'write-back': { type: 'string', default: 'on' },
      'shrink-seconds': { type: 'string', default: '120' },
    },
  });
  const writeBack = values['write-back'];
  if (writeBack !== 'on' && writeBack !== 'off') throw new Error('--write-back is on or off');
  const [operations, seed, seconds] = [values.operations, values.seed, values['shrink-seconds']].map(Number);
  if (![operations, seed, seconds].every(Number.isInteger)) throw new Error('the options want whole numbers');
  return { operations, seed, writeBack, shrinkMs: seconds * 1000 };
}

async function runOnce(
  s3: S3Place,
  writeBack: WriteBack,
  stages: readonly Stage[],
  toTheEnd = true,
): Promise<Failure | undefined> {
  const run = new ModelRun(s3, writeBack);
  const leave = onInterrupt(() => run.close());
  try {
    return await run.run(stages, toTheEnd);
  } finally {
    leave();
    await run.close();
  }
}

function tellFailure({ text, operation, log }: Failure): void {
  if (operation !== undefined) console.log(`  ${JSON.stringify(operation)}`);
  console.log(`  ${text}`);
  if (log !== '') console.log(`  the daemon's last lines:\n${log.trimEnd().replace(/^/gm, '    ')}`);
}

async function shrinkAndTell(options: Options, s3: S3Place, stages: readonly Stage[], failure: Failure): Promise<void> {
  const toTheEnd = failure.stage === stages.length;
  const attempt = (candidate: readonly Stage[]) => runOnce(s3, options.writeBack, candidate, toTheEnd);
  const found = await shrink(stages, failure, options.shrinkMs, attempt);
  console.log(`the shortest list that failed, of ${found.attempts} tried:`);
  const isShort = countOperations(found.stages) <= SHOWN_OPERATIONS;
  console.log(isShort ? tell(found.stages) : `${countOperations(found.stages)} operations: too many to print`);
  tellFailure(found.failure);
}

async function main(): Promise<void> {
  const options = readOptions();
  const { operations, seed, writeBack } = options;
  console.log(`${operations} operations, --seed ${seed} --write-back ${writeBack}`);
  const directory = mkdtempSync(join(tmpdir(), 'pailfs-model-'));
  const s3 = await openPlace(directory);
  let passed = 0;
  let failed = 0;
  try {
    for (let done = 0, number = 0; done < operations; number++) {
      const programSeed = seed + number;
      const stages = chooseProgram(programSeed, Math.min(OPERATIONS_IN_A_PROGRAM, operations - done));
      const count = countOperations(stages);
      const begun = Date.now();
      const failure = await runOnce(s3, writeBack, stages);
      const seconds = (Date.now() - begun) / 1000;
      const what = `${count} operations in ${stages.length} stages (${seconds.toFixed(1)} s)`;
      done += count;
      if (failure === undefined) {
        passed++;
        console.log(`ok     --seed ${programSeed}: ${what}`);
        continue;
      }
      failed++;
      console.log(`FAILED --seed ${programSeed} --operations ${count} --write-back ${writeBack}: ${what}`);
      tellFailure(failure);
      await shrinkAndTell(options, s3, stages, failure);
    }
  } finally {
    await s3.close();
    rmSync(directory, { recursive: true, force: true });
  }
  const memory = memoryVerdict();
  console.log(`${memory.ok ? 'ok    ' : 'FAILED'} ${memory.text}`);
  if (memory.ok) passed++;
  else failed++;
  console.log(`\n${passed} passed, ${failed} failed`);
  process.exitCode = failed === 0 ? 0 : 1;
}

await main();
