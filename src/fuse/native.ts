/**
 * The only place that loads the addon. What its functions do and answer is written in native/pailfs.h; every result that
 * is negative is a negated errno.
 */
import { createRequire } from 'node:module';
import { endianness } from 'node:os';
import { fileURLToPath } from 'node:url';

/** Opaque values of the addon. */
export interface Watcher {
  readonly watcher: unique symbol;
}
export interface NotifierThread {
  readonly notifier: unique symbol;
}

export interface Native {
  openDevice(path: string): number;
  mount(
    source: string,
    target: string,
    fstype: string,
    flags: number,
    data: string,
    done: (result: number) => void,
  ): void;
  unmount(target: string, flags: number, done: (result: number) => void): void;
  socketPair(): [number, number] | number;
  receiveDescriptor(socket: number): number;
  setNonblocking(fd: number): number;
  closeDescriptor(fd: number): number;
  read(fd: number, buffer: Uint8Array): number;
  write(fd: number, buffer: Uint8Array, length: number): number;
  writev(fd: number, head: Uint8Array, headLength: number, pieces: readonly Uint8Array[]): number;
  backingOpen(device: number, fd: number): number;
  backingClose(device: number, id: number): number;
  onlyOpener(fd: number): number;
  pollOpen(fd: number, callback: (status: number) => void): Watcher | number;
  pollStart(watcher: Watcher): number;
  pollStop(watcher: Watcher): number;
  pollClose(watcher: Watcher): number;
  notifierOpen(fd: number, capacity: number): NotifierThread | number;
  notifierSend(notifier: NotifierThread, frame: Uint8Array): number;
  notifierCounters(notifier: NotifierThread, into: Float64Array): number;
  notifierClose(notifier: NotifierThread, milliseconds: number): number;
}

let loaded: Native | undefined;

/** The addon; throws with a remedy where it was not built. */
export function native(): Native {
  if (loaded) return loaded;
  if (endianness() !== 'LE') throw new Error('the kernel driver knows little-endian machines only');
  // From dist/src/fuse to the package's root.
  const path = fileURLToPath(new URL('../../../native/build/Release/pailfs.node', import.meta.url));
  try {
    loaded = createRequire(import.meta.url)(path) as Native;
  } catch (cause) {
    throw new Error('the native addon cannot be loaded: run "node scripts/build-native.js" (it needs a C compiler)', {
      cause,
    });
  }
  return loaded;
}
