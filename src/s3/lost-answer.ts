/**
 * A conditional write that had to be repeated may fail because its first try succeeded and only the answer was lost.
 * Before such a failure is believed, the object that stands is compared with what was sent.
 */
import { decodeCrc32 } from './crc32.js';
import { type HttpHead, headerOf } from './http-transport.js';
import type { ObjectInfo, WriteReply } from './object-client.js';
import { objectInfo, readObjectHeaders } from './object-headers.js';
import type { RequestSender } from './request-sender.js';
import { isS3Error, type S3Error, type S3ErrorKind } from './s3-error.js';

export interface Standing {
  readonly info: ObjectInfo;
  /** CRC32 of the whole object, where the server keeps one. */
  readonly crc32: number | undefined;
}

/** HEAD with checksums. Undefined when nothing stands there. */
export async function standing(
  sender: RequestSender,
  key: string,
  signal: AbortSignal | undefined,
): Promise<Standing | undefined> {
  let head: HttpHead;
  try {
    ({ head } = await sender.text({
      operation: 'HeadObject',
      method: 'HEAD',
      key,
      headers: ['x-amz-checksum-mode', 'ENABLED'],
      signal,
    }));
  } catch (error) {
    if (isS3Error(error, 'NotFound')) return undefined;
    throw error;
  }
  const received = readObjectHeaders(head);
  const whole = headerOf(head.rawHeaders, 'x-amz-checksum-type') !== 'COMPOSITE';
  const sum = headerOf(head.rawHeaders, 'x-amz-checksum-crc32');
  return {
    info: objectInfo(key, received.contentLength ?? -1, received, sender.options.clock.now()),
    crc32: whole && sum !== undefined ? decodeCrc32(sum) : undefined,
  };
}

/** Failures that our own earlier success can cause. */
const suspicious = new Set<S3ErrorKind>(['PreconditionFailed', 'ConditionalConflict', 'NotFound']);

/**
 * Runs after a write failed. `failures` is how many attempts went unanswered or badly answered before the last.
 * Answers the reply that was lost, or throws the failure.
 */
export async function recoverReply(
  sender: RequestSender,
  key: string,
  failure: unknown,
  failures: number,
  signal: AbortSignal | undefined,
  isOurs: (found: Standing) => boolean | Promise<boolean>,
): Promise<WriteReply> {
  if (failures < 2 || !isS3Error(failure) || !suspicious.has(failure.kind)) throw failure;
  const found = await standing(sender, key, signal);
  if (found === undefined || !(await isOurs(found))) throw withEtag(failure, found);
  const { etag, versionId, date } = found.info;
  return { etag, versionId, date };
}

function withEtag(failure: S3Error, found: Standing | undefined): S3Error {
  if (found === undefined || failure.details.etag !== undefined) return failure;
  Object.assign(failure.details, { etag: found.info.etag });
  return failure;
}

/** Every entry that was sent stands as sent; the server may add spaces around values or entries of its own. */
export function sameMetadata(
  sent: Readonly<Record<string, string>>,
  stands: Readonly<Record<string, string>>,
): boolean {
  return (
    Object.keys(sent).length === Object.keys(stands).length &&
    Object.entries(sent).every(([name, value]) => stands[name]?.trim() === value.trim())
  );
}
