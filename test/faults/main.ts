/**
 * `npm run test:faults`: a program works on a mount of the real binary while the store misbehaves in one way after the
 * other, and while the disk of the state directory is full or fails. No wrong byte is ever read, nothing acknowledged is
 * lost, the error of a trouble reaches the program (or `pailfs status`), and everything works again without a remount.
 */
import { parseArgs } from 'node:util';
import { memoryVerdict } from '../crash/resident-memory.js';
import { onInterrupt } from '../mount/harness.js';
import { failingDisk, failingSyncDisk, fullDisk } from './disks.js';
import { Faults, type Plan } from './faults.js';
import { longOutage } from './outage.js';
import { scenarios } from './scenarios.js';

/** Everything that can be chosen: scenarios on one mount, and parts with a mount of their own. */
const parts: Readonly<Record<string, (faults: Faults) => Promise<void>>> = {
  'full-disk': fullDisk,
  'failing-disk': failingDisk,
  'failing-sync-disk': failingSyncDisk,
  'long-outage': longOutage,
};
const names = [...scenarios.map(({ id }) => id), ...Object.keys(parts)];
/**
 * Only where they are named: a device that is cut short below a mounted ext4 can leave pages that the kernel (6.18) never
 * lets go of. sync(2) hangs then until the machine is started anew.
 */
const onlyNamed: ReadonlySet<string> = new Set(['failing-disk', 'failing-sync-disk']);
/** Of the times, with --short. */
const SHORT = 0.3;

function readPlan(): Plan {
  const { values } = parseArgs({
    options: {
      seed: { type: 'string', default: String(Date.now() % 1_000_000) },
      'write-back': { type: 'string', default: 'on' },
      scenarios: { type: 'string' },
      log: { type: 'string' },
      short: { type: 'boolean', default: false },
    },
  });
  const writeBack = values['write-back'];
  if (writeBack !== 'on' && writeBack !== 'off') throw new Error('--write-back is on or off');
  const chosen = values.scenarios?.split(',');
  const unknown = chosen?.filter((one) => !names.includes(one)) ?? [];
  if (unknown.length > 0) throw new Error(`--scenarios: ${unknown.join(', ')}; there are ${names.join(', ')}`);
  return {
    seed: Number(values.seed),
    writeBack,
    share: values.short ? SHORT : 1,
    log: values.log,
    chosen: chosen === undefined ? undefined : new Set(chosen),
  };
}

async function storeInTrouble(faults: Faults): Promise<void> {
  const { seed, chosen } = faults.plan;
  await faults.mount();
  for (const [number, scenario] of scenarios.entries())
    if (chosen?.has(scenario.id) ?? true) await faults.scenario(scenario, seed + number * 10);
  await faults.end('everything acknowledged is in S3');
}

async function runPart(plan: Plan, name: string, part: (faults: Faults) => Promise<void>): Promise<Faults> {
  const faults = await Faults.open(plan);
  const leave = onInterrupt(() => faults.close());
  try {
    await part(faults);
  } catch (error) {
    faults.check(name, [String((error as Error).stack)]);
  } finally {
    leave();
    await faults.close();
  }
  return faults;
}

const plan = readPlan();
console.log(`--seed ${plan.seed} --write-back ${plan.writeBack}`);
const done: Faults[] = [];
if (scenarios.some(({ id }) => plan.chosen?.has(id) ?? true)) done.push(await runPart(plan, 'the run', storeInTrouble));
for (const [name, part] of Object.entries(parts))
  if (plan.chosen?.has(name) ?? !onlyNamed.has(name)) done.push(await runPart(plan, name, part));
const memory = memoryVerdict();
console.log(`${memory.ok ? 'ok    ' : 'FAILED'} ${memory.text}`);
const [passed, failed] = [
  done.reduce((sum, one) => sum + one.passed, memory.ok ? 1 : 0),
  done.reduce((sum, one) => sum + one.failed, memory.ok ? 0 : 1),
];
console.log(`\n${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
