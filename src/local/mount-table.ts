/**
 * What the kernel says is mounted, read from /proc/self/mountinfo: asking this never waits for a daemon, which stat()
 * of a mount point does.
 */
import { readFileSync } from 'node:fs';

export interface MountEntry {
  readonly mountpoint: string;
  readonly type: string;
  readonly source: string;
}

function decoded(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}

/** Lines of proc_pid_mountinfo(5). Bytes above 0x7f are not escaped. */
export function parseMountTable(text: string): MountEntry[] {
  const entries: MountEntry[] = [];
  for (const line of text.split('\n')) {
    const fields = line.split(' ');
    const separator = fields.indexOf('-', 6);
    if (separator < 0) continue;
    const [type = '', source = ''] = fields.slice(separator + 1);
    entries.push({ mountpoint: decoded(fields[4]), type, source: decoded(source) });
  }
  return entries;
}

/** As a process sees it; throws where it is gone, or not ours to ask. */
export function readMountTable(pid: number | 'self' = 'self'): MountEntry[] {
  return parseMountTable(readFileSync(`/proc/${pid}/mountinfo`, 'utf8'));
}

/** What shows at that place: of several mounts on it the last. */
export function mountedAt(mountpoint: string): MountEntry | undefined {
  return readMountTable().findLast((entry) => entry.mountpoint === mountpoint);
}

export function isPailfs(entry: MountEntry | undefined): boolean {
  return entry?.type === 'fuse.pailfs';
}

/** The mounts of pailfs, whoever made them. */
export function pailfsMounts(): MountEntry[] {
  return readMountTable().filter(isPailfs);
}
