import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { pread, pwrite, pwritev } from '../src/file-io.js';

t.test('whole buffers at their place, one or several', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'pailfs-test-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  const path = join(directory, 'f');
  const fd = openSync(path, 'w+');
  t.teardown(() => closeSync(fd));
  await pwrite(fd, Buffer.from('abc'), 2);
  await pwritev(fd, [Buffer.from('de'), Buffer.alloc(0), Buffer.from('fgh')], 5);
  await pwritev(fd, [], 100);
  t.equal(readFileSync(path, 'latin1'), '\0\0abcdefgh');
  const bytes = Buffer.alloc(20, 1);
  t.equal(await pread(fd, bytes, 3), 7, 'fewer at the end of the file');
  t.equal(bytes.toString('latin1', 0, 8), 'bcdefgh\u0001');
  t.equal(await pread(fd, bytes, 50), 0);
  t.equal(await pread(fd, Buffer.alloc(0), 0), 0);
});

t.test('a failed write tells how much was written', async (t) => {
  const fd = openSync('/dev/full', 'w');
  t.teardown(() => closeSync(fd));
  await t.rejects(pwrite(fd, Buffer.from('abc'), 0), { code: 'ENOSPC', written: 0 });
  await t.rejects(pwritev(fd, [Buffer.from('abc')], 0), { code: 'ENOSPC' });
});
