/** The observer: counters, one line an operation, and nothing changed by it. */
import { Writable } from 'node:stream';
import pino from 'pino';
import t from 'tap';
import { errno } from '../../src/errno.js';
import { observe } from '../../src/fuse/observe.js';
import type { Operations, RequestContext } from '../../src/fuse/operations.js';
import { MemoryFilesystem } from './memory-filesystem.js';

const ctx = { unique: 1, uid: 0, gid: 0, pid: 1 } as RequestContext;
const clock = { now: () => 0, monotonic: () => (time += 0.5) };
let time = 0;

function logTo(lines: Record<string, unknown>[], level: string) {
  const stream = new Writable({
    write(chunk, _encoding, done) {
      lines.push(JSON.parse(String(chunk)));
      done();
    },
  });
  return pino({ level, base: undefined }, stream);
}

t.test('counts, errors, and a line each at level debug', async (t) => {
  const lines: Record<string, unknown>[] = [];
  const filesystem = new MemoryFilesystem();
  const node = filesystem.addFile('a');
  filesystem.statfs = () => Promise.reject(new Error('bug')) as never;
  const { operations, counts } = observe(filesystem, logTo(lines, 'debug'), clock);
  operations.lookup(ctx, 1, 'a');
  t.equal(operations.lookup(ctx, 1, 'none'), -errno.ENOENT);
  operations.forget(node, 1);
  await t.rejects(operations.statfs(ctx, 1) as Promise<unknown>);
  t.throws(() => operations.getattr(ctx, 999, undefined));
  t.same(counts.lookup, { count: 2, errors: 1 });
  t.same(counts.statfs, { count: 1, errors: 1 });
  t.same(counts.getattr, { count: 1, errors: 1 });
  t.same(counts.unlink, { count: 0, errors: 0 });
  t.match(lines, [
    { op: 'lookup', node: 1, name: 'a', result: 'ok', us: 500 },
    { op: 'lookup', node: 1, name: 'none', result: 'ENOENT', us: 500 },
    { op: 'forget', node },
    { op: 'statfs', result: 'threw' },
    { op: 'getattr', node: 999, result: 'threw' },
  ]);
});

t.test('no clock and no line when debug is off; absent operations stay absent', async (t) => {
  const lines: Record<string, unknown>[] = [];
  const silent = { now: () => 0, monotonic: () => t.fail('the clock was asked') as never };
  const { operations, counts } = observe(new MemoryFilesystem() as Operations, logTo(lines, 'info'), silent);
  operations.lookup(ctx, 1, 'none');
  t.same(counts.lookup, { count: 1, errors: 1 });
  t.same(lines, []);
  t.equal(operations.fallocate, undefined);
  t.type(operations.mknod, 'function');
});
