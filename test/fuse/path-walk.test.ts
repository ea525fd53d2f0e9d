/** From paths to nodes, over the filesystem in memory, which throws where lookups are not counted exactly. */
import t from 'tap';
import { systemClock } from '../../src/clock.js';
import { errno } from '../../src/errno.js';
import { KernelHoldings } from '../../src/fuse/holdings.js';
import type { RequestContext } from '../../src/fuse/operations.js';
import { PathServer } from '../../src/fuse/path-server.js';
import { Lookups, Walk } from '../../src/fuse/path-walk.js';
import { silentLogger } from '../../src/log.js';
import { MemoryFilesystem } from './memory-filesystem.js';

const ctx: RequestContext = { unique: 1, uid: 0, gid: 0, pid: 0, signal: new AbortController().signal };

async function tree(most: number) {
  const filesystem = new MemoryFilesystem();
  const holdings = new KernelHoldings();
  const lookups = new Lookups(filesystem, holdings, most);
  const walk = () => new Walk(filesystem, lookups, () => undefined);
  const first = walk();
  let parent = 1;
  let path = '';
  for (const name of ['a', 'b', 'c']) {
    const entry = await filesystem.mkdir(ctx, parent, name, 0o755);
    if (typeof entry === 'number') throw new Error(`mkdir: ${entry}`);
    path += `/${name}`;
    first.adopt(path, entry.nodeid);
    parent = entry.nodeid;
  }
  first.end();
  return { holdings, lookups, walk, deepest: parent };
}

t.test('a path is walked name by name, and every lookup is given back', async (t) => {
  const { holdings, lookups, walk, deepest } = await tree(100);
  t.equal(holdings.nlookup, 3, 'the last nodes are held');
  const one = walk();
  t.equal(await one.node(ctx, '/'), 1);
  t.equal(await one.node(ctx, '/a/b/c'), deepest);
  t.equal(holdings.nlookup, 6, 'held while the call lasts');
  t.equal(await one.node(ctx, '/a/none'), -errno.ENOENT);
  t.match(await one.named(ctx, '/a/b/new'), { name: 'new', nodeid: -errno.ENOENT });
  one.end();
  t.equal(holdings.nlookup, 3, 'one for each path');
  lookups.drop('/a/b/c');
  t.equal(holdings.nlookup, 2);
  lookups.clear();
  t.equal(holdings.nlookup, 0);
});

t.test('as many paths as are allowed are held, the oldest goes first', async (t) => {
  const { holdings, walk } = await tree(2);
  t.equal(holdings.nlookup, 2);
  const one = walk();
  await one.node(ctx, '/a');
  one.end();
  t.equal(holdings.nlookup, 2);
});

t.test('what is open keeps its path, and a kept lookup outlives its call', async (t) => {
  const { holdings, lookups, deepest } = await tree(100);
  const pinned = new Walk(new MemoryFilesystem(), lookups, (path) => (path === '/a' ? deepest : undefined));
  t.equal(await pinned.node(ctx, '/a'), deepest, 'the filesystem is not asked');
  t.throws(() => pinned.keep(deepest), /no lookup of node/);
  pinned.end();
  t.equal(holdings.nlookup, 3);
});

/** Serves one call, and answers its outcome. */
function outcomeOf(server: PathServer, names: string[], work: () => number | Promise<number>): Promise<number> {
  return new Promise((resolve) => server.serve('test', names, work, resolve));
}

t.test('every call gets one answer, whatever its operation does', async (t) => {
  const operations = new MemoryFilesystem();
  const server = new PathServer({ operations, log: silentLogger, clock: systemClock, uid: 0, gid: 0 });
  t.equal(await outcomeOf(server, ['/a'], () => 7), 7);
  t.equal(await outcomeOf(server, ['/a'], () => Promise.reject(new Error('no'))), -errno.EIO);
  t.equal(await outcomeOf(server, ['/a'], () => -5000), -errno.EIO, 'no errno');
  t.equal(await outcomeOf(server, ['/a', 'x\ufffd'], () => t.fail('served') as never), -errno.EILSEQ);
  t.equal(await outcomeOf(server, [`/${'n'.repeat(256)}`], () => t.fail('served') as never), -errno.ENAMETOOLONG);
  t.equal(await outcomeOf(server, [`/${'n'.repeat(255)}/${'ä'.repeat(127)}`], () => 0), 0);
  t.equal(server.stats().pending, 0);
  await server.end();
  t.equal(await outcomeOf(server, ['/a'], () => t.fail('served') as never), -errno.ENODEV);
});
