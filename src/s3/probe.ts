/**
 * The question asked at mount: does this bucket answer, and what may we do? One ListObjectsV2 of one key tells; where
 * it fails, the error's kind and message say exactly what is wrong.
 */
import { listObjects } from './listing.js';
import type { CallOptions } from './object-client.js';
import type { RequestSender } from './request-sender.js';
import { isS3Error, S3Error } from './s3-error.js';

export interface Probe {
  /** False: s3:ListBucket is denied. Single objects may still be readable; the mount's caller decides. */
  readonly canList: boolean;
  /** Why, where it is denied. */
  readonly denied?: S3Error;
  /** Something lies under the prefix; false also where listing is denied. */
  readonly hasObjects: boolean;
  readonly region: string;
  /** Scheme and host that answered. */
  readonly endpoint: string;
  readonly anonymous: boolean;
  /** The server's clock minus ours (ms), to the second. */
  readonly clockSkewMs: number;
}

/** A mount command waits no longer than this for a bucket that does not answer (ms). */
const PROBE_LIMIT_MS = 20_000;

function sentence(bucket: string, error: S3Error, where: string): string {
  switch (error.kind) {
    case 'NoSuchBucket':
      return `bucket ${bucket} does not exist at ${where}`;
    case 'WrongRegion':
      return `bucket ${bucket} is in region ${error.details.region ?? 'another than configured'}`;
    case 'Credentials':
      return `the credentials are not accepted: ${error.message}`;
    case 'Unreachable':
      return `${where} cannot be reached: ${error.message}`;
    case 'Timeout':
      return `${where} does not answer in time: ${error.message}`;
    case 'Corrupt':
      return `what answers at ${where} does not speak S3: ${error.message}`;
    default:
      return `bucket ${bucket} cannot be listed: ${error.message}`;
  }
}

/** Rejects with S3Error where no mount can work. */
export async function probeBucket(
  sender: RequestSender,
  bucket: string,
  prefix: string,
  options: CallOptions = {},
): Promise<Probe> {
  const limit = AbortSignal.timeout(PROBE_LIMIT_MS);
  const signal = options.signal === undefined ? limit : AbortSignal.any([limit, options.signal]);
  const where = () => `${sender.endpoint.secure ? 'https' : 'http'}://${sender.endpoint.host}`;
  const about = (date: number) => ({
    region: sender.endpoint.scope.region,
    endpoint: where(),
    anonymous: sender.options.credentials.anonymous,
    clockSkewMs: Math.round((date - sender.options.clock.now()) / 1000) * 1000 + 0,
  });
  try {
    const page = await listObjects(sender, { prefix, maxKeys: 1, signal });
    return { canList: true, hasObjects: page.objects.length + page.prefixes.length > 0, ...about(page.date) };
  } catch (error) {
    if (!isS3Error(error)) throw error;
    if (error.kind === 'AccessDenied') {
      return { canList: false, denied: error, hasObjects: false, ...about(sender.options.clock.now()) };
    }
    const timedOut = error.kind === 'Aborted' && limit.aborted;
    // 404 without a code is an answer about the bucket here: no key was asked for.
    const kind = timedOut ? 'Timeout' : error.kind === 'NotFound' ? 'NoSuchBucket' : error.kind;
    const told = new S3Error(kind, error.message, { ...error.details, cause: error });
    throw new S3Error(kind, sentence(bucket, told, where()), { ...error.details, cause: error });
  }
}
