import fc from 'fast-check';
import t from 'tap';
import { MAX_NAME_BYTES } from '../../src/constants.js';
import { conflictName } from '../../src/writeback/conflict.js';

const now = Date.UTC(2026, 1, 3, 4, 5, 6, 789);

t.test('tells name, host and time', async (t) => {
  t.equal(conflictName('a.txt', 'host-1.lan', now), 'a.txt.conflict-host-1.lan-20260203T040506Z');
  t.equal(conflictName('a.txt', 'host-1.lan', now, 2), 'a.txt.conflict-host-1.lan-20260203T040506Z-2');
  t.equal(conflictName('a', 'x/y z', now), 'a.conflict-x_y_z-20260203T040506Z');
});

t.test('always a name, of its own for each attempt', async () => {
  const name = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 300 });
  fc.assert(
    fc.property(name, fc.string({ maxLength: 300 }), fc.nat(9), (name, host, attempt) => {
      const made = conflictName(name, host, now, attempt);
      const stem = made.slice(0, made.lastIndexOf('.conflict-'));
      return (
        Buffer.byteLength(made) <= MAX_NAME_BYTES &&
        name.startsWith(stem) &&
        !made.slice(stem.length).includes('/') &&
        made !== conflictName(name, host, now, attempt + 1) &&
        Buffer.from(stem).toString() === Buffer.from(name.slice(0, stem.length)).toString()
      );
    }),
  );
});
