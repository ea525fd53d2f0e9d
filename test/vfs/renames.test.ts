/** Renames as other clients see them, and what these may have done meanwhile. */
import t from 'tap';
import { code, ctx, ok, type TestVolume, withVolume } from './volume-fixture.js';

const NOREPLACE = 1;
const EXCHANGE = 2;
const methods = ['copy', 'uploadPartCopy', 'delete', 'deleteMany'] as const;

/** Keys in the store before each request that copies or deletes, by method. */
function watch(volume: TestVolume): Array<readonly [string, string[]]> {
  const seen: Array<readonly [string, string[]]> = [];
  for (const method of methods) {
    const before = (): void => void seen.push([method, [...volume.memory.objects.keys()].sort()]);
    volume.client.add({ method, action: { kind: 'call', before } });
  }
  return seen;
}

for (const writeBack of [false, true])
  t.test(
    `a name is copied before the old one goes, and a directory whole, write-back ${writeBack ? 'on' : 'off'}`,
    (t) =>
      withVolume(
        async (volume) => {
          await volume.put('f', 'file');
          const names = Array.from({ length: 20 }, (_, i) => `n${i}`);
          for (const name of names) await volume.put(`d/${name}`, name);
          const seen = watch(volume);
          await volume.rename('f', 'g');
          await volume.fs.flushAll();
          t.same(seen.shift(), ['copy', [...names.map((name) => `d/${name}`), 'f'].sort()]);
          for (const [, keys] of seen.splice(0)) t.ok(keys.includes('f') && keys.includes('g'), 'both for a moment');
          t.notOk(volume.memory.objects.has('f'));
          await volume.rename('d', 'e');
          await volume.fs.flushAll();
          const deletes = seen.filter(([method]) => method.startsWith('delete'));
          t.ok(deletes.length > 0 && seen.length > deletes.length);
          for (const [, keys] of deletes)
            for (const name of names) t.ok(keys.includes(`e/${name}`), `${name} is copied before anything is deleted`);
          t.same(
            [...volume.memory.objects.keys()].filter((key) => key.startsWith('d/')),
            [],
          );
        },
        { writeBack },
      ),
  );

