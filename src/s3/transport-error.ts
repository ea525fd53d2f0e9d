/** The ways in which an exchange can fail below HTTP, from the error codes of Node's sockets, TLS and parser. */

/** `connect`: no connection came about; `broken`: it ended early; `refused`: TLS or protocol, repeating is useless. */
export type TransportFailure = 'timeout' | 'connect' | 'broken' | 'refused' | 'aborted';

export class TransportError extends Error {
  readonly failure: TransportFailure;
  constructor(failure: TransportFailure, message: string, cause?: unknown) {
    super(message, { cause });
    this.failure = failure;
  }
}

const connectCodes = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENETDOWN',
  'ERR_PROXY',
  'EMFILE',
  'EADDRNOTAVAIL',
]);
const brokenCodes = new Set(['ECONNRESET', 'EPIPE', 'ECONNABORTED', 'ERR_STREAM_PREMATURE_CLOSE']);

/** A code that is not known here (certificates, malformed HTTP) is `refused`: it would come again. */
export function failureOf(error: NodeJS.ErrnoException): TransportFailure {
  const code = error.code ?? '';
  if (code === 'ETIMEDOUT' || code === 'ESOCKETTIMEDOUT') return 'timeout';
  if (connectCodes.has(code)) return 'connect';
  return brokenCodes.has(code) ? 'broken' : 'refused';
}
