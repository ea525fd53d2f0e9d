/**
 * Contents that say what they are: who wrote them, over which content, and from which content each byte is. A write replaces
 * the beginning of a file in one write(2), and leaves the rest as it was: so a file whose rest is of another version than its
 * writer has seen is found out by reading it.
 *
 *     bytes 0 to 511       JSON, padded with spaces: id, parent, segments
 *     bytes 512 to size    segments, each up to its end: pages of 4 KiB, each with its number and the id it was written with
 */
export const HEADER_BYTES = 512;
const PAGE_BYTES = 4096;

export interface Segment {
  /** Byte behind its last. */
  readonly end: number;
  /** Content that it was written with. */
  readonly id: string;
}

export interface Content {
  readonly id: string;
  /** What the writer found in the file; undefined: nothing. */
  readonly parent: string | undefined;
  readonly segments: readonly Segment[];
}

export const sizeOf = ({ segments }: Content): number => segments[segments.length - 1].end;

/** What all pages of a file would be if one content had written them. */
function pagesOf(id: string, size: number): Buffer {
  const bytes = Buffer.alloc(size, `${id}|`);
  for (let at = 0; at + 8 <= size; at += PAGE_BYTES) bytes.writeDoubleBE(at / PAGE_BYTES, at);
  return bytes;
}

/** The content of a write of the first `cut` bytes (at least the header) over `before`; the file is `size` bytes long. */
export function contentOver(id: string, before: Content | undefined, cut: number, size: number): Content {
  const rest = (before?.segments ?? []).filter(({ end }) => end > cut);
  const end = before === undefined ? size : Math.max(cut, HEADER_BYTES);
  const segments = before === undefined || rest.length === 0 ? [{ end: size, id }] : [{ end, id }, ...rest];
  return { id, parent: before?.id, segments };
}

/** The bytes [0, end) of a content. */
export function bytesOf(content: Content, end = sizeOf(content)): Buffer {
  const bytes = Buffer.alloc(end);
  let start = 0;
  for (const segment of content.segments) {
    const to = Math.min(segment.end, end);
    if (to > start) pagesOf(segment.id, to).copy(bytes, start, start, to);
    start = segment.end;
  }
  const header = Buffer.from(JSON.stringify(content));
  if (header.length > HEADER_BYTES) throw new Error(`the header takes ${header.length} bytes`);
  bytes.fill(' ', 0, HEADER_BYTES);
  header.copy(bytes);
  return bytes;
}

/** Throws an error that says what is wrong with the bytes. */
export function parse(bytes: Buffer): Content {
  let content: Content;
  try {
    content = JSON.parse(bytes.toString('latin1', 0, HEADER_BYTES)) as Content;
  } catch {
    throw new Error(`${bytes.length} bytes without a header: ${JSON.stringify(bytes.toString('latin1', 0, 60))}`);
  }
  if (sizeOf(content) !== bytes.length)
    throw new Error(`${content.id} has ${bytes.length} bytes, not ${sizeOf(content)}`);
  const wanted = bytesOf(content);
  if (wanted.equals(bytes)) return content;
  const at = wanted.findIndex((byte, index) => byte !== bytes[index]);
  const shown = bytes.toString('latin1', at, at + 40);
  throw new Error(`${content.id} has other bytes from ${at} on: ${JSON.stringify(shown)}`);
}
