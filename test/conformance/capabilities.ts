/**
 * What S3 promises and some servers do not keep, one probe each. A probe answers undefined where the promise is kept,
 * or what happened instead. The suite demands every promise; a server may be excused from some by name, and then has to
 * prove that it lacks them: a promise that is kept after all must not be left out of the tests.
 *
 * Which real server shows each is in docs/servers.md. `strictMultipart` is shown by none of them: AWS alone does it
 * (409 ConditionalRequestConflict of CompleteMultipartUpload, S3 API reference and User Guide, "conditional writes").
 */
import { randomBytes } from 'node:crypto';
import { MIN_PART_BYTES } from '../../src/constants.js';
import { crc32 } from '../../src/s3/crc32.js';
import { compareKeys } from '../../src/s3/key.js';
import type { ObjectClient, UploadedPart } from '../../src/s3/object-client.js';
import { isS3Error, type S3ErrorKind } from '../../src/s3/s3-error.js';

export type Probe = (client: ObjectClient, prefix: string) => Promise<string | undefined>;

const bytes = (text: string) => Buffer.from(text);
const WRONG_ETAG = '0'.repeat(32);

/** What happened where `kind` was due; undefined: just that. */
async function notRefused(what: string, promise: Promise<unknown>, kind: S3ErrorKind): Promise<string | undefined> {
  try {
    await promise;
    return `${what}: succeeded where ${kind} was due`;
  } catch (error) {
    if (!isS3Error(error)) throw error;
    return error.kind === kind ? undefined : `${what}: ${error.message} (${error.kind}) where ${kind} was due`;
  }
}

/** The first thing that went wrong. A refusal by the server is one, and ends the probe. */
async function first(...steps: Array<() => Promise<string | undefined>>): Promise<string | undefined> {
  try {
    for (const step of steps) {
      const wrong = await step();
      if (wrong !== undefined) return wrong;
    }
  } catch (error) {
    if (!isS3Error(error)) throw error;
    return error.message;
  }
  return undefined;
}

async function content(client: ObjectClient, key: string): Promise<string> {
  const pieces: Buffer[] = [];
  await client.get(key, { onData: (piece) => pieces.push(Buffer.from(piece)) });
  return Buffer.concat(pieces).toString();
}

/** Objects under these keys are kept apart, listed as they were written, in byte order, and deleted. */
export function keepsKeys(...names: string[]): Probe {
  return (client, prefix) =>
    first(
      async () => {
        for (const name of names) await client.put(prefix + name, bytes(name));
        for (const name of names) {
          const read = await content(client, prefix + name);
          if (read !== name) return `${JSON.stringify(name)} reads as ${JSON.stringify(read)}`;
        }
        return undefined;
      },
      async () => {
        const { objects } = await client.list({ prefix });
        const listed = objects.map(({ key }) => key.slice(prefix.length));
        const wanted = [...names].sort(compareKeys);
        return JSON.stringify(listed) === JSON.stringify(wanted) ? undefined : `listed as ${JSON.stringify(listed)}`;
      },
      async () => {
        const failures = await client.deleteMany(names.map((name) => prefix + name));
        if (failures.length > 0)
          return `${JSON.stringify(failures[0].key)} is not deleted: ${failures[0].error.message}`;
        const left = (await client.list({ prefix })).objects.length;
        return left === 0 ? undefined : `${left} keys are left after they were deleted`;
      },
    );
}

/** A key of exactly so many bytes. */
const keyOfBytes =
  (length: number, component: number): Probe =>
  (client, prefix) => {
    let name = '';
    while (prefix.length + name.length < length) name += name.length % (component + 1) === component ? '/' : 'y';
    return keepsKeys(name)(client, prefix);
  };

const conditionalPut: Probe = (client, prefix) => {
  const key = `${prefix}put`;
  let etag = '';
  return first(
    async () => {
      etag = (await client.put(key, bytes('one'), { ifAbsent: true })).etag;
      return undefined;
    },
    () => notRefused('If-None-Match: *', client.put(key, bytes('two'), { ifAbsent: true }), 'PreconditionFailed'),
    async () => {
      const stale = etag;
      etag = (await client.put(key, bytes('two'), { ifMatch: stale })).etag;
      return notRefused('If-Match', client.put(key, bytes('three'), { ifMatch: stale }), 'PreconditionFailed');
    },
    async () => ((await client.head(key)).etag === etag ? undefined : 'the refused body stands'),
    async () => {
      await client.delete(key);
      return notRefused('If-Match on nothing', client.put(key, bytes('x'), { ifMatch: etag }), 'NotFound');
    },
  );
};

/** Puts an object under the key of an upload that is under way, and completes it under conditions. */
async function overtaken(client: ObjectClient, key: string) {
  const id = await client.createUpload(key);
  const part = await client.uploadPart(key, id, 1, bytes('mine'));
  const theirs = await client.put(key, bytes('theirs'));
  return { theirs, complete: (how: object) => client.completeUpload(key, id, [part], { size: 4, ...how }) };
}

