/** Files that are uploaded while a program still writes them: the real command on a real mount, in both modes. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ListMultipartUploadsCommand, S3Client } from '@aws-sdk/client-s3';
import t, { type Test } from 'tap';
import { MiB } from '../../src/constants.js';
import { check, noKernelMounts, start, until, within } from '../mount/harness.js';
import { bucket, getObject, makePlace, type Place } from './fixture.js';

const skip = noKernelMounts;
t.setTimeout(400_000);

const PART = 5 * MiB;
const modes = ['on', 'off'] as const;

/** Writes pieces of so many bytes, each filled with another byte, and waits before each for a file STEM.N. */
const writer = `
import os, sys, time
path, stem, sizes = sys.argv[1], sys.argv[2], sys.argv[3:]
fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o640)
for number, size in enumerate(sizes):
    while not os.path.exists('%s.%d' % (stem, number)):
        time.sleep(0.01)
    left = int(size)
    while left > 0:
        left -= os.write(fd, bytes([65 + number]) * min(left, 1 << 20))
    print('piece', flush=True)
while not os.path.exists('%s.%d' % (stem, len(sizes))):
    time.sleep(0.01)
os.close(fd)
`;

class Writer {
  readonly #stem: string;
  readonly #running: ReturnType<typeof start>;
  #said = '';
  #steps = 0;

  constructor(
    t: Test,
    place: Place,
    readonly name: string,
    readonly sizes: readonly number[],
  ) {
    this.#stem = join(place.directory, `go-${name}`);
    const path = join(place.mountpoint, name);
    const args = ['-c', writer, path, this.#stem, ...sizes.map(String)];
    this.#running = start('python3', args, { timeout: 120_000 });
    this.#running.child.stdout!.on('data', (text: string) => {
      this.#said += text;
    });
    t.teardown(() => this.#running.child.kill('SIGKILL'));
  }

  /** Lets it write its next piece; resolves when that is written. */
  async step(): Promise<void> {
    writeFileSync(`${this.#stem}.${this.#steps++}`, '');
    await until('a piece', () => this.#said.split('piece').length > this.#steps, 30_000);
  }

  /** Lets it close the file; answers how it ended. */
  async close(): Promise<number | null> {
    writeFileSync(`${this.#stem}.${this.#steps}`, '');
    return (await within(60_000, 'the end of the writer', this.#running.result)).code;
  }

  get wanted(): string {
    return this.sizes.map((size, number) => String.fromCharCode(65 + number).repeat(size)).join('');
  }
}

async function uploadsOf(place: Place): Promise<string[]> {
  const { endpoint, region, credentials } = place.server;
  const client = new S3Client({ endpoint, region, credentials, forcePathStyle: true });
  const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket: bucket }));
  client.destroy();
  return Uploads.map(({ Key }) => Key!);
}

async function untilUploads(place: Place, wanted: readonly string[]): Promise<void> {
  for (let i = 0; JSON.stringify(await uploadsOf(place)) !== JSON.stringify(wanted); i++) {
    if (i > 300) throw new Error(`uploads of ${wanted.join(', ')}: not in time, but ${await uploadsOf(place)}`);
    await sleep(50);
  }
}

const requestsOf = (place: Place, operation: string): number => place.server.requests.byOperation[operation] ?? 0;

/** A mount on which everything that is large enough is streamed. */
async function placeFor(t: Test, mode: (typeof modes)[number]): Promise<Place> {
  const place = await makePlace(t);
  place.env.PAILFS_TEST_STREAM_AFTER_MS = '0';
  await place.mount(['--write-back', mode, '--part-size', '5MiB']);
  return place;
}

