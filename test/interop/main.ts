/**
 * `npm run test:interop`: pailfs and s3fs or rclone, of Debian's packages, on one bucket, in both directions. Arguments:
 * name=program of each, and options.
 */
import { parseArgs } from 'node:util';
import { onInterrupt } from '../mount/harness.js';
import { Failure, Meeting } from './meeting.js';
import type { PeerName } from './peer.js';
import { rowChecks } from './rows.js';
import { besideArguments, besideChecks } from './side-by-side.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { 'write-back': { type: 'string', default: 'on' } },
});
const writeBack = values['write-back'];
if (writeBack !== 'on' && writeBack !== 'off') throw new Error('--write-back is on or off');
let passed = 0;
let failed = 0;

/** Later ones go on from what earlier ones left, so that the first that fails ends them. */
async function runChecks(meeting: Meeting, checks: Record<string, () => Promise<unknown>>): Promise<void> {
  const names = Object.keys(checks);
  for (const [index, name] of names.entries()) {
    const begun = Date.now();
    try {
      await checks[name]();
      passed++;
      console.log(`ok     ${name} (${((Date.now() - begun) / 1000).toFixed(1)} s)`);
    } catch (error) {
      failed += names.length - index;
      const { message, stack } = error as Error;
      console.log(`FAILED ${name}: ${error instanceof Failure ? message : `${stack}\n${meeting.ground.lastLines()}`}`);
      if (index + 1 < names.length) console.log(`       and what follows it: ${names.slice(index + 1).join('; ')}`);
      return;
    }
  }
}

async function meet(
  name: PeerName,
  program: string,
  plan: (meeting: Meeting) => Record<string, () => Promise<unknown>>,
  more: readonly string[] = [],
): Promise<void> {
  const meeting = await Meeting.open(name, program, ['--write-back', writeBack as string, ...more]);
  const leave = onInterrupt(() => meeting.close());
  try {
    await runChecks(meeting, plan(meeting));
  } finally {
    leave();
    await meeting.close();
  }
}

for (const word of positionals) {
  const [name, program] = word.split('=', 2);
  if ((name !== 's3fs' && name !== 'rclone') || program === undefined) throw new Error(`${word} is no tool`);
  console.log(`\n== ${name}, write-back ${writeBack}`);
  await meet(name, program, (meeting) => meeting.checks(name, 'pailfs'));
  await meet(name, program, (meeting) => meeting.checks('pailfs', name));
  await meet(name, program, (meeting) => meeting.keyChecks());
  await meet(name, program, rowChecks);
  await meet(name, program, besideChecks, besideArguments);
}
console.log(`\n${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
