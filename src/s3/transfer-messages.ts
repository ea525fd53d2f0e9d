/** What the main thread and a transfer thread (transfer-thread.ts) tell each other. */
import type { MessagePort } from 'node:worker_threads';
import type { HttpHead, HttpRequest } from './http-transport.js';
import type { Environment } from './proxy.js';
import type { TransportFailure } from './transport-error.js';

/** What a thread is started with. */
export interface ThreadOptions {
  readonly maxSockets: number;
  readonly connectMs: number;
  readonly ca?: string;
  /** Of the variables that name proxies. */
  readonly env: Environment;
}

/** How memory comes back to a thread, also while it waits for some. */
export interface ReturnedMemory {
  /** Brings one ArrayBuffer a message. */
  readonly port: MessagePort;
  /** One Int32: how many have come back, in all. */
  readonly count: SharedArrayBuffer;
}

export type ToThread =
  | { readonly kind: 'begin'; readonly id: number; readonly request: Omit<HttpRequest, 'signal' | 'body'> }
  | { readonly kind: 'abort'; readonly id: number };

/** `bytes`: the next ones of the body, handed over with their memory, which comes back when they were taken. */
export type FromThread =
  | { readonly kind: 'head'; readonly id: number; readonly head: HttpHead }
  | { readonly kind: 'bytes'; readonly id: number; readonly bytes: Uint8Array }
  | { readonly kind: 'end'; readonly id: number }
  | {
      readonly kind: 'failed';
      readonly id: number;
      readonly failure: TransportFailure;
      readonly message: string;
      readonly code?: string;
    };