const conditionalComplete: Probe = (client, prefix) => {
  const key = `${prefix}complete`;
  return first(
    async () => {
      const { complete } = await overtaken(client, key);
      return notRefused('If-None-Match: *', complete({ ifAbsent: true }), 'PreconditionFailed');
    },
    async () => {
      const { complete } = await overtaken(client, key);
      return notRefused('If-Match', complete({ ifMatch: WRONG_ETAG }), 'PreconditionFailed');
    },
    async () => ((await content(client, key)) === 'theirs' ? undefined : 'the refused upload stands'),
  );
};

const strictMultipart: Probe = async (client, prefix) => {
  const { theirs, complete } = await overtaken(client, `${prefix}strict`);
  return notRefused('written after Create', complete({ ifMatch: theirs.etag }), 'ConditionalConflict');
};

const conditionalCopySource: Probe = (client, prefix) => {
  const from = `${prefix}from`;
  const copy = (how: object) => client.copy(from, `${prefix}to`, how);
  return first(
    async () => {
      await client.put(from, randomBytes(MIN_PART_BYTES + 10));
      return notRefused('copy-source-if-match', copy({ sourceIfMatch: WRONG_ETAG }), 'PreconditionFailed');
    },
    () => {
      const since = copy({ sourceIfUnmodifiedSince: Date.now() - 3_600_000 });
      return notRefused('copy-source-if-unmodified-since', since, 'PreconditionFailed');
    },
    async () => {
      const key = `${prefix}parts`;
      const id = await client.createUpload(key, { copies: true });
      const part = client.uploadPartCopy(key, id, 1, from, { start: 0, end: 9, sourceIfMatch: WRONG_ETAG });
      const wrong = await notRefused('copy-source-if-match of a part', part, 'PreconditionFailed');
      await client.abortUpload(key, id);
      return wrong;
    },
  );
};

const conditionalCopyDestination: Probe = (client, prefix) => {
  const from = `${prefix}from`;
  const copy = (how: object) => client.copy(from, `${prefix}to`, how);
  return first(
    async () => {
      await client.put(from, bytes('x'));
      await copy({ ifAbsent: true });
      return notRefused('If-None-Match: *', copy({ ifAbsent: true }), 'PreconditionFailed');
    },
    () => notRefused('If-Match', copy({ ifMatch: WRONG_ETAG }), 'PreconditionFailed'),
    async () => {
      await copy({ ifMatch: (await client.head(`${prefix}to`)).etag });
      return undefined;
    },
  );
};

const conditionalDelete: Probe = (client, prefix) => {
  const key = `${prefix}delete`;
  return first(
    async () => {
      await client.put(key, bytes('x'));
      return notRefused('If-Match', client.delete(key, { ifMatch: WRONG_ETAG }), 'PreconditionFailed');
    },
    async () => {
      await client.delete(key, { ifMatch: (await client.head(key)).etag });
      return notRefused('HEAD of what was deleted', client.head(key), 'NotFound');
    },
  );
};

const repeatedComplete: Probe = (client, prefix) =>
  first(async () => {
    const key = `${prefix}repeated`;
    const id = await client.createUpload(key);
    const part = await client.uploadPart(key, id, 1, bytes('once'));
    const { etag } = await client.completeUpload(key, id, [part], { size: 4 });
    const again = await client.completeUpload(key, id, [part], { size: 4 });
    return again.etag === etag ? undefined : `another ETag: ${again.etag}`;
  });

const uploadsByPrefix: Probe = (client, prefix) =>
  first(async () => {
    const key = `${prefix}dir/upload`;
    const id = await client.createUpload(key);
    const found = await client.listUploads(prefix);
    await client.abortUpload(key, id);
    return found.some(({ uploadId }) => uploadId === id) ? undefined : 'the upload is not found';
  });

const objectBesidePrefix: Probe = (client, prefix) =>
  first(
    () => keepsKeys('a', 'a/1', 'a/b/2')(client, prefix),
    async () => {
      for (const name of ['n/x', 'n']) await client.put(prefix + name, bytes(name));
      const { objects, prefixes } = await client.list({ prefix, delimiter: '/' });
      const found = [...objects.map(({ key }) => key), ...prefixes].map((key) => key.slice(prefix.length));
      return found.join(' ') === 'n n/' ? undefined : `listed as ${JSON.stringify(found)}`;
    },
  );

/** Dates have whole seconds: "unmodified since its own Last-Modified" has to hold. */
const ownLastModified: Probe = (client, prefix) => {
  const key = `${prefix}own-date`;
  return first(async () => {
    // Fractions of a second that are rounded up and down.
    for (let i = 0; i < 4; i++) {
      await client.put(key, bytes('x'));
      const { lastModified } = await client.head(key);
      await client.copy(key, key, { sourceIfUnmodifiedSince: lastModified, replace: { metadata: { mode: '1' } } });
      await new Promise((resolve) => setTimeout(resolve, 230));
    }
    return undefined;
  });
};

