import fc from 'fast-check';
import t from 'tap';
import { compareKeys, decodeListedKey, encodeKey, encodeQueryValue } from '../../src/s3/key.js';

const text = fc.string({ unit: 'binary', maxLength: 40 });

t.test('encoding', async (t) => {
  t.equal(encodeKey("a b/!'()*~._-ü"), 'a%20b/%21%27%28%29%2A~._-%C3%BC');
  t.equal(encodeKey('.././/x'), '.././/x', 'never normalised');
  t.equal(encodeQueryValue('a/b+c'), 'a%2Fb%2Bc');
  t.throws(() => encodeKey('\ud800'), URIError);
  fc.assert(
    fc.property(text, (key) => {
      const encoded = encodeKey(key);
      const bytes = [...Buffer.from(key)].map((byte) => {
        const character = String.fromCharCode(byte);
        return /[A-Za-z0-9\-._~/]/.test(character) ? character : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
      });
      return encoded === bytes.join('') && decodeURIComponent(encoded) === key;
    }),
  );
});

t.test('decoding listed keys', async (t) => {
  t.equal(decodeListedKey('a+b%2Bc%2Fd/e'), 'a b+c/d/e');
  t.throws(() => decodeListedKey('%ff'), URIError);
  fc.assert(fc.property(text, (key) => decodeListedKey(encodeQueryValue(key).replaceAll('%20', '+')) === key));
});

t.test('comparison is that of UTF-8 bytes', async () => {
  const near = fc.string({
    unit: fc.constantFrom('a', '/', '\u007f', 'é', '\ud7ff', '\ue000', '\uffff', '😀', '\u{10ffff}'),
  });
  for (const keys of [text, near]) {
    fc.assert(
      fc.property(keys, keys, (a, b) => {
        return Math.sign(compareKeys(a, b)) === Buffer.compare(Buffer.from(a), Buffer.from(b));
      }),
    );
  }
});
