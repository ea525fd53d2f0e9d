/**
 * The only place that loads the package fuse-native (2.2.6, its last version) and libfuse.so.2 with it. What its
 * JavaScript gets wrong is put right in a subclass: it drops the sizes of the buffers for xattrs, the handle of fgetattr,
 * a link count of 0, and it unmounts by a shell command that the path becomes part of.
 */
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import { errno } from '../errno.js';
import { MountError } from './mount.js';

/** Called with 0 or a negative errno, or a count of bytes for read and write; exactly once. */
export type Done = (result: number) => void;
export type DoneWith<T> = (result: number, value?: T) => void;

/** What libfuse's path interface asks for. Paths begin with a slash; bytes that are not UTF-8 have become U+FFFD. */
export interface PathCalls {
  init(done: Done): void;
  /** fh: of an open file, where the kernel named one. */
  getattr(path: string, fh: number | undefined, done: DoneWith<Uint32Array>): void;
  fgetattr: unknown;
  access(path: string, mask: number, done: Done): void;
  statfs(path: string, done: DoneWith<Readonly<Record<string, number>>>): void;
  readdir(path: string, done: (result: number, names?: string[], stats?: object[]) => void): void;
  fsyncdir(path: string, dataOnly: number, fh: number, done: Done): void;
  readlink(path: string, done: DoneWith<string>): void;
  truncate(path: string, size: number, done: Done): void;
  ftruncate(path: string, fh: number, size: number, done: Done): void;
  /** The second time is the first once more, whatever was asked for (fuse-native.c, FUSE_METHOD_VOID(utimens)). Milliseconds. */
  utimens(path: string, atimeMs: number, atimeMsAgain: number, done: Done): void;
  chown(path: string, uid: number, gid: number, done: Done): void;
  chmod(path: string, mode: number, done: Done): void;
  mknod?(path: string, mode: number, rdev: number, done: Done): void;
  setxattr(path: string, name: string, value: Buffer, position: number, flags: number, done: Done): void;
  getxattr(path: string, name: string, done: DoneWith<Uint8Array>): void;
  listxattr(path: string, done: DoneWith<Uint8Array>): void;
  removexattr(path: string, name: string, done: Done): void;
  open(path: string, flags: number, done: DoneWith<number>): void;
  create(path: string, mode: number, done: DoneWith<number>): void;
  read(path: string, fh: number, into: Buffer, length: number, offset: number, done: Done): void;
  write(path: string, fh: number, data: Buffer, length: number, offset: number, done: Done): void;
  flush(path: string, fh: number, done: Done): void;
  fsync(path: string, dataOnly: number, fh: number, done: Done): void;
  release(path: string, fh: number, done: Done): void;
  unlink(path: string, done: Done): void;
  rename(path: string, newPath: string, done: Done): void;
  link?(path: string, newPath: string, done: Done): void;
  symlink(target: string, path: string, done: Done): void;
  mkdir(path: string, mode: number, done: Done): void;
  rmdir(path: string, done: Done): void;
}

/** One mount of libfuse's: it lives in threads of its own, which hand every call to this thread and wait. */
export interface LibfuseChannel {
  /** Mounts; calls back after INIT, or with why not. */
  mount(done: (error: Error | null) => void): void;
  /** Lets the event loop end. Only once libfuse has come to its end. */
  letGo(): void;
}

/** `words`: the whole string of options. */
export type OpenChannel = (mountpoint: string, calls: PathCalls, words: string) => LibfuseChannel;

interface Binding {
  fuse_native_unmount(mountpoint: string, thread: Buffer): void;
}

type Signal = (result: number, ...more: unknown[]) => void;

declare class Fuse {
  constructor(mountpoint: string, calls: PathCalls, options: { timeout: false });
  mnt: string;
  ops: PathCalls;
  _thread: Buffer;
  mount(done: (error: Error | null) => void): void;
}

/** The value where there is room; its size where that was asked. */
function put(value: Uint8Array, into: Buffer): number {
  if (into.length === 0) return value.length;
  if (value.length > into.length) return -errno.ERANGE;
  into.set(value);
  return value.length;
}

function channelOf(Base: typeof Fuse, binding: Binding): OpenChannel {
  class Channel extends Base implements LibfuseChannel {
    readonly #words: string;

    constructor(mountpoint: string, calls: PathCalls, words: string) {
      // Its own time limit would answer while the operation still uses the buffer.
      super(mountpoint, calls, { timeout: false });
      this.#words = words;
    }

    _fuseOptions(): string {
      return this.#words;
    }

    _op_getattr(signal: Signal, path: string): void {
      this.ops.getattr(path, undefined, signal);
    }

    _op_fgetattr(signal: Signal, path: string, fh: number): void {
      this.ops.getattr(path, fh, signal);
    }

    _op_getxattr(signal: Signal, path: string, name: string, into: Buffer): void {
      this.ops.getxattr(path, name, (result, value) => signal(value ? put(value, into) : result, into.buffer));
    }

    _op_listxattr(signal: Signal, path: string, into: Buffer): void {
      this.ops.listxattr(path, (result, value) => signal(value ? put(value, into) : result, into.buffer));
    }

    letGo(): void {
      binding.fuse_native_unmount(this.mnt, this._thread);
    }
  }
  return (mountpoint, calls, words) => new Channel(mountpoint, calls, words);
}

/** The packages that bring libfuse.so.2, by distribution. */
const installLibfuse =
  'Debian/Ubuntu "apt-get install libfuse2" (libfuse2t64 since Debian 13 and Ubuntu 24.04), ' +
  'Fedora "dnf install fuse-libs", Alpine "apk add fuse"';

/** Code of the MountError where the package or the library is missing. */
export const NO_LIBFUSE = 'ENOLIBFUSE';

function loadingFailed(cause: unknown): MountError {
  const { code, message } = cause as NodeJS.ErrnoException;
  if (code === 'MODULE_NOT_FOUND' && /'fuse-native'/.test(message)) {
    const line = 'the package fuse-native is not installed: "npm install fuse-native", or leave --driver away';
    return new MountError(NO_LIBFUSE, line);
  }
  if (/libfuse\.so/.test(message)) {
    return new MountError(NO_LIBFUSE, `libfuse.so.2 is missing, which fuse-native needs: ${installLibfuse}`);
  }
  return new MountError(NO_LIBFUSE, `fuse-native cannot be loaded (${message}): leave --driver away`);
}

let loaded: OpenChannel | undefined;

/** Throws MountError, in one line with what to install. */
export function loadFuseNative(): OpenChannel {
  if (loaded !== undefined) return loaded;
  try {
    const require = createRequire(import.meta.url);
    const path = require.resolve('fuse-native');
    const load = createRequire(path);
    const binding = (load('node-gyp-build') as (directory: string) => Binding)(dirname(path));
    loaded = channelOf(require('fuse-native') as typeof Fuse, binding);
  } catch (cause) {
    throw loadingFailed(cause);
  }
  return loaded;
}
