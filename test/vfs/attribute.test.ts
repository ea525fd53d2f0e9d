import fc from 'fast-check';
import t from 'tap';
import {
  decodeAttributes,
  encodeAttributes,
  hasPosixMetadata,
  metadataBytes,
  parseSeconds,
  S_IFLNK,
  S_IFREG,
} from '../../src/vfs/attribute.js';

t.test('what is written is read back', async (t) => {
  const time = fc.record({
    sec: fc.integer({ min: -(2 ** 40), max: 2 ** 40 }),
    nsec: fc.integer({ min: 0, max: 999_999_999 }),
  });
  const attributes = fc.record({
    mode: fc.integer({ min: 0, max: 0o7777 }).map((mode) => S_IFREG | mode),
    uid: fc.nat(0xfffffffe),
    gid: fc.nat(0xfffffffe),
    rdev: fc.integer({ min: 1, max: 0xffffffff }),
    mtime: time,
    ctime: time,
    atime: time,
    xattrs: fc
      .dictionary(
        fc.string({ unit: 'binary', minLength: 1, maxLength: 20 }).map((name) => `user.${name}`),
        fc.uint8Array({ maxLength: 40 }),
        { minKeys: 1, maxKeys: 4 },
      )
      .map((dictionary) => new Map(Object.entries(dictionary).map(([name, value]) => [name, Buffer.from(value)]))),
  });
  fc.assert(
    fc.property(attributes, (written) => {
      const metadata = encodeAttributes(written, { other: 'kept' });
      const read = decodeAttributes(metadata);
      t.match(read, written);
      return metadata.other === 'kept' && Object.values(metadata).every((value) => /^[\x20-\x7e]*$/.test(value));
    }),
    { numRuns: 300 },
  );
});

t.test('the dialects of other tools', async (t) => {
  t.match(
    decodeAttributes({ mtime: '1700000000.5' }),
    { mtime: { sec: 1700000000, nsec: 500_000_000 } },
    'rclone trims zeros',
  );
  t.match(
    decodeAttributes({ mode: '0100755', mtime: '1700000000' }),
    { mode: 0o100755, mtime: { sec: 1700000000, nsec: 0 } },
    'geesefs: a leading 0 is octal',
  );
  t.match(decodeAttributes({ mode: '33188' }), { mode: 0o100644 }, 's3fs: decimal with the type');
  t.match(decodeAttributes({ '--symlink-target': 'a/b' }), { mode: S_IFLNK | 0o777, symlinkTarget: 'a/b' });
  t.match(decodeAttributes({ '--symlink-target': '100%25%C3%A9' }), { symlinkTarget: '100%é' }, 'geesefs escapes it');
  t.match(decodeAttributes({ '--symlink-target': '100%' }), { symlinkTarget: '100%' }, 'what is no escape stays');
  t.match(
    decodeAttributes({ 'goog-reserved-file-is-symlink': 'true' }),
    { mode: S_IFLNK | 0o777, symlinkTarget: undefined },
    'the newer link of gcsfuse has its target in the body',
  );
  t.match(
    decodeAttributes({ mode: '100640', uid: '7', gid: '8', atime: '2023-11-14T22:13:20.25Z' }),
    { mode: 0o100640, uid: 7, gid: 8, atime: { sec: 1700000000, nsec: 250_000_000 } },
    'rclone --metadata: octal without a leading 0',
  );
  for (const mode of ['65536', '99999', '177777', '1006400', '100648'])
    t.equal(decodeAttributes({ mode }).mode, undefined, `${mode} is no mode`);
  t.match(decodeAttributes({ gcsfuse_mtime: '2023-11-14T22:13:20.5Z', gcsfuse_symlink_target: 'x' }), {
    mtime: { sec: 1700000000, nsec: 500_000_000 },
    symlinkTarget: 'x',
  });
  const fsx = {
    'file-permissions': '0100644',
    'file-owner': '500',
    'file-group': '501',
    'file-mtime': '1595002920000000001ns',
    'file-atime': '1595002920001',
  };
  t.match(decodeAttributes(fsx), {
    mode: 0o100644,
    uid: 500,
    gid: 501,
    mtime: { sec: 1595002920, nsec: 1 },
    atime: { sec: 1595002920, nsec: 1_000_000 },
  });
  const rewritten = encodeAttributes({ mode: 0o100600, uid: 1, gid: 2, mtime: { sec: 5, nsec: 6 } }, fsx);
  t.match(
    rewritten,
    {
      'file-permissions': '0100600',
      'file-owner': '1',
      'file-group': '2',
      'file-mtime': '5000000006ns',
      mode: '33152',
    },
    'a dialect that is there is kept up to date',
  );
});

t.test('rubbish is not an attribute', async (t) => {
  for (const text of ['', 'x', '1e9', '--5', '1.2.3', ' ', '99999999999999999999'])
    t.equal(parseSeconds(text), undefined, JSON.stringify(text));
  t.notOk(hasPosixMetadata({ mode: 'rw-r--r--', uid: '-1', xattr: '{', colour: 'green' }));
  t.equal(encodeAttributes({}, { xattr: 'not json' }).xattr, 'not json', 'what is not ours stays');
  fc.assert(
    fc.property(
      fc.dictionary(
        fc.constantFrom('mode', 'uid', 'mtime', 'xattr', 'file-mtime', 'file-permissions', 'gcsfuse_mtime'),
        fc.string(),
      ),
      (metadata) => typeof decodeAttributes(metadata) === 'object',
    ),
  );
  t.equal(metadataBytes({ ab: 'cdé' }), 6);
});
