/**
 * One page of a listing from the sorted keys. A group of keys under one common prefix is one entry and is stepped over
 * by a binary search, so that a page costs its entries, however many keys lie under its prefixes.
 */
import { behindPrefix, fromOrdered, type KeyView, lowerBound, toOrdered } from './key-index.js';

export interface PageQuery {
  readonly prefix: string;
  /** Empty: no grouping. */
  readonly delimiter: string;
  /** Only entries above this one. A common prefix that is not above it is left out, even with keys that are. */
  readonly after: string;
  readonly maxKeys: number;
}

export interface Page {
  readonly keys: string[];
  readonly prefixes: string[];
  /** Last entry, key or prefix, when there are more: `after` of the next page. */
  readonly next?: string;
}

export function listPage(view: KeyView, query: PageQuery): Page {
  const { sorted, dead } = view;
  const prefix = toOrdered(query.prefix);
  const delimiter = toOrdered(query.delimiter);
  const after = toOrdered(query.after);
  const keys: string[] = [];
  const prefixes: string[] = [];
  let last = '';
  let at = lowerBound(sorted, after, lowerBound(sorted, prefix));
  if (query.maxKeys === 0) return { keys, prefixes };
  while (at < sorted.length) {
    const form = sorted[at]!;
    if (!form.startsWith(prefix)) break;
    if (form <= after || dead.has(form)) {
      at++;
      continue;
    }
    const cut = delimiter === '' ? -1 : form.indexOf(delimiter, prefix.length);
    const group = cut < 0 ? undefined : form.slice(0, cut + delimiter.length);
    if (group !== undefined && group <= after) {
      at = behindPrefix(sorted, group, at);
      continue;
    }
    if (keys.length + prefixes.length === query.maxKeys) return { keys, prefixes, next: fromOrdered(last) };
    (group === undefined ? keys : prefixes).push(fromOrdered(group ?? form));
    last = group ?? form;
    at = group === undefined ? at + 1 : behindPrefix(sorted, group, at);
  }
  return { keys, prefixes };
}