const markerMetadata: Probe = (client, prefix) =>
  first(async () => {
    await client.put(`${prefix}marker/`, bytes(''), { metadata: { mode: '16877' } });
    const { metadata } = await client.head(`${prefix}marker/`);
    return metadata.mode === '16877' ? undefined : `metadata of the marker: ${JSON.stringify(metadata)}`;
  });

const onlyWhatWasWritten: Probe = (client, prefix) =>
  first(
    async () => {
      await client.put(`${prefix}dir/file`, bytes('x'));
      return notRefused('HEAD of dir/', client.head(`${prefix}dir/`), 'NotFound');
    },
    async () => {
      await client.delete(`${prefix}dir/file`);
      return notRefused('HEAD of dir/ after its last key went', client.head(`${prefix}dir/`), 'NotFound');
    },
  );

/** The CRC of an object made of parts, one of them copied from an object that was made of parts itself. */
const copiedPartChecksum: Probe = (client, prefix) =>
  first(async () => {
    const key = `${prefix}summed`;
    const one = randomBytes(MIN_PART_BYTES);
    const make = async (copies: boolean, parts: (id: string) => Promise<UploadedPart[]>) => {
      const id = await client.createUpload(key, { copies });
      const sent = await parts(id);
      await client.completeUpload(key, id, sent, { size: sent.reduce((sum, part) => sum + part.size, 0) });
      return sent;
    };
    await make(false, async (id) => [
      await client.uploadPart(key, id, 1, one),
      await client.uploadPart(key, id, 2, one),
    ]);
    const [copied] = await make(true, async (id) => [
      await client.uploadPartCopy(key, id, 1, key, { start: MIN_PART_BYTES, end: 2 * MIN_PART_BYTES }),
      await client.uploadPart(key, id, 2, bytes('end')),
    ]);
    // A server that tells no CRC of what it copied promises nothing.
    return copied.crc32 === undefined || copied.crc32 === crc32(one)
      ? undefined
      : `a copied part has CRC ${copied.crc32}`;
  });

export interface Capability {
  /** What S3 promises, for people. */
  readonly promise: string;
  readonly probe: Probe;
}

export const capabilities = {
  conditionalPut: { promise: 'If-Match and If-None-Match on PutObject', probe: conditionalPut },
  conditionalComplete: { promise: 'the same on CompleteMultipartUpload', probe: conditionalComplete },
  conditionalCopySource: { promise: 'conditions on the source of a copy', probe: conditionalCopySource },
  conditionalCopyDestination: { promise: 'conditions on the destination of a copy', probe: conditionalCopyDestination },
  conditionalDelete: { promise: 'If-Match on DeleteObject', probe: conditionalDelete },
  strictMultipart: { promise: '409 where the key was written after Create', probe: strictMultipart },
  repeatedComplete: { promise: 'CompleteMultipartUpload may be repeated', probe: repeatedComplete },
  uploadsByPrefix: { promise: 'uploads under way are listed by prefix', probe: uploadsByPrefix },
  byteOrder: { promise: 'keys are listed in byte order', probe: keepsKeys('a', 'a-', 'a0', 'b-', 'b/1', 'b0') },
  objectBesidePrefix: { promise: 'an object `a` beside `a/1`', probe: objectBesidePrefix },
  backslash: { promise: 'keys with a backslash', probe: keepsKeys('x\\y') },
  ownLastModified: { promise: 'copy-source-if-unmodified-since of its own date', probe: ownLastModified },
  copiedPartChecksum: { promise: 'the CRC32 of a copied part', probe: copiedPartChecksum },
  markerMetadata: { promise: 'a directory marker keeps its metadata', probe: markerMetadata },
  onlyWhatWasWritten: { promise: 'no object is there that nobody wrote', probe: onlyWhatWasWritten },
  slashContent: { promise: 'a key that ends in a slash holds bytes', probe: keepsKeys('dir/') },
  dotKeys: { promise: 'keys with components `.` and `..`', probe: keepsKeys('./dot', '../up', '.', '..') },
  emptyComponents: { promise: 'keys with `//`', probe: keepsKeys('a//b', '/lead') },
  longComponents: { promise: 'a component of 700 bytes', probe: keepsKeys('y'.repeat(700)) },
  longKeys: { promise: 'a key of 1,024 bytes', probe: keyOfBytes(1024, 200) },
  controlCharacters: {
    promise: 'keys with control characters',
    probe: keepsKeys('cr\r', 'lf\n', 'tab\t', 'one\u0001', 'del\u007f'),
  },
} as const satisfies Record<string, Capability>;

export type CapabilityName = keyof typeof capabilities;

export const isCapability = (name: string): name is CapabilityName => name in capabilities;
