/** The kinds of trouble, each with the errors that a program may get from it, and whether it has to notice. */
import { renameSync, writeFileSync } from 'node:fs';
import type { EmbeddedServer, FaultAction } from '../../src/embedded/api.js';

export interface Trouble {
  readonly server: EmbeddedServer;
  /** Milliseconds by which the server's clock is ahead. */
  setSkew(ms: number): void;
  /** The file from which the daemon takes its key pair. */
  readonly credentialsFile: string;
}

export interface Scenario {
  /** By which it is chosen. */
  readonly id: string;
  readonly name: string;
  /** ENOENT is always among them: a file may be absent. */
  readonly errors: readonly string[];
  /** Some operation has to fail, or the trouble was none. */
  readonly isNoticed: boolean;
  readonly ms: number;
  begin(trouble: Trouble): void | Promise<void>;
  /** Besides what is always put right: rules, denials. */
  end?(trouble: Trouble): void | Promise<void>;
}

function rules(actions: ReadonlyArray<[FaultAction, string | string[] | undefined, number]>): Scenario['begin'] {
  return ({ server }) => {
    for (const [action, operation, probability] of actions)
      server.faults.add({ match: operation === undefined ? {} : { operation }, action, probability });
  };
}

const slowDown: FaultAction = { kind: 'error', status: 503, code: 'SlowDown' };
const internal: FaultAction = { kind: 'error', status: 500, code: 'InternalError' };
const reads = ['GetObject'];

/** Writes the key pair for the daemon, whole at once. */
export function writeCredentials(path: string, accessKeyId: string, secretAccessKey: string): void {
  writeFileSync(
    `${path}.new`,
    `[default]\naws_access_key_id=${accessKeyId}\naws_secret_access_key=${secretAccessKey}\n`,
  );
  renameSync(`${path}.new`, path);
}

export const scenarios: readonly Scenario[] = [
  {
    id: 'storm',
    name: 'a storm of 503, 500 and resets',
    errors: ['EIO'],
    isNoticed: false,
    ms: 4_000,
    begin: rules([
      [slowDown, undefined, 0.08],
      [internal, undefined, 0.05],
      [{ kind: 'reset' }, undefined, 0.05],
      [{ kind: 'reset', afterCommit: true }, undefined, 0.03],
      [{ kind: 'error', status: 500, code: 'InternalError', afterCommit: true }, undefined, 0.03],
    ]),
  },
  {
    id: 'bodies',
    name: 'resets in headers and bodies, truncated and stalled bodies',
    errors: ['EIO'],
    isNoticed: false,
    ms: 5_000,
    begin: rules([
      [{ kind: 'reset', afterHeaders: true }, undefined, 0.06],
      [{ kind: 'reset', afterBytes: 3_000 }, reads, 0.15],
      [{ kind: 'truncate', bytes: 2_000 }, reads, 0.15],
      [{ kind: 'stall', afterBytes: 1_000 }, reads, 0.05],
    ]),
  },
  {
    id: 'errors-in-200',
    name: 'errors inside a 200',
    errors: ['EIO'],
    isNoticed: false,
    ms: 4_000,
    begin: rules([
      [
        { kind: 'error-in-200', code: 'InternalError' },
        ['CopyObject', 'CompleteMultipartUpload', 'UploadPartCopy'],
        0.3,
      ],
      [{ kind: 'error-in-200', code: 'SlowDown' }, ['DeleteObjects'], 0.3],
    ]),
  },
  {
    id: 'etags',
    name: 'wrong ETags, and ranges that are ignored',
    errors: ['EIO', 'ESTALE'],
    isNoticed: false,
    ms: 4_000,
    begin: rules([
      [{ kind: 'wrong-etag', etag: '"00000000000000000000000000000000"' }, reads, 0.15],
      [{ kind: 'ignore-range' }, reads, 0.2],
    ]),
  },
  {
    id: 'outage',
    name: 'an outage',
    errors: ['EIO'],
    isNoticed: true,
    ms: 8_000,
    begin: rules([[{ kind: 'reset' }, undefined, 1]]),
  },
  {
    id: 'no-writing',
    name: 'writing is refused (403)',
    errors: ['EACCES'],
    isNoticed: true,
    ms: 3_000,
    begin: ({ server }) => {
      for (const one of ['PutObject', 'CreateMultipartUpload', 'CopyObject']) server.denied.add(one);
    },
  },
  {
    id: 'no-reading',
    name: 'reading is refused (403)',
    errors: ['EACCES', 'EIO'],
    isNoticed: true,
    ms: 3_000,
    begin: ({ server }) => void server.denied.add('GetObject').add('HeadObject'),
  },
  {
    id: 'clock',
    name: 'a clock that is an hour ahead',
    errors: [],
    isNoticed: false,
    ms: 3_000,
    begin: ({ setSkew }) => setSkew(3_600_000),
    end: ({ setSkew }) => setSkew(0),
  },
  {
    id: 'credentials',
    name: 'credentials that expire, and others that come',
    errors: ['EACCES', 'EIO'],
    isNoticed: false,
    ms: 4_000,
    begin: ({ server, credentialsFile }) => {
      const pair = { accessKeyId: 'second', secretAccessKey: 'second-secret' };
      server.addCredentials(pair);
      server.faults.add({
        match: {},
        action: { kind: 'error', status: 400, code: 'ExpiredToken' },
        times: 5,
      });
      writeCredentials(credentialsFile, pair.accessKeyId, pair.secretAccessKey);
    },
  },
];
