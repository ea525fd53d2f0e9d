/**
 * How the embedded S3 server is started, watched and told to misbehave. It serves the demo and tests that need no
 * network; it listens on loopback only.
 */

export interface EmbeddedOptions {
  /** Objects live here; made if absent. A server started again on the same directory serves the same buckets. */
  readonly directory: string;
  /** 0 (default): any free port. */
  readonly port?: number;
  /** Made if absent. */
  readonly buckets?: readonly string[];
  /** Key pairs that may sign. Default: one pair, `pailfs` / `pailfs-secret`. */
  readonly credentials?: ReadonlyArray<EmbeddedCredentials>;
  readonly region?: string;
  /** Buckets that may be read (list, get, head) without signature. */
  readonly publicBuckets?: readonly string[];
  /** Milliseconds since 1970. */
  readonly now?: () => number;
}

export interface EmbeddedCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Wanted in x-amz-security-token when present. */
  readonly sessionToken?: string;
  /** Milliseconds since 1970; a later request is refused with ExpiredToken. */
  readonly expires?: number;
}

/** What a rule looks at. Everything that is present must match. */
export interface FaultMatch {
  /** S3 operation name: GetObject, HeadObject, PutObject, ListObjectsV2, UploadPart, … */
  readonly operation?: string | readonly string[];
  readonly key?: string | RegExp;
}

export type FaultAction =
  /** Waits, then goes on normally. */
  | { readonly kind: 'delay'; readonly ms: number }
  /** Answers an error document. `afterCommit`: does the work first (the lost answer). */
  | {
      readonly kind: 'error';
      readonly status: number;
      readonly code: string;
      readonly afterCommit?: boolean;
      readonly headers?: Record<string, string>;
    }
  /** Closes the socket with RST: before an answer, behind the headers, or behind so many bytes of the body. `afterCommit`: does the work first. */
  | {
      readonly kind: 'reset';
      readonly afterBytes?: number;
      readonly afterHeaders?: boolean;
      readonly afterCommit?: boolean;
    }
  /** Ends the body early, the connection closed in order. */
  | { readonly kind: 'truncate'; readonly bytes: number }
  /** Stops sending behind so many bytes and keeps the connection open. */
  | { readonly kind: 'stall'; readonly afterBytes: number }
  /** A 200 whose body is an error document (copy, complete, delete many). */
  | { readonly kind: 'error-in-200'; readonly code: string }
  /** Sends another ETag than the object's. */
  | { readonly kind: 'wrong-etag'; readonly etag: string }
  /** Ignores the Range header: 200 and everything. */
  | { readonly kind: 'ignore-range' }
  /** Flips one bit of the body at this offset. */
  | { readonly kind: 'flip-bit'; readonly at: number }
  /** Runs before the request is handled: a second writer that lands in between. */
  | { readonly kind: 'call'; readonly before: () => void | Promise<void> };

export interface FaultRule {
  readonly match: FaultMatch;
  readonly action: FaultAction;
  /** How often it strikes before it is spent; absent: always. */
  readonly times?: number;
  /** Requests that match and are let through first. */
  readonly skip?: number;
  /** 0 to 1, drawn from `random`. */
  readonly probability?: number;
}

export interface EmbeddedRequests {
  /** All requests since the last reset, by S3 operation name. */
  readonly byOperation: Readonly<Record<string, number>>;
  readonly total: number;
  /** Bytes of request bodies and of response bodies. */
  readonly bytesReceived: number;
  readonly bytesSent: number;
  /** The last 10,000 requests, oldest first. */
  readonly log: ReadonlyArray<{
    readonly operation: string;
    readonly key: string;
    readonly status: number;
    readonly range?: string;
  }>;
  reset(): void;
}

export interface EmbeddedServer {
  /** http://127.0.0.1:PORT */
  readonly endpoint: string;
  readonly port: number;
  readonly region: string;
  readonly credentials: EmbeddedCredentials;
  readonly requests: EmbeddedRequests;
  readonly faults: { add(rule: FaultRule): void; clear(): void };
  /** AWS's 409 when anything wrote the key during a multipart upload (off: 200, as MinIO). Default true. */
  strictMultipart: boolean;
  /** Says that it is MinIO, and has MinIO's extension of listings: `metadata=true`. Default false. */
  imitatesMinio: boolean;
  /** Makes the class of an object GLACIER (its GET is refused), for tests. */
  archive(bucket: string, key: string): void;
  /** What the credentials may not do, by operation name (HeadObject, ListObjectsV2, PutObject …): answered 403 AccessDenied. */
  denied: Set<string>;
  /** Buckets whose requests are refused (403) unless they say that the requester pays. */
  requesterPays: Set<string>;
  /** Accepts the key pair from now on (and the old ones until they expire). */
  addCredentials(pair: EmbeddedCredentials): void;
  /** Makes an object of `size` zero bytes with no data on the disk, with `patches` written over it. */
  putSparse(
    bucket: string,
    key: string,
    size: number,
    patches?: ReadonlyArray<{ offset: number; data: Uint8Array }>,
  ): void;
  /** Ends all connections and stops listening. */
  close(): Promise<void>;
}
