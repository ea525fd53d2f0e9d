/** ListObjectsV2, one page: always with encoding-type=url, since XML cannot carry every key. */

import { LIST_PAGE_KEYS } from '../constants.js';
import { parseListing } from './answers.js';
import { encodeQueryValue } from './key.js';
import type { ListOptions, ListPage } from './object-client.js';
import { parseDocument } from './reading.js';
import type { RequestSender, S3Request } from './request-sender.js';

/** Parameters in the order the signature wants. */
function listQuery(options: ListOptions): string {
  let query = '';
  if (options.token !== undefined) query += `continuation-token=${encodeQueryValue(options.token)}&`;
  if (options.delimiter !== undefined) query += `delimiter=${encodeQueryValue(options.delimiter)}&`;
  query += `encoding-type=url&list-type=2&max-keys=${Math.min(options.maxKeys ?? LIST_PAGE_KEYS, LIST_PAGE_KEYS)}`;
  query += `&prefix=${encodeQueryValue(options.prefix)}`;
  // Beside a token servers disagree about start-after; the token knows its place.
  if (options.startAfter !== undefined && options.token === undefined) {
    query += `&start-after=${encodeQueryValue(options.startAfter)}`;
  }
  return query;
}

export async function listObjects(sender: RequestSender, options: ListOptions): Promise<ListPage> {
  const request: S3Request = {
    operation: 'ListObjectsV2',
    method: 'GET',
    query: listQuery(options),
    headers: [],
    signal: options.signal,
  };
  const { head, text } = await sender.text(request);
  return { ...parseDocument(sender, request, text, parseListing), date: sender.dateOf(head) };
}
