/** Looks at the bucket with a client that is no part of pailfs: what the mount showed is there, and nothing else is. */
import { createHash } from 'node:crypto';
import { AbortMultipartUploadCommand, ListMultipartUploadsCommand } from '@aws-sdk/client-s3';
import type { Store } from '../mount/bucket.js';
import type { Seen } from './check-mount.js';

/** Rule 2c of oracle.ts: it stays so over mounts, so that the ground is of no use any more. */
export const OLD_ATTRIBUTES = 'old attributes in the mount, new ones in S3';
const PARALLEL = 16;
/** Seconds of the date in the metadata may be a fraction with fewer digits than a double has. */
const TIME_TOLERANCE_MS = 0.01;

interface Difference {
  readonly how: string;
  /** Only mode or time differ. */
  readonly onlyAttributes: boolean;
}

function attributesDiffer(
  metadata: Readonly<Record<string, string>>,
  { mode, mtime }: Pick<Seen, 'mode' | 'mtime'>,
): Difference | undefined {
  const stored = Number(metadata.mode) & 0o7777;
  if (stored !== mode)
    return { how: `has mode ${stored.toString(8)} in S3, not ${mode?.toString(8)}`, onlyAttributes: true };
  const time = Number(metadata.mtime) * 1000;
  if (mtime !== undefined && !(Math.abs(time - mtime) <= TIME_TOLERANCE_MS))
    return { how: `has mtime ${time} in S3, not ${mtime}`, onlyAttributes: true };
  return undefined;
}

async function checkFile(store: Store, one: Seen): Promise<Difference | undefined> {
  const object = await store.get(one.path);
  if (object === undefined) return { how: 'is not in S3', onlyAttributes: false };
  const has = createHash('sha1').update(object.body).digest('hex');
  if (object.body.length !== one.size || has !== one.sha1)
    return { how: `has ${object.body.length} bytes in S3, other than the ${one.size} here`, onlyAttributes: false };
  return one.type === 'link' ? undefined : attributesDiffer(object.metadata, one);
}

/** One without a marker exists by the keys below it. */
async function checkDirectory(store: Store, keys: ReadonlySet<string>, one: Seen): Promise<Difference | undefined> {
  const marker = `${one.path}/`;
  if (keys.has(marker)) return attributesDiffer((await store.get(marker))?.metadata ?? {}, { mode: one.mode });
  const exists = [...keys].some((key) => key.startsWith(marker));
  return exists ? undefined : { how: 'is a directory that no key in S3 lets exist', onlyAttributes: false };
}

/** `unsettled`: how the paths begin whose attributes may be others in S3, which is counted. */
export async function checkStore(
  store: Store,
  seen: readonly Seen[],
  unsettled: readonly string[],
): Promise<{ problems: string[]; notes: string[] }> {
  const problems: string[] = [];
  const notes: string[] = [];
  const keys = new Set(await store.keys());
  const paths = new Map(seen.map((one) => [one.path, one]));
  for (const key of keys) {
    const one = paths.get(key.replace(/\/$/, ''));
    if (one === undefined) problems.push(`S3 has the key ${key}, which is not in the mount`);
    else if ((one.type === 'directory') !== key.endsWith('/')) problems.push(`S3 has the key ${key} for a ${one.type}`);
  }
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < seen.length) {
      const one = seen[next++];
      const found = await (one.type === 'directory' ? checkDirectory(store, keys, one) : checkFile(store, one));
      if (found === undefined) continue;
      if (found.onlyAttributes && unsettled.some((path) => one.path.startsWith(path))) notes.push(OLD_ATTRIBUTES);
      else problems.push(`${one.path} ${found.how}`);
    }
  };
  await Promise.all(Array.from({ length: PARALLEL }, worker));
  return { problems, notes };
}

/**
 * Multipart uploads that nobody will end; they are aborted, so that each is seen once. MinIO lists those of one key only,
 * so that the keys to ask about are given.
 */
export async function leftUploads(store: Store, keys: readonly string[]): Promise<string[]> {
  const { bucket: Bucket } = store.place;
  const found = new Map<string, string>();
  for (const Prefix of ['', ...keys]) {
    const { Uploads = [] } = await store.client.send(new ListMultipartUploadsCommand({ Bucket, Prefix }));
    for (const { UploadId, Key } of Uploads) found.set(UploadId!, Key!);
  }
  for (const [UploadId, Key] of found)
    await store.client.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId }));
  return [...found.values()];
}
