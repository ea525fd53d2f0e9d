/** What the journal holds at a start, by kind, and how much of it is known to have been on this machine's disk. */
import { bootId } from '../../boot-id.js';
import type {
  DirectoryRecord,
  FileRecord,
  PendingRecord,
  RemovalRecord,
  UploadRecord,
  WrittenRecord,
} from './record.js';
import { SAFE_ID } from './state-sync.js';
import type { WriteBack } from './write-back.js';

export interface Found<R> {
  readonly id: number;
  readonly record: R;
  /** Known to be on this machine's disk since before it was last started. */
  readonly isSafe: boolean;
}

export interface Everything {
  readonly files: Found<FileRecord>[];
  readonly directories: Found<DirectoryRecord>[];
  readonly removals: Found<RemovalRecord>[];
  readonly uploads: Found<UploadRecord>[];
  readonly written: Found<WrittenRecord>[];
}

export function readJournal(writeBack: WriteBack): Everything {
  const all: Everything = { files: [], directories: [], removals: [], uploads: [], written: [] };
  const { journal } = writeBack;
  const entries = [...journal.entries()];
  const marker = entries.find(([id]) => id === SAFE_ID)?.[1].value as { boot: string; sequence: number } | undefined;
  const isSafe = (sequence: number): boolean =>
    marker !== undefined && (marker.boot === bootId() || sequence <= marker.sequence);
  for (const [id, { value, sequence }] of entries) {
    const record = value as PendingRecord;
    const found = { id, isSafe: isSafe(sequence) };
    if (record.kind === 'file') all.files.push({ ...found, record });
    else if (record.kind === 'directory') all.directories.push({ ...found, record });
    else if (record.kind === 'removal') all.removals.push({ ...found, record });
    else if (record.kind === 'upload') all.uploads.push({ ...found, record });
    else if (record.kind === 'written') all.written.push({ ...found, record });
  }
  return all;
}
