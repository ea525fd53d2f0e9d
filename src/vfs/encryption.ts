/** Which encryption a rewrite has to ask for again. */
import type { KnownObject } from '../cache/attribute-store.js';

/**
 * A copy or PUT falls back to the encryption of the bucket. A KMS key was chosen for the object, so it is asked for again;
 * SSE-S3 is the least that every bucket gives.
 */
export function keptEncryption(info: KnownObject | undefined): KnownObject['encryption'] {
  return info?.encryption?.algorithm.startsWith('aws:kms') ? info.encryption : undefined;
}
