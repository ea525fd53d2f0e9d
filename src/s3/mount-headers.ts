/**
 * Headers that go with every request of an operation because the mount was told so: who pays, whose the bucket must be,
 * and the customer's key of SSE-C. They are added where requests are sent, so that no operation can leave them out. The
 * operations that take a key are those of the S3 API reference; the key itself is in no error and no log line.
 */
import { createHash } from 'node:crypto';

export interface MountHeaderOptions {
  readonly requestPayer?: boolean;
  /** Account (12 digits) that must own the bucket; otherwise the server answers 403. */
  readonly expectedBucketOwner?: string;
  /** 32 bytes. */
  readonly customerKey?: Uint8Array;
}

const CUSTOMER = 'server-side-encryption-customer-';
const withCustomerKey: ReadonlySet<string> = new Set([
  ...['GetObject', 'HeadObject', 'PutObject', 'CopyObject'],
  ...['CreateMultipartUpload', 'UploadPart', 'UploadPartCopy', 'CompleteMultipartUpload'],
]);
const reading: ReadonlySet<string> = new Set(['GetObject', 'HeadObject']);
const withSource: ReadonlySet<string> = new Set(['CopyObject', 'UploadPartCopy']);

function customerHeaders(prefix: string, key: Uint8Array): string[] {
  const name = `${prefix}${CUSTOMER}`;
  const md5 = createHash('md5').update(key).digest('base64');
  return [`${name}algorithm`, 'AES256', `${name}key`, Buffer.from(key).toString('base64'), `${name}key-md5`, md5];
}

export class MountHeaders {
  readonly #every: string[] = [];
  readonly #sourceOwner: string[] = [];
  readonly #key: string[] = [];
  readonly #sourceKey: string[] = [];

  constructor({ requestPayer, expectedBucketOwner, customerKey }: MountHeaderOptions = {}) {
    if (requestPayer) this.#every.push('x-amz-request-payer', 'requester');
    if (expectedBucketOwner !== undefined) {
      this.#every.push('x-amz-expected-bucket-owner', expectedBucketOwner);
      this.#sourceOwner.push('x-amz-source-expected-bucket-owner', expectedBucketOwner);
    }
    if (customerKey === undefined) return;
    this.#key.push(...customerHeaders('x-amz-', customerKey));
    this.#sourceKey.push(...customerHeaders('x-amz-copy-source-', customerKey));
  }

  /** Whether content is under a key that only this mount has. */
  get hasCustomerKey(): boolean {
    return this.#key.length > 0;
  }

  /** Whether an operation reads an object that may have been written without the customer's key. */
  mayLackKey(operation: string): boolean {
    return this.hasCustomerKey && (withSource.has(operation) || reading.has(operation));
  }

  /**
   * Adds flat pairs for one operation of the S3 API.
   * @param keyed whether what is read is under the customer's key; what is written always is
   */
  push(operation: string, to: string[], keyed: boolean): void {
    const copies = withSource.has(operation);
    to.push(...this.#every);
    if (copies) to.push(...this.#sourceOwner);
    if (!this.hasCustomerKey) return;
    if (withCustomerKey.has(operation) && (keyed || !reading.has(operation))) to.push(...this.#key);
    if (copies && keyed) to.push(...this.#sourceKey);
  }
}
