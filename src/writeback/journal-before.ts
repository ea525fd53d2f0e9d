/**
 * What is done with the bytes of a journal that an earlier daemon left, before anything is taken up from it: whose they are,
 * and what is told of their damage.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { JournalRefused, type Parsed } from './journal-format.js';

/** The entry that says whose journal it is. */
export const IDENTITY_ID = 0;

export interface JournalLogger {
  warn(details: object, message: string): void;
  error(details: object, message: string): void;
}

export function readIfThere(path: string): Buffer | undefined {
  try {
    return readFileSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Throws JournalRefused for a journal of another mount. */
export function mustBelongTo(parsed: Parsed, identity: string, path: string): void {
  let found: unknown;
  for (const frame of parsed.frames) for (const [id, value] of frame.items) if (id === IDENTITY_ID) found = value;
  if (found !== undefined && found !== identity)
    throw new JournalRefused(`${path} belongs to ${JSON.stringify(found)}, not to ${JSON.stringify(identity)}`);
}

/** Keeps a damaged one beside it, and logs where. */
export function tellDamage(path: string, bytes: Buffer, parsed: Parsed, logger: JournalLogger): void {
  const { damages, end, isTorn } = parsed;
  if (damages.length === 0 && !isTorn) return;
  const kept = `${path}.damaged`;
  writeFileSync(kept, bytes, { mode: 0o600 });
  if (damages.length > 0) {
    const places = damages.map((damage) => `${damage.start} to ${damage.end}`).join(', ');
    const message = 'the journal is damaged: it was kept, and what the damaged part may have changed is set aside';
    logger.error({ path, kept, bytes: places }, message);
  } else logger.warn({ path, kept, at: end }, 'the journal ends in an incomplete frame: it is cut there');
}
