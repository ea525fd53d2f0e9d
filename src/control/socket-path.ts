/** Where the control socket of a mount lies: one name for each mount point, so that it is found from the mount point. */
import { createHash } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';

/** sun_path of unix(7), less its NUL. */
export const MAX_SOCKET_PATH_BYTES = 107;

export function socketPath(runtimeDirectory: string, mountpoint: string): string {
  return join(runtimeDirectory, `${createHash('sha256').update(mountpoint).digest('hex').slice(0, 16)}.sock`);
}

/** All sockets, of live and of dead daemons. */
export function allSockets(runtimeDirectory: string): string[] {
  try {
    const names = readdirSync(runtimeDirectory).sort();
    return names.filter((name) => name.endsWith('.sock')).map((name) => join(runtimeDirectory, name));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}
