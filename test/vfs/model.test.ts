/**
 * Random lists of operations against a plain model of a filesystem: what programs see after each step, and what a plain
 * client finds in the store at the end, with remounts in between.
 */
import fc from 'fast-check';
import t from 'tap';
import { CallError, O_WRONLY, TestVolume } from './volume-fixture.js';

interface Node {
  children?: Map<string, Node>;
  data?: string;
}

const names = ['a', 'b', 'a-', 'ab'];
const path = fc.array(fc.constantFrom(...names), { minLength: 1, maxLength: 3 });
const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ op: fc.constant('write' as const), path, data: fc.string({ maxLength: 20 }) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      op: fc.constant('patch' as const),
      path,
      at: fc.nat(30),
      data: fc.string({ minLength: 1, maxLength: 8 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('truncate' as const), path, size: fc.nat(40) }) },
  { weight: 3, arbitrary: fc.record({ op: fc.constant('mkdir' as const), path }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('unlink' as const), path }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('rmdir' as const), path }) },
  { weight: 4, arbitrary: fc.record({ op: fc.constant('rename' as const), path, to: path }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('remount' as const), cold: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('flush' as const), path }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('wait' as const), ms: fc.constantFrom(500, 2000, 70_000) }) },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

function find(root: Node, at: readonly string[]): Node | undefined {
  let node: Node | undefined = root;
  for (const name of at) node = node?.children?.get(name);
  return node;
}

/** The parent directory of a path, or the error that walking to it gives. */
function parentOf(root: Node, at: readonly string[]): Map<string, Node> {
  let node: Node = root;
  for (const name of at.slice(0, -1)) {
    const next = node.children?.get(name);
    if (next === undefined) throw new CallError(node.children === undefined ? 'ENOTDIR' : 'ENOENT');
    node = next;
  }
  if (node.children === undefined) throw new CallError('ENOTDIR');
  return node.children;
}

const bytes = (text: string): string => Buffer.from(text).toString('latin1');

function applyToModel(root: Node, one: Step): void {
  if (one.op === 'remount' || one.op === 'wait' || one.op === 'flush') return;
  const parent = parentOf(root, one.path);
  const name = one.path[one.path.length - 1];
  const node = parent.get(name);
  switch (one.op) {
    case 'write':
      if (node?.children !== undefined) throw new CallError('EISDIR');
      parent.set(name, { data: bytes(one.data) });
      return;
    case 'patch':
      if (node === undefined) throw new CallError('ENOENT');
      if (node.data === undefined) throw new CallError('EISDIR');
      node.data =
        node.data.padEnd(one.at, '\0').slice(0, one.at) +
        bytes(one.data) +
        node.data.slice(one.at + bytes(one.data).length);
      return;
    case 'truncate':
      if (node === undefined) throw new CallError('ENOENT');
      if (node.data === undefined) throw new CallError('EISDIR');
      node.data = node.data.slice(0, one.size).padEnd(one.size, '\0');
      return;
    case 'mkdir':
      if (node !== undefined) throw new CallError('EEXIST');
      parent.set(name, { children: new Map() });
      return;
    case 'unlink':
      if (node === undefined) throw new CallError('ENOENT');
      if (node.children !== undefined) throw new CallError('EISDIR');
      parent.delete(name);
      return;
    case 'rmdir':
      if (node === undefined) throw new CallError('ENOENT');
      if (node.children === undefined) throw new CallError('ENOTDIR');
      if (node.children.size > 0) throw new CallError('ENOTEMPTY');
      parent.delete(name);
      return;
    case 'rename':
      renameInModel(root, parent, one.path, one.to);
  }
}

function renameInModel(root: Node, parent: Map<string, Node>, from: readonly string[], to: readonly string[]): void {
  const name = from[from.length - 1];
  const newName = to[to.length - 1];
  const node = parent.get(name);
  const newParent = parentOf(root, to);
  if (node === undefined) throw new CallError('ENOENT');
  const target = newParent.get(newName);
  if (target === node) return;
  if (node.children !== undefined && target !== undefined && target.children === undefined)
    throw new CallError('ENOTDIR');
  if (node.children === undefined && target?.children !== undefined) throw new CallError('EISDIR');
  if (node.children !== undefined && to.length > from.length && from.every((part, i) => to[i] === part))
    throw new CallError('EINVAL');
  if (target?.children !== undefined && target.children.size > 0) throw new CallError('ENOTEMPTY');
  parent.delete(name);
  newParent.set(newName, node);
}

