/**
 * ListObjectsV2, one page: always with encoding-type=url, since XML cannot carry every key. MinIO tells user metadata too
 * where `metadata=true` asks; an answer to that which cannot be read is asked again without.
 */

import { LIST_PAGE_KEYS } from '../constants.js';
import { parseListing } from './answers.js';
import { encodeQueryValue } from './key.js';
import type { ListOptions, ListPage } from './object-client.js';
import { parseDocument } from './reading.js';
import type { RequestSender, S3Request } from './request-sender.js';
import { isS3Error } from './s3-error.js';

/** Parameters in the order the signature wants. */
function listQuery(options: ListOptions, metadata: boolean): string {
  let query = '';
  if (options.token !== undefined) query += `continuation-token=${encodeQueryValue(options.token)}&`;
  if (options.delimiter !== undefined) query += `delimiter=${encodeQueryValue(options.delimiter)}&`;
  query += `encoding-type=url&list-type=2&max-keys=${Math.min(options.maxKeys ?? LIST_PAGE_KEYS, LIST_PAGE_KEYS)}`;
  if (metadata) query += '&metadata=true';
  query += `&prefix=${encodeQueryValue(options.prefix)}`;
  // Beside a token servers disagree about start-after; the token knows its place.
  if (options.startAfter !== undefined && options.token === undefined) {
    query += `&start-after=${encodeQueryValue(options.startAfter)}`;
  }
  return query;
}

export async function listObjects(sender: RequestSender, options: ListOptions): Promise<ListPage> {
  if (!options.metadata || sender.server !== 'minio') return listPage(sender, options, false);
  try {
    return await listPage(sender, options, true);
  } catch (error) {
    if (!isS3Error(error, 'Corrupt')) throw error;
    sender.options.logger.debug({ err: error, prefix: options.prefix }, 'a listing with metadata could not be read');
    return listPage(sender, options, false);
  }
}

async function listPage(sender: RequestSender, options: ListOptions, metadata: boolean): Promise<ListPage> {
  const request: S3Request = {
    operation: 'ListObjectsV2',
    method: 'GET',
    query: listQuery(options, metadata),
    headers: [],
    signal: options.signal,
  };
  const { head, text } = await sender.text(request);
  // It keeps a directory where its name sorts without the slash.
  const unordered = sender.server === 'seaweedfs' ? ({ unordered: true } as const) : undefined;
  return { ...parseDocument(sender, request, text, parseListing), date: sender.dateOf(head), ...unordered };
}
