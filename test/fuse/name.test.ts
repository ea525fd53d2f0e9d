/** Names between bytes and strings: one string a name, both ways. */
import fc from 'fast-check';
import t from 'tap';
import { decodeName, encodeName, writeAsciiName } from '../../src/fuse/name.js';

t.test('plain names are themselves', async (t) => {
  for (const name of ['a', 'näme', '日本', '😀.txt']) {
    t.equal(decodeName(Buffer.from(name)), name);
    t.same(encodeName(name), Buffer.from(name));
  }
});

t.test('bytes that are not UTF-8 become U+DC00 + byte', async (t) => {
  t.equal(decodeName(Buffer.from([0x61, 0xff, 0x62])), 'a\udcffb');
  // overlong, surrogate, beyond U+10FFFF, cut short
  for (const bad of [
    [0xc0, 0x80],
    [0xe0, 0x80, 0x80],
    [0xed, 0xa0, 0x80],
    [0xf4, 0x90, 0x80, 0x80],
    [0xe2, 0x82],
  ]) {
    t.equal(decodeName(Buffer.from(bad)), bad.map((byte) => String.fromCharCode(0xdc00 + byte)).join(''));
  }
});

t.test('every sequence of bytes comes back, and no two share a string', async () => {
  const bytes = fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array));
  fc.assert(fc.property(bytes, (name) => encodeName(decodeName(name)).equals(name)));
  fc.assert(fc.property(bytes, bytes, (a, b) => a.equals(b) === (decodeName(a) === decodeName(b))));
});

t.test('every well-formed string comes back', async () => {
  fc.assert(fc.property(fc.string({ unit: 'binary' }), (name) => decodeName(encodeName(name)) === name));
});

t.test('writeAsciiName writes ASCII and refuses the rest', async (t) => {
  const target = Buffer.alloc(8);
  t.equal(writeAsciiName('abc', target, 2), 3);
  t.equal(target.toString('latin1', 2, 5), 'abc');
  t.equal(writeAsciiName('ä', target, 0), -1);
});
