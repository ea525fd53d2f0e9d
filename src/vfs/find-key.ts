/**
 * What the store says of one key or prefix, asked now: one request each. Where listing is denied an absent key answers
 * 403, which is absence here.
 */

import { folderMarkerOf } from '../cache/listing-entries.js';
import type { ListPage, ObjectInfo } from '../s3/object-client.js';
import { isS3Error } from '../s3/s3-error.js';
import { keyFits } from './name.js';
import type { Volume } from './volume.js';

/** HEAD, remembered; undefined when the key is absent. */
export async function headIfPresent(
  volume: Volume,
  key: string,
  signal?: AbortSignal,
): Promise<ObjectInfo | undefined> {
  try {
    const info = await volume.client.head(key, { signal });
    volume.attributes.put(key, info);
    return info;
  } catch (error) {
    if (isS3Error(error, 'NotFound')) return undefined;
    if (isS3Error(error, 'AccessDenied') && !volume.options.canList) return undefined;
    throw error;
  }
}

/** At most one key below a prefix. Where listing is denied only the marker can tell. */
export async function firstBelow(volume: Volume, prefix: string, signal?: AbortSignal): Promise<ListPage> {
  if (keyFits(prefix)) {
    if (volume.options.canList) return volume.client.list({ prefix, maxKeys: 1, signal });
    const marker = await headIfPresent(volume, prefix, signal);
    if (marker !== undefined) return { objects: [marker], prefixes: [], date: marker.date };
  }
  return { objects: [], prefixes: [], date: 0 };
}

export function isNothing(below: ListPage): boolean {
  return below.objects.length === 0 && below.prefixes.length === 0;
}

/** Whether a zero-byte `KEY_$folder$` says that the directory of this key exists. */
export async function hasFolderMarker(volume: Volume, key: string, signal?: AbortSignal): Promise<boolean> {
  const marker = folderMarkerOf(key);
  return keyFits(marker) && (await headIfPresent(volume, marker, signal))?.size === 0;
}
