import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { CacheIndex } from '../../src/cache/cache-index.js';
import { silentLogger } from '../../src/log.js';
import { isSmallDisk } from '../small-disk.js';
import { temporary } from './fixture.js';

async function filled(t: Parameters<typeof temporary>[0]): Promise<string> {
  const directory = temporary(t);
  const index = CacheIndex.open(directory, silentLogger);
  await index.versions.put('v', 'id');
  await index.contents.put('id', { size: 1, diskBytes: 1, used: 1, blocks: [], versions: ['v'] });
  await index.close();
  return directory;
}

t.test('what was put is there after a restart', async (t) => {
  const index = CacheIndex.open(await filled(t), silentLogger);
  t.equal(index.versions.get('v'), 'id');
  await index.close();
});

t.test('garbage is begun anew; LMDB itself would end the process', async (t) => {
  const damages: Array<[string, (path: string) => void]> = [
    ['text', (path) => writeFileSync(path, 'garbage'.repeat(5_000))],
    ['zeros', (path) => writeFileSync(path, Buffer.alloc(24_576))],
    ['one byte', (path) => writeFileSync(path, 'x')],
    ['empty', (path) => writeFileSync(path, '')],
    ['cut', (path) => truncateSync(path, 5_000)],
    ['second meta page', (path) => writeFileSync(path, readFileSync(path).fill(0, 4096, 8192))],
  ];
  for (const [what, damage] of damages) {
    const directory = await filled(t);
    damage(join(directory, 'index', 'data.mdb'));
    const index = CacheIndex.open(directory, silentLogger);
    t.equal(index.versions.get('v'), undefined, what);
    await index.versions.put('v', 'other');
    t.equal(index.versions.get('v'), 'other', what);
    await index.close();
  }
});

t.test('an index that ended the process while it was opened is not tried again', async (t) => {
  const directory = await filled(t);
  writeFileSync(join(directory, 'index.opening'), '');
  const index = CacheIndex.open(directory, silentLogger);
  t.equal(index.versions.get('v'), undefined);
  await index.close();
  const again = CacheIndex.open(directory, silentLogger);
  await again.flush();
  await again.close();
});

t.test('a file in the place of the index', async (t) => {
  const directory = temporary(t);
  mkdirSync(join(directory, 'index', 'data.mdb'), { recursive: true });
  const index = CacheIndex.open(directory, silentLogger);
  await index.versions.put('v', 'id');
  t.equal(index.versions.get('v'), 'id');
  await index.close();
});

t.test('a full disk costs entries, and no more', async (t) => {
  const directory = temporary(t);
  if (!isSmallDisk(t, directory, '4m')) return;
  // In a process of its own, which a rejection that nobody handles ends, as it does the daemon.
  const script = `
    import { rmSync, writeFileSync } from 'node:fs';
    import { CacheIndex } from '${new URL('../../src/cache/cache-index.js', import.meta.url)}';
    import { silentLogger } from '${new URL('../../src/log.js', import.meta.url)}';
    const index = CacheIndex.open('${directory}', silentLogger);
    try { writeFileSync('${directory}/filler', Buffer.alloc(2 ** 24)); } catch (error) { console.log(error.code); }
    for (let round = 0; round < 10; round++) {
      const puts = Array.from({ length: 200 }, (_, i) => index.attributes.put(round + '-' + i, { text: 'x'.repeat(500) }));
      if (round % 2 === 0) await Promise.all(puts);
      else await new Promise((resolve) => setTimeout(resolve, 20));
    }
    await index.flush();
    console.log(index.attributes.get('9-199'));
    rmSync('${directory}/filler');
    await index.attributes.put('later', 'kept');
    console.log(index.attributes.get('later'));
    await index.close();
  `;
  const told = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    encoding: 'utf8',
    timeout: 30_000,
  });
  t.equal(told.status, 0, told.stderr);
  t.equal(told.stdout, 'ENOSPC\nundefined\nkept\n');
});

t.test('close is final, and may come twice', async (t) => {
  const index = CacheIndex.open(temporary(t), silentLogger);
  const late = index.versions.put('v', 'id');
  await Promise.all([index.close(), index.close()]);
  await late;
  await index.versions.put('after', 'id');
  await index.versions.remove('v');
  await index.flush();
  t.equal(index.versions.get('after'), undefined);
  t.same([...index.versions.entries()], []);
});

t.test(
  'an index that was open when the machine stopped is begun anew; that a process died does it no harm',
  async (t) => {
    const directory = await filled(t);
    const mark = join(directory, 'index.boot');
    t.notOk(existsSync(mark), 'closed in order');
    writeFileSync(mark, readFileSync('/proc/sys/kernel/random/boot_id'));
    const same = CacheIndex.open(directory, silentLogger);
    t.equal(same.versions.get('v'), 'id');
    t.ok(existsSync(mark));
    await same.close();
    writeFileSync(mark, 'another boot');
    const anew = CacheIndex.open(directory, silentLogger);
    t.equal(anew.versions.get('v'), undefined);
    await anew.close();
  },
);
