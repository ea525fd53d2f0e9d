/** Files that are uploaded while they are written, without a kernel: when it begins, what it costs, and what ends it. */
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { MAX_STREAMS, MiB, STREAM_AFTER_MS, STREAM_IDLE_MS, STREAM_MAX_RATE } from '../../src/constants.js';
import type { FilesystemOptions } from '../../src/vfs/filesystem.js';
import { takesLong } from '../../src/vfs/streams.js';
import { code, ctx, O_TRUNC, O_WRONLY, ok, TestVolume } from './volume-fixture.js';

type File = Awaited<ReturnType<TestVolume['create']>>;
type Tap = Pick<typeof t, 'same' | 'equal' | 'ok' | 'notOk' | 'match'>;

const PART = 5 * MiB;
/** What is written behind two parts before they are begun. */
const TAIL = 2 * MiB;
const bytes = (length: number, value: number): Buffer => Buffer.alloc(length, value);

/** In both modes, with parts of 5 MiB; at the end nothing may be left. */
function inBothModes(name: string, work: (t: Tap, volume: TestVolume, writeBack: boolean) => Promise<void>): void {
  for (const writeBack of [false, true]) {
    t.test(`${name}, write-back ${writeBack ? 'on' : 'off'}`, async (t) => {
      const volume = await TestVolume.open({ writeBack, partBytes: PART } satisfies Partial<FilesystemOptions>);
      try {
        await work(t, volume, writeBack);
        t.same(await volume.fs.flushAll(), []);
        const { openFiles, staging } = volume.fs.status();
        t.same({ openFiles, staged: staging.usedBytes }, { openFiles: 0, staged: 0 });
      } finally {
        await volume.close();
      }
      t.same(await volume.memory.listUploads(''), [], 'no upload is left behind');
    });
  }
}

async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 10_000; !(await condition()); ) {
    if (Date.now() > end) throw new Error(`${what}: not within 10 s`);
    await sleep(2);
  }
}

const sent = (volume: TestVolume): number => volume.memory.counters.requests.UploadPart ?? 0;
const uploads = async (volume: TestVolume): Promise<string[]> =>
  (await volume.memory.listUploads('')).map(({ key }) => key);

/** Writes two parts, and as much of a third as makes it begin; resolves when both have left. */
async function begin(volume: TestVolume, file: File, value = 1): Promise<void> {
  await volume.writeAt(file, 0, bytes(2 * PART, value));
  await volume.writeAt(file, 2 * PART, bytes(TAIL / 2, value));
  const before = sent(volume);
  volume.clock.advance(STREAM_AFTER_MS);
  await volume.writeAt(file, 2 * PART + TAIL / 2, bytes(TAIL / 2, value));
  await until('two parts', () => sent(volume) === before + 2);
}

function bodyOf(volume: TestVolume, key: string): Buffer {
  return Buffer.from(volume.memory.objects.get(key)!.body);
}

inBothModes('a file that takes long is uploaded while it is written', async (t, volume) => {
  const file = await volume.create('a', O_WRONLY);
  await begin(volume, file);
  t.same(await uploads(volume), ['a']);
  t.notOk(volume.memory.objects.has('a'), 'nothing is visible yet');
  t.notOk((await volume.list('')).length === 0, 'but for this mount');
  volume.clock.advance(3000);
  await volume.writeAt(file, 2 * PART + TAIL, bytes(PART, 2));
  await until('the third', () => sent(volume) === 3);
  volume.requests();
  await volume.closeFile(file);
  await volume.fs.flushAll();
  const { HeadObject: _, ...requests } = volume.requests();
  t.same(
    requests,
    { UploadPart: 1, CompleteMultipartUpload: 1, CopyObject: 1 },
    'the rest, and the time of the last write',
  );
  t.ok(bodyOf(volume, 'a').equals(Buffer.concat([bytes(2 * PART + TAIL, 1), bytes(PART, 2)])));
  const { mtime, mode } = (await volume.with('a', async (_nodeid, entry) => entry)).attributes;
  const { metadata } = await volume.client.head('a');
  t.match(metadata, { mode: String(mode) });
  t.equal(Number(metadata.mtime), mtime.sec + mtime.nsec / 1e9);
  t.equal(Math.floor(Number(metadata.mtime) * 1000), volume.clock.now());
  await volume.remount(true, { partBytes: PART });
  t.equal((await volume.read('a')).length, 3 * PART + TAIL);
});

