/** Which start of the machine this is: what was not synced to the disk before another is not trusted. */
import { readFileSync } from 'node:fs';

let known: string | undefined;

/** Differs from one start of the machine to the next; '' where the system does not tell. */
export function bootId(): string {
  if (known !== undefined) return known;
  try {
    known = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    // Not Linux: what lies on the disk is trusted as it is.
    known = '';
  }
  return known;
}
