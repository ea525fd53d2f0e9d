/** What a LIST tells of metadata counts as a HEAD's answer does; for what only a HEAD tells, one is sent. */
import t from 'tap';
import { ctx, O_WRONLY, ok, type TestVolume, withVolume } from './volume-fixture.js';

const encryption = { algorithm: 'aws:kms', keyId: 'its-own' };
const headers = { contentType: 'image/png', cacheControl: 'no-cache', storageClass: 'STANDARD_IA' };
const tags = [['colour', 'blue'] as const];
const metadata = { mode: String(0o100600), 'by-another': 'kept' };

async function modeOf(volume: TestVolume, path: string): Promise<string> {
  return volume.with(path, async (_, { attributes }) => (attributes.mode & 0o7777).toString(8));
}

/** A directory whose listing tells metadata, listed a minute after its objects were written. */
async function listed(volume: TestVolume, attributes: Parameters<typeof volume.remount>[1] = {}): Promise<void> {
  volume.memory.listsMetadata = true;
  await volume.memory.put('d/f', Buffer.from('base'), { metadata, headers, tags, encryption });
  await volume.memory.put('d/plain', Buffer.from('base'));
  volume.clock.advance(60_000);
  await volume.remount(true, attributes);
  await volume.list('d');
  volume.requests();
}

t.test('no HEAD shows what the LIST told', (t) =>
  withVolume(async (volume) => {
    for (const attributes of ['auto', 'full'] as const) {
      await listed(volume, { attributes });
      t.equal(await modeOf(volume, 'd/f'), '600', attributes);
      t.equal(await modeOf(volume, 'd/plain'), '644', 'an object without metadata');
      await volume.with('d/f', (nodeid) => ok(volume.fs.listxattr(ctx, nodeid)));
      t.equal(volume.requests().HeadObject, undefined, attributes);
    }
    await listed(volume, { attributes: 'listing' });
    t.equal(await modeOf(volume, 'd/f'), '644', 'not asked for');
    t.same(volume.requests(), {});
  }),
);

t.test('an open asks for the rest: one request, as of a file of which nothing is known', (t) =>
  withVolume(async (volume) => {
    await listed(volume);
    t.equal(await volume.read('d/f'), 'base');
    t.same(volume.requests(), { GetObject: 1 });
    await listed(volume);
    await volume.closeFile(await volume.open('d/f', O_WRONLY));
    t.same(volume.requests(), { HeadObject: 1 });
  }),
);

t.test('what writes the object again keeps what the LIST did not tell', (t) =>
  withVolume(async (volume) => {
    const append = async () => {
      const file = await volume.open('d/f', O_WRONLY);
      await volume.writeAt(file, 4, '+');
      await volume.closeFile(file);
    };
    const chmod = () =>
      volume.with('d/f', (nodeid) => ok(volume.fs.setattr(ctx, nodeid, { mode: 0o640, killSuidgid: false })));
    const xattr = () =>
      volume.with('d/f', async (nodeid) => {
        t.equal(await volume.fs.setxattr(ctx, nodeid, 'user.x', Buffer.from('1'), 0), 0);
      });
    for (const [what, change, mode] of [
      ['append', append, 0o600],
      ['chmod', chmod, 0o640],
      ['setxattr', xattr, 0o600],
    ] as const) {
      await listed(volume);
      await change();
      t.equal(volume.requests().HeadObject, 1, `${what}: one HEAD`);
      const now = volume.memory.objects.get('d/f');
      t.same(now?.headers, headers, what);
      t.same(now?.tags, tags, what);
      t.same(now?.encryption, encryption, what);
      t.match(now?.metadata, { 'by-another': 'kept', mode: String(0o100000 | mode) }, what);
    }
    await listed(volume);
    const type = await volume.with('d/f', async (nodeid) => volume.fs.getxattr(ctx, nodeid, 's3.content-type'));
    t.equal(String(type), 'image/png');
  }),
);

t.test('a slow LIST: what changed within the second of the date, after it was read, is seen', (t) =>
  withVolume(async (volume) => {
    const { memory, clock } = volume;
    const put = (mode: number) => memory.put('d/f', Buffer.from('x'), { metadata: { mode: String(0o100000 | mode) } });
    memory.listsMetadata = true;
    await put(0o600);
    await volume.remount(true);
    const list = memory.list.bind(memory);
    memory.list = async (options) => {
      const page = await list(options);
      if (!options.metadata) return page;
      memory.list = list;
      await put(0o640);
      clock.advance(10_000);
      return { ...page, date: memory.date() };
    };
    await volume.list('d');
    t.equal(await modeOf(volume, 'd/f'), '600', 'what the LIST read');
    clock.advance(61_000);
    await volume.list('d');
    t.equal(await modeOf(volume, 'd/f'), '640', 'not kept for good');
  }),
);
