/** A disk that is soon full. */
import { execFileSync } from 'node:child_process';

/**
 * Mounts a tmpfs of `size` (as mount(8) takes it) on a directory until the test ends. False, and a test left out, where
 * that cannot be done.
 */
export function isSmallDisk(
  t: { teardown(work: () => unknown): void; pass(what: string, extra: { skip: string }): unknown },
  directory: string,
  size: string,
): boolean {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', directory], { stdio: 'ignore' });
  } catch {
    t.pass('on a small disk', { skip: 'a tmpfs can be mounted by root only' });
    return false;
  }
  t.teardown(() => execFileSync('umount', ['-l', directory]));
  return true;
}