for (const mode of modes) {
  t.test(`full parts leave before the file is closed, write-back ${mode}`, { skip }, async (t) => {
    const place = await placeFor(t, mode);
    const file = new Writer(t, place, 'film', [3 * PART + 100, PART, 50]);
    await file.step();
    await until('three parts', () => requestsOf(place, 'UploadPart') === 3, 20_000);
    await file.step();
    await until('the fourth', () => requestsOf(place, 'UploadPart') === 4, 20_000);
    await file.step();
    t.same(await uploadsOf(place), ['film']);
    t.equal(await getObject(place, 'film'), undefined, 'nothing is visible before close()');
    t.equal(await file.close(), 0);
    if (mode === 'off') t.ok((await getObject(place, 'film')) === file.wanted, 'close() answers when it is there');
    const stat = await check(`stat -c '%s %a %Y' ${place.mountpoint}/film`);
    await place.sync();
    t.ok((await getObject(place, 'film')) === file.wanted);
    t.equal(requestsOf(place, 'UploadPart'), 5, 'the rest is one part');
    t.same(await uploadsOf(place), []);
    // Another machine sees the time of the last write, not that of the beginning.
    t.match(await place.pailfs(['umount', place.mountpoint]), { code: 0 });
    place.env.PAILFS_CACHE_DIR = join(place.directory, 'cache-2');
    place.env.PAILFS_STATE_DIR = join(place.directory, 'state-2');
    await place.mount();
    t.equal(await check(`stat -c '%s %a %Y' ${place.mountpoint}/film`), stat);
    t.match(await place.pailfs(['umount', place.mountpoint]), { code: 0 });
  });

  t.test(`renamed and removed while it is written, write-back ${mode}`, { skip }, async (t) => {
    const place = await placeFor(t, mode);
    const [renamed, removed] = ['renamed', 'removed'].map(
      (name) => new Writer(t, place, name, [2 * PART + 100, 2 * PART]),
    );
    await renamed.step();
    await removed.step();
    await untilUploads(place, ['removed', 'renamed']);
    await check(`cd ${place.mountpoint}; mv renamed other; rm removed`);
    // With a journal the rename is a change like any other, and what is there is brought over with it.
    if (mode === 'off') await untilUploads(place, ['other']);
    else await until('the end of the other', () => requestsOf(place, 'AbortMultipartUpload') === 2, 20_000);
    await renamed.step();
    await removed.step();
    t.same([await renamed.close(), await removed.close()], [0, 0]);
    await place.sync();
    t.same((await check(`ls ${place.mountpoint}`)).trim(), 'other');
    t.ok((await getObject(place, 'other')) === renamed.wanted);
    t.same([await getObject(place, 'renamed'), await getObject(place, 'removed')], [undefined, undefined]);
    t.same(await uploadsOf(place), []);
    t.match(await place.pailfs(['umount', place.mountpoint]), { code: 0 });
  });

  t.test(`the daemon is told to stop while a file is written, write-back ${mode}`, { skip }, async (t) => {
    const place = await placeFor(t, mode);
    const file = new Writer(t, place, 'film', [2 * PART + 100]);
    await file.step();
    await untilUploads(place, ['film']);
    const [pid] = place.daemons();
    process.kill(pid, 'SIGTERM');
    for (let i = 0; i < 300 && (await getObject(place, 'film')) === undefined; i++) await sleep(50);
    t.ok((await getObject(place, 'film')) === file.wanted, 'what was written is there before it is closed');
    await file.close();
    await until('its end', () => place.daemons().length === 0, 60_000);
    t.same(await uploadsOf(place), []);
    t.ok((await getObject(place, 'film')) === file.wanted);
  });
}

t.test('kill -9: the next mount aborts the upload of an open file, and finishes a closed one', { skip }, async (t) => {
  const place = await placeFor(t, 'on');
  const action = { kind: 'error', status: 503, code: 'ServiceUnavailable' } as const;
  place.server.faults.add({ match: { operation: ['CompleteMultipartUpload'] }, action });
  const open = new Writer(t, place, 'open', [2 * PART + 100]);
  const closed = new Writer(t, place, 'closed', [2 * PART + 100]);
  await open.step();
  await closed.step();
  await untilUploads(place, ['closed', 'open']);
  t.equal(await closed.close(), 0);
  for (const pid of place.daemons()) process.kill(pid, 'SIGKILL');
  await until('killed', () => place.daemons().length === 0);
  t.same(await uploadsOf(place), ['closed', 'open']);
  place.server.faults.clear();
  await place.mount(['--write-back', 'on', '--part-size', '5MiB']);
  await place.sync();
  t.same(await uploadsOf(place), []);
  t.ok((await getObject(place, 'closed')) === closed.wanted);
  t.equal(await getObject(place, 'open'), undefined, 'nobody closed it');
  t.equal((await check(`ls ${place.mountpoint}`)).trim(), 'closed');
  t.match(await place.pailfs(['umount', place.mountpoint]), { code: 0 });
});