inBothModes('what was not written to since it began needs no copy', async (t, volume) => {
  const file = await volume.create('a', O_WRONLY);
  await begin(volume, file);
  volume.requests();
  await volume.closeFile(file);
  await volume.fs.flushAll();
  const { HeadObject: _, ...requests } = volume.requests();
  t.same(requests, { UploadPart: 1, CompleteMultipartUpload: 1 });
});

inBothModes('one that is written fast is not', async (t, volume) => {
  const file = await volume.create('a', O_WRONLY);
  await volume.writeAt(file, 0, bytes(2 * PART, 1));
  volume.clock.advance(STREAM_AFTER_MS - 1);
  await volume.writeAt(file, 2 * PART, bytes(PART, 1));
  await volume.writeAt(file, 3 * PART, bytes(PART, 1));
  await sleep(20);
  t.same(await uploads(volume), []);
  volume.requests();
  await volume.closeFile(file);
  await volume.fs.flushAll();
  t.same(volume.requests(), { CreateMultipartUpload: 1, UploadPart: 4, CompleteMultipartUpload: 1 }, 'and no copy');
});

t.test('what is worth it: long, neither faster than the store could follow nor next to nothing', async (t) => {
  const seconds = STREAM_AFTER_MS / 1000;
  t.notOk(takesLong(STREAM_AFTER_MS - 1, PART, PART));
  t.ok(takesLong(STREAM_AFTER_MS, PART, PART));
  t.ok(takesLong(STREAM_AFTER_MS, seconds * STREAM_MAX_RATE, PART));
  t.notOk(takesLong(STREAM_AFTER_MS, seconds * STREAM_MAX_RATE + 1, PART));
  t.ok(takesLong(STREAM_IDLE_MS, PART, PART));
  t.notOk(takesLong(STREAM_IDLE_MS, PART - 1, PART), 'a log that grows slowly');
});

inBothModes('what changes after it was sent is sent again', async (t, volume) => {
  const file = await volume.create('a', O_WRONLY);
  await begin(volume, file);
  await volume.writeAt(file, 7, bytes(10, 9));
  volume.requests();
  await volume.closeFile(file);
  await volume.fs.flushAll();
  t.match(volume.requests(), { UploadPart: 2, CompleteMultipartUpload: 1 }, 'the first part and the last');
  const wanted = bytes(2 * PART + TAIL, 1).fill(9, 7, 17);
  t.ok(bodyOf(volume, 'a').equals(wanted));
});

inBothModes('the rewrite of a file replaces the version that it was opened with', async (t, volume) => {
  await volume.write('a', 'old');
  await volume.fs.flushAll();
  const file = await volume.open('a', O_WRONLY | O_TRUNC);
  await begin(volume, file);
  t.equal(volume.body('a'), 'old');
  await volume.closeFile(file);
  await volume.fs.flushAll();
  t.ok(bodyOf(volume, 'a').equals(bytes(2 * PART + TAIL, 1)));
  t.same(volume.fs.status().conflicts, []);
});

inBothModes('somebody else wrote the file meanwhile', async (t, volume, writeBack) => {
  const file = await volume.create('a', O_WRONLY);
  await begin(volume, file);
  await volume.put('a', 'theirs');
  t.equal(await code(volume.closeFile(file)), writeBack ? 'ok' : 'ESTALE');
  await volume.fs.flushAll();
  t.equal(volume.body('a'), 'theirs');
  const copy = [...volume.memory.objects.keys()].find((key) => key.startsWith('a.conflict'))!;
  t.ok(bodyOf(volume, copy).equals(bytes(2 * PART + TAIL, 1)), 'ours is whole beside it');
});

inBothModes('somebody wrote and removed the key meanwhile, which AWS answers with 409', async (t, volume) => {
  const file = await volume.create('a', O_WRONLY);
  await begin(volume, file);
  await volume.put('a', 'theirs');
  await volume.memory.delete('a');
  await volume.closeFile(file);
  await volume.fs.flushAll();
  t.ok(bodyOf(volume, 'a').equals(bytes(2 * PART + TAIL, 1)));
  t.same(volume.fs.status().conflicts, []);
});

