/**
 * Conditional writes on servers that may not have them. A server that ignores If-Match and If-None-Match answers 200 and
 * overwrites, so that only a write whose condition is known to be false can tell. The first write of the mount is sent
 * like that, under If-Match of an ETag that no object has: who honours conditions refuses it (412, 404) and gets it again
 * under the true one; who ignores them has stored what was to be stored anyway. Before, HEAD makes sure that the true
 * condition holds, and from then on HEAD before each write is all that such a server allows. Complete gets a HEAD of its
 * own on every server but AWS: some honour conditions on PUT and ignore them there. Some honour them on PUT and ignore them
 * where the object is copied to: the first copy to another key finds that out in the same way.
 */
import type { Logger } from '../log.js';
import type { LeanClient } from './lean-client.js';
import type {
  CallOptions,
  CompleteOptions,
  CopyOptions,
  ObjectClient,
  PutOptions,
  UploadedPart,
  WriteCondition,
  WriteReply,
} from './object-client.js';
import { isS3Error, S3Error, type S3ErrorKind } from './s3-error.js';

export type ConditionSupport = 'honoured' | 'ignored' | 'unknown';

export interface ConditionSupports {
  /** Of PutObject. */
  readonly writes: ConditionSupport;
  /** Of CopyObject, on what it replaces. */
  readonly copies: ConditionSupport;
}

export interface ConditionalWritesOptions {
  readonly support: ConditionSupports;
  readonly logger: Logger;
  /** Called when the server has shown which it is. */
  readonly onLearnt?: (support: ConditionSupports) => void;
}

type Client = Pick<ObjectClient, 'head' | 'put' | 'copy' | 'completeUpload'>;

/** Of no object: ETags of AWS are digests or longer. */
const IMPOSSIBLE_ETAG = '0'.repeat(32);

const isConditional = ({ ifMatch, ifAbsent }: WriteCondition): boolean => ifMatch !== undefined || ifAbsent === true;

/** Failures of a store that does not answer: whoever waited would only wait as long again. */
const unanswered: ReadonlySet<S3ErrorKind> = new Set(['Timeout', 'Unreachable', 'Server', 'Throttled']);

/** The end of the trial of another write. Rejects where the store has not answered that one in all its time. */
async function ended(trial: Promise<WriteReply>): Promise<void> {
  await trial.catch((error) => {
    if (isS3Error(error) && unanswered.has(error.kind)) throw error;
  });
}

/** AWS documents both conditions for both calls. */
export function isKnownToHonour(host: string): boolean {
  return /(^|\.)amazonaws\.com(\.cn)?$/.test(host.replace(/:\d+$/, ''));
}

export class ConditionalWrites {
  readonly #client: Client;
  readonly #options: ConditionalWritesOptions;
  #support: ConditionSupport;
  /** False: the server refuses a request that has a condition. */
  #mayBeSent = true;
  /** The write that finds out; others wait for it. */
  #trial: Promise<WriteReply> | undefined;
  #copies: ConditionSupport;
  #copyTrial: Promise<WriteReply> | undefined;

  constructor(client: Client, options: ConditionalWritesOptions) {
    this.#client = client;
    this.#options = options;
    this.#support = options.support.writes;
    this.#copies = options.support.copies;
  }

  get support(): ConditionSupports {
    return { writes: this.#support, copies: this.#copies };
  }

  async put(key: string, body: Uint8Array, options: PutOptions = {}): Promise<WriteReply> {
    if (this.#support === 'honoured' || !isConditional(options)) return this.#client.put(key, body, options);
    while (this.#support === 'unknown' && this.#trial !== undefined) await ended(this.#trial);
    if (this.#support === 'unknown') {
      this.#trial = this.#findOut(key, body, options).finally(() => {
        this.#trial = undefined;
      });
      return this.#trial;
    }
    if (this.#isHonoured()) return this.#client.put(key, body, options);
    await this.#look('PutObject', key, options);
    return this.#putIgnored(key, body, options);
  }

  // What was awaited may have changed it.
  #isHonoured(): boolean {
    return this.#support === 'honoured';
  }

  async #findOut(key: string, body: Uint8Array, options: PutOptions): Promise<WriteReply> {
    await this.#look('PutObject', key, options);
    try {
      const reply = await this.#client.put(key, body, { ...options, ifAbsent: undefined, ifMatch: IMPOSSIBLE_ETAG });
      this.#learn('ignored');
      return reply;
    } catch (error) {
      if (isS3Error(error, 'NotImplemented')) {
        this.#learn('ignored');
        return this.#putIgnored(key, body, options);
      }
      if (!isS3Error(error, 'PreconditionFailed') && !isS3Error(error, 'NotFound')) throw error;
      this.#learn('honoured');
      return this.#client.put(key, body, options);
    }
  }

