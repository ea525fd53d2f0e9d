/** The kernel's caches: dropped before whatever has to be cold, and written out before whatever the disk would disturb. */
import { writeFileSync } from 'node:fs';

/** Pages, entries and inodes; what is dirty stays. Only root may. */
export function dropPageCache() {
  writeFileSync('/proc/sys/vm/drop_caches', '3');
}
