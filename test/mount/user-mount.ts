/** Run as an ordinary user (mount-as-user.ts): one mount through fusermount3, and what became of it, as JSON. */
import { readFileSync } from 'node:fs';
import type { DriverOptions } from '../../src/fuse/driver.js';
import { silentLogger } from '../../src/log.js';
import { MemoryFilesystem } from '../fuse/memory-filesystem.js';
import { mountChosen } from './driver-choice.js';
import { check, start, until, within } from './harness.js';

const directory = process.argv[2];
const options: DriverOptions = { mountpoint: directory, fsname: 's3://a,b', log: silentLogger };
const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => 'none',
    (error) => error.code ?? String(error),
  );

const allowOther = await codeOf(mountChosen(new MemoryFilesystem(), { ...options, allowOther: true }));
const filesystem = new MemoryFilesystem();
const mounted = await mountChosen(filesystem, options);
const line = readFileSync('/proc/mounts', 'utf8')
  .split('\n')
  .find((one) => one.includes(directory));
const content = await check(`echo hello > ${directory}/a; cat ${directory}/a`);
const holder = start('/bin/sh', ['-c', `exec 3<${directory}/a; exec sleep 30`]);
await until('open', () => filesystem.handles.size === 1);
const busy = await codeOf(mounted.unmount());
holder.child.kill('SIGKILL');
await holder.result;
await until('released', () => filesystem.handles.size === 0);
await mounted.unmount();
await within(5000, 'closed', mounted.closed);
const { privileged } = mounted;
const { nlookup } = mounted.stats().session;
console.log(JSON.stringify({ line, privileged, content, busy, closed: true, nlookup, allowOther }));
