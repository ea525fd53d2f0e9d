/** Trees that are walked while this mount, or another client, changes them; each directory is what it is when it is read. */
import fc from 'fast-check';
import t from 'tap';
import { TestVolume, withVolume } from './volume-fixture.js';

const DIRECTORIES = 12;
const directoryOf = (number: number): string => `t/d${10 + (number % DIRECTORIES)}`;
const step = fc.record({
  op: fc.constantFrom(
    'write',
    'unlink',
    'rename',
    'renameDirectory',
    'makeDirectory',
    'removeTree',
    'put',
    'flush',
    'look',
  ),
  from: fc.nat(DIRECTORIES - 1),
  to: fc.nat(DIRECTORIES - 1),
  name: fc.constantFrom('f0', 'f1', 'new', 's'),
});
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** Directories by path, each with the names in it. */
type Tree = Map<string, Set<string>>;

function below(tree: Tree, path: string): string[] {
  return [...tree.keys()].filter((one) => one === path || one.startsWith(`${path}/`));
}

/** One change, in the tree and in the volume; nothing where it cannot be. */
async function apply(volume: TestVolume, tree: Tree, { op, from, to, name }: Step): Promise<void> {
  const [a, b] = [directoryOf(from), directoryOf(to)];
  const [here, there] = [tree.get(a), tree.get(b)];
  const isFile = here?.has(name) && !tree.has(`${a}/${name}`);
  if (op === 'flush') await volume.fs.flushAll();
  else if (op === 'look') volume.clock.advance(100);
  else if (op === 'put') await volume.put(`t/zz/${name}`, 'theirs');
  else if (op === 'write' && here !== undefined && !tree.has(`${a}/${name}`)) {
    await volume.write(`${a}/${name}`, 'ours');
    here.add(name);
  } else if (op === 'unlink' && isFile) {
    await volume.unlink(`${a}/${name}`);
    here?.delete(name);
  } else if (op === 'rename' && isFile && there !== undefined && !tree.has(`${b}/${name}x`)) {
    await volume.rename(`${a}/${name}`, `${b}/${name}x`);
    here?.delete(name);
    there.add(`${name}x`);
  } else if (op === 'renameDirectory' && here !== undefined && !tree.has(`${a}x`)) {
    await volume.rename(a, `${a}x`);
    for (const path of below(tree, a)) {
      tree.set(path.replace(a, `${a}x`), tree.get(path)!);
      tree.delete(path);
    }
  } else if (op === 'makeDirectory' && here === undefined) {
    await volume.mkdir(a);
    tree.set(a, new Set());
  } else if (op === 'removeTree' && here !== undefined) await removeTree(volume, tree, a);
}

async function removeTree(volume: TestVolume, tree: Tree, path: string): Promise<void> {
  for (const name of tree.get(path)!) {
    if (tree.has(`${path}/${name}`)) await removeTree(volume, tree, `${path}/${name}`);
    else await volume.unlink(`${path}/${name}`);
  }
  await volume.rmdir(path);
  tree.delete(path);
  tree.get(path.slice(0, path.lastIndexOf('/')))?.delete(path.slice(path.lastIndexOf('/') + 1));
}

async function walkWith(holds: boolean, steps: readonly Step[]): Promise<number> {
  const volume = await TestVolume.open({ attributes: 'listing' });
  volume.holds = holds;
  const tree: Tree = new Map();
  try {
    for (let d = 0; d < DIRECTORIES; d++) {
      tree.set(directoryOf(d), new Set(['f0', 'f1', 's']));
      tree.set(`${directoryOf(d)}/s`, new Set(['f0']));
      for (const key of ['f0', 'f1', 's/f0']) await volume.put(`${directoryOf(d)}/${key}`, key);
    }
    const left = [...steps];
    const compare = async (path: string): Promise<void> => {
      volume.clock.advance(1);
      for (const one of left.splice(0, 1)) await apply(volume, tree, one);
      volume.clock.advance(1);
      const wanted = tree.get(path);
      if (wanted === undefined) return;
      const listed = (await volume.list(path)).sort().join();
      const expected = [...wanted].sort().join();
      if (listed !== expected) throw new Error(`${path} lists ${listed}, not ${expected}`);
      for (const name of [...wanted]) if (tree.has(`${path}/${name}`)) await compare(`${path}/${name}`);
    };
    volume.requests();
    await volume.list('t');
    for (const path of [...tree.keys()].filter((one) => one.split('/').length === 2)) await compare(path);
    return volume.requests().ListObjectsV2 ?? 0;
  } finally {
    await volume.close();
  }
}

