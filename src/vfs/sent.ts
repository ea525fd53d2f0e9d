/**
 * What this mount sent to the store without having had the answer: the daemon died, the connection broke, or the file lost
 * its name meanwhile. It may stand under its key or not; this says by what it is recognised there.
 */
import type { KnownObject } from '../cache/attribute-store.js';
import type { Inode } from './inode.js';

export interface Sent {
  readonly key: string;
  readonly size: number;
  /** As the metadata have them: they have nanoseconds, and are those of our file. */
  readonly mtime?: string;
  readonly ctime?: string;
  /** Of what was copied. A copy of one that was uploaded in parts has another. */
  readonly etag?: string;
}

export function isSent(now: KnownObject, { size, mtime, ctime, etag }: Omit<Sent, 'key'>): boolean {
  if (now.size !== size) return false;
  const { metadata } = now;
  return (ctime !== undefined && metadata.ctime === ctime && metadata.mtime === mtime) || now.etag === etag;
}

/** Notes what is about to be sent. */
export function beginSending(inode: Inode, sent: Sent): void {
  const isSame = (one: Sent): boolean => JSON.stringify(one) === JSON.stringify(sent);
  if (!inode.sent.some(isSame)) inode.sent = [...inode.sent, sent];
}

/** What may stand under a key is the business of somebody else from now on, or known. */
export function takeSent(inode: Inode, key: string): readonly Sent[] {
  const taken = inode.sent.filter((one) => one.key === key);
  if (taken.length > 0) inode.sent = inode.sent.filter((one) => one.key !== key);
  return taken;
}

/** The keys below a prefix lie below another now. */
export function moveSent(inode: Inode, from: string, to: string): void {
  inode.sent = inode.sent.map((one) =>
    one.key.startsWith(from) ? { ...one, key: to + one.key.slice(from.length) } : one,
  );
}
