/**
 * DeleteObject and DeleteObjects. Keys travel to DeleteObjects inside XML, which cannot carry most control characters:
 * those keys are deleted one by one. Errors per key inside a 200 are answered per key.
 */
import { createHash } from 'node:crypto';
import { DELETE_BATCH_KEYS } from '../constants.js';
import { type DeleteErrorEntry, parseDeleteResult, parseError } from './answers.js';
import { kindOf, remedyOf, statusOfCode } from './error-mapping.js';
import { addQuotes } from './etag.js';
import type { CallOptions, DeleteFailure, DeleteTarget } from './object-client.js';
import { parseDocument } from './reading.js';
import { AttemptFailure, type RequestSender, type S3Request } from './request-sender.js';
import { isS3Error, S3Error } from './s3-error.js';
import { escapeXml, isXmlWritable } from './xml.js';

export async function deleteObject(
  sender: RequestSender,
  key: string,
  options: CallOptions & { ifMatch?: string } = {},
): Promise<void> {
  const headers = options.ifMatch === undefined ? [] : ['if-match', addQuotes(options.ifMatch)];
  const state = sender.retryState();
  const request: S3Request = { operation: 'DeleteObject', method: 'DELETE', key, headers, signal: options.signal };
  try {
    await sender.retrying('DeleteObject', key, options.signal, () => sender.textOnce(request), state);
  } catch (error) {
    if (!isS3Error(error, 'NotFound')) throw error;
    // Without a condition absence is what was wanted; with one, it may be our own lost success.
    if (options.ifMatch !== undefined && state.failures < 2) throw error;
  }
}

interface Target {
  readonly key: string;
  readonly ifMatch?: string;
}

function deleteBody(targets: readonly Target[]): Uint8Array {
  let xml = '<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Quiet>true</Quiet>';
  for (const { key, ifMatch } of targets) {
    const etag = ifMatch === undefined ? '' : `<ETag>${escapeXml(addQuotes(ifMatch))}</ETag>`;
    xml += `<Object><Key>${escapeXml(key)}</Key>${etag}</Object>`;
  }
  return Buffer.from(`${xml}</Delete>`);
}

function failureOf(entry: DeleteErrorEntry): DeleteFailure {
  const { key, code, message } = entry;
  const status = statusOfCode(code);
  const details = { operation: 'DeleteObjects', key, code, status };
  return { key, error: new S3Error(kindOf(status, code), `DeleteObjects: ${code} (${message})`, details) };
}

/** One batch; keys whose own errors pass with time are asked again. */
async function deleteBatch(
  sender: RequestSender,
  targets: readonly Target[],
  signal: AbortSignal | undefined,
): Promise<DeleteFailure[]> {
  const operation = 'DeleteObjects';
  let pending = targets;
  let lasting: DeleteFailure[] = [];
  let passing: DeleteFailure[] = [];
  const attempt = async () => {
    const body = deleteBody(pending);
    const headers = ['content-md5', createHash('md5').update(body).digest('base64'), 'content-type', 'application/xml'];
    const request: S3Request = { operation, method: 'POST', query: 'delete=', headers, body, signal };
    const { head, text } = await sender.textOnce(request);
    if (parseError(text.trimStart()) !== undefined) throw sender.failure(request, head, text);
    const failures = parseDocument(sender, request, text, parseDeleteResult)
      .map(failureOf)
      .filter(({ error }) => error.kind !== 'NotFound');
    const passes = ({ error }: DeleteFailure) =>
      remedyOf(error.details.status!, error.details.code, undefined) !== 'none';
    passing = failures.filter(passes);
    lasting = [...lasting, ...failures.filter((failure) => !passes(failure))];
    if (passing.length === 0) return;
    const again = new Set(passing.map((failure) => failure.key));
    pending = targets.filter(({ key }) => again.has(key));
    throw new AttemptFailure(passing[0].error, 'wait');
  };
  try {
    await sender.retrying(operation, undefined, signal, attempt);
    return lasting;
  } catch (error) {
    if (!isS3Error(error) || error.kind === 'Aborted') throw error;
    // The whole batch failed, or the last keys kept failing: each remaining key failed of it.
    const own = new Map(passing.map((failure) => [failure.key, failure.error]));
    return [...lasting, ...pending.map(({ key }) => ({ key, error: own.get(key) ?? error }))];
  }
}

async function deleteSingly(
  sender: RequestSender,
  targets: readonly Target[],
  signal: AbortSignal | undefined,
): Promise<DeleteFailure[]> {
  const failures: DeleteFailure[] = [];
  let next = 0;
  const worker = async () => {
    while (next < targets.length) {
      const { key, ifMatch } = targets[next++];
      try {
        await deleteObject(sender, key, { signal, ifMatch });
      } catch (error) {
        if (!isS3Error(error) || error.kind === 'Aborted') throw error;
        if (error.kind === 'NotFound') continue;
        failures.push({ key, error });
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(8, targets.length) }, worker));
  return failures;
}

export async function deleteObjects(
  sender: RequestSender,
  wanted: readonly DeleteTarget[],
  options: CallOptions = {},
): Promise<DeleteFailure[]> {
  const { signal } = options;
  const targets = wanted.map((target) => (typeof target === 'string' ? { key: target } : target));
  const writable = targets.filter(({ key }) => isXmlWritable(key));
  const singles = targets.filter(({ key }) => !isXmlWritable(key));
  const failures = await deleteSingly(sender, singles, signal);
  for (let at = 0; at < writable.length; at += DELETE_BATCH_KEYS) {
    failures.push(...(await deleteBatch(sender, writable.slice(at, at + DELETE_BATCH_KEYS), signal)));
  }
  return failures;
}
