/** The rules of the crash test, each with what it allows and what it must not let through. */
import t from 'tap';
import type { AckHistory, Operation } from './ack-log.js';
import { contentOf } from './content.js';
import { judge, type WriteBack } from './oracle.js';
import { apply, type Tree } from './tree.js';

const put = (path: string, seed: number, size = 100): Operation => ({ op: 'put', path, seed, size });
const home: Operation = { op: 'mkdir', path: '.' };

function treeOf(...operations: Operation[]): Tree {
  return operations.reduce(apply, new Map() as Tree);
}

/** All but the last of `begun` are acknowledged where `open`. */
function historyOf(operations: readonly Operation[], open: boolean): AckHistory {
  const steps = operations.map((operation, i) =>
    open && i === operations.length - 1 ? { operation } : { operation, acknowledged: {} },
  );
  return { steps };
}

function problems(operations: readonly Operation[], there: Tree, { open = true, mode = 'off' as WriteBack } = {}) {
  return judge(new Map(), historyOf(operations, open), there, mode).problems;
}

t.test('what was acknowledged is there, and nothing else', async (t) => {
  const done = [home, put('a', 1), { op: 'unlink', path: 'a' } as const, put('b', 2)];
  t.same(problems(done, treeOf(...done), { open: false }), []);
  t.match(problems(done, treeOf(home, put('a', 1), put('b', 2)), { open: false }), [/^a is there/]);
  t.match(problems(done, treeOf(home), { open: false }), [/^b is not there/]);
  t.match(problems(done, treeOf(home, put('b', 3)), { open: false }), [
    /^b has 100 bytes for 100, different from byte/,
  ]);
  t.match(problems(done, treeOf(...done, put('c', 1)), { open: false }), [/^c is there/]);
  const dated = [home, put('a', 1), { op: 'utimes', path: 'a', mtime: 1_000 } as const];
  t.match(problems(dated, treeOf(home, put('a', 1)), { open: false }), [/^a has mtime/]);
  const moded = [home, put('a', 1), { op: 'chmod', path: 'a', mode: 0o600 } as const];
  t.match(problems(moded, treeOf(home, put('a', 1)), { open: false }), [/^a has mode 644, not 600/]);
});

t.test('a file that was not closed: before or behind; torn only with write-back', async (t) => {
  const first = [home, put('a', 1)];
  const both = [...first, put('a', 2)];
  t.same(problems(both, treeOf(...first)), []);
  t.same(problems(both, treeOf(...both)), []);
  const torn = treeOf(...first);
  const bytes = Buffer.concat([contentOf(2, 40), contentOf(1, 100).subarray(40, 60)]);
  torn.set('a', { type: 'file', bytes, mode: 0o644 });
  t.match(problems(both, torn), [/^a, under way/]);
  const withWriteBack = judge(new Map(), historyOf(both, true), torn, 'on');
  t.same([withWriteBack.problems, withWriteBack.notes], [[], ['torn']]);
  t.match(problems(both, treeOf(home, put('a', 3)), { mode: 'on' }), [/^a, under way/]);
  t.match(problems(both, treeOf(home), { mode: 'on' }), [/^a, under way/], 'its name was acknowledged');
});

t.test('a rename: one name, or with --write-back=off both, and never none', async (t) => {
  const first = [home, put('a', 1), put('b', 2)];
  const all = [...first, { op: 'rename', from: 'a', path: 'b' } as const];
  t.same(problems(all, treeOf(...first)), []);
  t.same(problems(all, treeOf(...all)), []);
  const twice = treeOf(home, put('a', 1), put('b', 1));
  t.same(problems(all, twice), []);
  t.same(judge(new Map(), historyOf(all, true), twice, 'off').notes, ['both names']);
  t.match(problems(all, twice, { mode: 'on' }), [/^a, under way/, /^b, under way/]);
  t.ok(problems(all, treeOf(home, put('b', 2))).length > 0, 'neither');
  t.ok(problems(all, treeOf(home, put('a', 1))).length > 0, 'what was to be replaced is gone too early');
  t.match(problems(all, twice, { open: false }), [/^a is there/], 'acknowledged');
});

t.test('the rename of a directory: one side is whole, the other holds nothing wrong', async (t) => {
  const mkdir = (path: string): Operation => ({ op: 'mkdir', path });
  const first = [home, mkdir('d'), put('d/a', 1), put('d/b', 2)];
  const all = [...first, { op: 'rename', from: 'd', path: 'e' } as const];
  t.same(problems(all, treeOf(...first)), []);
  t.same(problems(all, treeOf(...all)), []);
  t.same(problems(all, treeOf(...first, mkdir('e'), put('e/b', 2))), [], 'copies under way');
  t.same(problems(all, treeOf(home, mkdir('e'), put('e/a', 1), put('e/b', 2), mkdir('d'), put('d/b', 2))), []);
  t.ok(problems(all, treeOf(home, mkdir('d'), put('d/a', 1), mkdir('e'), put('e/b', 2))).length > 0, 'torn apart');
  t.ok(problems(all, treeOf(...first, mkdir('e'), put('e/b', 9))).length > 0, 'a wrong copy');
  t.ok(problems(all, treeOf(...first, mkdir('e'), put('e/z', 9))).length > 0, 'a name that never was');
});

t.test('tar and rm -r happen name by name', async (t) => {
  const content = { seed: 5, size: 50 };
  const entries = [
    { path: 't', mode: 0o755, mtime: 1 },
    { path: 't/a', content, mode: 0o600, mtime: 2 },
    { path: 't/b', content, mode: 0o600, mtime: 2 },
  ];
  const unpack: Operation = { op: 'unpack', path: 't', entries };
  const half = treeOf(home, { op: 'mkdir', path: 't' }, put('t/a', 5, 50));
  t.same(problems([home, unpack], half), []);
  t.ok(problems([home, unpack], half, { open: false }).length > 0);
  t.ok(problems([home, unpack], treeOf(home, { op: 'mkdir', path: 't' }, put('t/a', 6, 50))).length > 0);
  const removal: Operation = { op: 'remove-tree', path: 't' };
  const left = treeOf(home, unpack, { op: 'unlink', path: 't/a' });
  t.same(problems([home, unpack, removal], left), []);
  t.ok(problems([home, unpack, removal], left, { open: false }).length > 0, 'back');
});
