/**
 * Written bytes that no journal names: an earlier daemon without one (--write-back=off) ended before it had uploaded them.
 * Nothing here knows their names any more, so they stay until somebody has looked at them.
 */
import { existsSync, mkdirSync, readdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { counted } from './amount.js';

function filesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

/**
 * Before the filesystem is opened. A mount with a journal takes staged files that it does not name for ones that were
 * never closed, and removes them; so these are put aside. Answers what the user should know.
 */
export function keepLeftBehind(stateDirectory: string, writeBack: boolean): string | undefined {
  // What a journal names is taken up, and is no leftover.
  if (existsSync(join(stateDirectory, 'journal'))) return undefined;
  const staged = join(stateDirectory, 'staged');
  const files = filesIn(staged);
  if (files.length === 0) return undefined;
  const place = writeBack ? join(stateDirectory, 'set-aside') : staged;
  if (writeBack) {
    mkdirSync(place, { recursive: true, mode: 0o700 });
    for (const file of files) renameSync(join(staged, file), join(place, file));
  }
  return `${counted(files.length, 'file')} that an earlier daemon could not upload ${files.length === 1 ? 'lies' : 'lie'} in ${place}`;
}
