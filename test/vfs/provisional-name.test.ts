import t from 'tap';
import { isProvisionalName } from '../../src/vfs/provisional-name.js';

t.test('names that programs give up once a file is whole', async (t) => {
  const provisional = [
    '.film.mkv.aB3xY9',
    'iso.part',
    'iso.PARTIAL',
    'a.crdownload',
    'a.tmp',
    'tmp_pack_x8Yz',
    '.~lock',
  ];
  for (const name of provisional) t.ok(isProvisionalName(name), name);
  const final = ['film.mkv', '.bashrc', '.config.yaml', 'part', 'a.parts', 'backup.tar', 'notes~', '.a.b', 'x.aB3xY9'];
  for (const name of final) t.notOk(isProvisionalName(name), name);
});
