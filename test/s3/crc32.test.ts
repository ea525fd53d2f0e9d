import fc from 'fast-check';
import t from 'tap';
import { combineCrc32, crc32, decodeCrc32, encodeCrc32 } from '../../src/s3/crc32.js';

const piece = fc.uint8Array({ maxLength: 300 });

t.equal(
  encodeCrc32(crc32('123456789')),
  Buffer.from('cbf43926', 'hex').toString('base64'),
  'the check value of CRC-32',
);
t.equal(decodeCrc32('xx'), undefined);
fc.assert(fc.property(fc.integer({ min: 0, max: 0xffffffff }), (value) => decodeCrc32(encodeCrc32(value)) === value));
fc.assert(
  fc.property(piece, piece, (a, b) => combineCrc32(crc32(a), crc32(b), b.length) === crc32(Buffer.concat([a, b]))),
);

t.test('lengths beyond 32 bits', async (t) => {
  // Appending zeros twice is appending their sum, whatever the lengths.
  const zeros = (length: number) => combineCrc32(0, 0, length);
  t.equal(zeros(5), 0);
  fc.assert(
    fc.property(fc.nat(0xffffffff), fc.nat(2 ** 31 - 1), fc.nat(2 ** 31 - 1), (crc, x, y) => {
      const big = x * 5000;
      return combineCrc32(combineCrc32(crc, 0, big), 0, y) === combineCrc32(crc, 0, big + y);
    }),
  );
});
