/**
 * Buckets, objects and uploads in memory, every change written to the log first. All changes are synchronous, so that a
 * condition looked at right before a change still holds when it is made.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { BlobStore } from './blobs.js';
import { Failure } from './failure.js';
import { KeyIndex } from './key-index.js';
import type { ObjectRecord, PartRecord, UploadRecord } from './record.js';
import { type Entry, RecordLog } from './record-log.js';

/** Finished uploads that are remembered, because AWS answers a repeated Complete with 200. */
const REMEMBERED_COMPLETES = 1000;

export interface Bucket {
  readonly name: string;
  readonly created: number;
  readonly objects: Map<string, ObjectRecord>;
  readonly index: KeyIndex;
}

export interface Upload {
  readonly record: UploadRecord;
  readonly parts: Map<number, PartRecord>;
}

export class Store {
  readonly blobs: BlobStore;
  readonly buckets = new Map<string, Bucket>();
  readonly uploads = new Map<string, Upload>();
  readonly #uploadsByKey = new Map<string, Set<Upload>>();
  readonly #completed = new Map<string, { bucket: string; record: ObjectRecord }>();
  readonly #log: RecordLog;

  constructor(directory: string) {
    mkdirSync(directory, { recursive: true });
    this.blobs = new BlobStore(directory);
    this.#log = new RecordLog(join(directory, 'records.jsonl'));
    // References are counted once everything is read: a blob that history alone points to may be gone already.
    this.#log.open((entry) => this.#apply(entry, false));
    for (const bucket of this.buckets.values()) {
      for (const record of bucket.objects.values()) this.blobs.retain(record.segments);
    }
    for (const upload of this.uploads.values()) {
      for (const part of upload.parts.values()) this.blobs.retain(part.segments);
    }
    this.blobs.sweep();
    this.#shorten();
  }

  close(): void {
    this.#log.close();
  }

  bucket(name: string): Bucket {
    const bucket = this.buckets.get(name);
    if (!bucket) throw new Failure('NoSuchBucket', { fields: { BucketName: name } });
    return bucket;
  }

  upload(bucket: string, key: string, id: string | undefined): Upload {
    const upload = this.uploads.get(id ?? '');
    if (!upload || upload.record.bucket !== bucket || upload.record.key !== key) {
      throw new Failure('NoSuchUpload', { fields: { UploadId: id ?? '' } });
    }
    return upload;
  }

  completed(bucket: string, key: string, id: string): ObjectRecord | undefined {
    const done = this.#completed.get(id);
    return done?.bucket === bucket && done.record.key === key ? done.record : undefined;
  }

  createBucket(name: string, created: number): void {
    this.#change({ do: 'bucket', bucket: name, created });
  }

  /** The bucket must be empty; its uploads end with it. */
  dropBucket(name: string): void {
    for (const upload of this.uploads.values()) if (upload.record.bucket === name) this.abort(upload.record.id);
    this.#change({ do: 'drop', bucket: name });
  }

  /** The caller's references to the segments become the record's. */
  put(bucket: string, record: ObjectRecord): void {
    this.#change({ do: 'put', bucket, record });
  }

  /** Same content, other attributes: does not count as a write of the key. */
  amend(bucket: string, record: ObjectRecord): void {
    this.blobs.retain(record.segments);
    this.#change({ do: 'amend', bucket, record });
  }

  delete(bucket: string, key: string): void {
    if (this.bucket(bucket).objects.has(key)) this.#change({ do: 'delete', bucket, key });
  }

  createUpload(upload: UploadRecord): void {
    this.#change({ do: 'upload', upload });
  }

  putPart(id: string, part: PartRecord): void {
    this.#change({ do: 'part', id, part });
  }

  abort(id: string): void {
    this.#change({ do: 'abort', id });
  }

  /** Takes its own references to the record's segments; those of the parts end. */
  complete(id: string, record: ObjectRecord): void {
    this.blobs.retain(record.segments);
    this.#change({ do: 'complete', id, record });
  }

