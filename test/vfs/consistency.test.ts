/** What opens, stats and listings may show when another client changes the bucket; each with its cost in requests. */
import t from 'tap';
import { code, ctx, O_RDWR, O_WRONLY, ok, withVolume } from './volume-fixture.js';

t.test('an open within the TTL asks nothing, a later one sees what another client wrote', () =>
  withVolume(async (volume) => {
    await volume.put('f', 'one');
    t.equal(await volume.read('f'), 'one');
    volume.requests();
    t.equal(await volume.read('f'), 'one');
    t.same(volume.requests(), {}, 'within the TTL');
    await volume.put('f', 'two');
    volume.clock.advance(1500);
    t.equal(await volume.read('f'), 'two');
    t.same(volume.requests(), { GetObject: 1, PutObject: 1 }, 'one GET tells and brings it');
    volume.clock.advance(1500);
    t.equal(await volume.read('f'), 'two');
    t.same(volume.requests(), { GetObject: 1 }, 'still the same: one conditional GET');
  }),
);

t.test('an open that found another version is not sent back by an older listing', () =>
  withVolume(async (volume) => {
    volume.looksTwice = true;
    await volume.put('f', 'one');
    await volume.list('');
    t.equal(await volume.read('f'), 'one');
    await volume.put('f', 'two, longer');
    volume.clock.advance(1500);
    t.equal(await volume.read('f'), 'two, longer', 'the kernel looks the name up once more, and no further');
    await volume.put('f', 'three');
    volume.clock.advance(1500);
    await volume.write('f', 'written over three');
    t.equal(await volume.read('f'), 'written over three');
  }),
);

t.test('what this mount wrote and another client replaced is opened at once', (t) =>
  withVolume(async (volume) => {
    await volume.write('f', 'ours');
    await volume.fs.flushAll();
    t.equal(await volume.read('f'), 'ours');
    await volume.put('f', 'theirs, longer');
    volume.clock.advance(1500);
    t.equal(await volume.read('f'), 'theirs, longer', 'the kernel looks the name up once more, and no further');
    t.same(await volume.list(''), ['f']);
  }),
);

t.test('cat of a listed small file is one GET', () =>
  withVolume(async (volume) => {
    for (let i = 0; i < 20; i++) await volume.put(`d/${i}`, `content ${i}`);
    await volume.list('d');
    volume.requests();
    t.equal(await volume.read('d/7'), 'content 7');
    t.same(volume.requests(), { GetObject: 1 });
  }),
);

t.test('cached files opened in series are revalidated by one LIST', () =>
  withVolume(async (volume) => {
    for (let i = 0; i < 50; i++) await volume.put(`d/${String(i).padStart(2, '0')}`, `content ${i}`);
    const names = await volume.list('d');
    for (const name of names) await volume.read(`d/${name}`);
    await volume.put('d/40', 'changed');
    volume.clock.advance(5000);
    volume.requests();
    for (const name of names)
      t.equal(await volume.read(`d/${name}`), name === '40' ? 'changed' : `content ${Number(name)}`);
    const { GetObject = 0, ListObjectsV2 = 0, ...rest } = volume.requests();
    t.ok(GetObject <= 4, `${GetObject} GETs`);
    t.equal(ListObjectsV2, 1);
    t.same(rest, {});
  }),
);

t.test('creating a small file in a listed directory is one PUT', () =>
  withVolume(async (volume) => {
    await volume.put('d/x', 'x');
    await volume.list('d');
    volume.requests();
    await volume.write('d/new', 'bytes');
    t.same(volume.requests(), { PutObject: 1 });
    await volume.write('d/newer', 'bytes');
    t.same(volume.requests(), { PutObject: 1 });
    t.match(volume.memory.objects.get('d/new')?.metadata, { mode: String(0o100644), uid: '0', mtime: /^\d+\.\d{9}$/ });
  }),
);

t.test('a handle stays on the version it opened: its bytes, or ESTALE', () =>
  withVolume(async (volume) => {
    await volume.put('f', 'a'.repeat(8_000_000));
    const old = await volume.open('f');
    t.equal((await volume.readAt(old, 0, 10)).toString(), 'aaaaaaaaaa');
    await volume.put('f', 'b'.repeat(8_000_000));
    volume.clock.advance(2000);
    const fresh = await volume.open('f');
    t.not(fresh.nodeid, old.nodeid, 'the new version is a new node');
    t.equal((await volume.readAt(fresh, 0, 4)).toString(), 'bbbb');
    t.equal((await volume.readAt(old, 0, 4)).toString(), 'aaaa', 'cached bytes of the old version');
    t.equal(await code(volume.readAt(old, 7_000_000, 4)), 'ESTALE', 'never mixed');
    t.equal((await ok(volume.fs.getattr(ctx, old.nodeid, old.fh))).attributes.size, 8_000_000);
    await volume.closeFile(old);
    await volume.closeFile(fresh);
  }),
);

