import t from 'tap';
import { type Candidate, Room } from '../../src/cache/room.js';
import { MiB } from '../../src/constants.js';
import { TestClock, temporary } from './fixture.js';

function roomOf(directory: string, maxBytes: number, contents: Map<string, { used: number; bytes: number }>) {
  const clock = new TestClock();
  const evicted: string[] = [];
  let asked = 0;
  const room = new Room({
    directory,
    maxBytes,
    clock,
    bytes: () => [...contents.values()].reduce((sum, { bytes }) => sum + bytes, 0),
    candidates: (): Candidate[] => {
      asked++;
      return [...contents].filter(([id]) => !id.startsWith('pinned')).map(([id, { used }]) => ({ id, used }));
    },
    evict: async (id) => {
      evicted.push(id);
      const bytes = contents.get(id)?.bytes ?? 0;
      contents.delete(id);
      return bytes;
    },
  });
  return { room, clock, evicted, asked: () => asked };
}

t.test('the oldest make way, a little more than needed', async (t) => {
  const contents = new Map([
    ['b', { used: 2, bytes: 40 }],
    ['a', { used: 1, bytes: 5 }],
    ['c', { used: 3, bytes: 50 }],
  ]);
  const { room, evicted } = roomOf(temporary(t), 100, contents);
  t.equal(await room.take(5), true);
  t.same(evicted, []);
  t.equal(await room.take(1), true, 'what was granted counts');
  t.same(evicted, ['a', 'b']);
});

t.test('nothing helps: refused, and not tried all the time', async (t) => {
  const contents = new Map([['pinned', { used: 1, bytes: 95 }]]);
  const { room, clock, asked } = roomOf(temporary(t), 100, contents);
  for (let i = 0; i < 10; i++) t.equal(await room.take(10), false);
  t.equal(asked(), 1);
  clock.advance(2_000);
  t.equal(await room.take(10), false);
  t.equal(asked(), 2);
  contents.clear();
  room.eased();
  t.equal(await room.take(100), true);
  t.equal(await room.take(1), false, 'all of it is granted');
  room.done(100);
  t.equal(await room.take(1), true);
});

t.test('a full disk refuses until it was looked at again', async (t) => {
  const { room, clock } = roomOf(temporary(t), 100 * MiB, new Map());
  room.full();
  t.equal(await room.take(1), false);
  clock.advance(2_000);
  t.equal(await room.take(1), true);
});

t.test('a directory that is gone is no reason to refuse', async (t) => {
  const { room } = roomOf('/nonexistent/pailfs', 100, new Map());
  t.equal(await room.take(1), true);
  await room.settled();
});
