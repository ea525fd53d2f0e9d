import t from 'tap';
import { Overlay } from '../../src/writeback/overlay.js';

t.test('a change stands over every listing until it is confirmed', async (t) => {
  const overlay = new Overlay<string>();
  overlay.set('a', 'inode');
  overlay.dropSeen(1e9);
  t.match(overlay.over('a', 1e9), { present: 'inode', confirmedAt: undefined });
  t.equal(overlay.over('b', 0), undefined);
  t.equal(overlay.size, 1);
});

t.test('a confirmed one stands over what was asked before, and is dropped by what was asked after', async (t) => {
  const overlay = new Overlay<string>();
  overlay.setConfirmed('a', undefined, 100);
  t.match(overlay.over('a', 99), { present: undefined });
  t.ok(overlay.over('a', 100), 'within the same instant');
  t.equal(overlay.over('a', 101), undefined);
  overlay.dropSeen(100);
  t.ok(overlay.get('a'));
  overlay.dropSeen(101);
  t.equal(overlay.get('a'), undefined);
});

t.test('confirming and taking back count for their own change only', async (t) => {
  const overlay = new Overlay<string>();
  const first = overlay.set('a', 'one');
  const second = overlay.set('a', 'two');
  t.ok(second > first);
  overlay.confirm('a', first, 10);
  t.equal(overlay.get('a')?.confirmedAt, undefined);
  overlay.revert('a', first);
  t.equal(overlay.get('a')?.present, 'two');
  overlay.confirm('a', second, 10);
  t.match(overlay.get('a'), { present: 'two', confirmedAt: 10, sequence: second });
  overlay.revert('a', second);
  t.equal(overlay.get('a'), undefined);
  overlay.confirm('a', second, 10);
  t.equal(overlay.size, 0, 'what was dropped does not come back');
  const other = new Overlay<string>();
  t.ok(other.set('a', 'x') > second, 'sequences grow over all directories');
  other.drop('a');
  t.same([...other.entries()], []);
});
