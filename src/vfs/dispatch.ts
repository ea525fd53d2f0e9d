/**
 * Hands each operation of the drivers to its family in ops/. What an operation throws or rejects with becomes an errno
 * here, once for all.
 */
import type { Answer, Operations, Status } from '../fuse/operations.js';
import { fallocate } from './ops/allocate.js';
import * as attributes from './ops/attributes.js';
import { copyFileRange } from './ops/copy-range.js';
import * as directories from './ops/directories.js';
import * as files from './ops/files.js';
import * as io from './ops/io.js';
import * as names from './ops/names.js';
import * as nodes from './ops/nodes.js';
import { rename } from './ops/rename.js';
import { lseek } from './ops/seek.js';
import * as unnamed from './ops/unnamed.js';
import * as xattrs from './ops/xattrs.js';
import { attrReply } from './reply.js';
import { toErrno } from './to-errno.js';
import type { Volume } from './volume.js';

type HandleOperations =
  | 'open'
  | 'create'
  | 'read'
  | 'write'
  | 'flush'
  | 'release'
  | 'fsync'
  | 'fallocate'
  | 'lseek'
  | 'copyFileRange'
  | 'opendir'
  | 'readdir'
  | 'releasedir'
  | 'fsyncdir';

class Guard {
  readonly #volume: Volume;

  constructor(volume: Volume) {
    this.#volume = volume;
  }

  answer<T>(operation: string, work: () => T | number | Promise<T | number>): Answer<T> {
    const { logger } = this.#volume;
    try {
      const answer = work();
      return answer instanceof Promise ? answer.catch((error) => toErrno(error, logger, operation)) : answer;
    } catch (error) {
      return toErrno(error, logger, operation);
    }
  }

  status(operation: string, work: () => number | Promise<number>): Status {
    return this.answer<number>(operation, work);
  }
}

export function operationsOf(volume: Volume): Operations {
  const guard = new Guard(volume);
  return {
    init(info, notifier) {
      volume.mixesDirectIo = info.mixesDirectIo ?? false;
      volume.notifier = notifier;
    },
    passthrough: (backings) => volume.passthrough.offer(backings),
    ...nodeOperations(volume, guard),
    ...handleOperations(volume, guard),
  };
}

function nodeOperations(volume: Volume, guard: Guard): Omit<Operations, HandleOperations | 'init' | 'passthrough'> {
  const { inodes } = volume;
  return {
    lookup: (ctx, parent, name) => guard.answer('lookup', () => nodes.lookup(volume, ctx, parent, name)),
    forget: (nodeid, nlookup) => inodes.forget(nodeid, nlookup),
    getattr: (ctx, nodeid, fh) =>
      guard.answer('getattr', () =>
        fh === undefined ? nodes.getattr(volume, ctx, nodeid) : attrReply(volume, inodes.get(nodeid)),
      ),
    setattr: (ctx, nodeid, change) => guard.answer('setattr', () => attributes.setattr(volume, ctx, nodeid, change)),
    readlink: (ctx, nodeid) => guard.answer('readlink', () => nodes.readlink(volume, ctx, nodeid)),
    link: (ctx, nodeid, newParent, newName) =>
      guard.answer('link', () => unnamed.link(volume, ctx, nodeid, newParent, newName)),
    tmpfile: (ctx, parent, mode, umask, flags) =>
      guard.answer('tmpfile', () => unnamed.tmpfile(volume, ctx, parent, mode, umask, flags)),
    mknod: (ctx, parent, name, mode, rdev, umask) =>
      guard.answer('mknod', () => names.mknod(volume, ctx, parent, name, mode, rdev, umask)),
    mkdir: (ctx, parent, name, mode, umask) =>
      guard.answer('mkdir', () => directories.mkdir(volume, ctx, parent, name, mode, umask)),
    unlink: (ctx, parent, name) => guard.status('unlink', () => names.unlink(volume, ctx, parent, name)),
    rmdir: (ctx, parent, name) => guard.status('rmdir', () => directories.rmdir(volume, ctx, parent, name)),
    symlink: (ctx, parent, name, target) =>
      guard.answer('symlink', () => names.symlink(volume, ctx, parent, name, target)),
    rename: (ctx, parent, name, newParent, newName, flags) =>
      guard.status('rename', () => rename(volume, ctx, parent, name, newParent, newName, flags)),
    statfs: () => nodes.statfs(),
    // Mounted with default_permissions: the kernel checks modes and owners itself.
    access: () => 0,
    setxattr: (ctx, nodeid, name, value, flags, killSgid) =>
      guard.status('setxattr', () => xattrs.setxattr(volume, ctx, nodeid, name, value, flags, killSgid)),
    getxattr: (ctx, nodeid, name) => guard.answer('getxattr', () => xattrs.getxattr(volume, ctx, nodeid, name)),
    listxattr: (ctx, nodeid) => guard.answer('listxattr', () => xattrs.listxattr(volume, ctx, nodeid)),
    removexattr: (ctx, nodeid, name) =>
      guard.status('removexattr', () => xattrs.removexattr(volume, ctx, nodeid, name)),
  };
}

function handleOperations(volume: Volume, guard: Guard): Pick<Operations, HandleOperations> {
  return {
    open: (ctx, nodeid, flags, kill) => guard.answer('open', () => files.open(volume, ctx, nodeid, flags, kill)),
    create: (ctx, parent, name, mode, umask, flags) =>
      guard.answer('create', () => files.create(volume, ctx, parent, name, mode, umask, flags)),
    read: (ctx, _nodeid, fh, offset, size) => guard.answer('read', () => io.read(volume, ctx, fh, offset, size)),
    write: (ctx, _nodeid, fh, offset, data, flags) =>
      guard.answer<number>('write', () => io.write(volume, ctx, fh, offset, data, flags)),
    flush: (_ctx, _nodeid, fh) => guard.status('flush', () => files.flush(volume, fh)),
    release: (_nodeid, fh) => guard.status('release', () => files.release(volume, fh)),
    fsync: (ctx, _nodeid, fh) => guard.status('fsync', () => files.fsync(volume, ctx, fh)),
    fallocate: (ctx, _nodeid, fh, offset, length, mode) =>
      guard.status('fallocate', () => fallocate(volume, ctx, fh, offset, length, mode)),
    lseek: (_ctx, _nodeid, fh, offset, whence) =>
      guard.answer<number>('lseek', () => lseek(volume, fh, offset, whence)),
    copyFileRange: (ctx, from, to, length) =>
      guard.answer<number>('copyFileRange', () => copyFileRange(volume, ctx, from, to, length)),
    opendir: (_ctx, nodeid) => guard.answer('opendir', () => directories.opendir(volume, nodeid)),
    readdir: (_ctx, _nodeid, fh, offset, sink) =>
      guard.status('readdir', () => directories.readdir(volume, fh, offset, sink)),
    releasedir: (_nodeid, fh) => guard.status('releasedir', () => directories.releasedir(volume, fh)),
    fsyncdir: (ctx, _nodeid, fh) => guard.status('fsyncdir', () => directories.fsyncdir(volume, ctx, fh)),
  };
}
