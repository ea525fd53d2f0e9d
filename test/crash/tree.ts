/**
 * What stands in the directory of a workload: the tree that a list of acknowledged operations must have left, the tree
 * that is really there, and a copy of it on the local disk, from which the next kill starts.
 */
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import type { Operation } from './ack-log.js';
import { contentOf } from './content.js';

export type Entry =
  | {
      readonly type: 'file';
      readonly bytes: Buffer;
      /** Permission bits; absent: nobody has set them, or nobody knows. */
      readonly mode?: number;
      /** Milliseconds since 1970; absent: the last change was a write. */
      readonly mtime?: number;
    }
  | { readonly type: 'directory'; readonly mode?: number }
  | { readonly type: 'link'; readonly target: string };

/** By path; '.' is the directory of the workload itself. */
export type Tree = Map<string, Entry>;

export const isBelow = (path: string, directory: string): boolean =>
  directory === '.' ? path !== '.' : path.startsWith(`${directory}/`);

/** Everything at and below a path. */
export function subtree(tree: Tree, path: string): string[] {
  return [...tree.keys()].filter((one) => one === path || isBelow(one, path));
}

const FILE_MODE = 0o644;
const DIRECTORY_MODE = 0o755;

function fileAt(tree: Tree, path: string): Extract<Entry, { type: 'file' }> {
  const entry = tree.get(path);
  if (entry?.type !== 'file') throw new Error(`the workload's own fault: ${path} is ${entry?.type ?? 'absent'}`);
  return entry;
}

function patched(bytes: Buffer, at: number, more: Buffer): Buffer {
  const whole = Buffer.alloc(Math.max(bytes.length, at + more.length));
  bytes.copy(whole);
  more.copy(whole, at);
  return whole;
}

/** The tree behind an operation. What programs do by themselves (git, sqlite) is not followed. */
export function apply(before: Tree, operation: Operation): Tree {
  const tree = new Map(before);
  const { path } = operation;
  const rewrite = (bytes: Buffer): void => {
    const old = tree.get(path);
    tree.set(path, { type: 'file', bytes, mode: old?.type === 'file' ? old.mode : FILE_MODE });
  };
  switch (operation.op) {
    case 'put':
      rewrite(contentOf(operation.seed, operation.size));
      break;
    case 'append': {
      const { bytes } = fileAt(tree, path);
      rewrite(Buffer.concat([bytes, contentOf(operation.seed, operation.size)]));
      break;
    }
    case 'patch':
      rewrite(patched(fileAt(tree, path).bytes, operation.at, contentOf(operation.seed, operation.size)));
      break;
    case 'truncate': {
      const bytes = Buffer.alloc(operation.size);
      fileAt(tree, path).bytes.copy(bytes);
      rewrite(bytes);
      break;
    }
    case 'copy':
      rewrite(fileAt(tree, operation.from).bytes);
      break;
    case 'rename':
      for (const one of subtree(tree, path)) tree.delete(one);
      for (const one of subtree(tree, operation.from)) {
        tree.set(path + one.slice(operation.from.length), tree.get(one)!);
        tree.delete(one);
      }
      break;
    case 'unlink':
    case 'rmdir':
      tree.delete(path);
      break;
    case 'mkdir':
      tree.set(path, { type: 'directory', mode: DIRECTORY_MODE });
      break;
    case 'chmod':
      tree.set(path, { ...tree.get(path)!, mode: operation.mode } as Entry);
      break;
    case 'utimes':
      tree.set(path, { ...fileAt(tree, path), mtime: operation.mtime });
      break;
    case 'symlink':
      tree.set(path, { type: 'link', target: operation.target });
      break;
    case 'unpack':
      for (const { path, content, mode, mtime } of operation.entries) {
        if (content === undefined) tree.set(path, { type: 'directory', mode });
        else {
          const bytes = contentOf(content.seed, content.size);
          tree.set(path, { type: 'file', bytes, mode, mtime: mtime * 1000 });
        }
      }
      break;
    case 'remove-tree':
      for (const one of subtree(tree, path)) tree.delete(one);
      break;
    case 'unnamed':
    case 'clone':
    case 'commit':
    case 'transaction':
      break;
  }
  return tree;
}

function contentAt(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new Error(`${path} cannot be read`, { cause: error });
  }
}

/** Reads what is really there; empty where there is nothing. */
export function readTree(root: string): Tree {
  const tree: Tree = new Map();
  const visit = (path: string): void => {
    const real = join(root, path);
    const stat = lstatSync(real);
    const mode = stat.mode & 0o7777;
    if (stat.isSymbolicLink()) tree.set(path, { type: 'link', target: readlinkSync(real) });
    else if (stat.isDirectory()) {
      tree.set(path, { type: 'directory', mode });
      for (const name of readdirSync(real)) visit(path === '.' ? name : `${path}/${name}`);
    } else {
      const bytes = contentAt(real);
      if (bytes.length !== stat.size) throw new Error(`${path}: stat says ${stat.size} bytes, read ${bytes.length}`);
      tree.set(path, { type: 'file', bytes, mode, mtime: stat.mtimeMs });
    }
  };
  if (existsSync(root)) visit('.');
  return tree;
}

/** Where a mirror keeps the attributes: the copy itself has those of this machine. */
const ATTRIBUTES = '.attributes.json';

export function writeMirror(root: string, tree: Tree): void {
  rmSync(root, { recursive: true, force: true });
  rmSync(root + ATTRIBUTES, { force: true });
  const attributes: Record<string, { mode?: number; mtime?: number }> = {};
  for (const [path, entry] of tree) {
    const real = join(root, path);
    if (entry.type === 'directory') mkdirSync(real);
    else if (entry.type === 'link') symlinkSync(entry.target, real);
    else writeFileSync(real, entry.bytes);
    if (entry.type === 'directory') attributes[path] = { mode: entry.mode };
    if (entry.type === 'file') attributes[path] = { mode: entry.mode, mtime: entry.mtime };
  }
  writeFileSync(root + ATTRIBUTES, JSON.stringify(attributes));
}

export function readMirror(root: string): Tree {
  const tree = readTree(root);
  if (tree.size === 0) return tree;
  const attributes = JSON.parse(readFileSync(root + ATTRIBUTES, 'utf8'));
  for (const [path, entry] of tree)
    if (entry.type !== 'link') tree.set(path, { ...entry, mtime: undefined, ...attributes[path] });
  return tree;
}
