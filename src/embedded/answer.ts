/** What a handler answers, before faults and the socket have their say. */

import { ALGORITHMS, elementOf } from './checksum.js';
import { Failure } from './failure.js';
import type { Checksum, Segment } from './record.js';
import type { S3Request } from './request.js';
import type { Store } from './store.js';
import { element, errorDocument, xmlDocument } from './xml.js';

export type Headers = Record<string, string | number>;

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body?: string | Content;
}

/** The sender holds one reference to each segment until it is done. */
export interface Content {
  readonly segments: readonly Segment[];
  readonly length: number;
}

/** What the handlers share. */
export interface Service {
  readonly store: Store;
  readonly region: string;
  readonly denied: ReadonlySet<string>;
  readonly endpoint: string;
  strictMultipart: boolean;
  imitatesMinio: boolean;
  /** Milliseconds since 1970. */
  now(): number;
}

export type Handler = (service: Service, request: S3Request) => Answer | Promise<Answer>;

/** The account that owns every bucket: what x-amz-expected-bucket-owner is compared with. */
export const OWNER = '123456789012';

export function xmlAnswer(root: string, content: string, headers: Headers = {}): Answer {
  return { status: 200, headers: { 'content-type': 'application/xml', ...headers }, body: xmlDocument(root, content) };
}

export function emptyAnswer(status: number, headers: Headers = {}): Answer {
  return { status, headers };
}

export function errorAnswer(failure: Failure, request: { id: string; path: string }): Answer {
  if (failure.status === 304) return { status: 304, headers: { ...failure.headers } };
  const fields = { Code: failure.code, Message: failure.message, ...failure.fields };
  return {
    status: failure.status,
    headers: { 'content-type': 'application/xml', ...failure.headers },
    body: errorDocument({ ...fields, Resource: request.path, RequestId: request.id, HostId: 'pailfs-embedded' }),
  };
}

export function checksumElements(checksum: Checksum | undefined): string {
  if (!checksum) return '';
  return element(elementOf(checksum.algorithm), checksum.value) + element('ChecksumType', checksum.type);
}

export function checksumHeaders(checksum: Checksum | undefined): Headers {
  if (!checksum) return {};
  return { [`x-amz-checksum-${checksum.algorithm}`]: checksum.value, 'x-amz-checksum-type': checksum.type };
}

/** S3 tells times in whole seconds. */
export function isoTime(ms: number): string {
  return new Date(Math.floor(ms / 1000) * 1000).toISOString();
}

/** The algorithm a header names, or nothing. */
export function namedAlgorithm(name: string | undefined): (typeof ALGORITHMS)[number] | undefined {
  if (name === undefined) return undefined;
  const found = ALGORITHMS.find((algorithm) => algorithm === name.toLowerCase());
  if (!found) {
    throw new Failure('InvalidRequest', { message: 'Checksum algorithm provided is unsupported. Please try again.' });
  }
  return found;
}
