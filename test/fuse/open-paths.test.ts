/** What paths mean while their files are open, and the names that libfuse gives to those that are removed. */
import t from 'tap';
import { isHiding, isLibfuseName, OpenPaths } from '../../src/fuse/open-paths.js';

const hidden = '.fuse_hidden0000000200000001';

/** Opens a file as the server does. */
function open(paths: OpenPaths, path: string, nodeid: number, fh: number): number {
  const node = paths.hold(path) ?? paths.begin(path, nodeid);
  const handle = paths.add(node, fh);
  paths.letGo(node);
  return handle;
}

function close(paths: OpenPaths, handle: number): boolean {
  return paths.letGo(paths.close(handle)!.node);
}

t.test('names of libfuse', async (t) => {
  t.ok(isLibfuseName(`/d/${hidden}`));
  for (const name of ['.fuse_hidden', '.fuse_hidden1', `${hidden}x`, `x${hidden}`]) t.notOk(isLibfuseName(`/${name}`));
  t.ok(isHiding('/d/f', `/d/${hidden}`));
  t.notOk(isHiding('/f', `/d/${hidden}`), 'another directory');
  t.notOk(isHiding('/d/f', '/d/g'));
});

t.test('a path means one node until its last handle is closed', async (t) => {
  const paths = new OpenPaths();
  const [one, two] = [open(paths, '/f', 5, 70), open(paths, '/f', 5, 71)];
  t.not(one, two);
  t.equal(paths.nodeAt('/f')?.nodeid, 5);
  t.match(paths.get(two), { fh: 71 });
  const { closed } = paths.nodeAt('/f')!;
  t.equal(close(paths, one), false);
  t.equal(paths.size, 1);
  t.equal(close(paths, two), true, 'the last');
  await closed;
  t.equal(paths.nodeAt('/f'), undefined);
  t.equal(paths.close(two), undefined);
});

t.test('a removed file goes on under a hidden name, which is unlinked once more', async (t) => {
  const paths = new OpenPaths();
  const handle = open(paths, '/d/f', 5, 70);
  paths.hide('/d/f', `/d/${hidden}`);
  t.equal(paths.nodeAt('/d/f'), undefined);
  t.equal(paths.nodeAt(`/d/${hidden}`)?.nodeid, 5);
  t.ok(paths.hidesBelow('/d'));
  t.notOk(paths.hidesBelow('/x'));
  t.notOk(paths.isLastOfHidden(`/d/${hidden}`), 'still open');
  paths.renamed('/d', '/e');
  t.ok(paths.hidesBelow('/e'));
  close(paths, handle);
  t.notOk(paths.hidesBelow('/e'));
  t.ok(paths.isLastOfHidden(`/e/${hidden}`));
  t.notOk(paths.isLastOfHidden(`/e/${hidden}`), 'once');
});

t.test('renames take open files along, and put aside what they replace', async (t) => {
  const paths = new OpenPaths();
  open(paths, '/d/f', 5, 70);
  open(paths, '/dx', 6, 71);
  const replaced = open(paths, '/g', 7, 72);
  paths.renamed('/d', '/n/d');
  t.equal(paths.nodeAt('/n/d/f')?.nodeid, 5);
  t.equal(paths.nodeAt('/dx')?.nodeid, 6, 'not below it');
  paths.renamed('/dx', '/g');
  t.equal(paths.nodeAt('/g')?.nodeid, 6);
  t.equal(paths.get(replaced)?.node.path, undefined, 'its handle lives on');
  t.equal(close(paths, replaced), true);
  t.equal(paths.nodeAt('/g')?.nodeid, 6);
});
