/** What rewrites and renames ask for of an object's own KMS key and storage class, and what the mount's options change. */
import t from 'tap';
import { MiB } from '../../src/constants.js';
import { ctx, O_WRONLY, ok, type TestVolume, withVolume } from './volume-fixture.js';

const encryption = { algorithm: 'aws:kms', keyId: 'its-own' };
const kept = (volume: TestVolume, key: string) => volume.memory.objects.get(key)?.encryption;

async function append(volume: TestVolume, path: string): Promise<void> {
  const file = await volume.open(path, O_WRONLY);
  await volume.writeAt(file, 4, '+');
  await volume.closeFile(file);
}

t.test('an object keeps its KMS key through every rewrite', (t) =>
  withVolume(async (volume) => {
    await volume.memory.put('f', Buffer.from('base'), { encryption });
    await volume.memory.put('d/', Buffer.alloc(0), { encryption });
    await volume.memory.put('d/x', Buffer.alloc(9 * MiB), { encryption });
    await volume.with('f', (nodeid) => ok(volume.fs.setattr(ctx, nodeid, { mode: 0o600, killSuidgid: false })));
    t.same(kept(volume, 'f'), encryption, 'chmod');
    await append(volume, 'f');
    t.same(kept(volume, 'f'), encryption, 'append');
    await volume.rename('f', 'g');
    t.same(kept(volume, 'g'), encryption, 'rename');
    await volume.write('g', 'all new');
    t.same(kept(volume, 'g'), encryption, 'rewrite');
    await append(volume, 'd/x');
    t.same(kept(volume, 'd/x'), encryption, 'in parts');
    await volume.with('d', (nodeid) => ok(volume.fs.setattr(ctx, nodeid, { mode: 0o700, killSuidgid: false })));
    t.same(kept(volume, 'd/'), encryption, 'a marker');
    await volume.rename('d', 'e');
    t.same(kept(volume, 'e/x'), encryption, 'a directory is renamed');
    await volume.write('new', 'x');
    t.equal(kept(volume, 'new'), undefined);
  }),
);

t.test('SSE-S3 is left to the bucket, which gives no less', (t) =>
  withVolume(async (volume) => {
    await volume.memory.put('f', Buffer.from('base'), { encryption: { algorithm: 'AES256' } });
    await append(volume, 'f');
    t.equal(kept(volume, 'f'), undefined);
  }),
);

t.test('the storage class of the mount is that of files, and goes before their own', (t) =>
  withVolume(
    async (volume) => {
      const classOf = (key: string) => volume.memory.objects.get(key)?.headers.storageClass;
      await volume.memory.put('f', Buffer.from('base'), { headers: { storageClass: 'ONEZONE_IA' } });
      await volume.rename('f', 'g');
      t.equal(classOf('g'), 'ONEZONE_IA', 'a rename writes nothing');
      await append(volume, 'g');
      await volume.write('new', 'x');
      await volume.mkdir('d');
      const link = await ok(volume.fs.symlink(ctx, 1, 'link', Buffer.from('new')));
      volume.fs.forget((link as { nodeid: number }).nodeid, 1);
      t.same(['g', 'new', 'd/', 'link'].map(classOf), ['STANDARD_IA', 'STANDARD_IA', undefined, undefined]);
    },
    { storageClass: 'STANDARD_IA' },
  ),
);