for (const holds of [true, false]) {
  t.test(`this mount changes the tree that is walked; nodes are ${holds ? 'never' : 'always'} forgotten`, async (t) => {
    const lists = await walkWith(holds, []);
    if (holds) t.ok(lists <= 6, `${lists} LISTs: the tree is listed flat`);
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 24 }), async (steps) => {
        await walkWith(holds, steps);
      }),
      { includeErrorInReport: true, numRuns: Number(process.env.PAILFS_MODEL_RUNS ?? 60) },
    );
  });
}

t.test('what lies elsewhere than its name says is asked for itself', async (t) => {
  await withVolume(
    async (volume) => {
      for (let d = 0; d < DIRECTORIES; d++)
        for (const name of ['f0', 'f1']) await volume.put(`${directoryOf(d)}/${name}`, name);
      await volume.fs.flushAll();
      // No copy succeeds: the directory's keys stay where they are.
      volume.client.add({ method: 'copy', action: { kind: 'fail', error: 'Timeout' } });
      await volume.rename('t', 'u');
      volume.requests();
      t.equal((await volume.list('u')).length, DIRECTORIES);
      for (let d = 0; d < DIRECTORIES; d++) t.equal((await volume.list(directoryOf(d).replace('t', 'u'))).length, 2);
      t.ok((volume.requests().ListObjectsV2 ?? 0) >= DIRECTORIES + 1, 'one by one');
      volume.client.clear();
      t.same(await volume.fs.flushAll(), []);
      t.equal((await volume.list('u/d10')).length, 2);
    },
    { writeBack: true, attributes: 'listing' },
  );
});

t.test('a node that shows up behind a listing is as old as that', async (t) => {
  await withVolume(
    async (volume) => {
      for (let d = 0; d < DIRECTORIES; d++) await volume.put(`${directoryOf(d)}/f`, 'first');
      await volume.list('t');
      await volume.list(directoryOf(0));
      await volume.list(directoryOf(1));
      volume.clock.advance(20_000);
      await volume.list('t');
      // Within the time that a listing counts; another client wrote meanwhile.
      await volume.put(`${directoryOf(2)}/f`, 'second');
      volume.clock.advance(1);
      const { entryTtlMs } = await volume.entry(`${directoryOf(2)}/f`);
      t.ok(entryTtlMs <= 60_000);
      t.equal(await volume.read(`${directoryOf(2)}/f`), 'second', 'open() asks');
    },
    { attributes: 'listing' },
  );
});

t.test('with --metadata-ttl 0 every directory is asked for itself', async (t) => {
  await withVolume(
    async (volume) => {
      for (let d = 0; d < DIRECTORIES; d++) await volume.put(`${directoryOf(d)}/f`, 'first');
      await volume.list('t');
      volume.requests();
      for (let d = 0; d < DIRECTORIES; d++) {
        volume.clock.advance(1);
        await volume.list(directoryOf(d));
      }
      t.ok((volume.requests().ListObjectsV2 ?? 0) >= DIRECTORIES);
    },
    { metadataTtlMs: 0, attributes: 'listing' },
  );
});

t.test('metadata is sampled once in ten LISTs, not in ten directories; with full all are asked', async (t) => {
  await withVolume(async (volume) => {
    const count = 60;
    for (let d = 0; d < count; d++) await volume.put(`t/${100 + d}/f`, 'x');
    await volume.list('t');
    volume.requests();
    for (let d = 0; d < count; d++) {
      volume.clock.advance(1);
      await volume.list(`t/${100 + d}`);
    }
    const asked = volume.requests();
    t.ok((asked.ListObjectsV2 ?? 0) <= 2 + count, JSON.stringify(asked));
    // The look-up of a directory costs a HEAD and a LIST of its own here: a kernel has them from the listing above.
    t.ok((asked.HeadObject ?? 0) <= count + 2, JSON.stringify(asked));
  });
  await withVolume(
    async (volume) => {
      for (let d = 0; d < DIRECTORIES; d++) await volume.put(`${directoryOf(d)}/f`, 'x', { mode: '33152' });
      await volume.list('t');
      for (let d = 0; d < DIRECTORIES; d++) {
        volume.clock.advance(1);
        await volume.list(directoryOf(d));
        const { attributes } = await volume.entry(`${directoryOf(d)}/f`);
        t.equal(attributes.mode & 0o777, 0o600);
      }
    },
    { attributes: 'full' },
  );
});
