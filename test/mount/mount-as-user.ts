/** A mount that an ordinary user makes, through the setuid helper; see user-mount.ts. */
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestDriver } from './driver-choice.js';
import { run } from './harness.js';

/** What became of it; `skipped` says what the machine lacks for it. */
export interface UserMount {
  readonly skipped?: string;
  /** In /proc/mounts. */
  readonly line?: string;
  readonly [outcome: string]: unknown;
}

export async function mountAsUser(driver: TestDriver): Promise<UserMount> {
  const directory = mkdtempSync(join(tmpdir(), 'pailfs-user-'));
  const script = new URL('./user-mount.js', import.meta.url).pathname;
  try {
    chmodSync(directory, 0o777);
    // A world-accessible /dev/fuse in a mount namespace of its own, as a desktop has it; the machine's is untouched.
    const setup = `
      command -v fusermount3 >/dev/null || { echo 'SKIP fusermount3 is not installed'; exit 0; }
      mknod -m 666 ${directory}/fuse c 10 229 || { echo 'SKIP mknod is refused'; exit 0; }
      mount --bind ${directory}/fuse /dev/fuse || { echo 'SKIP mount --bind is refused'; exit 0; }
      mkdir -m 777 ${directory}/mnt; chown nobody ${directory}/mnt
      setpriv --reuid=nobody --regid=nogroup --clear-groups env -i PATH="$PATH" PAILFS_TEST_DRIVER=${driver} \
        ${process.execPath} ${script} ${directory}/mnt`;
    const result = await run('unshare', ['-m', '--propagation', 'private', '/bin/sh', '-ec', setup], {
      timeout: 30_000,
    });
    const skipped = /SKIP (.*)/.exec(result.stdout)?.[1];
    if (skipped !== undefined) return { skipped };
    if (result.code !== 0) throw new Error(`exit ${result.code}: ${result.stdout}${result.stderr}`);
    return JSON.parse(result.stdout);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
