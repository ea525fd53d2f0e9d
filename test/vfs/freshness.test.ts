/** How old what a program sees may be, where the times to live are at their ends. Others are in consistency.test.ts. */
import t from 'tap';
import { code, O_RDWR, withVolume } from './volume-fixture.js';

t.test('with an open TTL of 0 every open asks, and sees what another client wrote', (t) =>
  withVolume(
    async (volume) => {
      await volume.put('f', 'one');
      t.equal(await volume.read('f'), 'one');
      volume.requests();
      t.equal(await volume.read('f'), 'one');
      t.same(volume.requests(), { GetObject: 1 }, 'asked though nothing changed');
      await volume.put('f', 'two');
      t.equal(await volume.read('f'), 'two', 'at once');
      const file = await volume.open('f', O_RDWR);
      t.equal((await volume.readAt(file, 0, 9)).toString(), 'two');
      await volume.closeFile(file);
    },
    { openTtlMs: 0 },
  ),
);

t.test('in a directory that this mount made, an absence counts for the metadata TTL', (t) =>
  withVolume(async (volume) => {
    await volume.mkdir('own');
    await volume.put('theirs/x', '');
    await volume.write('filled/f', '').catch(() => undefined);
    await volume.mkdir('filled');
    await volume.write('filled/f', 'data');
    for (const directory of ['own', 'filled', 'theirs']) {
      await volume.list(directory);
      t.equal(await code(volume.entry(`${directory}/late`)), 'ENOENT', directory);
    }
    for (const directory of ['own', 'filled', 'theirs']) await volume.put(`${directory}/late`, 'by another');
    volume.clock.advance(10_000);
    await volume.write('filled/g', 'more');
    volume.requests();
    for (const directory of ['own', 'filled'])
      t.equal(await code(volume.entry(`${directory}/late`)), 'ENOENT', directory);
    t.same(volume.requests(), {}, 'nobody was asked');
    t.equal(await code(volume.entry('theirs/late')), 'ok', 'after the negative TTL');
    volume.clock.advance(61_000);
    for (const directory of ['own', 'filled']) t.equal(await code(volume.entry(`${directory}/late`)), 'ok', directory);
  }),
);

t.test(
  'a file of unknown metadata shows the mount’s mode and owner and its own date; opening it brings the truth',
  (t) =>
    withVolume(
      async (volume) => {
        await volume.put('f', 'data', { mode: String(0o100600), uid: '7', gid: '8', mtime: '5.000000000' });
        const written = volume.memory.objects.get('f')?.lastModified ?? 0;
        volume.clock.advance(10_000);
        await volume.list('');
        const { attributes } = await volume.entry('f');
        t.match(attributes, { mode: 0o100644, uid: 1000, gid: 1000, mtime: { sec: Math.floor(written / 1000) } });
        t.equal(await volume.read('f'), 'data');
        t.match((await volume.entry('f')).attributes, { mode: 0o100600, uid: 7, gid: 8, mtime: { sec: 5, nsec: 0 } });
      },
      { attributes: 'listing' },
    ),
);