inBothModes('a file that is renamed is begun anew under its new name', async (t, volume, writeBack) => {
  const file = await volume.create('a', O_WRONLY);
  await begin(volume, file);
  await volume.rename('a', 'b');
  await until('the upload ends', async () => !(await uploads(volume)).includes('a'));
  volume.clock.advance(STREAM_AFTER_MS);
  const before = sent(volume);
  await volume.writeAt(file, 2 * PART + TAIL, bytes(PART, 2));
  await volume.writeAt(file, 3 * PART + TAIL, bytes(1, 3));
  // With a journal the rename is a change like any other, and what is there is brought over with it.
  if (!writeBack) {
    await until('three parts', () => sent(volume) === before + 3);
    t.same(await uploads(volume), ['b']);
  }
  await volume.closeFile(file);
  await volume.fs.flushAll();
  t.same([...volume.memory.objects.keys()], ['b']);
  t.equal(bodyOf(volume, 'b').length, 3 * PART + TAIL + 1);
});

inBothModes('a file that is renamed just before its end never shows under the old name', async (t, volume) => {
  const file = await volume.create('a', O_WRONLY);
  await begin(volume, file);
  const seen = new Set<string>();
  volume.client.add({
    method: ['completeUpload', 'put'],
    action: { kind: 'call', before: () => void [...volume.memory.objects.keys()].map((key) => seen.add(key)) },
  });
  await volume.rename('a', 'b');
  await volume.closeFile(file);
  await volume.fs.flushAll();
  t.notOk(seen.has('a'));
  t.same([...volume.memory.objects.keys()], ['b']);
  t.ok(bodyOf(volume, 'b').equals(bytes(2 * PART + TAIL, 1)));
});

inBothModes('the directory above it is renamed', async (t, volume) => {
  await volume.mkdir('d');
  const file = await volume.create('d/a', O_WRONLY);
  await begin(volume, file);
  await volume.rename('d', 'e');
  await volume.closeFile(file);
  await volume.fs.flushAll();
  t.same([...volume.memory.objects.keys()].sort(), ['e/', 'e/a']);
  t.ok(bodyOf(volume, 'e/a').equals(bytes(2 * PART + TAIL, 1)));
});

inBothModes('a file that is removed leaves nothing', async (t, volume) => {
  const file = await volume.create('a', O_WRONLY);
  await begin(volume, file);
  await volume.unlink('a');
  await until('the upload ends', async () => (await uploads(volume)).length === 0);
  await volume.writeAt(file, 2 * PART + TAIL, bytes(PART, 2));
  await volume.closeFile(file);
  await volume.fs.flushAll();
  t.same([...volume.memory.objects.keys()], []);
});

inBothModes('a new file takes the name of one that is removed and was streamed', async (t, volume) => {
  const file = await volume.create('a', O_WRONLY);
  await begin(volume, file);
  await volume.unlink('a');
  await volume.write('a', 'new');
  await volume.fs.flushAll();
  t.equal(volume.body('a'), 'new');
  await volume.closeFile(file);
  await until('the upload ends', async () => (await uploads(volume)).length === 0);
  t.equal(volume.body('a'), 'new');
});

inBothModes('a file that is cut off and written anew', async (t, volume) => {
  const file = await volume.create('a', O_WRONLY);
  await begin(volume, file);
  await volume.truncate('a', 100);
  await volume.writeAt(file, 100, bytes(3 * PART, 5));
  await volume.closeFile(file);
  await volume.fs.flushAll();
  t.ok(bodyOf(volume, 'a').equals(Buffer.concat([bytes(100, 1), bytes(3 * PART, 5)])));
});

inBothModes('somebody replaces the file before its times have followed, or removes it', async (t, volume) => {
  for (const name of ['replaced', 'gone']) {
    const file = await volume.create(name, O_WRONLY);
    await begin(volume, file);
    await volume.writeAt(file, 2 * PART + TAIL, bytes(1, 1));
    const theirs = async (): Promise<void> => {
      if (name === 'replaced') await volume.put(name, 'theirs');
      else await volume.memory.delete(name);
    };
    volume.client.add({ method: 'copy', key: name, times: 1, action: { kind: 'call', before: theirs } });
    t.equal(await code(volume.closeFile(file)), 'ok', 'ours was there, and no program asked for more');
    t.same(await volume.fs.flushAll(), []);
    t.same(volume.fs.status().conflicts, []);
  }
  t.ok(volume.body('replaced') === 'theirs');
  t.notOk(volume.memory.objects.has('gone'));
  volume.clock.advance(2000);
  t.ok((await volume.read('replaced')) === 'theirs');
});

