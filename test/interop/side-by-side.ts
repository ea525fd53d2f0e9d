/** Both have the bucket mounted, and pailfs sees what the other does as soon as it is in the store, with TTLs of 0. */
import { run, until } from '../mount/harness.js';
import type { Meeting } from './meeting.js';

const SEEN_MS = 15_000;

/** What the other does, a look through pailfs, and what that shows. */
const steps: ReadonlyArray<readonly [string, string, string]> = [
  ['printf one > f', 'cat f', 'one'],
  ["printf ' two' >> f", 'cat f', 'one two'],
  ['mkdir d; mv f d/g', 'ls; cat d/g', 'd\none two'],
  ['touch -d @1500000000.25 d/g', 'stat -c %.Y d/g', '1500000000.250000000\n'],
  ['printf 2 > d/h; rm d/g', 'ls d', 'h\n'],
];

async function beside({ ground, peer }: Meeting): Promise<void> {
  await peer.mount();
  await ground.mountCold();
  const { mountpoint } = ground;
  for (const [does, look, shows] of steps) {
    const done = await run('/bin/sh', ['-ec', does], { cwd: peer.mountpoint });
    if (done.code !== 0) throw new Error(`${does}: ${done.stderr}`);
    let seen = '';
    await until(
      `${look} after ${does}`,
      async () => {
        const { stdout } = await run('/bin/sh', ['-c', look], { cwd: mountpoint });
        seen = stdout;
        return seen === shows;
      },
      SEEN_MS,
    ).catch((error) => Promise.reject(new Error(`${error.message}: ${JSON.stringify(seen)}`)));
  }
  await ground.umount();
  await peer.umount();
}

export const besideArguments: readonly string[] = ['--metadata-ttl', '0', '--open-ttl', '0', '--negative-ttl', '0'];

export const besideChecks = (meeting: Meeting): Record<string, () => Promise<void>> => ({
  [`pailfs sees what ${meeting.peer.name} does while both are mounted`]: () => beside(meeting),
});
