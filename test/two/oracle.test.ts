/** What the oracle of two hosts lets pass and what not, on logs made by hand; and contents that say what they are. */
import t from 'tap';
import { bytesOf, type Content, contentOver, parse } from './content.js';
import { judge, type Stored } from './oracle.js';
import type { Step } from './worker.js';

let now = 0;
const step = (host: string, op: Step['op'], path: string, more: Partial<Step> = {}): Step => {
  now += 10;
  return { host, op, path, start: now, end: now + 5, outcome: 'ok', ...more };
};
const write = (host: string, id: string, parent: string, more: Partial<Step> = {}): Step =>
  step(host, 'write', 'k0', { content: { id, parent }, isWritten: true, isSynced: true, ...more });
const read = (host: string, id: string): Step => step(host, 'read', 'k0', { content: { id, parent: undefined } });
const initial = { k0: 'first' };
const judged = (steps: readonly Step[], stored: Readonly<Record<string, Stored>>): string[] =>
  judge({ steps, initial, stored: new Map(Object.entries(stored)), staleMs: 0 });
const holds = (id: string): Stored => ({ id, parent: undefined });

t.test('one writes over the other, and what both kept in a conflict', async (t) => {
  t.same(judged([], { k0: holds('first') }), []);
  t.same(judged([write('a', 'a1', 'first'), write('b', 'b1', 'a1'), read('a', 'b1')], { k0: holds('b1') }), []);
  const first = write('a', 'a1', 'first');
  const conflict = [first, write('b', 'b1', 'first', { outcome: 'ESTALE', start: first.start })];
  const copy = 'k0.conflict-host-20260101T000000Z';
  t.same(judged(conflict, { k0: holds('a1'), [copy]: holds('b1') }), []);
  t.match(judged(conflict, { k0: holds('a1') }), [/^b1 .*is lost/]);
  t.match(judged(conflict, { k0: holds('b1') }), [/^a1 .*is lost/], 'an overwrite that had not seen it');
});

t.test('what was not acknowledged may be anywhere', async (t) => {
  const torn = write('a', 'a1', 'first', { isWritten: false, outcome: 'ESTALE' });
  t.same(judged([torn], { k0: holds('first') }), []);
  t.same(judged([torn], { k0: holds('a1') }), []);
});

t.test('mixed, unknown, doubled and vanished contents', async (t) => {
  t.match(judged([step('a', 'read', 'k0', { problem: 'other bytes' })], { k0: holds('first') }), [/other bytes/]);
  t.match(judged([], { k0: { problem: 'other bytes' } }), [/other bytes/, /first .*is lost/]);
  t.match(judged([read('a', 'x')], { k0: holds('first') }), [/nobody has written/]);
  t.match(judged([], { k0: holds('first'), 'k0.conflict-a-b': holds('first') }), [/is under/]);
  t.match(judged([], { other: holds('first') }), [/never a name/, /not in the bucket/]);
  t.match(judged([step('a', 'read', 'k0', { outcome: 'ENOENT' })], { k0: holds('first') }), [/did not find/]);
  t.match(judged([step('a', 'read', 'k0', { outcome: 'EIO' })], { k0: holds('first') }), [/got EIO/]);
});

t.test('close-to-open: after fsync nobody sees what came before', async (t) => {
  const steps = [write('a', 'a1', 'first'), write('a', 'a2', 'a1')];
  t.same(judged([...steps, read('b', 'a2')], { k0: holds('a2') }), []);
  t.match(judged([...steps, read('b', 'a1')], { k0: holds('a2') }), [/b saw a1 in k0/]);
  t.match(judged([...steps, read('b', 'first')], { k0: holds('a2') }), [/b saw first in k0/]);
  const early = { ...read('b', 'a1'), start: steps[1].start };
  t.same(judged([...steps, early], { k0: holds('a2') }), [], 'an open that began before');
  const unsynced = [write('a', 'a3', 'first', { isSynced: false }), read('b', 'first')];
  t.same(judged(unsynced, { k0: holds('a3') }), []);
});

t.test('names that come and go', async (t) => {
  const made = step('a', 'make', 'm0', { content: { id: 'a9', parent: undefined }, isWritten: true });
  t.same(judged([made], { k0: holds('first'), m0: holds('a9') }), []);
  t.match(judged([made], { k0: holds('first') }), [/a9 .*is lost/]);
  t.same(judged([made, step('b', 'remove', 'm0')], { k0: holds('first') }), []);
  t.match(judged([made, step('b', 'remove', 'm0', { outcome: 'ENOENT' })], { k0: holds('first') }), [/a9 .*is lost/]);
});

t.test('contents are known by their bytes', async (t) => {
  let content: Content | undefined;
  for (const [i, cut] of [20_000, 5_000, 15_000, 512, 20_000, 9_999].entries()) {
    content = contentOver(`c${i}`, content, cut, 20_000);
    t.same(parse(bytesOf(content)), JSON.parse(JSON.stringify(content)));
  }
  const before = contentOver('one', undefined, 20_000, 20_000);
  const after = contentOver('two', before, 9_000, 20_000);
  const onDisk = bytesOf(before);
  bytesOf(after, 9_000).copy(onDisk);
  t.equal(parse(onDisk).id, 'two', 'written over the beginning');
  const other = bytesOf(contentOver('three', undefined, 20_000, 20_000));
  bytesOf(after, 9_000).copy(other);
  t.throws(() => parse(other), /two has other bytes from 90\d\d on/, 'the rest of another version');
  t.throws(() => parse(onDisk.subarray(0, 12_000)), /has 12000 bytes/);
  t.throws(() => parse(Buffer.alloc(100)), /without a header/);
});