async function applyToVolume(volume: TestVolume, one: Step): Promise<void> {
  if (one.op === 'remount') return volume.remount(one.cold);
  if (one.op === 'wait') return volume.clock.advance(one.ms);
  if (one.op === 'flush') {
    // While it goes on, or before anything else.
    const flushing = volume.fs.flushAll();
    if (one.path.length !== 2) await flushing;
    return;
  }
  const at = one.path.join('/');
  switch (one.op) {
    case 'write':
      return volume.write(at, one.data);
    case 'patch': {
      const file = await volume.open(at, O_WRONLY);
      await volume.writeAt(file, one.at, one.data);
      return volume.closeFile(file);
    }
    case 'truncate':
      return volume.truncate(at, one.size);
    case 'mkdir':
      return volume.mkdir(at);
    case 'unlink':
      return volume.unlink(at);
    case 'rmdir':
      return volume.rmdir(at);
    case 'rename':
      return volume.rename(at, one.to.join('/'));
  }
}

async function outcome(work: () => unknown): Promise<string> {
  try {
    await work();
    return 'ok';
  } catch (error) {
    if (error instanceof CallError) return error.code;
    throw error;
  }
}

async function compareTree(volume: TestVolume, node: Node, at: string): Promise<void> {
  // Time goes on, so that what was listed flat for one directory may be told of another.
  volume.clock.advance(1);
  const expected = [...(node.children ?? [])].map(([name]) => name).sort();
  const listed = (await volume.list(at)).sort();
  if (listed.join() !== expected.join()) throw new Error(`${at || '/'} lists ${listed}, not ${expected}`);
  for (const [name, child] of node.children ?? []) {
    const below = at === '' ? name : `${at}/${name}`;
    if (child.children !== undefined) await compareTree(volume, child, below);
    else {
      const data = await volume.read(below);
      if (data !== child.data)
        throw new Error(`${below} holds ${JSON.stringify(data)}, not ${JSON.stringify(child.data)}`);
    }
  }
}

function compareStore(volume: TestVolume, root: Node): void {
  const files = new Map<string, string>();
  const walk = (node: Node, prefix: string): void => {
    for (const [name, child] of node.children ?? []) {
      if (child.data !== undefined) files.set(prefix + name, child.data);
      else walk(child, `${prefix}${name}/`);
    }
  };
  walk(root, '');
  for (const [key, data] of files)
    if (volume.body(key) !== data) throw new Error(`the store holds ${volume.body(key)} under ${key}`);
  for (const key of volume.memory.objects.keys()) {
    if (!key.endsWith('/') && !files.has(key)) throw new Error(`${key} was never a file, or is gone`);
    if (key.endsWith('/') && find(root, key.slice(0, -1).split('/'))?.children === undefined)
      throw new Error(`${key} is no directory`);
  }
}

t.test('random operations are what a plain filesystem would do', { timeout: 300_000 }, async (t) => {
  const runs = Number(process.env.PAILFS_MODEL_RUNS ?? 150);
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 25 }), async (steps) => {
      const volume = await TestVolume.open();
      // With write-back the requests that go on behind are interleaved with what programs do.
      if (process.env.PAILFS_TEST_WRITE_BACK === 'on') volume.client.add({ action: { kind: 'delay', until: 1 } });
      const root: Node = { children: new Map() };
      try {
        for (const [index, one] of steps.entries()) {
          volume.clock.advance(1);
          const expected = await outcome(() => applyToModel(root, one));
          const seen = await outcome(() => applyToVolume(volume, one));
          if (seen !== expected) throw new Error(`step ${index} ${JSON.stringify(one)}: ${seen}, not ${expected}`);
          if (index % 5 === 4) await compareTree(volume, root, '');
        }
        await compareTree(volume, root, '');
        const unsaved = await volume.fs.flushAll();
        if (unsaved.length > 0) throw new Error(`not uploaded: ${JSON.stringify(unsaved)}`);
        compareStore(volume, root);
        await compareTree(volume, root, '');
        const { lookups, openFiles, openDirectories, dirty } = volume.fs.status();
        if (lookups + openFiles + openDirectories + dirty.length > 0)
          throw new Error(`left: ${lookups} ${openFiles} ${openDirectories} ${dirty.length}`);
      } finally {
        await volume.close();
      }
    }),
    { numRuns: runs, ...(process.env.PAILFS_MODEL_SEED ? { seed: Number(process.env.PAILFS_MODEL_SEED) } : {}) },
  );
  t.pass(`${runs} random lists`);
});
