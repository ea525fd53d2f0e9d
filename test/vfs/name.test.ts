import t from 'tap';
import { contentTypeOf } from '../../src/vfs/content-type.js';
import { childPrefix, isNameable, isWellFormed, keyFits, normalisePrefix } from '../../src/vfs/name.js';

t.test('names that POSIX has, and those it has not', async (t) => {
  for (const name of ['a', '...', ' ', '\n', 'é', '😀', 'a'.repeat(255), 'é'.repeat(127)])
    t.ok(isNameable(name), JSON.stringify(name));
  for (const name of ['', '.', '..', 'a\0b', 'a'.repeat(256), 'é'.repeat(128), '\udc80', '\ud800x'])
    t.notOk(isNameable(name), JSON.stringify(name));
  t.ok(isWellFormed('a😀b'));
  t.notOk(isWellFormed('a\ud83d'));
});

t.test('keys and prefixes', async (t) => {
  t.equal(normalisePrefix('a/b'), 'a/b/');
  t.equal(normalisePrefix('a/'), 'a/');
  t.equal(normalisePrefix(''), '');
  t.equal(childPrefix('a/', 'b'), 'a/b/');
  t.ok(keyFits('a'.repeat(1024)));
  t.notOk(keyFits('a'.repeat(1025)));
  t.notOk(keyFits('é'.repeat(513)));
});

t.test('content types', async (t) => {
  t.equal(contentTypeOf('mygarden.JPG'), 'image/jpeg');
  t.equal(contentTypeOf('.txt'), 'application/octet-stream');
  t.equal(contentTypeOf('README'), 'application/octet-stream');
});