  /** One of the two conditions may be honoured all the same. */
  async #putIgnored(key: string, body: Uint8Array, options: PutOptions): Promise<WriteReply> {
    if (this.#mayBeSent) {
      try {
        return await this.#client.put(key, body, options);
      } catch (error) {
        if (!isS3Error(error, 'NotImplemented')) throw error;
        this.#mayBeSent = false;
      }
    }
    return this.#client.put(key, body, { ...options, ifMatch: undefined, ifAbsent: undefined });
  }

  #learn(support: ConditionSupport): void {
    this.#support = support;
    if (support === 'ignored')
      this.#options.logger.warn(
        'this server ignores conditions on writes: each is preceded by a look, and what another client writes between the two is lost',
      );
    this.#options.onLearnt?.(this.support);
  }

  /** A copy of an object onto itself is safe without: the condition on its source is on the same object. */
  async copy(source: string, key: string, options: CopyOptions = {}): Promise<WriteReply> {
    const isSafe = source === key || !isConditional(options);
    if (isSafe || this.#copies === 'honoured') return this.#client.copy(source, key, options);
    while (this.#copies === 'unknown' && this.#copyTrial !== undefined) await ended(this.#copyTrial);
    if (this.#copies === 'unknown') {
      this.#copyTrial = this.#findOutByCopy(source, key, options).finally(() => {
        this.#copyTrial = undefined;
      });
      return this.#copyTrial;
    }
    if (!this.#areCopiesHonoured()) await this.#look('CopyObject', key, options);
    return this.#client.copy(source, key, options);
  }

  #areCopiesHonoured(): boolean {
    return this.#copies === 'honoured';
  }

  async #findOutByCopy(source: string, key: string, options: CopyOptions): Promise<WriteReply> {
    await this.#look('CopyObject', key, options);
    let reply: WriteReply;
    try {
      reply = await this.#client.copy(source, key, { ...options, ifAbsent: undefined, ifMatch: IMPOSSIBLE_ETAG });
    } catch (error) {
      if (!isS3Error(error, 'PreconditionFailed') && !isS3Error(error, 'NotFound')) throw error;
      // It may have been the source that was refused: only what goes through now tells.
      const written = await this.#client.copy(source, key, options);
      this.#learnOfCopies('honoured');
      return written;
    }
    this.#learnOfCopies('ignored');
    return reply;
  }

  #learnOfCopies(support: ConditionSupport): void {
    this.#copies = support;
    if (support === 'ignored')
      this.#options.logger.warn(
        'this server ignores conditions on what a copy replaces: each rename is preceded by a look, and what another client writes between the two is lost',
      );
    this.#options.onLearnt?.(this.support);
  }

  async completeUpload(
    key: string,
    uploadId: string,
    parts: readonly UploadedPart[],
    options: CompleteOptions,
  ): Promise<WriteReply> {
    if (isConditional(options)) await this.#look('CompleteMultipartUpload', key, options);
    return this.#client.completeUpload(key, uploadId, parts, options);
  }

  /** Whether the condition holds now. Fails as the write would. */
  async #look(
    operation: string,
    key: string,
    { ifMatch, ifAbsent, signal }: WriteCondition & CallOptions,
  ): Promise<void> {
    let etag: string | undefined;
    try {
      ({ etag } = await this.#client.head(key, { signal }));
    } catch (error) {
      // Where listing is denied an absent key is 403.
      if (!isS3Error(error, 'NotFound') && !(ifAbsent && isS3Error(error, 'AccessDenied'))) throw error;
    }
    if (ifAbsent ? etag === undefined : etag === ifMatch) return;
    const kind = etag === undefined ? 'NotFound' : 'PreconditionFailed';
    throw new S3Error(kind, `${operation}: another object stands there than expected`, { operation, key, etag });
  }
}

/** The client with its conditional writes made sure of. */
export function withConditionalWrites(
  client: LeanClient,
  writes: ConditionalWrites,
): ObjectClient & Pick<LeanClient, 'presign'> {
  return {
    head: client.head.bind(client),
    get: client.get.bind(client),
    list: client.list.bind(client),
    put: writes.put.bind(writes),
    createUpload: client.createUpload.bind(client),
    uploadPart: client.uploadPart.bind(client),
    uploadPartCopy: client.uploadPartCopy.bind(client),
    completeUpload: writes.completeUpload.bind(writes),
    abortUpload: client.abortUpload.bind(client),
    listUploads: client.listUploads.bind(client),
    copy: writes.copy.bind(writes),
    delete: client.delete.bind(client),
    deleteMany: client.deleteMany.bind(client),
    getTags: client.getTags.bind(client),
    presign: client.presign.bind(client),
    get counters() {
      return client.counters;
    },
    close: client.close.bind(client),
  };
}
