/**
 * The five checksums of S3. CRC32, SHA-1 and SHA-256 come from node; CRC32C and CRC64NVME are computed here byte by
 * byte. CRCs also combine, which gives the checksum of joined parts and of holes without reading them.
 */
import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';

export type Algorithm = 'crc32' | 'crc32c' | 'crc64nvme' | 'sha1' | 'sha256';
export const ALGORITHMS: readonly Algorithm[] = ['crc32', 'crc32c', 'crc64nvme', 'sha1', 'sha256'];

export interface Sum {
  update(data: Uint8Array): void;
  /** Adds so many zero bytes. */
  zeros(length: number): void;
  /** Base64. */
  digest(): string;
}

interface Crc {
  readonly bits: 32 | 64;
  /** Reflected polynomial. */
  readonly polynomial: bigint;
}

const crcs: Partial<Record<Algorithm, Crc>> = {
  crc32: { bits: 32, polynomial: 0xedb88320n },
  crc32c: { bits: 32, polynomial: 0x82f63b78n },
  crc64nvme: { bits: 64, polynomial: 0x9a6c9329ac4bc9b5n },
};

export function isAlgorithm(name: string): name is Algorithm {
  return (ALGORITHMS as readonly string[]).includes(name);
}

/** Name of the XML element, such as ChecksumCRC64NVME. */
export function elementOf(algorithm: Algorithm): string {
  return `Checksum${algorithm.toUpperCase()}`;
}

export function canBeFullObject(algorithm: Algorithm): boolean {
  return crcs[algorithm] !== undefined;
}

// The tables hold each remainder as two 32-bit halves: bigint arithmetic per byte would be a hundred times slower.
function tableOf({ bits, polynomial }: Crc): { low: Int32Array; high: Int32Array } {
  const low = new Int32Array(256);
  const high = new Int32Array(256);
  for (let byte = 0; byte < 256; byte++) {
    let rest = BigInt(byte);
    for (let bit = 0; bit < 8; bit++) rest = rest & 1n ? (rest >> 1n) ^ polynomial : rest >> 1n;
    low[byte] = Number(BigInt.asIntN(32, rest));
    high[byte] = bits === 64 ? Number(BigInt.asIntN(32, rest >> 32n)) : 0;
  }
  return { low, high };
}

const tables = { crc32c: tableOf(crcs.crc32c!), crc64nvme: tableOf(crcs.crc64nvme!) };

function crc32c(data: Uint8Array, before: number): number {
  const { low } = tables.crc32c;
  let crc = ~before;
  for (let i = 0; i < data.length; i++) crc = low[(crc ^ data[i]!) & 255]! ^ (crc >>> 8);
  return ~crc >>> 0;
}

function crc64(data: Uint8Array, before: bigint): bigint {
  const { low, high } = tables.crc64nvme;
  let lo = ~Number(BigInt.asIntN(32, before));
  let hi = ~Number(BigInt.asIntN(32, before >> 32n));
  for (let i = 0; i < data.length; i++) {
    const index = (lo ^ data[i]!) & 255;
    lo = ((lo >>> 8) | (hi << 24)) ^ low[index]!;
    hi = (hi >>> 8) ^ high[index]!;
  }
  return (BigInt(~hi >>> 0) << 32n) | BigInt(~lo >>> 0);
}

function step(algorithm: Algorithm, data: Uint8Array, before: bigint): bigint {
  if (algorithm === 'crc32') return BigInt(crc32(data, Number(before)));
  if (algorithm === 'crc32c') return BigInt(crc32c(data, Number(before)));
  return crc64(data, before);
}

// Polynomials over GF(2) in reflected form, as in zlib's crc32_combine: the highest bit is x^0.
function multiply({ bits, polynomial }: Crc, a: bigint, b: bigint): bigint {
  let product = 0n;
  for (let mask = 1n << BigInt(bits - 1); mask > 0n && b !== 0n; mask >>= 1n) {
    if (a & mask) product ^= b;
    b = b & 1n ? (b >> 1n) ^ polynomial : b >> 1n;
  }
  return product;
}

const powers = new Map<string, bigint>();

/** x^(8 * length). Kept, because the parts of an upload mostly have one length. */
function powerOf(crc: Crc, length: number): bigint {
  const name = `${crc.polynomial}:${length}`;
  let power = powers.get(name);
  if (power === undefined) {
    power = 1n << BigInt(crc.bits - 1);
    let square = 1n << BigInt(crc.bits - 9);
    for (let rest = BigInt(length); rest > 0n; rest >>= 1n) {
      if (rest & 1n) power = multiply(crc, power, square);
      square = multiply(crc, square, square);
    }
    if (powers.size > 1000) powers.clear();
    powers.set(name, power);
  }
  return power;
}

function join(crc: Crc, first: bigint, second: bigint, secondLength: number): bigint {
  return multiply(crc, powerOf(crc, secondLength), first) ^ second;
}

function zerosOf(crc: Crc, length: number): bigint {
  const ones = (1n << BigInt(crc.bits)) - 1n;
  return multiply(crc, powerOf(crc, length), ones) ^ ones;
}

function toBase64(crc: Crc, value: bigint): string {
  return Buffer.from(value.toString(16).padStart(crc.bits / 4, '0'), 'hex').toString('base64');
}

export function createSum(algorithm: Algorithm): Sum {
  const crc = crcs[algorithm];
  if (crc) {
    let value = 0n;
    return {
      update: (data) => {
        value = step(algorithm, data, value);
      },
      zeros: (length) => {
        value = join(crc, value, zerosOf(crc, length), length);
      },
      digest: () => toBase64(crc, value),
    };
  }
  const hash = createHash(algorithm);
  return {
    update: (data) => void hash.update(data),
    zeros: (length) => {
      const empty = Buffer.alloc(Math.min(length, 1 << 20));
      for (let left = length; left > 0; left -= empty.length) hash.update(empty.subarray(0, left));
    },
    digest: () => hash.digest('base64'),
  };
}

/** Checksum of the joined parts from the parts' own: of a CRC as if the whole had been read. */
export function fullObjectSum(algorithm: Algorithm, parts: ReadonlyArray<{ value: string; size: number }>): string {
  const crc = crcs[algorithm]!;
  let value = 0n;
  for (const part of parts) {
    const own = BigInt(`0x${Buffer.from(part.value, 'base64').toString('hex')}`);
    value = join(crc, value, own, part.size);
  }
  return toBase64(crc, value);
}

/** Checksum of the parts' checksums, `-N` behind. */
export function compositeSum(algorithm: Algorithm, parts: ReadonlyArray<{ value: string }>): string {
  const sum = createSum(algorithm);
  for (const part of parts) sum.update(Buffer.from(part.value, 'base64'));
  return `${sum.digest()}-${parts.length}`;
}
