/**
 * The null mount: pailfs's driver over a filesystem in memory, as a process of its own: `null-mount.js MOUNTPOINT`. What
 * it takes is the least that a mount in this driver can take, since it neither knows S3 nor a disk. Ends with its mount.
 */
import { mountKernel } from '../../dist/src/fuse/kernel-driver.js';
import { silentLogger } from '../../dist/src/log.js';
import { MemoryFilesystem } from '../../dist/test/fuse/memory-filesystem.js';

// Attributes are believed as long as a mount of a bucket believes them by default (--metadata-ttl).
const filesystem = new MemoryFilesystem({ ttlMs: 60_000 });
const options = { mountpoint: process.argv[2], fsname: 'null', log: silentLogger, defaultPermissions: true };
const mounted = await mountKernel(filesystem, options);
process.once('SIGTERM', () => void mounted.unmount({ lazy: true }));
process.send?.('mounted');
await mounted.closed;
process.exit(0);
