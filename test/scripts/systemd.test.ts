/** The unit and docs/operations.md say of the command what is so; `npm run test:systemd` runs them. */
import { existsSync, readFileSync } from 'node:fs';
import t from 'tap';
import { exitCode } from '../../src/exit-code.js';
import { packageRoot } from '../../src/package.js';

const at = (path: string): URL => new URL(path, packageRoot);
const page = readFileSync(at('docs/operations.md'), 'utf8');
const unit = readFileSync(at('docs/systemd/pailfs@.service'), 'utf8');

t.test('what starting again does not change', async (t) => {
  const told = /^RestartPreventExitStatus=(.*)$/m.exec(unit)?.[1].split(' ').map(Number) ?? [];
  const { usage, unsupportedBucket, noBucket, denied, wrongRegion, credentials } = exitCode;
  const { mountpointMissing, mountpointNotDirectory, noFusermount, mountRefused } = exitCode;
  const { directoryInsideMount, directoryUnusable, notBuilt, noLibfuse, journalRefused } = exitCode;
  t.same(told, [
    ...[usage, unsupportedBucket, noBucket, denied, wrongRegion, credentials],
    ...[mountpointMissing, mountpointNotDirectory, noFusermount, mountRefused],
    ...[directoryInsideMount, directoryUnusable, notBuilt, noLibfuse, journalRefused],
  ]);
});

t.test('the commands of the page', async (t) => {
  const files = [...page.matchAll(/^install -m 644 (\S+)/gm)].map((match) => match[1]);
  t.same(files, ['docs/systemd/pailfs@.service']);
  for (const file of files) t.ok(existsSync(at(file)), file);
  for (const path of ['/etc/pailfs/%i.env', '/etc/pailfs/%i.conf']) {
    t.ok(unit.includes(path), path);
    t.ok(page.includes(path.replace('%i', 'photos')), path);
  }
  t.match(page, /^s3:\/\/\S+ {2}\S+ {2}fuse\.pailfs {2}\S*_netdev,nofail {2}0 {2}0$/m, 'the line of fstab');
});
