/**
 * Credentials for a mount that lives for months. The AWS SDK's default chain finds them; when to ask it again is
 * decided here, because the SDK renews only when somebody asks with under five minutes left, and then silently keeps
 * what it has. A request never waits for a renewal while the present credentials still work.
 */
import type { S3Client } from '@aws-sdk/client-s3';
import type { Clock } from '../clock.js';
import type { Logger } from '../log.js';
import { S3Error } from './s3-error.js';
import type { SigningCredentials } from './signer.js';

export interface Credentials extends SigningCredentials {
  readonly expiration?: Date;
}

/** Asks the source anew, past any memo. Rejects when there are none. */
export type CredentialProvider = () => Promise<Credentials>;

/** Renewal begins when less than this is left (ms), or at half time for credentials that live shorter than twice that. */
const RENEW_BEFORE_MS = 5 * 60_000;
/** Between two background attempts that failed (ms). */
const RENEW_PAUSE_MS = 5_000;
/** A provider (a process, SSO, the metadata service) that has not answered by then has failed (ms). */
const PROVIDER_LIMIT_MS = 60_000;

/** The default chain with the shared files read anew each time, so that a login in another shell counts. */
export function sdkProvider(client: S3Client, profile: string | undefined, logger: Logger): CredentialProvider {
  const say = (...words: unknown[]) => logger.debug({ provider: words.map(describe).join(' ') }, 'credential provider');
  const chain = client.config.credentialDefaultProvider({
    profile,
    ignoreCache: true,
    maxRetries: 2,
    logger: { debug: () => {}, info: () => {}, trace: () => {}, warn: say, error: say },
  });
  return () => (chain as (options: { forceRefresh: boolean }) => Promise<Credentials>)({ forceRefresh: true });
}

function describe(word: unknown): string {
  return word instanceof Error ? word.name : typeof word === 'string' ? word : typeof word;
}

function limited<T>(promise: Promise<T>, ms: number): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no answer within ${ms / 1000} s`)), ms);
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

export class CredentialSource {
  readonly #provider: CredentialProvider | undefined;
  readonly #clock: Clock;
  readonly #logger: Logger;
  #current: Credentials | undefined;
  #renewAt = Number.POSITIVE_INFINITY;
  #pending: Promise<Credentials> | undefined;

  /** Without a provider requests are anonymous. */
  constructor(provider: CredentialProvider | undefined, clock: Clock, logger: Logger) {
    this.#provider = provider;
    this.#clock = clock;
    this.#logger = logger;
  }

  get anonymous(): boolean {
    return this.#provider === undefined;
  }

  /** At once while those at hand are valid; a promise when they have to be fetched first. */
  get(): Credentials | undefined | Promise<Credentials> {
    if (this.#provider === undefined) return undefined;
    const current = this.#current;
    if (current === undefined) return this.#fetch();
    const now = this.#clock.now();
    if (now < this.#renewAt) return current;
    if (current.expiration !== undefined && current.expiration.getTime() <= now) return this.#fetch();
    this.#renewAt = now + RENEW_PAUSE_MS;
    this.#fetch().catch((error) => {
      this.#logger.warn({ reason: (error as Error).message }, 'credentials could not be renewed yet');
    });
    return current;
  }

  /** After the server called `used` expired; several requests that find this out together ask once. */
  async refresh(used: Credentials | undefined): Promise<void> {
    if (this.#provider === undefined || this.#current !== used) return;
    await this.#fetch();
  }

  #fetch(): Promise<Credentials> {
    this.#pending ??= this.#ask().finally(() => {
      this.#pending = undefined;
    });
    return this.#pending;
  }

  async #ask(): Promise<Credentials> {
    let found: Credentials;
    try {
      found = await limited(this.#provider!(), PROVIDER_LIMIT_MS);
    } catch (error) {
      const reason = (error as Error).message;
      throw new S3Error('Credentials', `no credentials: ${reason}`, { operation: 'GetCredentials', cause: error });
    }
    this.#current = found;
    const now = this.#clock.now();
    const left = (found.expiration?.getTime() ?? Number.POSITIVE_INFINITY) - now;
    this.#renewAt = now + (left > 2 * RENEW_BEFORE_MS ? left - RENEW_BEFORE_MS : Math.max(1_000, left / 2));
    return found;
  }
}