  #change(entry: Entry): void {
    this.#log.append(entry);
    this.#apply(entry, true);
    this.#shorten();
  }

  #shorten(): void {
    let live = this.buckets.size + this.uploads.size;
    for (const bucket of this.buckets.values()) live += bucket.objects.size;
    if (this.#log.lines > 20_000 && this.#log.lines > live * 3) this.#log.rewrite(this.#entries());
  }

  *#entries(): Generator<Entry> {
    for (const bucket of this.buckets.values()) {
      yield { do: 'bucket', bucket: bucket.name, created: bucket.created };
      for (const record of bucket.objects.values()) yield { do: 'put', bucket: bucket.name, record };
    }
    for (const { record, parts } of this.uploads.values()) {
      yield { do: 'upload', upload: record };
      for (const part of parts.values()) yield { do: 'part', id: record.id, part };
    }
  }

  #apply(entry: Entry, counted: boolean): void {
    const release = (old: { readonly segments: ObjectRecord['segments'] } | undefined) => {
      if (counted && old) this.blobs.release(old.segments);
    };
    switch (entry.do) {
      case 'bucket':
        this.buckets.set(entry.bucket, {
          name: entry.bucket,
          created: entry.created,
          objects: new Map(),
          index: new KeyIndex(),
        });
        break;
      case 'drop':
        this.buckets.delete(entry.bucket);
        break;
      case 'put':
      case 'amend':
        if (entry.do === 'put') this.#disturb(entry.bucket, entry.record.key);
        release(this.#set(entry.bucket, entry.record));
        break;
      case 'delete':
        release(this.#unset(entry.bucket, entry.key));
        break;
      case 'upload':
        this.#beginUpload(entry.upload);
        break;
      case 'part': {
        const { parts } = this.uploads.get(entry.id)!;
        release(parts.get(entry.part.number));
        parts.set(entry.part.number, entry.part);
        break;
      }
      case 'abort':
      case 'complete': {
        const upload = this.#endUpload(entry.id);
        if (entry.do === 'complete') {
          this.#disturb(upload.record.bucket, entry.record.key);
          release(this.#set(upload.record.bucket, entry.record));
          this.#remember(upload.record, entry.record);
        }
        for (const part of upload.parts.values()) release(part);
        break;
      }
    }
  }

  #set(name: string, record: ObjectRecord): ObjectRecord | undefined {
    const { objects, index } = this.bucket(name);
    const old = objects.get(record.key);
    if (!old) index.add(record.key);
    objects.set(record.key, record);
    return old;
  }

  #unset(name: string, key: string): ObjectRecord | undefined {
    const { objects, index } = this.bucket(name);
    const old = objects.get(key);
    if (!old) return undefined;
    objects.delete(key);
    index.remove(key);
    this.#disturb(name, key);
    return old;
  }

  #disturb(bucket: string, key: string): void {
    for (const upload of this.#uploadsByKey.get(`${bucket}/${key}`) ?? []) upload.record.disturbed = true;
  }

  #beginUpload(record: UploadRecord): void {
    const upload = { record: { ...record }, parts: new Map() };
    const place = `${record.bucket}/${record.key}`;
    this.uploads.set(record.id, upload);
    this.#uploadsByKey.set(place, (this.#uploadsByKey.get(place) ?? new Set()).add(upload));
  }

  #endUpload(id: string): Upload {
    const upload = this.uploads.get(id)!;
    const place = `${upload.record.bucket}/${upload.record.key}`;
    const others = this.#uploadsByKey.get(place);
    others?.delete(upload);
    if (others?.size === 0) this.#uploadsByKey.delete(place);
    this.uploads.delete(id);
    return upload;
  }

  #remember({ id, bucket }: UploadRecord, record: ObjectRecord): void {
    this.#completed.set(id, { bucket, record });
    if (this.#completed.size > REMEMBERED_COMPLETES) this.#completed.delete(this.#completed.keys().next().value!);
  }
}
