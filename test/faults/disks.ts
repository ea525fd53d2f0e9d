/** Troubles of the disk that the state directory lies on: it is full, or it fails. */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { check, run } from '../mount/harness.js';
import type { Faults } from './faults.js';
import type { Scenario } from './scenarios.js';

/** Of the disk that fills (bytes): less than the large files of the worker together. */
const SMALL_DISK = 12 * 2 ** 20;
/** Of the disk that fails (bytes), and how much of it works then: its inodes, directories and little more. */
const DISK = 96 * 2 ** 20;
const LEFT = 3 * 2 ** 20;
const FILLER = 40 * 2 ** 20;
const INODES = 1024;

/** Makes a loop device end after so many bytes of its image; 0: with it. Source: linux/loop.h, struct loop_info64. */
const SHORTEN = `
import fcntl, struct, sys
GET, SET, AT = 0x4C05, 0x4C04, 32
with open(sys.argv[1]) as device:
    info = bytearray(fcntl.ioctl(device, GET, bytes(232)))
    struct.pack_into("<Q", info, AT, int(sys.argv[2]))
    fcntl.ioctl(device, SET, bytes(info))
`;

/** The state directory on a disk of its own, with less room than the files need. */
export async function fullDisk(faults: Faults): Promise<void> {
  const state = join(faults.directory, 'state');
  await check(`mount -t tmpfs -o size=${SMALL_DISK} tmpfs ${state}`);
  await faults.mount();
  const filler = join(state, 'filler');
  const scenario: Scenario = {
    id: 'full-disk',
    name: 'the state disk is full',
    errors: ['ENOSPC', 'EIO'],
    isNoticed: true,
    // Long enough for a large file to come by, also in a short run on a busy machine.
    ms: 12_000,
    begin: () => writeFileSync(filler, Buffer.alloc(SMALL_DISK - 2 ** 20)),
    end: () => rmSync(filler),
  };
  await faults.scenario(scenario, faults.plan.seed);
  await faults.end('everything acknowledged is in S3, and the full disk lost nothing');
}

/** The page cache takes the writes, and only a sync hears of their failure. */
export function failingDisk(faults: Faults): Promise<void> {
  // Without a journal nobody syncs: what is written is uploaded from the page cache.
  return failing(faults, 'failing-disk', 'errors=continue', faults.isWriteBack);
}

/** Each write is told at once that it failed. */
export function failingSyncDisk(faults: Faults): Promise<void> {
  return failing(faults, 'failing-sync-disk', 'errors=continue,sync', true);
}

/**
 * The state directory on a loop device that is cut short: behind its new end writes fail (EIO), and so does reading what is
 * not in memory. Without a journal of its own the filesystem does not turn read-only, so that it works again afterwards.
 */
async function failing(faults: Faults, id: string, options: string, isNoticed: boolean): Promise<void> {
  const image = join(faults.directory, 'image');
  const state = join(faults.directory, 'state');
  await check(`truncate -s ${DISK} ${image}; mkfs.ext4 -q -N ${INODES} -O ^has_journal ${image}`);
  const device = (await check(`losetup -f --show ${image}`)).trim();
  try {
    // What is written later lies where the disk will fail.
    await check(`mount -o ${options} ${device} ${state}; fallocate -l ${FILLER} ${state}/filler`);
    await faults.mount();
    const endAfter = async (bytes: number): Promise<void> => {
      const { code, stderr } = await run('python3', ['-c', SHORTEN, device, String(bytes)]);
      if (code !== 0) throw new Error(`the loop device cannot be cut short: ${stderr}`);
    };
    const scenario: Scenario = {
      id,
      name: `the state disk fails (${options})`,
      errors: ['EIO', 'ENOSPC'],
      isNoticed,
      // The disk is synced every five seconds, also in a short run.
      ms: 20_000,
      begin: () => endAfter(LEFT),
      end: () => endAfter(0),
    };
    await faults.scenario(scenario, faults.plan.seed);
    await faults.end('everything acknowledged is in S3, and the failing disk lost nothing');
  } finally {
    await faults.close();
    await run('losetup', ['-d', device], { timeout: 5_000 });
  }
}
