/** `--passthrough` as users have it: what the log and `pailfs status` say, and who reads a cached file. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { noKernelMounts, sh } from '../mount/harness.js';
import { makePlace, type Place, putObject } from './fixture.js';

t.setTimeout(120_000);

async function statusOf(place: Place): Promise<{ passthrough: string; reads: number }> {
  const { stdout } = await place.pailfs(['status', place.mountpoint, '--json']);
  const { passthrough, operations } = JSON.parse(stdout);
  return { passthrough, reads: operations.read?.count ?? 0 };
}

t.test('auto and off', { skip: noKernelMounts }, async (t) => {
  const place = await makePlace(t);
  const { mountpoint, directory } = place;
  const log = join(directory, 'state', 'pailfs.log');
  await putObject(place, 'rows', 'red, white, yellow\n'.repeat(20_000));
  const seen: Record<string, { passthrough: string; again: number }> = {};
  for (const mode of ['auto', 'off']) {
    await place.mount([`--passthrough=${mode}`]);
    // Read once without the kernel's pages, which also checks what is cached.
    t.match(await sh(`dd if=${mountpoint}/rows of=/dev/null bs=64k iflag=direct status=none; sleep 0.2`), { code: 0 });
    const before = await statusOf(place);
    t.ok(before.reads > 0);
    t.match(await sh(`cat ${mountpoint}/rows > /dev/null`), { code: 0 });
    seen[mode] = { passthrough: before.passthrough, again: (await statusOf(place)).reads - before.reads };
    t.match((await place.pailfs(['status', mountpoint])).stdout, `passthrough ${before.passthrough}`);
    t.equal((await place.pailfs(['umount', mountpoint])).code, 0);
  }
  t.equal(seen.off.passthrough, 'off');
  t.ok(seen.off.again > 0);
  t.match(seen.auto.passthrough, /^(on|off \(.+\))$/);
  t.equal(seen.auto.again > 0, seen.auto.passthrough !== 'on', seen.auto.passthrough);
  const told = readFileSync(log, 'utf8').match(/"passthrough":"[^"]+"/g);
  t.same(told, [`"passthrough":"${seen.auto.passthrough}"`, '"passthrough":"off"'], 'once a mount');
});