t.test('directories that change places go by way of a prefix at the top', (t) =>
  withVolume(
    async (volume) => {
      for (const key of ['a/x', 'deep/b/y']) await volume.put(key, key);
      const seen = watch(volume);
      await volume.rename('a', 'deep/b', EXCHANGE);
      t.same(seen, [], 'at once');
      await volume.fs.flushAll();
      const between = seen.flatMap(([, keys]) => keys).filter((key) => !/^(a|deep)\//.test(key));
      t.ok(between.length > 0);
      for (const key of between) t.match(key, /^\.pailfs-exchange-[^/]+\//);
      const keys = [...volume.memory.objects.keys()].filter((key) => !key.endsWith('/')).sort();
      t.same(keys, ['a/y', 'deep/b/x']);
    },
    { writeBack: true },
  ),
);

t.test('the object of a renamed file is deleted or replaced by somebody before it was copied', (t) =>
  withVolume(
    async (volume) => {
      for (const name of ['cached', 'unread', 'cached2', 'unread2']) await volume.put(name, `text of ${name}`);
      for (const name of ['cached', 'cached2']) t.equal(await volume.read(name), `text of ${name}`);
      await volume.list('');
      for (const name of ['cached', 'unread', 'cached2', 'unread2']) await volume.rename(name, `new-${name}`);
      for (const name of ['cached', 'unread']) await volume.memory.delete(name);
      for (const name of ['cached2', 'unread2']) await volume.put(name, 'theirs');
      await volume.fs.flushAll();
      t.equal(volume.body('new-cached'), 'text of cached', 'this machine has its bytes');
      t.equal(volume.body('new-cached2'), 'text of cached2');
      t.equal(volume.body('new-unread'), undefined, 'nobody has them');
      t.equal(await code(volume.entry('new-unread')), 'ENOENT');
      t.equal(await code(volume.entry('new-unread2')), 'ENOENT');
      t.same([volume.body('cached2'), volume.body('unread2')], ['theirs', 'theirs'], 'what they wrote stays');
      t.same(volume.fs.status().dirty, []);
    },
    { writeBack: true },
  ),
);

t.test('somebody else’s object stands under the new name by then', (t) =>
  withVolume(
    async (volume) => {
      await volume.put('old', 'ours');
      t.equal(await volume.read('old'), 'ours');
      await volume.rename('old', 'new');
      await volume.put('new', 'theirs');
      await volume.fs.flushAll();
      t.equal(volume.body('new'), 'theirs');
      const [conflict] = volume.fs.status().conflicts;
      t.equal(conflict?.path, '/new');
      t.equal(volume.body(conflict.copy.slice(1)), 'ours');
    },
    { writeBack: true },
  ),
);

t.test('RENAME_NOREPLACE of a directory asks the store right before', (t) =>
  withVolume(
    async (volume) => {
      for (const key of ['d/x', 'e/x']) await volume.put(key, key);
      const rename = (from: string, to: string): Promise<string> =>
        code(ok(volume.fs.rename(ctx, 1, from, 1, to, NOREPLACE) as number | Promise<number>));
      await volume.list('');
      for (const name of ['taken', 'file', 'free']) t.equal(await code(volume.entry(name)), 'ENOENT');
      await volume.put('taken/x', 'theirs');
      await volume.put('file', 'theirs');
      t.equal(await rename('d', 'taken'), 'EEXIST');
      t.equal(await rename('d', 'file'), 'EEXIST');
      t.same([volume.body('taken/x'), volume.body('file'), volume.body('d/x')], ['theirs', 'theirs', 'd/x']);
      t.equal(await rename('d', 'free'), 'ok');
      t.equal(volume.body('free/x'), 'd/x');
    },
    { writeBack: false },
  ),
);

t.test('a name in a directory that is gone does not bring the directory back at the next start', (t) =>
  withVolume(
    async (volume) => {
      const keys = (): string[] => [...volume.memory.objects.keys()].sort();
      await volume.put('t/x', 'x');
      const held = await volume.open('t/x');
      await volume.unlink('t/x');
      await volume.rename('t', 'd');
      await volume.fs.flushAll();
      t.ok(keys().includes('t/x'), 'who has it open may need it');
      await volume.write('d/x', 'another');
      await volume.fs.flushAll();
      t.equal(volume.body('d/x'), 'another');
      await volume.unlink('d/x');
      await volume.fs.flushAll();
      await volume.rmdir('d');
      await volume.fs.flushAll();
      t.same(
        keys().filter((key) => key.startsWith('d')),
        [],
      );
      t.equal(await volume.readAt(held, 0, 10).then(String), 'x');
      await volume.kill({ writeBack: true });
      t.same(await volume.list(''), []);
      await volume.fs.flushAll();
      t.same(keys(), []);
    },
    { writeBack: true },
  ),
);

t.test('nor does one below another that is gone, and whose name another directory has', (t) =>
  withVolume(
    async (volume) => {
      const keys = (): string[] => [...volume.memory.objects.keys()].sort();
      for (const key of ['a/x', 'top/']) await volume.put(key, '');
      await volume.put('a/x', 'x');
      await volume.open('a/x');
      await volume.rename('a', 'top/d');
      await volume.unlink('top/d/x');
      await volume.rmdir('top/d');
      await volume.rmdir('top');
      await volume.mkdir('top');
      await volume.fs.flushAll();
      t.ok(keys().includes('a/x'), 'who has it open may need it');
      await volume.kill({ writeBack: true });
      t.same(await volume.list('top'), []);
      await volume.fs.flushAll();
      t.same(keys(), ['top/']);
    },
    { writeBack: true },
  ),
);

t.test('a directory that a name was left in is found again after a rename, though the kernel had forgotten it', (t) =>
  withVolume(
    async (volume) => {
      const keys = (): string[] => [...volume.memory.objects.keys()].sort();
      for (const key of ['top/', 'top/d/', 'top/d/x']) await volume.put(key, '');
      await volume.unlink('top/d/x');
      await volume.kill({ writeBack: true });
      volume.holds = false;
      await volume.write('top/y', 'y');
      t.same((await volume.list('top')).sort(), ['d', 'y']);
      await volume.rename('top/d', 'e');
      await volume.rename('top', 'pot');
      await volume.fs.flushAll();
      t.same(keys(), ['e/', 'pot/', 'pot/y']);
    },
    { writeBack: true },
  ),
);

t.test('a file that is still to be deleted does not share its name with the directory that has it now', (t) =>
  withVolume(
    async (volume) => {
      for (const key of ['a', 'd/x', 'e/y']) await volume.put(key, key);
      await volume.open('a');
      await volume.unlink('a');
      await volume.rename('d', 'a');
      await volume.fs.flushAll();
      t.same([...volume.memory.objects.keys()].includes('a'), true, 'who has it open may need it');
      await volume.kill({ writeBack: true });
      await volume.rename('a', 'e', EXCHANGE);
      await volume.fs.flushAll();
      t.same([await volume.read('e/x'), await volume.read('a/y')], ['d/x', 'e/y']);
      t.equal(volume.body('a'), undefined);
    },
    { writeBack: true },
  ),
);

for (const [what, made, steps] of [
  [
    'out of the one that it replaces',
    { 'a/b/x': 'x', 'a/b/b/x': 'bx', 'a/b/b/b/x': 'bbx' },
    ['mv a/b t', 'rmdir a', 'mv t a'],
  ],
  [
    'into one that has its old name',
    { 'a/x': 'x', 'a/a/x': 'ax', 'a/a/a/x': 'aax' },
    ['mv a t', 'mkdir a', 'mv t a/a'],
  ],
] as const)
  t.test(`a directory that is moved ${what} and has children of that name`, (t) =>
    withVolume(
      async (volume) => {
        for (const [key, content] of Object.entries(made)) await volume.put(key, content);
        for (const step of steps) {
          const [how, from, to] = step.split(' ');
          if (how === 'mv') await volume.rename(from, to);
          else if (how === 'mkdir') await volume.mkdir(from);
          else await volume.rmdir(from);
        }
        const [first, last] = [Object.keys(made)[0], steps.at(-1)!.split(' ')[2]];
        const home = (key: string): string => last + key.slice(first.length - 2);
        for (const isFlushed of [false, true]) {
          if (isFlushed) await volume.fs.flushAll();
          for (const [key, content] of Object.entries(made)) t.equal(await volume.read(home(key)), content, home(key));
        }
        const files = [...volume.memory.objects.keys()].filter((key) => !key.endsWith('/')).sort();
        t.same(files, Object.keys(made).map(home).sort());
        for (const [key, content] of Object.entries(made)) t.equal(volume.body(home(key)), content);
      },
      { writeBack: true },
    ),
  );
