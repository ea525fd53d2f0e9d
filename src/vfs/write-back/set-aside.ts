/**
 * What is in doubt at a start is set aside, bytes and record, and named: nothing is guessed, and nothing thrown away that
 * may have been acknowledged.
 */
import { appendFileSync, mkdirSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { stagedPath, type Volume } from '../volume.js';
import type { Found } from './left-by-earlier.js';
import type { FileRecord, PendingRecord } from './record.js';
import type { WriteBack } from './write-back.js';

function quarantine(volume: Volume): string {
  const directory = join(volume.options.stateDirectory, 'set-aside');
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  return directory;
}

/** Nothing is done with it; a person can look at it. */
export function setAside(volume: Volume, writeBack: WriteBack, id: number, record: PendingRecord): void {
  const directory = quarantine(volume);
  appendFileSync(join(directory, 'records.jsonl'), `${JSON.stringify(record)}\n`, { mode: 0o600 });
  if (record.kind === 'file' && record.staged !== undefined) {
    const { file } = record.staged;
    try {
      renameSync(stagedPath(volume, file), join(directory, file));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
  const what = 'path' in record ? record.path.join('/') : 'key' in record ? record.key : '';
  volume.logger.error(
    { kind: record.kind, what, directory },
    'what the journal says of this is in doubt: it is set aside',
  );
  writeBack.alsoAppend([id, undefined]);
}

/** Bytes that no close or fsync has acknowledged. They are kept where the journal was damaged: it may have named them. */
export function dropUnclosed(volume: Volume, files: ReadonlyArray<Found<FileRecord>>, isDamaged: boolean): void {
  const named = new Set(
    files.map(({ record: { staged } }) => (staged?.inline === undefined ? staged?.file : undefined)),
  );
  const directory = join(volume.options.stateDirectory, 'staged');
  for (const file of readdirSync(directory)) {
    if (named.has(file)) continue;
    const path = join(directory, file);
    if (!isDamaged || statSync(path).size === 0) rmSync(path, { force: true });
    else {
      renameSync(path, join(quarantine(volume), file));
      volume.logger.error({ file }, 'written bytes that the damaged journal does not name are set aside');
    }
  }
}