inBothModes('who may write but not read gets no error for that, and no stream again', async (t, volume) => {
  volume.client.add({ method: 'copy', action: { kind: 'fail', error: 'AccessDenied' } });
  for (const name of ['first', 'second']) {
    const file = await volume.create(name, O_WRONLY);
    if (name === 'first') await begin(volume, file);
    else {
      await volume.writeAt(file, 0, bytes(2 * PART, 1));
      await volume.writeAt(file, 2 * PART, bytes(TAIL, 1));
      volume.clock.advance(STREAM_AFTER_MS);
    }
    await volume.writeAt(file, 2 * PART + TAIL, bytes(1, 1));
    await sleep(20);
    if (name === 'second') t.same(await uploads(volume), []);
    t.equal(await code(volume.closeFile(file)), 'ok');
    t.same(await volume.fs.flushAll(), []);
    t.equal(bodyOf(volume, name).length, 2 * PART + TAIL + 1);
  }
});

inBothModes('a file that is cut off at its end', async (t, volume) => {
  const file = await volume.create('a', O_WRONLY);
  await begin(volume, file);
  await volume.truncate('a', 2 * PART - 3);
  await volume.closeFile(file);
  await volume.fs.flushAll();
  t.ok(bodyOf(volume, 'a').equals(bytes(2 * PART - 3, 1)));
});

inBothModes('a file that is cut off and made longer again has zeros there', async (t, volume) => {
  const file = await volume.create('a', O_WRONLY);
  await begin(volume, file);
  await volume.truncate('a', PART + 5);
  await volume.truncate('a', 2 * PART + 10);
  await volume.closeFile(file);
  await volume.fs.flushAll();
  t.ok(bodyOf(volume, 'a').equals(Buffer.concat([bytes(PART + 5, 1), bytes(PART + 5, 0)])));
});

inBothModes('a writer that stops does not hold an upload for ever', async (t, volume) => {
  const file = await volume.create('a', O_WRONLY);
  await begin(volume, file);
  volume.clock.advance(STREAM_IDLE_MS + 1);
  await until('the upload ends', async () => (await uploads(volume)).length === 0);
  await volume.writeAt(file, 2 * PART + TAIL, bytes(PART, 2));
  await volume.writeAt(file, 3 * PART + TAIL, bytes(1, 2));
  await sleep(20);
  t.same(await uploads(volume), [], 'nor begins another');
  await volume.closeFile(file);
  await volume.fs.flushAll();
  t.equal(bodyOf(volume, 'a').length, 3 * PART + TAIL + 1);
});

inBothModes('what fails early is told to nobody', async (t, volume) => {
  for (const method of ['createUpload', 'uploadPart'] as const) {
    volume.client.add({ method, times: 1, action: { kind: 'fail', error: 'AccessDenied' } });
    const file = await volume.create(method, O_WRONLY);
    await volume.writeAt(file, 0, bytes(2 * PART, 1));
    await volume.writeAt(file, 2 * PART, bytes(TAIL / 2, 1));
    volume.clock.advance(STREAM_AFTER_MS);
    const before = volume.client.struck;
    await volume.writeAt(file, 2 * PART + TAIL / 2, bytes(TAIL / 2, 1));
    await until('the failure', () => volume.client.struck === before + 1);
    await until('the end of the upload', async () => (await uploads(volume)).length === 0);
    await volume.closeFile(file);
    await volume.fs.flushAll();
    t.ok(bodyOf(volume, method).equals(bytes(2 * PART + TAIL, 1)));
  }
});

inBothModes('somebody aborts the upload', async (t, volume) => {
  await volume.write('a', 'old');
  await volume.fs.flushAll();
  const file = await volume.open('a', O_WRONLY | O_TRUNC);
  await begin(volume, file);
  for (const { key, uploadId } of await volume.memory.listUploads('')) await volume.memory.abortUpload(key, uploadId);
  await volume.closeFile(file);
  await volume.fs.flushAll();
  t.ok(bodyOf(volume, 'a').equals(bytes(2 * PART + TAIL, 1)));
  t.same(volume.fs.status().conflicts, []);
});

inBothModes('the store does not take the parts for what they were', async (t, volume) => {
  const file = await volume.create('a', O_WRONLY);
  await begin(volume, file);
  volume.client.add({ method: 'completeUpload', times: 1, action: { kind: 'fail', error: 'InvalidRequest' } });
  t.equal(await code(volume.closeFile(file)), 'ok');
  t.same(await volume.fs.flushAll(), []);
  t.ok(bodyOf(volume, 'a').equals(bytes(2 * PART + TAIL, 1)));
});

