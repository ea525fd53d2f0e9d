/**
 * What is said over the control socket: one JSON object a line. A client sends one request; the daemon answers with
 * lines until one that has `status`, `done` or `failed`.
 */

import type { Progress } from '../progress.js';

export type ControlRequest =
  | { readonly ask: 'status' }
  | { readonly ask: 'umount'; readonly lazy: boolean; readonly timeoutMs?: number }
  /**
   * `path`: names from the root of the mount, as src/fuse/name.ts makes them of the kernel's bytes. A byte that is not
   * UTF-8 is a lone surrogate in them, which JSON writes as an escape and reads back as it was.
   */
  | { readonly ask: 'sync'; readonly path: readonly string[] }
  /** Of a daemon whose mount is gone: what it has not uploaded stays in the journal, for the asker. */
  | { readonly ask: 'hand over' };

export type ControlAnswer =
  | { readonly status: DaemonStatus }
  | { readonly progress: Progress }
  /**
   * It is done; after umount the socket closes when the daemon ends. `notice`: what the user should know; `exitCode`: of
   * the command, where that is not 0.
   */
  | { readonly done: { readonly notice?: string; readonly exitCode?: number } }
  | { readonly failed: { readonly line: string; readonly exitCode: number } };

export interface UnsavedFile {
  readonly path: string;
  /** Bytes. */
  readonly size: number;
  /** Why the last upload failed: the name of the errno, and what was said. */
  readonly failure?: string;
  readonly reason?: string;
  /** When it is tried again (ms since 1970). */
  readonly nextTryAt?: number;
  /** open: being written; resting, waiting: queued; running: being uploaded; refused: S3 does not take it. */
  readonly state: 'open' | 'resting' | 'waiting' | 'running' | 'failed' | 'refused';
  /** Since when it waits (ms since 1970). */
  readonly since?: number;
}

/** What waits for S3 behind the programs (--write-back=on). */
export interface WaitingStatus {
  readonly queued: number;
  readonly running: number;
  readonly removals: number;
  readonly removalFailure?: string;
  readonly stateFailure?: string;
  readonly isAway: boolean;
  readonly oldest?: { readonly path: string; readonly since: number };
}

export interface DaemonStatus {
  readonly version: string;
  readonly pid: number;
  readonly bucket: string;
  readonly prefix: string;
  /** Scheme and host. */
  readonly endpoint: string;
  readonly region: string;
  readonly anonymous: boolean;
  readonly mountpoint: string;
  readonly driver: string;
  /** Mounted with mount(2), not with fusermount3. */
  readonly privileged: boolean;
  /** Whether the kernel reads cached files by itself: on, or off and why. */
  readonly passthrough: string;
  readonly readOnly: boolean;
  readonly uptimeSeconds: number;
  readonly stateDirectory: string;
  readonly cacheDirectory: string;
  /** Sent to the store, retries included. */
  readonly requests: {
    readonly byOperation: Readonly<Record<string, number>>;
    readonly retries: number;
    readonly errors: number;
    readonly bytesReceived: number;
    readonly bytesSent: number;
  };
  /** Asked by the kernel; operations that never were are left out. */
  readonly operations: Readonly<Record<string, { readonly count: number; readonly errors: number }>>;
  readonly cache: object;
  readonly openFiles: number;
  readonly openDirectories: number;
  readonly inodes: number;
  readonly dirty: readonly UnsavedFile[];
  /** Absent: --write-back=off. */
  readonly waiting?: WaitingStatus;
  /** The mount is gone, and the daemon uploads what is left. */
  readonly draining: boolean;
  readonly conflicts: readonly object[];
  /** Whether the server honours conditions on writes; unknown before the first write. */
  readonly conditionalWrites: 'honoured' | 'ignored' | 'unknown';
  readonly conditionalCopies: 'honoured' | 'ignored' | 'unknown';
  readonly staging: { readonly usedBytes: number; readonly limitBytes: number };
  readonly notificationsDropped: number;
  readonly memory: { readonly rssBytes: number; readonly heapBytes: number; readonly externalBytes: number };
}
