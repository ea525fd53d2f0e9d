/** What waits is noted as safe only when the disk has taken all of it. */
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { silentLogger } from '../../src/log.js';
import { SAFE_ID, StateSync } from '../../src/vfs/write-back/state-sync.js';
import { Journal } from '../../src/writeback/journal.js';
import type { StagedFile } from '../../src/writeback/staged-file.js';

const directory = mkdtempSync(join(tmpdir(), 'pailfs-state-sync-'));
t.teardown(() => rmSync(directory, { recursive: true, force: true }));

t.test('a file whose sync failed once is not safe until it is gone', async (t) => {
  const journal = Journal.open(join(directory, 'journal'), 'here', silentLogger);
  let failures = 0;
  const onFailure = (): void => {
    failures++;
  };
  const sync = new StateSync(journal, 60_000, silentLogger, { beforeSync: () => undefined, onFailure });
  const safe = (): number => {
    for (const [id, { value }] of journal.entries())
      if (id === SAFE_ID) return (value as { sequence: number }).sequence;
    return -1;
  };
  const add = (name: string): string => {
    const path = join(directory, name);
    sync.add({ path } as StagedFile);
    journal.append([[10, name]]);
    return path;
  };
  writeFileSync(add('good'), 'bytes');
  await sync.run();
  t.equal(safe(), journal.sequence - 1, 'everything before the note');
  const before = safe();
  // fdatasync(2) of it fails.
  const bad = add('bad');
  symlinkSync('/proc/self/status', bad);
  await t.rejects(sync.run(), { code: 'EINVAL' });
  t.equal(safe(), before);
  t.equal(failures, 1);
  t.match(sync.failure, { code: 'EINVAL' });
  rmSync(bad);
  writeFileSync(bad, 'the disk works again');
  await t.rejects(sync.run(), /an earlier sync failed/);
  t.equal(safe(), before, 'the disk may still lack what was written before');
  rmSync(bad);
  await sync.run();
  t.equal(sync.failure, undefined);
  t.ok(safe() > before, 'it is in the store by now');
  await sync.close();
  await journal.close();
});
