/**
 * Which contents there are and by which object versions they are known, over the index and what is not in it yet.
 *
 * Invariants: a content in use or changed since the last save is in `active`; of the others the index alone knows. A
 * version leads to one content at most.
 */
import { randomBytes } from 'node:crypto';
import { MAX_SOUND_CONTENTS } from '../constants.js';
import type { CacheIndex } from './cache-index.js';
import { Content } from './content.js';
import type { Candidate } from './room.js';

/** A content that goes by more versions forgets the oldest. */
const MAX_VERSIONS = 16;

export class ContentTable {
  readonly active = new Map<string, Content>();
  /** Bytes on the disk of all contents. */
  bytes = 0;
  readonly #named = new Map<string, Content>();
  /** Of those that only the index knows, the ones that were wholly checked since the start. */
  readonly #sound = new Set<string>();
  readonly #index: CacheIndex;
  /** A content gained or lost a version. */
  readonly #onRenamed: (content: Content) => void;

  constructor(index: CacheIndex, onRenamed: (content: Content) => void) {
    this.#index = index;
    this.#onRenamed = onRenamed;
  }

  /** Reads the index once; answers the ids of all contents. */
  start(): Set<string> {
    const known = new Set<string>();
    for (const { key, value } of this.#index.contents.entries()) {
      known.add(key);
      this.bytes += value.diskBytes;
    }
    for (const { key, value } of this.#index.versions.entries()) {
      if (!known.has(value)) void this.#index.versions.remove(key);
    }
    return known;
  }

  /** @param version known to lead to nothing */
  create(size: number, version?: string): Content {
    const content = new Content(randomBytes(16).toString('hex'), size);
    this.active.set(content.id, content);
    if (version !== undefined) {
      content.versions.add(version);
      this.#named.set(version, content);
    }
    return content;
  }

  /** The content of a version, made active. */
  find(version: string, size: number): Content | undefined {
    const named = this.#named.get(version);
    if (named !== undefined) return named;
    const id = this.#index.versions.get(version);
    return id === undefined || this.active.has(id) ? undefined : this.#load(id, size);
  }

  #load(id: string, size: number): Content | undefined {
    const record = this.#index.contents.get(id);
    if (record === undefined || record.size !== size) return undefined;
    const content = new Content(id, size);
    content.loadRecords(record.blocks);
    content.used = record.used;
    content.savedUse = record.used;
    content.hasFile = true;
    if (this.#sound.delete(id)) content.vouch();
    // What the record counted and has no CRC for is not valid.
    this.bytes += content.diskBytes - record.diskBytes;
    this.active.set(id, content);
    for (const version of record.versions) {
      content.versions.add(version);
      this.#named.set(version, content);
    }
    return content;
  }

  /** `content` is what the version leads to from now on. */
  name(content: Content, version: string): void {
    const before = this.find(version, content.size);
    if (before === content) return;
    if (before !== undefined) this.#unname(before, version);
    content.versions.add(version);
    this.#named.set(version, content);
    for (const oldest of content.versions) {
      if (content.versions.size <= MAX_VERSIONS) break;
      this.#unname(content, oldest);
    }
    this.#onRenamed(content);
  }

  #unname(content: Content, version: string): void {
    content.versions.delete(version);
    if (this.#named.get(version) === content) this.#named.delete(version);
    if (this.#index.versions.get(version) === content.id) void this.#index.versions.remove(version);
    this.#onRenamed(content);
  }

  /** Nobody uses it, and the index knows all of it. */
  deactivate(content: Content): void {
    this.active.delete(content.id);
    if (content.isSound && content.diskBytes > 0) this.#remember(content.id);
    for (const version of content.versions) if (this.#named.get(version) === content) this.#named.delete(version);
  }

  #remember(id: string): void {
    for (const oldest of this.#sound) {
      if (this.#sound.size < MAX_SOUND_CONTENTS) break;
      this.#sound.delete(oldest);
    }
    this.#sound.add(id);
  }

  /** Writes a content to the index; resolves when it is committed. */
  async record(content: Content): Promise<void> {
    content.savedUse = content.used;
    const { size, diskBytes, used, id } = content;
    const versions = [...content.versions];
    const work = [this.#index.contents.put(id, { size, diskBytes, used, blocks: content.toRecords(), versions })];
    for (const version of versions) {
      if (this.#index.versions.get(version) !== id) work.push(this.#index.versions.put(version, id));
    }
    await Promise.all(work);
  }

  /** Nothing leads to it any more. Answers how many bytes on the disk it had. */
  forget(id: string): number {
    const content = this.active.get(id);
    const record = this.#index.contents.get(id);
    const bytes = content?.diskBytes ?? record?.diskBytes ?? 0;
    this.bytes -= bytes;
    this.#sound.delete(id);
    if (content !== undefined) {
      content.evicted = true;
      content.dropAll();
      this.deactivate(content);
    }
    for (const version of new Set([...(content?.versions ?? []), ...(record?.versions ?? [])])) {
      if (this.#index.versions.get(version) === id) void this.#index.versions.remove(version);
    }
    if (record !== undefined) void this.#index.contents.remove(id);
    return bytes;
  }

  /** Contents that nobody uses. */
  unused(): Candidate[] {
    const candidates: Candidate[] = [];
    for (const { key, value } of this.#index.contents.entries()) {
      if (!this.active.has(key)) candidates.push({ id: key, used: value.used });
    }
    for (const { id, used, pins } of this.active.values()) {
      if (pins === 0) candidates.push({ id, used });
    }
    return candidates;
  }
}