inBothModes('fsync in the middle, and writing goes on', async (t, volume) => {
  const file = await volume.create('a', O_WRONLY);
  await begin(volume, file);
  await ok(volume.fs.fsync(ctx, file.nodeid, file.fh, false));
  t.ok(bodyOf(volume, 'a').equals(bytes(2 * PART + TAIL, 1)));
  await volume.writeAt(file, 2 * PART + TAIL, bytes(PART, 2));
  await volume.closeFile(file);
  await volume.fs.flushAll();
  t.ok(bodyOf(volume, 'a').equals(Buffer.concat([bytes(2 * PART + TAIL, 1), bytes(PART, 2)])));
});

t.test('an upload that is overtaken by its writer goes on with what it has', async (t) => {
  const volume = await TestVolume.open({ writeBack: true, partBytes: PART });
  const file = await volume.create('a', O_WRONLY);
  await begin(volume, file);
  const more = { kind: 'call', before: () => volume.writeAt(file, 2 * PART + TAIL, bytes(100, 2)) } as const;
  volume.client.add({ method: 'uploadPart', times: 1, action: more });
  volume.requests();
  await ok(volume.fs.flush(ctx, file.nodeid, file.fh));
  await volume.fs.flushAll();
  const { CreateMultipartUpload, AbortMultipartUpload, UploadPart } = volume.requests();
  t.same([CreateMultipartUpload, AbortMultipartUpload], [undefined, undefined]);
  t.equal(UploadPart, 2, 'the last part, twice');
  t.ok(bodyOf(volume, 'a').equals(Buffer.concat([bytes(2 * PART + TAIL, 1), bytes(100, 2)])));
  await volume.closeFile(file);
  await volume.fs.flushAll();
  await volume.close();
});

t.test('no more files at one time, and no more parts, than there may be', async (t) => {
  const volume = await TestVolume.open({ writeBack: true, partBytes: PART });
  let running = 0;
  let most = 0;
  volume.client.add({
    method: 'uploadPart',
    action: {
      kind: 'call',
      before: async () => {
        most = Math.max(most, ++running);
        await sleep(2);
        running--;
      },
    },
  });
  const files: File[] = [];
  for (let i = 0; i < MAX_STREAMS + 2; i++) {
    const file = await volume.create(`f${i}`, O_WRONLY);
    await volume.writeAt(file, 0, bytes(2 * PART, i));
    await volume.writeAt(file, 2 * PART, bytes(TAIL, i));
    files.push(file);
  }
  volume.clock.advance(STREAM_AFTER_MS);
  for (const file of files) await volume.writeAt(file, 2 * PART + TAIL, bytes(1, 0));
  await until('all parts', () => sent(volume) === 2 * MAX_STREAMS);
  t.equal((await uploads(volume)).length, MAX_STREAMS);
  t.equal(most, 2);
  for (const file of files) await volume.closeFile(file);
  await volume.fs.flushAll();
  for (let i = 0; i < files.length; i++) t.equal(bodyOf(volume, `f${i}`).length, 2 * PART + TAIL + 1);
  t.same(await uploads(volume), []);
  await volume.close();
});

t.test('temporary names, part changes and cold storage classes are not streamed', async (t) => {
  for (const [name, storageClass] of [
    ['.film.mkv.aB3xY9', undefined],
    ['cold', 'GLACIER'],
    ['rare', 'STANDARD_IA'],
  ] as const) {
    const volume = await TestVolume.open({ writeBack: true, partBytes: PART, storageClass });
    const file = await volume.create(name, O_WRONLY);
    await volume.writeAt(file, 0, bytes(2 * PART, 1));
    await volume.writeAt(file, 2 * PART, bytes(TAIL, 1));
    volume.clock.advance(STREAM_AFTER_MS);
    await volume.writeAt(file, 2 * PART + TAIL, bytes(1, 1));
    await sleep(20);
    t.same(await uploads(volume), [], name);
    await volume.closeFile(file);
    await volume.fs.flushAll();
    t.equal(bodyOf(volume, name).length, 2 * PART + TAIL + 1);
    await volume.close();
  }
});