t.test('pages are kept by the kernel while the version is the same', () =>
  withVolume(async (volume) => {
    await volume.put('f', 'one');
    const first = await volume.open('f');
    await volume.closeFile(first);
    const second = await volume.open('f');
    t.equal(second.keepCache, true);
    await volume.closeFile(second);
    await volume.put('f', 'two');
    volume.clock.advance(2000);
    const third = await volume.open('f');
    t.equal(third.keepCache, false);
    await volume.closeFile(third);
  }),
);

t.test('stat is at most the metadata TTL old; absence at most the negative TTL', () =>
  withVolume(async (volume) => {
    await volume.put('f', 'one');
    t.equal((await volume.entry('f')).attributes.size, 3);
    await volume.put('f', 'longer');
    volume.clock.advance(59_000);
    t.equal((await volume.entry('f')).attributes.size, 3);
    volume.clock.advance(2000);
    t.equal((await volume.entry('f')).attributes.size, 6);
    t.equal(await code(volume.entry('g')), 'ENOENT');
    await volume.put('g', 'now');
    volume.requests();
    t.equal(await code(volume.entry('g')), 'ENOENT');
    t.same(volume.requests(), {});
    volume.clock.advance(1100);
    t.equal(await code(volume.entry('g')), 'ok');
    await volume.memory.delete('g');
    volume.clock.advance(61_000);
    t.equal(await code(volume.entry('g')), 'ENOENT');
  }),
);

t.test('a metadata TTL of 0 always asks', () =>
  withVolume(
    async (volume) => {
      await volume.put('f', 'one');
      t.equal((await volume.entry('f')).attributes.size, 3);
      await volume.put('f', 'longer');
      t.equal((await volume.entry('f')).attributes.size, 6);
    },
    { metadataTtlMs: 0, negativeTtlMs: 0, openTtlMs: 0 },
  ),
);

t.test('a conflict keeps both contents', () =>
  withVolume(async (volume) => {
    await volume.put('f', 'base');
    const file = await volume.open('f', O_RDWR);
    await volume.writeAt(file, 0, 'ours');
    await volume.put('f', 'theirs');
    t.equal(await code(volume.closeFile(file)), 'ESTALE');
    t.equal(volume.body('f'), 'theirs');
    const [conflict] = volume.fs.status().conflicts;
    t.equal(conflict.path, '/f');
    t.match(conflict.copy, /^\/f\.conflict-here-\d{8}T\d{6}Z$/);
    t.equal(volume.body(conflict.copy.slice(1)), 'ours');
    t.equal(await volume.read('f'), 'theirs');
    t.equal(await volume.read(conflict.copy), 'ours');
    t.same((await volume.list('')).sort(), ['f', conflict.copy.slice(1)].sort());
    t.equal(volume.fs.status().dirty.length, 0);
  }),
);

t.test('a new file whose name somebody took meanwhile is a conflict too', () =>
  withVolume(async (volume) => {
    const file = await volume.create('f');
    await volume.writeAt(file, 0, 'ours');
    await volume.put('f', 'theirs');
    t.equal(await code(volume.closeFile(file)), 'ESTALE');
    t.equal(volume.body('f'), 'theirs');
    t.equal(volume.fs.status().conflicts.length, 1);
  }),
);

t.test('an object that was deleted under its writer is written anew', () =>
  withVolume(async (volume) => {
    await volume.put('f', 'base and more');
    t.equal(await volume.read('f'), 'base and more');
    const file = await volume.open('f', O_WRONLY);
    await volume.writeAt(file, 0, 'ours');
    await volume.memory.delete('f');
    await volume.closeFile(file);
    t.equal(volume.body('f'), 'ours and more');
  }),
);

t.test('an upload that failed is the result of close, and is tried again', () =>
  withVolume(async (volume) => {
    const file = await volume.create('f');
    await volume.writeAt(file, 0, 'ours');
    volume.client.add({ method: 'put', times: 2, action: { kind: 'fail', error: 'Timeout' } });
    t.equal(await code(volume.closeFile(file)), 'EIO', 'the failure of the upload is the result of close');
    t.same(
      volume.fs.status().dirty.map(({ path }) => path),
      ['/f'],
      'and the file stays staged',
    );
    t.equal((await volume.fs.flushAll()).length, 0);
    t.equal(volume.body('f'), 'ours');
  }),
);

t.test('a file that is written while it is uploaded ends as it was written last', () =>
  withVolume(async (volume) => {
    await volume.put('f', 'base '.repeat(4));
    const file = await volume.open('f', O_RDWR);
    await volume.writeAt(file, 0, 'FIRST');
    let strikes = 0;
    const before = async (): Promise<void> => {
      if (strikes++ === 0) await volume.writeAt(file, 10, 'THEN');
    };
    volume.client.add({ method: 'put', action: { kind: 'call', before } });
    await volume.closeFile(file);
    t.equal(volume.body('f'), 'FIRSTbase THEN base ');
    t.equal(strikes, 2, 'uploaded twice');
    t.equal(volume.fs.status().dirty.length, 0);
    t.equal(await volume.read('f'), 'FIRSTbase THEN base ');
  }),
);

