import { randomBytes } from 'node:crypto';
import t from 'tap';
import { ALGORITHMS, canBeFullObject, createSum, fullObjectSum } from '../../src/embedded/checksum.js';

const hexOf = (base64: string) => Buffer.from(base64, 'base64').toString('hex');

t.test('check values of the CRC catalogue', async (t) => {
  const expected = { crc32: 'cbf43926', crc32c: 'e3069283', crc64nvme: 'ae8b14860a799888' };
  for (const [algorithm, value] of Object.entries(expected)) {
    const sum = createSum(algorithm as keyof typeof expected);
    sum.update(Buffer.from('1234'));
    sum.update(Buffer.from('56789'));
    t.equal(hexOf(sum.digest()), value, algorithm);
  }
});

t.test('zeros count as if they had been read, and parts combine to the whole', async (t) => {
  for (const algorithm of ALGORITHMS) {
    const parts = [randomBytes(1000), Buffer.alloc(70_001), randomBytes(1), randomBytes(4096)];
    const read = createSum(algorithm);
    for (const part of parts) read.update(part);
    const reckoned = createSum(algorithm);
    for (const part of parts) part.length === 70_001 ? reckoned.zeros(part.length) : reckoned.update(part);
    t.equal(reckoned.digest(), read.digest(), algorithm);
    if (!canBeFullObject(algorithm)) continue;
    const own = parts.map((part) => {
      const sum = createSum(algorithm);
      sum.update(part);
      return { value: sum.digest(), size: part.length };
    });
    t.equal(fullObjectSum(algorithm, own), read.digest(), `${algorithm} of parts`);
  }
});