t.test('after a kill the next start aborts what was streamed, and uploads what was closed', async (t) => {
  const volume = await TestVolume.open({ writeBack: true, partBytes: PART });
  const open = await volume.create('open', O_WRONLY);
  await begin(volume, open);
  const closed = await volume.create('closed', O_WRONLY);
  await begin(volume, closed);
  await volume.closeFile(closed);
  t.same(await uploads(volume), ['closed', 'open']);
  // The old daemon's client is the new one's too: what it would end in order must not be taken for the new one's work.
  volume.client.add({ method: 'abortUpload', times: 2, action: { kind: 'fail', error: 'Unreachable' } });
  await volume.kill({ writeBack: true, partBytes: PART });
  await volume.fs.flushAll();
  t.same([...volume.memory.objects.keys()], ['closed']);
  t.ok(bodyOf(volume, 'closed').equals(bytes(2 * PART + TAIL, 1)));
  await volume.remount(false, { writeBack: true, partBytes: PART });
  t.same(await uploads(volume), []);
  await volume.close();
});

t.test('a mount that ends with a file half written leaves no upload', async (t) => {
  const volume = await TestVolume.open({ writeBack: true, partBytes: PART });
  const file = await volume.create('a', O_WRONLY);
  await begin(volume, file);
  t.same(await uploads(volume), ['a']);
  await volume.close();
  t.same(await uploads(volume), []);
  t.notOk(volume.memory.objects.has('a'));
});

/** A writer that goes forward mostly, and does everything else now and then; what it wrote is what must be there. */
async function writeAtRandom(volume: TestVolume, random: (below: number) => number): Promise<Buffer> {
  let name = 'a';
  let wanted = Buffer.alloc(0);
  const file = await volume.create(name, O_WRONLY);
  const write = async (at: number, data: Buffer): Promise<void> => {
    if (at + data.length > wanted.length) wanted = Buffer.concat([wanted], at + data.length);
    data.copy(wanted, at);
    await volume.writeAt(file, at, data);
  };
  for (let step = 0; step < 14; step++) {
    const piece = bytes(1 + random(4 * MiB), 1 + random(250));
    const at = random(wanted.length + 1);
    const kind = random(20);
    if (kind < 13) await write(wanted.length, piece);
    else if (kind === 13) await write(Math.max(0, at - piece.length), piece);
    else if (kind === 14) await write(at, piece.subarray(0, 1 + random(70_000)));
    else if (kind === 15) await ok(volume.fs.flush(ctx, file.nodeid, file.fh));
    else if (kind === 16) await ok(volume.fs.fsync(ctx, file.nodeid, file.fh, false));
    else if (kind === 17) {
      const size = Math.max(0, wanted.length - random(2 * PART));
      wanted = Buffer.from(wanted.subarray(0, size));
      await volume.truncate(name, size);
    } else if (kind === 18) {
      await volume.rename(name, `${name}x`);
      name += 'x';
    } else await sleep(random(8));
  }
  await volume.closeFile(file);
  return wanted;
}

t.test('whatever a writer does, what it wrote is what the store has in the end', async (t) => {
  process.env.PAILFS_TEST_STREAM_AFTER_MS = '0';
  t.teardown(() => delete process.env.PAILFS_TEST_STREAM_AFTER_MS);
  const runs = Number(process.env.PAILFS_MODEL_RUNS ?? 16);
  let begun = 0;
  for (let seed = 1; seed <= runs; seed++) {
    let state = seed * 2_654_435_761;
    const random = (below: number): number => {
      state = (Math.imul(state ^ (state >>> 15), 2_246_822_519) + 0x9e3779b9) >>> 0;
      return state % below;
    };
    const options = { writeBack: seed % 2 === 0, partBytes: PART };
    const volume = await TestVolume.open(options);
    volume.client.add({
      method: 'uploadPart',
      action: { kind: 'call', before: async () => void (await sleep(random(6))) },
    });
    const wanted = await writeAtRandom(volume, random);
    t.same(await volume.fs.flushAll(), [], `seed ${seed}`);
    const { CopyObject = 0, CreateMultipartUpload = 0 } = volume.memory.counters.requests;
    begun += Math.min(CopyObject, CreateMultipartUpload);
    const [key, ...more] = [...volume.memory.objects.keys()];
    t.same(more, [], `seed ${seed}`);
    t.ok(bodyOf(volume, key).equals(wanted), `seed ${seed}: ${key} is what was written`);
    await volume.close();
    t.same(await uploads(volume), [], `seed ${seed}`);
  }
  t.ok(begun > 0, 'some were streamed');
});