t.test('what another tool set on an object survives our changes', () =>
  withVolume(async (volume) => {
    const headers = {
      contentType: 'text/x-own',
      cacheControl: 'max-age=5',
      contentDisposition: 'inline',
      storageClass: 'STANDARD_IA',
    };
    await volume.memory.put('f', Buffer.from('base'), { headers, metadata: { colour: 'green' }, tags: [['k', 'v']] });
    const check = (what: string): void => {
      const object = volume.memory.objects.get('f');
      t.match(object?.headers, headers, what);
      t.match(object?.metadata, { colour: 'green' }, what);
      t.same(object?.tags, [['k', 'v']], what);
    };
    await volume.with('f', (nodeid) => ok(volume.fs.setattr(ctx, nodeid, { mode: 0o600, killSuidgid: false })));
    check('chmod');
    const file = await volume.open('f', O_WRONLY);
    await volume.writeAt(file, 4, '+');
    await volume.closeFile(file);
    check('append');
    await volume.write('f', 'all new');
    check('rewrite');
    t.equal((await volume.entry('f')).attributes.mode, 0o100600);
  }),
);

t.test('where listing is denied, 403 for an absent key does not stop creating', () =>
  withVolume(
    async (volume) => {
      volume.client.add({ method: 'list', action: { kind: 'fail', error: 'AccessDenied' } });
      volume.client.add({ method: 'head', key: 'new', times: 2, action: { kind: 'fail', error: 'AccessDenied' } });
      volume.client.add({ method: 'head', key: 'new/', times: 2, action: { kind: 'fail', error: 'AccessDenied' } });
      await volume.write('new', 'bytes');
      t.equal(volume.body('new'), 'bytes');
      t.equal(await code(volume.list('')), 'EACCES');
    },
    { canList: false },
  ),
);

t.test('ls -l of 10,000 entries without metadata is 10 LISTs and one HEAD; with metadata each is asked once', () =>
  withVolume(async (volume) => {
    for (let i = 0; i < 10_000; i++) await volume.put(`d/${i}`, '');
    volume.clock.advance(10_000);
    volume.requests();
    t.equal((await volume.list('d', 200)).length, 10_000);
    const { HeadObject = 0, ListObjectsV2 = 0 } = volume.requests();
    // One of each finds the directory itself.
    t.ok(HeadObject + ListObjectsV2 <= 11 + 2, `${ListObjectsV2} LISTs, ${HeadObject} HEADs`);
    for (let i = 0; i < 300; i++) await volume.put(`e/${i}`, '', { mode: String(0o100600) });
    volume.clock.advance(10_000);
    volume.clock.advance(120_000);
    await volume.list('e', 200);
    t.equal((await volume.entry('e/7')).attributes.mode, 0o100600);
    volume.requests();
    volume.clock.advance(120_000);
    await volume.list('e', 200);
    t.ok((volume.requests().HeadObject ?? 0) <= 1, 'known from then on: only the directory itself is looked up');
    await volume.remount(false);
    await volume.list('e', 200);
    t.equal((await volume.entry('e/7')).attributes.mode, 0o100600);
    t.ok((volume.requests().HeadObject ?? 0) <= 1, 'also after a remount');
  }),
);

t.test('what a listing asks of objects that were just written is shown, however long the page takes', () =>
  withVolume(async (volume) => {
    for (let i = 0; i < 30; i++) await volume.put(`d/${i}`, 'x', { mode: String(0o100600) });
    // Each HEAD takes longer than what it tells counts.
    volume.client.add({ method: 'head', action: { kind: 'call', before: () => volume.clock.advance(900) } });
    for (const name of await volume.list('d', 200)) {
      t.equal((await volume.entry(`d/${name}`)).attributes.mode, 0o100600, name);
    }
  }),
);

t.test('a directory that was shown before its metadata was learnt gets its mode when that is known', () =>
  withVolume(async (volume) => {
    await volume.put('d/m/', '', { mode: String(0o040700) });
    await volume.put('d/plain', 'x');
    volume.clock.advance(10_000);
    await volume.list('d', 200);
    t.equal((await volume.entry('d/m')).attributes.mode, 0o040755, 'a sample showed none');
    await volume.put('d/with', 'x', { mode: String(0o100600) });
    volume.clock.advance(70_000);
    await volume.list('d', 200);
    t.equal(await volume.read('d/with'), 'x');
    volume.clock.advance(70_000);
    await volume.list('d', 200);
    t.equal((await volume.entry('d/m')).attributes.mode, 0o040700);
  }),
);

t.test('a directory without a marker that loses its last directory stays until rmdir', () =>
  withVolume(async (volume) => {
    volume.holds = false;
    await volume.put('d/s/f', 'x');
    await volume.unlink('d/s/f');
    await volume.rmdir('d/s');
    await volume.fs.flushAll();
    await volume.remount(true);
    t.same(await volume.list('d'), []);
    await volume.rmdir('d');
    t.same(await volume.list(''), []);
  }),
);
