/** What the kernel can ask, decoded: one shape an operation, without what the header says already. */
import type { AttributeChange, WriteFlags } from './operations.js';

interface Named {
  readonly name: string;
}
interface MaybeHandle {
  readonly fh: number | undefined;
}
interface Handle {
  readonly fh: number;
}
interface Opening {
  readonly flags: number;
  readonly killSuidgid: boolean;
}
interface Reading extends Handle {
  readonly offset: number;
  readonly size: number;
}
interface Syncing extends Handle {
  readonly dataOnly: boolean;
}
interface Copying extends Handle {
  readonly offset: number;
  readonly to: { readonly nodeid: number; readonly fh: number; readonly offset: number };
  readonly length: number;
}
type Empty = Record<never, never>;

/** The body of each operation's request. */
export interface RequestBodies {
  init: {
    readonly major: number;
    readonly minor: number;
    readonly maxReadahead: number;
    readonly flags: number;
    readonly flags2: number;
  };
  lookup: Named;
  unlink: Named;
  rmdir: Named;
  removexattr: Named;
  forget: { readonly nlookup: number };
  batchForget: { readonly nodes: readonly { readonly nodeid: number; readonly nlookup: number }[] };
  getattr: MaybeHandle;
  statx: MaybeHandle;
  setattr: { readonly change: AttributeChange };
  readlink: Empty;
  statfs: Empty;
  destroy: Empty;
  notifyReply: Empty;
  symlink: Named & { readonly target: Uint8Array };
  mknod: Named & { readonly mode: number; readonly rdev: number; readonly umask: number };
  mkdir: Named & { readonly mode: number; readonly umask: number };
  rename: Named & { readonly newParent: number; readonly newName: string; readonly flags: number };
  link: { readonly nodeid: number; readonly newName: string };
  open: Opening;
  opendir: Opening;
  create: Named & { readonly flags: number; readonly mode: number; readonly umask: number };
  /** Without a name: the kernel sends "/" for one. */
  tmpfile: { readonly flags: number; readonly mode: number; readonly umask: number };
  read: Reading;
  readdir: Reading;
  readdirplus: Reading;
  write: Handle & { readonly offset: number; readonly data: Uint8Array; readonly flags: WriteFlags };
  flush: Handle;
  release: Handle;
  releasedir: Handle;
  fsync: Syncing;
  fsyncdir: Syncing;
  access: { readonly mask: number };
  setxattr: Named & { readonly value: Uint8Array; readonly flags: number; readonly killSgid?: boolean };
  getxattr: Named & { readonly size: number };
  listxattr: { readonly size: number };
  interrupt: { readonly uniqueLow: number; readonly uniqueHigh: number };
  fallocate: Handle & { readonly offset: number; readonly length: number; readonly mode: number };
  lseek: Handle & { readonly offset: number; readonly whence: number };
  copyFileRange: Copying;
  copyFileRange64: Copying;
}

export type OpName = keyof RequestBodies;
export type Request = { [K in OpName]: { readonly op: K } & RequestBodies[K] }[OpName];
export type InitRequest = RequestBodies['init'];
