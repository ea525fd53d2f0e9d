/** A file that is changed in part keeps the rest in the cache, and so can be kept whole beside what another client wrote. */
import t from 'tap';
import { code, ctx, O_RDWR, ok, withVolume } from './volume-fixture.js';

const SIZES = [3_000, 30_000, 7_000_000];

for (const writeBack of [false, true])
  for (const size of SIZES)
    t.test(`${size} bytes, write-back ${writeBack ? 'on' : 'off'}`, (t) =>
      withVolume(
        async (volume) => {
          const change = async (text: string): Promise<void> => {
            const file = await volume.open('f', O_RDWR);
            await volume.writeAt(file, 0, text);
            await volume.closeFile(file);
          };
          const rest = 'r'.repeat(size);
          const first = 'one'.repeat(Math.floor(size / 7));
          await volume.put('f', rest);
          t.equal(await volume.read('f'), rest);
          await change(first);
          await volume.fs.flushAll();
          const whole = first + rest.slice(first.length);
          t.ok(volume.body('f') === whole, 'in the store');
          volume.requests();
          t.ok((await volume.read('f')) === whole, 'and here');
          t.same(volume.requests(), {}, 'without a download');

          const second = 'two'.repeat(Math.floor(size / 10));
          const file = await volume.open('f', O_RDWR);
          await volume.writeAt(file, 0, second);
          await volume.put('f', 'theirs');
          const closed = await code(volume.closeFile(file));
          t.equal(closed, writeBack ? 'ok' : 'ESTALE');
          await volume.fs.flushAll();
          t.equal(volume.body('f'), 'theirs');
          const [conflict] = volume.fs.status().conflicts;
          t.ok(volume.body(conflict.copy.slice(1)) === second + whole.slice(second.length), 'ours is kept whole');
          t.same(volume.fs.status().dirty, []);
        },
        { writeBack, partBytes: 5 * 2 ** 20 },
      ),
    );

t.test('once an upload was tried a small file is whole in the journal: a kill, no cache, and theirs in S3', (t) =>
  withVolume(
    async (volume) => {
      const rest = 'r'.repeat(12_000);
      await volume.put('f', rest);
      const file = await volume.open('f', O_RDWR);
      await volume.writeAt(file, 5_000, 'ours');
      volume.client.add({ method: 'put', times: 1, action: { kind: 'fail', error: 'AccessDenied' } });
      t.equal(await code(ok(volume.fs.fsync(ctx, file.nodeid, file.fh, false))), 'EACCES');
      await code(volume.closeFile(file));
      await volume.kill({ writeBack: true });
      await volume.put('f', 'theirs');
      await volume.fs.flushAll();
      t.equal(volume.body('f'), 'theirs');
      const [conflict] = volume.fs.status().conflicts;
      const ours = `${rest.slice(0, 5_000)}ours${rest.slice(5_004)}`;
      t.ok(volume.body(conflict?.copy.slice(1) ?? '') === ours, 'ours is kept whole');
      t.same(volume.fs.status().dirty, []);
    },
    { writeBack: true },
  ),
);

t.test('a file changed in part whose rest is gone is refused, and kept here', (t) =>
  withVolume(
    async (volume) => {
      const size = 7_000_000;
      await volume.put('f', 'x'.repeat(size));
      const file = await volume.open('f', O_RDWR);
      await volume.writeAt(file, size / 2, 'ours');
      await volume.put('f', 'theirs');
      await code(volume.closeFile(file));
      await volume.fs.flushAll();
      t.equal(volume.body('f'), 'theirs', 'what they wrote stays');
      t.same([...volume.memory.objects.keys()], ['f'], 'nothing that is not whole is made of ours');
      t.match(volume.fs.status().dirty, [{ path: '/f', size, failure: 'ESTALE' }]);
    },
    { writeBack: true },
  ),
);
