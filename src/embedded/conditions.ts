/**
 * Conditional requests as S3 evaluates them: RFC 9110 for reads (an ETag condition beats the date beside it), S3's own
 * narrower rules for writes. Dates compare in whole seconds.
 */
import { Failure } from './failure.js';
import { type ObjectRecord, quoted, unquoted } from './record.js';
import { header, type S3Request } from './request.js';

function holds(list: string, etag: string): boolean {
  return list.split(',').some((item) => item.trim() === '*' || unquoted(item) === etag);
}

function seconds(ms: number): number {
  return Math.floor(ms / 1000);
}

/** Header names are `prefix` + `if-match` and so on; for a copy source every failure is 412. */
export function checkRead(request: S3Request, record: ObjectRecord, prefix = ''): void {
  const of = (name: string) => header(request, prefix + name);
  const failed = (condition: string) =>
    new Failure('PreconditionFailed', { fields: { Condition: prefix + condition } });
  const match = of('if-match');
  const noneMatch = of('if-none-match');
  const since = Date.parse(of('if-modified-since') ?? '');
  const unmodified = Date.parse(of('if-unmodified-since') ?? '');
  if (match !== undefined) {
    if (!holds(match, record.etag)) throw failed(prefix ? 'if-match' : 'If-Match');
  } else if (seconds(record.modified) > seconds(unmodified)) {
    throw failed(prefix ? 'if-unmodified-since' : 'If-Unmodified-Since');
  }
  const changed =
    noneMatch === undefined ? !(seconds(record.modified) <= seconds(since)) : !holds(noneMatch, record.etag);
  if (changed) return;
  if (prefix) throw failed(noneMatch === undefined ? 'if-modified-since' : 'if-none-match');
  throw new Failure('NotModified', {
    headers: { etag: quoted(record.etag), 'last-modified': new Date(record.modified).toUTCString() },
  });
}

/** True: the write is conditional, and the condition holds. */
export function checkWrite(request: S3Request, existing: ObjectRecord | undefined): boolean {
  const match = header(request, 'if-match');
  const noneMatch = header(request, 'if-none-match');
  if (match === undefined && noneMatch === undefined) return false;
  if (match !== undefined && noneMatch !== undefined) {
    throw new Failure('NotImplemented', { fields: { Header: 'If-Match,If-None-Match' } });
  }
  if (noneMatch !== undefined) {
    if (noneMatch !== '*') throw new Failure('NotImplemented', { fields: { Header: 'If-None-Match' } });
    if (existing) throw new Failure('PreconditionFailed', { fields: { Condition: 'If-None-Match' } });
    return true;
  }
  if (match === '*') throw new Failure('NotImplemented', { fields: { Header: 'If-Match' } });
  checkEtag(match!, existing, request.key);
  return true;
}

/** If-Match of a write or delete; of a delete it may be `*`. */
export function checkEtag(match: string, existing: ObjectRecord | undefined, key: string): void {
  if (!existing) throw new Failure('NoSuchKey', { fields: { Key: key } });
  if (match !== '*' && unquoted(match) !== existing.etag) {
    throw new Failure('PreconditionFailed', { fields: { Condition: 'If-Match' } });
  }
}
