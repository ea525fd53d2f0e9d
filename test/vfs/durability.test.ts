/** What fsync waits for, and what is there after the machine or its state directory failed. */
import {
  closeSync,
  cpSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmdirSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import pino from 'pino';
import t from 'tap';
import { MAX_PENDING, STATE_SYNC_MS } from '../../src/constants.js';
import { silentLogger } from '../../src/log.js';
import { SAFE_ID } from '../../src/vfs/write-back/state-sync.js';
import { Journal } from '../../src/writeback/journal.js';
import { parseJournal } from '../../src/writeback/journal-format.js';
import { code, ctx, O_WRONLY, ok, type TestVolume, withVolume } from './volume-fixture.js';

t.setTimeout(120_000);
const writeBack = true;
const chmod = (volume: TestVolume, path: string, mode: number): Promise<unknown> =>
  volume.with(path, (nodeid) => ok(volume.fs.setattr(ctx, nodeid, { mode, killSuidgid: false })));

/** What the disk of this moment would be after a loss of power: all of the journal, and nothing it does not call safe. */
async function losePower(volume: TestVolume, name: string): Promise<void> {
  const state = join(volume.directory, `after-${name}`);
  cpSync(join(volume.directory, 'state'), state, { recursive: true });
  const journal = Journal.open(join(state, 'journal'), 'bucket/', silentLogger);
  const entries = [...journal.entries()];
  const safe = entries.find(([id]) => id === SAFE_ID)?.[1].value as { sequence: number } | undefined;
  journal.append([[SAFE_ID, { kind: 'safe', boot: 'another', sequence: safe?.sequence ?? -1 }]]);
  await journal.close();
  await volume.fs.close();
  await volume.mount({ writeBack, stateDirectory: state, cacheDirectory: join(volume.directory, `cache-${name}`) });
}

const fsyncdir = (volume: TestVolume, path: string): Promise<number> =>
  volume.with(path, async (nodeid) => {
    const { fh } = await ok(volume.fs.opendir(ctx, nodeid, 0));
    const result = await ok(volume.fs.fsyncdir(ctx, nodeid, fh, false));
    await volume.fs.releasedir(nodeid, fh);
    return result;
  });

/** Writes over a file, which the store does not get. */
async function overwrite(volume: TestVolume, path: string, text: string): Promise<void> {
  const file = await volume.open(path, O_WRONLY);
  await volume.writeAt(file, 0, text);
  await volume.closeFile(file);
}

t.test('what may have been lost with the power replaces nothing, and stands beside what is there', (t) =>
  withVolume(
    async (volume) => {
      await volume.put('f', 'before');
      volume.client.add({ method: 'put', action: { kind: 'fail', error: 'Timeout' } });
      await overwrite(volume, 'f', 'behind');
      volume.client.clear();
      await losePower(volume, 'loss');
      await volume.fs.flushAll();
      t.equal(volume.body('f'), 'before');
      const [conflict] = volume.fs.status().conflicts;
      t.match(conflict, { path: '/f', copy: /^\/f\.conflict-here-/ });
      t.equal(volume.body(conflict.copy.slice(1)), 'behind');
    },
    { writeBack },
  ),
);

t.test('5 s after its close a file outlives a loss of power', (t) =>
  withVolume(
    async (volume) => {
      t.equal(STATE_SYNC_MS, 5_000);
      await volume.put('f', 'before');
      volume.client.add({ method: 'put', action: { kind: 'fail', error: 'Timeout' } });
      await overwrite(volume, 'f', 'behind');
      await setTimeout(STATE_SYNC_MS + 1_000);
      volume.client.clear();
      await losePower(volume, 'sync');
      await volume.fs.flushAll();
      t.equal(volume.body('f'), 'behind');
      t.same(volume.fs.status().conflicts, []);
    },
    { writeBack },
  ),
);

t.test('with --fsync=disk fsync waits for this disk and not for the store', (t) =>
  withVolume(
    async (volume) => {
      await volume.put('f', 'before');
      const file = await volume.open('f', O_WRONLY);
      await volume.writeAt(file, 0, 'behind');
      volume.requests();
      t.equal(await ok(volume.fs.fsync(ctx, file.nodeid, file.fh, false)), 0);
      await volume.mkdir('d');
      volume.requests();
      t.equal(await fsyncdir(volume, ''), 0);
      t.same(volume.requests(), {});
      volume.client.add({ method: 'put', action: { kind: 'fail', error: 'Timeout' } });
      await volume.closeFile(file);
      volume.client.clear();
      await losePower(volume, 'fsync');
      await volume.fs.flushAll();
      t.same([volume.body('f'), volume.body('d/')], ['behind', '']);
      t.same(volume.fs.status().conflicts, []);
    },
    { writeBack, fsync: 'disk' },
  ),
);

t.test('fsync of a directory waits until its names are in the store', (t) =>
  withVolume(
    async (volume) => {
      for (const name of ['d/gone', 'd/old', 'e/other']) await volume.put(name, name);
      await volume.write('d/new', 'made');
      await volume.mkdir('d/sub');
      await volume.rename('d/old', 'd/renamed');
      await volume.unlink('d/gone');
      await chmod(volume, 'e/other', 0o600);
      t.notOk(volume.memory.objects.has('d/new'));
      t.equal(await fsyncdir(volume, 'd'), 0);
      const keys = [...volume.memory.objects.keys()].filter((key) => key !== 'd/').sort();
      t.same(keys, ['d/new', 'd/renamed', 'd/sub/', 'e/other']);
      t.equal(volume.memory.objects.get('e/other')?.metadata.mode, undefined, 'another directory');
    },
    { writeBack },
  ),
);

t.test('what waits goes to the store by itself', (t) =>
  withVolume(
    async (volume) => {
      await volume.write('f', 'data');
      await volume.mkdir('d');
      for (let round = 0; round < 200 && volume.memory.objects.size < 2; round++) await setTimeout(50);
      t.same([volume.body('f'), volume.body('d/')], ['data', '']);
    },
    { writeBack },
  ),
);

t.test('what a damaged journal leaves in doubt is set aside and named', (t) =>
  withVolume(
    async (volume) => {
      await volume.put('kept', 'still there');
      await volume.put('large', '');
      for (const method of ['put', 'deleteMany', 'delete'] as const)
        volume.client.add({ method, action: { kind: 'fail', error: 'Timeout' } });
      const large = 'x'.repeat(100_000);
      await overwrite(volume, 'large', large);
      await volume.unlink('kept');
      for (const name of ['a', 'b', 'c']) await volume.write(name, `text of ${name}`);
      const state = join(volume.directory, 'damaged');
      cpSync(join(volume.directory, 'state'), state, { recursive: true });
      await volume.fs.close();
      volume.client.clear();
      const path = join(state, 'journal');
      const bytes = readFileSync(path);
      const { frames } = parseJournal(bytes);
      // What was noted before b may have been changed by the frame that cannot be read; c came behind it.
      const damaged = frames.find(({ items }) => JSON.stringify(items).includes('"path":["b"]'));
      bytes[(damaged?.start ?? 0) + 40] ^= 1;
      writeFileSync(path, bytes);
      const lines: Array<{ msg: string; what?: string }> = [];
      const logger = pino({ level: 'error' }, { write: (line: string) => void lines.push(JSON.parse(line)) });
      await volume.mount({ writeBack, logger, stateDirectory: state, cacheDirectory: join(volume.directory, 'new') });
      const named = lines.filter(({ msg }) => /in doubt: it is set aside/.test(msg)).map(({ what }) => what);
      t.same(named.sort(), ['a', 'kept', 'large']);
      const aside = readdirSync(join(state, 'set-aside'));
      t.ok(readFileSync(join(state, 'set-aside', 'records.jsonl'), 'utf8').includes('"path":["a"]'));
      const file = aside.find((name) => name !== 'records.jsonl') ?? '';
      t.ok(readFileSync(join(state, 'set-aside', file), 'utf8').startsWith(large.slice(0, 99)), 'its bytes too');
      await volume.fs.flushAll();
      t.same([...volume.memory.objects.keys()].sort(), ['c', 'kept', 'large']);
      t.same([volume.body('c'), volume.body('kept'), volume.body('large')], ['text of c', 'still there', '']);
      t.same((await volume.list('')).sort(), ['c', 'kept', 'large'], 'nothing was done with it');
      t.same(volume.fs.status().conflicts, []);
    },
    { writeBack },
  ),
);

/** From here on every write to the journal fails, and it cannot be made anew. Answers how to end that. */
function breakJournal(path: string): () => void {
  const isOpenAs = (fd: string): boolean => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`) === path;
    } catch {
      return false;
    }
  };
  const fd = Number(readdirSync('/proc/self/fd').find(isOpenAs));
  const others: number[] = [];
  closeSync(fd);
  // The lowest free number is given out first.
  for (let taken = -1; taken !== fd; ) {
    taken = openSync('/dev/full', 'r+');
    if (taken !== fd) others.push(taken);
  }
  for (const other of others) closeSync(other);
  mkdirSync(`${path}.new`);
  return () => rmdirSync(`${path}.new`);
}

t.test('while the journal cannot be written a close waits for its upload, and names stay', (t) =>
  withVolume(
    async (volume) => {
      await volume.put('f', 'before');
      await volume.put('g', 'other');
      const file = await volume.create('new');
      await volume.writeAt(file, 0, 'made');
      const heal = breakJournal(join(volume.directory, 'state', 'journal'));
      await volume.closeFile(file);
      t.equal(volume.body('new'), 'made', 'it is there when close answers');
      await overwrite(volume, 'f', 'behind');
      t.equal(volume.body('f'), 'behind');
      t.equal(await code(chmod(volume, 'g', 0o600)), 'EIO');
      t.equal(await code(volume.rename('g', 'h')), 'EIO');
      t.equal(await code(volume.mkdir('d')), 'EIO');
      t.equal(await code(volume.unlink('g')), 'EIO');
      t.equal(volume.body('g'), 'other');
      heal();
      await setTimeout(1_100);
      await volume.rename('g', 'h');
      await volume.fs.flushAll();
      t.equal(volume.body('h'), 'other');
    },
    { writeBack },
  ),
);

t.test('with 10,000 changes waiting for a store that is away no more names change', (t) =>
  withVolume(
    async (volume) => {
      t.equal(MAX_PENDING, 10_000);
      await volume.mkdir('top');
      const { nodeid } = await volume.entry('top');
      for (const method of ['put', 'head', 'list'] as const)
        volume.client.add({ method, action: { kind: 'fail', error: 'Timeout' } });
      // Between two tries of the store who makes more waits for the next, on timers that keep no process alive.
      const alive = setInterval(() => undefined, 1_000);
      t.teardown(() => clearInterval(alive));
      let refusal = 'ok';
      let made = 0;
      for (; refusal === 'ok' && made < 20_000; made++)
        refusal = await code(ok(volume.fs.mkdir(ctx, nodeid, `d${made}`, 0o755, 0)));
      t.equal(refusal, 'ENOSPC');
      t.ok(made > 10_000 && made < 12_000, `${made}`);
    },
    { writeBack },
  ),
);
