/**
 * From the keys of one LIST to the entries of a directory. An object whose name a prefix has too gets a name of its own;
 * as the prefix may come pages later (`a`, then a thousand `a-...`, then `a/`), such objects wait for the page that tells.
 * Components too long for a name appear as one directory for all that begin alike. Pure.
 */
import { compareKeys } from '../s3/key.js';
import type { ListedObject } from '../s3/object-client.js';
import type { KnownObject } from './attribute-store.js';

export interface ListedFile {
  readonly name: string;
  readonly directory: false;
  /** What its key adds to the prefix of the directory. */
  readonly part: string;
  readonly etag: string;
  readonly size: number;
  readonly lastModified: number;
  readonly storageClass?: string;
  /** It says that a directory exists, and is not shown itself. */
  readonly isFolderMarker?: boolean;
  /** What was asked of it for this listing and does not count longer (see AttributeStore.isFinal). */
  info?: KnownObject;
  /** Version of the attribute store that knew nothing of it. */
  unknownAt?: number;
  /** User metadata, where the LIST told it; the attribute store takes it before the page is shown. */
  metadata?: Readonly<Record<string, string>>;
}

export interface ListedDirectory {
  readonly name: string;
  readonly directory: true;
  /** What its prefix adds to that of the directory. */
  readonly part: string;
  /** It stands for the beginning of longer components, and is no directory of the bucket. */
  readonly isBeginning?: boolean;
}

export type ListedEntry = ListedFile | ListedDirectory;

/** The marker of the directory itself, which is the first key of its listing. */
export type Marker = Pick<ListedFile, 'etag' | 'size' | 'lastModified' | 'storageClass'>;

/** The name of a component of a key in its directory, or in the one that stands for its beginning. */
export type NameIn = (
  begun: string,
  component: string,
  asObject: boolean,
) => { readonly name: string; readonly isLong: boolean; readonly text: string } | undefined;

/** An object, or a prefix. */
export type Item = ListedObject | string;

export const keyOfItem = (item: Item): string => (typeof item === 'string' ? item : item.key);

/** What a page hands on to the next. */
export interface Carry {
  /** Objects whose name a prefix of a later page may have. */
  readonly objects: readonly ListedObject[];
  /** As ListingPage.date, of these objects. */
  readonly date?: number;
  /** Name of the last directory that stood for a beginning: more of the same do not make another. */
  readonly beginning: string | undefined;
}

export const nothingCarried: Carry = { objects: [], beginning: undefined };

export interface PageOfKeys {
  /** Of the directory, with what is begun. */
  readonly prefix: string;
  readonly begun: string;
  readonly items: readonly Item[];
  /** Last key of the page, relative to the prefix; undefined for the last page. */
  readonly last: string | undefined;
  readonly carry: Carry;
}

export interface PageOfEntries {
  /** In the order of their keys. */
  readonly entries: ListedEntry[];
  readonly marker: Marker | undefined;
  readonly carry: Carry;
}

/** Hadoop's way to say that an empty directory exists. */
const FOLDER = '_$folder$';

/** The component of the directory that a zero-byte object says exists. */
export function folderOf(part: string): string | undefined {
  return part.length > FOLDER.length && part.endsWith(FOLDER) ? part.slice(0, -FOLDER.length) : undefined;
}

export const folderMarkerOf = (component: string): string => component + FOLDER;

/** Objects and prefixes of one page, in the order of their keys. */
export function mergeByKey(objects: readonly ListedObject[], prefixes: readonly string[]): Item[] {
  if (prefixes.length === 0) return [...objects];
  const merged: Item[] = [];
  let next = 0;
  for (const object of objects) {
    while (next < prefixes.length && compareKeys(prefixes[next], object.key) < 0) merged.push(prefixes[next++]);
    merged.push(object);
  }
  while (next < prefixes.length) merged.push(prefixes[next++]);
  return merged;
}

function fileEntry(name: string, part: string, object: ListedObject, isFolderMarker?: boolean): ListedFile {
  const { etag, size, lastModified, storageClass, metadata } = object;
  return { name, directory: false, part, etag, size, lastModified, storageClass, isFolderMarker, metadata };
}

class PageReader {
  readonly entries: ListedEntry[] = [];
  readonly waiting: ListedObject[] = [];
  marker: Marker | undefined;
  beginning: string | undefined;
  readonly #page: PageOfKeys;
  readonly #nameIn: NameIn;

  constructor(page: PageOfKeys, nameIn: NameIn) {
    this.#page = page;
    this.#nameIn = nameIn;
    this.beginning = page.carry.beginning;
  }

  prefix(text: string): void {
    this.#add(text, false, (name) => ({ name, directory: true, part: `${text}/` }));
  }

  object(object: ListedObject, isShadowed: boolean): void {
    const { prefix, begun } = this.#page;
    const text = object.key.slice(prefix.length);
    if (text === '' && begun === '') {
      this.marker = object;
      if (object.size > 0) this.#add('', true, (name) => fileEntry(name, '', object));
      return;
    }
    const folder = begun === '' && object.size === 0 ? folderOf(text) : undefined;
    const isMarker = folder !== undefined && this.#nameIn('', folder, false)?.isLong === false;
    this.#add(text, isShadowed, (name) => fileEntry(name, text, object, isMarker || undefined));
  }

  #add(text: string, asObject: boolean, entry: (name: string) => ListedEntry): void {
    const { begun } = this.#page;
    const shown = this.#nameIn(begun, begun + text, asObject);
    if (shown === undefined) return;
    if (!shown.isLong) this.entries.push(entry(shown.name));
    else if (this.beginning !== shown.name) {
      this.beginning = shown.name;
      this.entries.push({ name: shown.name, directory: true, part: shown.text, isBeginning: true });
    }
  }
}

export function entriesOf(page: PageOfKeys, nameIn: NameIn): PageOfEntries {
  const { prefix, last } = page;
  const prefixes = new Set<string>();
  for (const item of page.items) if (typeof item === 'string') prefixes.add(item.slice(prefix.length, -1));
  const reader = new PageReader(page, nameIn);
  const mayBeShadowed = (text: string): boolean => last?.startsWith(text) === true && compareKeys(last, `${text}/`) < 0;
  for (const item of [...page.carry.objects, ...page.items]) {
    if (typeof item === 'string') {
      reader.prefix(item.slice(prefix.length, -1));
      continue;
    }
    const text = item.key.slice(prefix.length);
    const isShadowed = prefixes.has(text);
    if (text !== '' && !isShadowed && mayBeShadowed(text)) reader.waiting.push(item);
    else reader.object(item, isShadowed);
  }
  const { entries, marker, beginning } = reader;
  return { entries, marker, carry: { objects: reader.waiting, beginning } };
}
