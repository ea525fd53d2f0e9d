/**
 * What is said over the control socket: one JSON object a line. A client sends one request; the daemon answers with
 * lines until one that has `status`, `done` or `failed`.
 */

export type ControlRequest =
  | { readonly ask: 'status' }
  | { readonly ask: 'umount'; readonly lazy: boolean; readonly timeoutMs?: number };

export type ControlAnswer =
  | { readonly status: DaemonStatus }
  /** What is not in S3 yet. */
  | { readonly progress: { readonly files: number; readonly bytes: number } }
  /** Unmounted; the socket closes when the daemon ends. `notice`: what the user should know. */
  | { readonly done: { readonly notice?: string } }
  | { readonly failed: { readonly line: string; readonly exitCode: number } };

export interface UnsavedFile {
  readonly path: string;
  /** Bytes. */
  readonly size: number;
  readonly failure?: string;
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
  readonly conflicts: readonly object[];
  readonly notificationsDropped: number;
  readonly memory: { readonly rssBytes: number; readonly heapBytes: number; readonly externalBytes: number };
}
