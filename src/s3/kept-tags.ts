/**
 * Tags that are sent with a write and lost by the server: radosgw 16 loses them wherever a CopyObject replaces metadata,
 * and ignores those of a multipart upload. So the first write of each kind is followed by a look, and on a server where
 * they are gone each is followed by a PutObjectTagging.
 */
import { createHash } from 'node:crypto';
import { encodeQueryValue } from './key.js';
import type { CallOptions, WriteReply } from './object-client.js';
import { getTags } from './reading.js';
import type { RequestSender, S3Request } from './request-sender.js';
import { isS3Error } from './s3-error.js';
import { escapeXml } from './xml.js';

type Tags = ReadonlyArray<readonly [string, string]>;

async function putTags(
  sender: RequestSender,
  key: string,
  tags: Tags,
  { versionId, signal }: CallOptions & { versionId?: string },
): Promise<void> {
  const set = tags.map(([name, value]) => `<Tag><Key>${escapeXml(name)}</Key><Value>${escapeXml(value)}</Value></Tag>`);
  const xml = `<Tagging xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><TagSet>${set.join('')}</TagSet></Tagging>`;
  const body = Buffer.from(xml);
  const request: S3Request = {
    operation: 'PutObjectTagging',
    method: 'PUT',
    key,
    query: versionId === undefined ? 'tagging=' : `tagging=&versionId=${encodeQueryValue(versionId)}`,
    headers: ['content-md5', createHash('md5').update(body).digest('base64'), 'content-type', 'application/xml'],
    body,
    signal,
  };
  await sender.text(request);
}

async function hasTags(sender: RequestSender, key: string, signal: AbortSignal | undefined): Promise<boolean> {
  try {
    return (await getTags(sender, key, { signal })).length > 0;
  } catch (error) {
    // radosgw 16 answers with nothing at all then.
    if (isS3Error(error, 'Corrupt')) return false;
    throw error;
  }
}

/** What a server may lose tags of. */
export type TaggedWrite = 'copies' | 'uploads';

/**
 * Sees to it that an object that was just written has the tags that were sent. The write itself stands: what goes wrong
 * here is logged, and is no failure of the write, which would be repeated without the tags.
 */
export async function keepTags(
  sender: RequestSender,
  kind: TaggedWrite,
  key: string,
  reply: WriteReply,
  { tags = [], signal }: CallOptions & { readonly tags?: Tags },
): Promise<void> {
  const { keepsTags } = sender;
  if (tags.length === 0 || keepsTags[kind] === true) return;
  try {
    keepsTags[kind] ??= await hasTags(sender, key, signal);
    if (keepsTags[kind]) return;
    await putTags(sender, key, tags, { versionId: reply.versionId, signal });
  } catch (error) {
    if (!isS3Error(error)) throw error;
    sender.options.logger.error({ err: error, key, tags: tags.length }, 'the server lost the tags of an object');
  }
}
