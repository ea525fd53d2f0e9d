/**
 * The files that are open, and what their paths mean meanwhile. The kernel has one inode for a path here, with one size
 * and one set of pages, so a path that is open means the node that is open, whatever another client writes: the bytes of
 * two versions never meet in one inode.
 *
 * libfuse renames an open file that is removed to `.fuse_hidden` and 16 digits, beside it. That name is only known here:
 * in the filesystem the file is unlinked at once, and lives as long as its handles.
 */
import { baseName, parentPath } from './path-walk.js';

/** libfuse 2's hidden_name(): node id and a counter, eight digits or more each. */
const HIDDEN = /^\.fuse_hidden[0-9a-f]{16,}$/;
/** Handles go through a C int. */
const MOST_HANDLES = 2 ** 31 - 1;

export function isLibfuseName(path: string): boolean {
  return HIDDEN.test(baseName(path));
}

/** libfuse takes an open file away: to such a name in the same directory. */
export function isHiding(path: string, newPath: string): boolean {
  return isLibfuseName(newPath) && parentPath(path) === parentPath(newPath);
}

/** One node that is open under one path, by one handle or several. */
export interface OpenNode {
  readonly nodeid: number;
  /** undefined: its name is gone, and libfuse knows none for it. */
  path: string | undefined;
  /** Open handles, and operations under way. */
  handles: number;
  hidden: boolean;
  /** Resolves when it is let go for the last time. */
  readonly closed: Promise<void>;
  close(): void;
}

export interface OpenFile {
  readonly node: OpenNode;
  /** The filesystem's handle. */
  readonly fh: number;
}

class Opened implements OpenNode {
  handles = 0;
  hidden = false;
  readonly closed: Promise<void>;
  close!: () => void;

  constructor(
    readonly nodeid: number,
    public path: string | undefined,
  ) {
    this.closed = new Promise((resolve) => {
      this.close = resolve;
    });
  }
}

export class OpenPaths {
  readonly #files = new Map<number, OpenFile>();
  readonly #nodes = new Map<string, Opened>();
  /** Hidden names whose file is closed; libfuse unlinks each of them once more. */
  readonly #closedHidden = new Set<string>();
  #next = 1;

  get size(): number {
    return this.#files.size;
  }

  nodeAt(path: string): OpenNode | undefined {
    return this.#nodes.get(path);
  }

  get(handle: number): OpenFile | undefined {
    return this.#files.get(handle);
  }

  all(): number[] {
    return [...this.#files.keys()];
  }

  /**
   * The node that the path means as long as it is open, kept from closing until letGo: an operation on it is under way.
   */
  hold(path: string): OpenNode | undefined {
    const node = this.#nodes.get(path);
    if (node !== undefined) node.handles += 1;
    return node;
  }

  /** A path that is not open gets its node. It is held; see letGo. */
  begin(path: string, nodeid: number): OpenNode {
    const node = new Opened(nodeid, path);
    node.handles = 1;
    this.#nodes.set(path, node);
    return node;
  }

  /** Answers the number for libfuse; never 0, which fuse-native takes for none. */
  add(node: OpenNode, fh: number): number {
    node.handles += 1;
    while (this.#files.has(this.#next)) this.#advance();
    const handle = this.#next;
    this.#advance();
    this.#files.set(handle, { node, fh });
    return handle;
  }

  #advance(): void {
    this.#next = this.#next === MOST_HANDLES ? 1 : this.#next + 1;
  }

  /** Takes the handle away; its node is to be let go. */
  close(handle: number): OpenFile | undefined {
    const file = this.#files.get(handle);
    this.#files.delete(handle);
    return file;
  }

  /** True when nobody holds it any more: the path then means what the filesystem says, and the caller its lookup. */
  letGo(node: OpenNode): boolean {
    node.handles -= 1;
    if (node.handles > 0) return false;
    if (node.path !== undefined) {
      this.#nodes.delete(node.path);
      if (node.hidden) this.#closedHidden.add(node.path);
    }
    node.close();
    return true;
  }

  /** The name is gone or another file's; handles keep the node. */
  detach(path: string): void {
    const node = this.#nodes.get(path);
    if (node === undefined) return;
    this.#nodes.delete(path);
    node.path = undefined;
  }

  /** Unlinked in the filesystem; libfuse goes on with the hidden path. */
  hide(path: string, hiddenPath: string): void {
    const node = this.#nodes.get(path);
    if (node === undefined) return;
    this.#nodes.delete(path);
    node.path = hiddenPath;
    node.hidden = true;
    this.#nodes.set(hiddenPath, node);
  }

  /** True for the unlink that libfuse sends of a hidden name once its file is closed. */
  isLastOfHidden(path: string): boolean {
    return this.#closedHidden.delete(path);
  }

  /** True where a file that is removed but open stands in the directory, which libfuse then cannot do without. */
  hidesBelow(directory: string): boolean {
    const prefix = `${directory}/`;
    for (const [path, node] of this.#nodes) if (node.hidden && path.startsWith(prefix)) return true;
    return false;
  }

  /** A file or a directory has a new name. */
  renamed(from: string, to: string): void {
    this.detach(to);
    const prefix = `${from}/`;
    for (const [path, node] of [...this.#nodes]) {
      if (path !== from && !path.startsWith(prefix)) continue;
      this.#nodes.delete(path);
      node.path = to + path.slice(from.length);
      this.#nodes.set(node.path, node);
    }
  }
}
