/** Which driver the mounts of the suite have: PAILFS_TEST_DRIVER, kernel unless it says fuse-native. */
import type { DriverOptions, Mounted } from '../../src/fuse/driver.js';
import { mountFuseNative } from '../../src/fuse/fuse-native-driver.js';
import { loadFuseNative } from '../../src/fuse/fuse-native-package.js';
import { mountKernel } from '../../src/fuse/kernel-driver.js';
import type { Operations } from '../../src/fuse/operations.js';

export type TestDriver = 'kernel' | 'fuse-native';

function chosen(): TestDriver {
  const name = process.env.PAILFS_TEST_DRIVER ?? 'kernel';
  if (name !== 'kernel' && name !== 'fuse-native') throw new Error(`PAILFS_TEST_DRIVER: no such driver: ${name}`);
  return name;
}

export const testDriver = chosen();

/** PAILFS_TEST_WRITE_BACK=on: close() answers before the store has the file, and so do changes of names. */
export const writesBack = process.env.PAILFS_TEST_WRITE_BACK === 'on';

/** fuse-native loses times of modification: what is asserted of them is that they are those of the writing, then. */
export const keepsTimes = testDriver === 'kernel';

/** Seconds since 1970 that are about now. */
export function isRecent(seconds: number | string): boolean {
  return Math.abs(Date.now() / 1000 - Number(seconds)) < 300;
}

export function mountChosen(operations: Operations, options: DriverOptions, driver = testDriver): Promise<Mounted> {
  return driver === 'kernel' ? mountKernel(operations, options) : mountFuseNative(operations, options);
}

/** Why fuse-native cannot be tested here, or false; for tap's skip option. */
export function noFuseNative(): string | false {
  try {
    loadFuseNative();
    return false;
  } catch (error) {
    return (error as Error).message;
  }
}
