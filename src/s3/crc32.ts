/**
 * CRC32 (the polynomial of zlib, gzip and x-amz-checksum-crc32): of bytes, as S3 writes it, and of two neighbouring
 * pieces from their own CRCs. Combining lets a multipart upload prove the whole object without reading it again.
 */
import { crc32 } from 'node:zlib';

export { crc32 };

/** Base64 of the four bytes, most significant first. */
export function encodeCrc32(value: number): string {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32BE(value >>> 0, 0);
  return bytes.toString('base64');
}

export function decodeCrc32(text: string): number | undefined {
  const bytes = Buffer.from(text, 'base64');
  return bytes.length === 4 ? bytes.readUInt32BE(0) : undefined;
}

/** Product of two polynomials modulo the CRC's, bits reflected (zlib's multmodp). */
function multiply(a: number, b: number): number {
  let product = 0;
  for (let mask = 0x80000000; mask !== 0; mask >>>= 1) {
    if (a & mask) product ^= b;
    b = b & 1 ? (b >>> 1) ^ 0xedb88320 : b >>> 1;
  }
  return product >>> 0;
}

/** x to the power of 2^i, for i from 0 to 63. */
const powers: number[] = [0x40000000];
for (let i = 1; i < 64; i++) powers.push(multiply(powers[i - 1], powers[i - 1]));

/** CRC of a followed by b, from both CRCs and b's length in bytes (a safe integer). */
export function combineCrc32(crcA: number, crcB: number, lengthB: number): number {
  let shift = 0x80000000;
  let rest = lengthB;
  for (let i = 3; rest > 0; i++) {
    if (rest % 2 === 1) shift = multiply(powers[i], shift);
    rest = Math.floor(rest / 2);
  }
  return (multiply(shift, crcA) ^ crcB) >>> 0;
}
