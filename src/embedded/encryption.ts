/**
 * Server-side encryption as far as a client can tell: which headers are asked for, refused and told again. Nothing is
 * encrypted here; of a customer's key only its MD5 is kept, as S3 keeps a salted digest of it. Source: S3 User Guide,
 * "Specifying server-side encryption with customer-provided keys", and the headers of each operation in the S3 API.
 */
import { createHash } from 'node:crypto';
import type { Headers } from './answer.js';
import { Failure } from './failure.js';
import type { Attributes } from './record.js';
import { header, type S3Request } from './request.js';

export type Encryption = Pick<Attributes, 'kms' | 'dsse' | 'customerKeyMd5'>;

const SSE = 'x-amz-server-side-encryption';
const CUSTOMER = `${SSE}-customer-`;
/** The same of a copy's source. */
export const SOURCE_CUSTOMER = `x-amz-copy-source-server-side-encryption-customer-`;
const KEY_BYTES = 32;

function invalid(message: string): Failure {
  return new Failure('InvalidArgument', { message });
}

/** MD5 (base64) of the key that a request brings along; undefined where it brings none. */
function customerKeyMd5(request: S3Request, prefix: string): string | undefined {
  const [algorithm, key, md5] = ['algorithm', 'key', 'key-md5'].map((name) => header(request, prefix + name));
  if (algorithm === undefined && key === undefined && md5 === undefined) return undefined;
  if (algorithm === undefined) {
    throw invalid(
      'Requests specifying Server Side Encryption with Customer provided keys must provide a valid encryption algorithm.',
    );
  }
  if (algorithm !== 'AES256') throw new Failure('InvalidEncryptionAlgorithmError');
  if (key === undefined) {
    throw invalid(
      'Requests specifying Server Side Encryption with Customer provided keys must provide an appropriate secret key.',
    );
  }
  const bytes = Buffer.from(key, 'base64');
  if (bytes.length !== KEY_BYTES) throw invalid('The secret key was invalid for the specified algorithm.');
  const calculated = createHash('md5').update(bytes).digest('base64');
  if (md5 === undefined) {
    throw invalid(
      'Requests specifying Server Side Encryption with Customer provided keys must provide the client calculated MD5 of the secret key.',
    );
  }
  if (md5 !== calculated) {
    throw invalid('The calculated MD5 hash of the key did not match the hash that was provided.');
  }
  return md5;
}

/** What a write asks for. */
export function readEncryption(request: S3Request): Encryption {
  const md5 = customerKeyMd5(request, CUSTOMER);
  const algorithm = header(request, SSE);
  const keyId = header(request, `${SSE}-aws-kms-key-id`);
  if (algorithm !== undefined && !['AES256', 'aws:kms', 'aws:kms:dsse'].includes(algorithm)) {
    throw new Failure('InvalidEncryptionAlgorithmError');
  }
  if (md5 !== undefined && (algorithm ?? keyId) !== undefined) {
    throw invalid(
      'Server Side Encryption with Customer provided key is incompatible with the encryption method specified',
    );
  }
  const kms = algorithm?.startsWith('aws:kms') ?? false;
  if (keyId !== undefined && !kms) {
    throw invalid(
      'Server Side Encryption with AWS KMS managed key requires HTTP header x-amz-server-side-encryption : aws:kms',
    );
  }
  if (md5 !== undefined) return { customerKeyMd5: md5 };
  if (!kms) return {};
  return { kms: keyId ?? 'alias/aws/s3', dsse: algorithm === 'aws:kms:dsse' || undefined };
}

/** A read of what is under a customer's key needs that key, and of anything else none. */
export function checkDecryption(request: S3Request, record: Encryption, prefix = CUSTOMER): void {
  const given = customerKeyMd5(request, prefix);
  if (given === record.customerKeyMd5) return;
  if (given === undefined) {
    throw new Failure('InvalidRequest', {
      message:
        'The object was stored using a form of Server Side Encryption. The correct parameters must be provided to retrieve the object.',
    });
  }
  if (record.customerKeyMd5 !== undefined) throw new Failure('AccessDenied');
  throw new Failure('InvalidRequest', { message: 'The encryption parameters are not applicable to this object.' });
}

/** Each part comes with the key of its upload. */
export function checkPartKey(request: S3Request, upload: Encryption): void {
  const given = customerKeyMd5(request, CUSTOMER);
  if (given === upload.customerKeyMd5) return;
  if (given === undefined) {
    throw new Failure('InvalidRequest', {
      message:
        'The multipart upload initiate requested encryption. Subsequent part requests must include the appropriate encryption parameters.',
    });
  }
  throw new Failure('InvalidRequest', {
    message: 'The provided encryption parameters did not match the ones used originally to encrypt the object.',
  });
}

/** The ETag is the MD5 of the content only without a key of somebody's. */
export function hidesDigest({ kms, customerKeyMd5: md5 }: Encryption): boolean {
  return kms !== undefined || md5 !== undefined;
}

export function encryptionHeaders({ kms, dsse, customerKeyMd5: md5 }: Encryption): Headers {
  if (md5 !== undefined) return { [`${CUSTOMER}algorithm`]: 'AES256', [`${CUSTOMER}key-md5`]: md5 };
  if (kms === undefined) return { [SSE]: 'AES256' };
  return { [SSE]: dsse ? 'aws:kms:dsse' : 'aws:kms', [`${SSE}-aws-kms-key-id`]: kms };
}
